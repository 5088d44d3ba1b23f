// SPDX-License-Identifier: Apache-2.0
#include "agent/elf/go_build.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "agent/elf/varint.hpp"

namespace sonde::elf {

namespace {

constexpr std::string_view kMagic = "\xff Go buildinf:";
constexpr std::size_t kHeaderBytes = 32;
constexpr std::uint64_t kUsualBytes = 64 << 10;
constexpr std::uint64_t kMaxBytes = 4 << 20;
constexpr std::size_t kMaxVersion = 256;
constexpr std::size_t kMaxModules = 10'000;
constexpr std::byte kInline{2};  // flag: the strings follow the header; pointers before Go 1.18
// Where there are no sections: as much of each segment, and none of the code.
constexpr std::uint64_t kMaxSearched = 8 << 20;
constexpr std::size_t kAlignment = 16;

bool has_magic(std::span<const std::byte> bytes, std::size_t at = 0)
{
  return bytes.size() >= at + kHeaderBytes &&
         std::memcmp(bytes.data() + at, kMagic.data(), kMagic.size()) == 0;
}

std::optional<std::uint64_t> find_header(const ElfFile& file)
{
  if (const auto* section = file.section(".go.buildinfo"))
    return has_magic(file.bytes(section->offset, kHeaderBytes)) ? std::optional(section->offset)
                                                                : std::nullopt;
  const bool named = std::ranges::any_of(file.sections(), [](const Section& section) {
    return !section.name.empty() && section.address != 0;
  });
  if (named)
    return {};
  for (const bool writable : {true, false})
    for (const auto& segment : file.segments()) {
      if (segment.writable != writable || segment.executable)
        continue;
      const auto bytes = file.bytes(segment.offset, std::min(segment.file_size, kMaxSearched));
      for (std::size_t at = 0; at < bytes.size(); at += kAlignment)
        if (bytes[at] == std::byte{0xff} && has_magic(bytes, at))
          return segment.offset + at;
    }
  return {};
}

// "key" = "value", either of which is quoted where it has blanks or quotes.
std::string unquoted(std::string_view text)
{
  if (text.size() < 2 || text.front() != '"' || text.back() != '"')
    return std::string(text);
  std::string out;
  for (std::size_t i = 1; i + 1 < text.size(); ++i) {
    if (text[i] == '\\' && i + 2 < text.size())
      ++i;
    out += text[i];
  }
  return out;
}

std::string_view take_until(std::string_view& text, char end)
{
  const auto at = std::min(text.find(end), text.size());
  const auto taken = text.substr(0, at);
  text.remove_prefix(std::min(text.size(), at + 1));
  return taken;
}

GoModule take_module(std::string_view rest)
{
  GoModule module;
  module.path = take_until(rest, '\t');
  module.version = take_until(rest, '\t');
  return module;
}

// Lines of tab-separated words: path, mod, dep, => (which replaces the line before) and build.
void parse_modules(std::string_view text, GoBuild& build)
{
  bool replaces_main = false;
  while (!text.empty()) {
    auto rest = take_until(text, '\n');
    const auto word = take_until(rest, '\t');
    if (word == "path") {
      build.command = rest;
    } else if (word == "mod") {
      build.main = take_module(rest);
      replaces_main = true;
    } else if (word == "dep" && build.dependencies.size() < kMaxModules) {
      build.dependencies.push_back(take_module(rest));
      replaces_main = false;
    } else if (word == "=>") {
      const auto replacement = take_module(rest);
      if (replaces_main)
        build.main.version = replacement.version;
      else if (!build.dependencies.empty())
        build.dependencies.back().version = replacement.version;
    } else if (word == "build" && build.settings.size() < kMaxModules) {
      const auto equals = rest.starts_with('"') ? rest.find("\"=") + 1 : rest.find('=');
      if (equals != 0 && equals < rest.size())
        build.settings.emplace_back(unquoted(rest.substr(0, equals)),
                                    unquoted(rest.substr(equals + 1)));
    }
  }
}

// Version and modules, one after the other. False when the text is longer than what is given.
bool parse_inline(std::span<const std::byte> rest, GoBuild& build)
{
  const auto version = take_text(rest);
  if (!version || version->size() > kMaxVersion)
    return false;
  build.version_text = *version;
  const auto modules = take_text(rest);
  if (!modules)
    return false;
  // Between two marks of 16 bytes.
  constexpr std::size_t kMark = 16;
  if (modules->size() > 2 * kMark)
    parse_modules(modules->substr(kMark, modules->size() - (2 * kMark)), build);
  return true;
}

// The Go string whose header a pointer at this address points to.
std::optional<std::string_view> string_behind(const ElfFile& file, std::uint64_t address)
{
  const auto header = file.pointer_at(address);
  const auto data = header ? file.pointer_at(*header) : std::nullopt;
  const auto length = header ? file.read_at<std::uint64_t>(*header + 8) : std::nullopt;
  if (!data || !length || *length > kMaxVersion)
    return {};
  const auto bytes = file.bytes_at(*data, *length);
  if (bytes.empty())
    return {};
  return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

}  // namespace

std::optional<GoVersion> parse_go_version(std::string_view text)
{
  for (std::size_t at = text.find("go"); at != std::string_view::npos;
       at = text.find("go", at + 2)) {
    GoVersion version;
    const char* position = text.data() + at + 2;
    const char* end = text.data() + text.size();
    const auto number = [&](unsigned& out) {
      const auto [next, error] = std::from_chars(position, end, out);
      const bool good = error == std::errc{};
      position = good ? next : position;
      return good;
    };
    const auto dot = [&] {
      const bool there = position != end && *position == '.';
      position += there ? 1 : 0;
      return there;
    };
    if (!number(version.major) || !dot() || !number(version.minor))
      continue;
    if (dot())
      (void)number(version.patch);
    return version;
  }
  return {};
}

std::optional<GoBuild> GoBuild::read(const ElfFile& file)
{
  const auto offset = find_header(file);
  if (!offset)
    return {};
  GoBuild build;
  const auto header = file.bytes(*offset, kHeaderBytes);
  if ((header[kMagic.size() + 1] & kInline) != std::byte{0}) {
    const std::uint64_t at = *offset + kHeaderBytes;
    for (const std::uint64_t limit : {kUsualBytes, kMaxBytes})
      if (parse_inline(file.bytes(at, std::min(limit, file.size() - at)), build))
        break;
  } else if (const auto address = file.address_of(*offset)) {
    build.version_text = string_behind(file, *address + 16).value_or("");
  }
  const auto version = parse_go_version(build.version_text);
  if (!version)
    return {};
  build.version = *version;
  return build;
}

const GoModule* GoBuild::dependency(std::string_view path) const
{
  const auto found = std::ranges::find(dependencies, path, &GoModule::path);
  return found == dependencies.end() ? nullptr : &*found;
}

}  // namespace sonde::elf
