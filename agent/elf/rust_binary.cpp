// SPDX-License-Identifier: Apache-2.0
#include "agent/elf/rust_binary.hpp"

#include <algorithm>
#include <cstring>
#include <elf.h>
#include <set>

namespace sonde::elf {

namespace {

// What is looked through of constant data at most, and of one path in it.
constexpr std::uint64_t kMostConstants = std::uint64_t{128} << 20U;
constexpr std::size_t kMostPath = 256;
constexpr std::size_t kMostCrates = 1024;

constexpr std::string_view kProducer = "rustc version ";
// Who unwinds begins with it.
constexpr std::string_view kRaise = "_Unwind_RaiseException";
constexpr std::string_view kRegistry = "/registry/";
// Sources of the standard library; Debian's compiler has its version in their folder.
constexpr std::string_view kLibrary = "/library/std/src/";
constexpr std::string_view kDebian = "/usr/src/rustc-";

std::string_view text_of(std::span<const std::byte> bytes)
{
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

bool is_version(char c)
{
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
         c == '-' || c == '+';
}

std::string_view leading_version(std::string_view text)
{
  const auto end = std::ranges::find_if_not(text, is_version);
  return text.substr(0, std::min<std::size_t>(static_cast<std::size_t>(end - text.begin()), 64));
}

std::string version_in_comment(const ElfFile& file)
{
  const auto* section = file.section(".comment");
  if (section == nullptr || section->size > 65536)
    return {};
  const auto text = text_of(file.bytes(section->offset, section->size));
  const auto at = text.find(kProducer);
  return at == std::string_view::npos
             ? std::string()
             : std::string(leading_version(text.substr(at + kProducer.size())));
}

// Read-only data; without section headers the segments that hold it.
std::vector<std::span<const std::byte>> constants(const ElfFile& file)
{
  std::vector<std::span<const std::byte>> out;
  if (const auto* section = file.section(".rodata"); section != nullptr) {
    out.push_back(file.bytes(section->offset, std::min(section->size, kMostConstants)));
    return out;
  }
  for (const auto& segment : file.segments())
    if (!segment.writable && !segment.executable)
      out.push_back(file.bytes(segment.offset, std::min(segment.file_size, kMostConstants)));
  return out;
}

template <typename Visit>
void for_each(std::string_view text, std::string_view what, const Visit& visit)
{
  while (true) {
    const void* found = ::memmem(text.data(), text.size(), what.data(), what.size());
    if (found == nullptr)
      return;
    text.remove_prefix(static_cast<std::size_t>(static_cast<const char*>(found) - text.data()) +
                       what.size());
    visit(text.substr(0, kMostPath));
  }
}

std::string_view part(std::string_view& path)
{
  const auto slash = path.find('/');
  const auto first = path.substr(0, slash);
  path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
  return first;
}

// "/registry/src/index.crates.io-1949cf8c6b5b557f/tokio-1.53.2/src/…", Debian's
// "/registry/tokio-1.43.0/src/…".
std::vector<RustCrate> crates_in(std::string_view text)
{
  std::set<RustCrate> crates;
  for_each(text, kRegistry, [&](std::string_view path) {
    auto folder = part(path);
    if (folder == "src") {
      part(path);
      folder = part(path);
    }
    if (auto crate = parse_crate(folder); crate && crates.size() < kMostCrates)
      crates.insert(*std::move(crate));
  });
  return {crates.begin(), crates.end()};
}

// C++ programs need both.
bool needs_libgcc_alone(const ElfFile& file)
{
  const auto needed = file.needed();
  const auto needs = [&](std::string_view name) {
    return std::ranges::any_of(needed, [&](auto given) { return given.starts_with(name); });
  };
  return needs("libgcc_s.so") && !needs("libstdc++.so");
}

// Whether .dynsym asks a library for it; without that table, perhaps.
bool imports(const ElfFile& file, std::string_view name)
{
  const auto table = std::ranges::find(file.sections(), std::uint32_t{SHT_DYNSYM}, &Section::type);
  if (table == file.sections().end() || table->link >= file.sections().size())
    return true;
  const auto& names = file.sections()[table->link];
  const auto symbols = file.bytes(table->offset, table->size);
  const auto strings = text_of(file.bytes(names.offset, names.size));
  for (std::size_t at = 0; at + sizeof(Elf64_Sym) <= symbols.size(); at += sizeof(Elf64_Sym)) {
    Elf64_Sym symbol;
    std::memcpy(&symbol, symbols.data() + at, sizeof symbol);
    if (symbol.st_shndx == SHN_UNDEF && symbol.st_name < strings.size() &&
        strings.substr(symbol.st_name).starts_with(name))
      return true;
  }
  return false;
}

}  // namespace

bool is_rust_panic(std::string_view symbol)
{
  constexpr std::string_view kName = "rust_panic";
  if (!symbol.ends_with(kName))
    return false;
  symbol.remove_suffix(kName.size());
  if (symbol.empty())
    return true;
  // _RNvCs…_7___rustc10rust_panic: the crate that holds internal symbols since 1.87, and the
  // length of the name.
  while (!symbol.empty() && symbol.back() >= '0' && symbol.back() <= '9')
    symbol.remove_suffix(1);
  return symbol.starts_with("_R") && symbol.ends_with("___rustc");
}

std::optional<RustCrate> parse_crate(std::string_view folder)
{
  // The version begins at the first dash before a digit: "h2-0.4.5", "md-5-0.10.6" is "md-5".
  for (auto dash = folder.find('-'); dash != std::string_view::npos;
       dash = folder.find('-', dash + 1)) {
    const auto version = folder.substr(dash + 1);
    const auto dot = version.find('.');
    if (dash == 0 || dot == 0 || dot == std::string_view::npos)
      continue;
    const auto digits = [](std::string_view text) {
      return std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
    };
    if (!digits(version.substr(0, dot)) || !std::ranges::all_of(version, is_version) ||
        folder.size() > 128)
      continue;
    return RustCrate{std::string(folder.substr(0, dash)), std::string(version)};
  }
  return std::nullopt;
}

std::optional<RustBinary> RustBinary::read(const ElfFile& file)
{
  RustBinary out;
  out.rustc = version_in_comment(file);
  const bool needs_libgcc = needs_libgcc_alone(file);
  // A program without both may be Rust, but finding out would mean to read most of each program.
  if (out.rustc.empty() && !needs_libgcc)
    return std::nullopt;
  out.shared_unwinder = needs_libgcc && imports(file, kRaise);
  out.aborts = needs_libgcc && !out.shared_unwinder;
  bool rust = !out.rustc.empty();
  for (const auto bytes : constants(file)) {
    const auto text = text_of(bytes);
    rust = rust || ::memmem(text.data(), text.size(), kLibrary.data(), kLibrary.size()) != nullptr;
    if (!rust)
      continue;
    std::ranges::move(crates_in(text), std::back_inserter(out.crates));
    if (out.rustc.empty())
      for_each(text, kDebian, [&](std::string_view path) {
        if (out.rustc.empty())
          out.rustc = leading_version(part(path));
      });
  }
  if (!rust)
    return std::nullopt;
  file.for_each_symbol([&](const Symbol& symbol) {
    if (!symbol.function || !is_rust_panic(symbol.name))
      return true;
    out.panic = AddressRange{symbol.address, symbol.address + symbol.size};
    return false;
  });
  return out;
}

}  // namespace sonde::elf
