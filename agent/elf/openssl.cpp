// SPDX-License-Identifier: Apache-2.0
#include "agent/elf/openssl.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <string>

#include "agent/elf/calls.hpp"
#include "agent/elf/imports.hpp"

namespace sonde::elf {

namespace {

using Function = OpensslSite::Function;
using Length = OpensslSite::Length;
using Symbols = std::map<std::string, Symbol, std::less<>>;

Symbols wanted_symbols(const ElfFile& file)
{
  static constexpr std::string_view kWanted[] = {"SSL_read",
                                                 "SSL_read_ex",
                                                 "SSL_write",
                                                 "SSL_write_ex",
                                                 "SSL_write_ex2",
                                                 "SSL_sendfile",
                                                 "SSL_do_handshake",
                                                 "SSL_free",
                                                 "SSL_shutdown",
                                                 "ssl_read_internal",
                                                 "ssl_write_internal"};
  Symbols found;
  file.for_each_symbol([&](const Symbol& symbol) {
    // The default version is behind a second @.
    const auto name = symbol.name.substr(0, symbol.name.find('@'));
    if (symbol.function && symbol.address != 0 &&
        std::ranges::find(kWanted, name) != std::end(kWanted))
      found.try_emplace(std::string(name), symbol);
    return true;
  });
  return found;
}

// Where the function calls or jumps to outside itself, in the order of its code.
std::vector<std::uint64_t> targets_of(const ElfFile& file, const Symbol& function)
{
  std::vector<std::uint64_t> targets;
  for (const auto& call : direct_calls(file, function.address, function.size))
    targets.push_back(call.target);
  return targets;
}

bool in_text(const ElfFile& file, std::uint64_t address)
{
  for (const auto& section : file.sections())
    if (address - section.address < section.size && section.address != 0)
      return section.name == ".text";
  return file.sections().empty() && file.offset_of(address).has_value();
}

bool has_name(const ElfFile& file, std::uint64_t address)
{
  bool found = false;
  file.for_each_symbol([&](const Symbol& symbol) {
    found = symbol.function && symbol.address == address;
    return !found;
  });
  return found;
}

struct Names {
  const char* plain;
  const char* extended;
};
constexpr Names kRead = {"SSL_read", "SSL_read_ex"};
constexpr const char* kReadWorker = "ssl_read_internal";
constexpr Names kWrite = {"SSL_write", "SSL_write_ex"};

// The function without a name that both call, and nobody who does something else. None where the
// compiler put it into both.
std::optional<std::uint64_t>
shared_function(const ElfFile& file, const Symbols& symbols, Names names, Names others)
{
  const auto targets = [&](const char* name) {
    const auto found = symbols.find(name);
    return found == symbols.end() ? std::vector<std::uint64_t>{} : targets_of(file, found->second);
  };
  if (file.machine() != Machine::kX86_64)
    return std::nullopt;
  const auto extended = targets(names.extended);
  auto excluded = targets(others.plain);
  std::ranges::copy(targets(others.extended), std::back_inserter(excluded));
  for (const auto target : targets(names.plain))
    if (std::ranges::find(extended, target) != extended.end() &&
        std::ranges::find(excluded, target) == excluded.end() && in_text(file, target) &&
        !has_name(file, target))
      return target;
  return std::nullopt;
}

// The function that does the work for both interfaces: by its name, or without one.
std::optional<std::uint64_t> worker_of(
    const ElfFile& file, const Symbols& symbols, const char* internal, Names names, Names others)
{
  const auto named = symbols.find(internal);
  return named != symbols.end() ? std::optional(named->second.address)
                                : shared_function(file, symbols, names, others);
}

// The function's first instruction that is more than a mark for indirect branches, which the
// kernel would have to step over.
std::optional<std::uint64_t> begin_of(const ElfFile& file, std::uint64_t address)
{
  static constexpr std::uint32_t kEndbr64 = 0xfa1e0ff3;
  if (file.machine() == Machine::kX86_64 && file.read_at<std::uint32_t>(address) == kEndbr64)
    address += 4;
  return file.offset_of(address);
}

// Whether a library of this kind is linked in: its errors name the files they come from.
bool has_sources(const ElfFile& file)
{
  static constexpr std::string_view kSource = "ssl/ssl_lib.c";
  static constexpr std::uint64_t kMostConstants = 32U << 20;
  const auto names_it = [&](std::uint64_t offset, std::uint64_t size) {
    const auto text = file.bytes(offset, std::min(size, kMostConstants));
    return !text.empty() &&
           ::memmem(text.data(), text.size(), kSource.data(), kSource.size()) != nullptr;
  };
  if (const auto* section = file.section(".rodata"); section != nullptr)
    return names_it(section->offset, section->size);
  return std::ranges::any_of(file.segments(), [&](const Segment& segment) {
    return !segment.writable && !segment.executable && names_it(segment.offset, segment.file_size);
  });
}

class Finder {
public:
  explicit Finder(const ElfFile& file) : file_(file), symbols_(wanted_symbols(file)) {}

  bool any() const { return symbols_.contains("SSL_read") || symbols_.contains("SSL_write"); }

  // The function that does the work for both, and each that does the work itself: compilers put
  // the one into the others as they please.
  void either(Function function, const char* internal, Names names, Names others, Length length)
  {
    const auto shared = worker_of(file_, symbols_, internal, names, others);
    if (shared)
      add(function, length, *shared);
    if (!calls(names.plain, shared) && !calls(names.plain, address_of(names.extended)))
      named(function, names.plain);
    if (const auto extended = address_of(names.extended);
        extended && !calls(names.extended, shared) &&
        !calls(names.extended, address_of(names.plain)))
      add(function, Length::kBehindFourthOr0, *extended);
  }
  void named(Function function, const char* name)
  {
    if (const auto address = address_of(name))
      add(function, Length::kReturned, *address);
  }
  bool has(const char* name) const { return symbols_.contains(name); }
  std::vector<OpensslSite> take() { return std::move(sites_); }

private:
  bool calls(const char* name, std::optional<std::uint64_t> target) const
  {
    const auto found = symbols_.find(name);
    if (found == symbols_.end() || !target)
      return false;
    const auto targets = targets_of(file_, found->second);
    return std::ranges::find(targets, *target) != targets.end();
  }
  std::optional<std::uint64_t> address_of(const char* name) const
  {
    const auto found = symbols_.find(name);
    return found == symbols_.end() ? std::nullopt : std::optional(found->second.address);
  }
  void add(Function function, Length length, std::uint64_t address)
  {
    if (const auto offset = begin_of(file_, address))
      sites_.push_back({function, length, *offset});
  }

  const ElfFile& file_;
  Symbols symbols_;
  std::vector<OpensslSite> sites_;
};

}  // namespace

Result<std::vector<OpensslSite>> find_openssl(const ElfFile& file)
{
  Finder finder(file);
  if (!finder.any() && has_sources(file))
    return fail("OpenSSL is linked in, and its functions have no symbols");
  if (!finder.any())
    return std::vector<OpensslSite>{};
  if (!finder.has("SSL_read") || !finder.has("SSL_write"))
    return fail("only one of SSL_read and SSL_write has a symbol");
  finder.either(Function::kRead, kReadWorker, kRead, kWrite, Length::kBehindFourth);
  // OpenSSL 3.3 put flags before the pointer: "Add SSL_write_ex2".
  finder.either(Function::kWrite,
                "ssl_write_internal",
                kWrite,
                kRead,
                finder.has("SSL_write_ex2") ? Length::kBehindFifth : Length::kBehindFourth);
  finder.named(Function::kSendfile, "SSL_sendfile");
  finder.named(Function::kHandshake, "SSL_do_handshake");
  finder.named(Function::kFree, "SSL_free");
  finder.named(Function::kShutdown, "SSL_shutdown");
  return finder.take();
}

std::optional<OpensslWaits> find_openssl_waits(const ElfFile& file)
{
  static constexpr std::uint64_t kCallBytes = 5;
  const auto symbols = wanted_symbols(file);
  const auto shared = worker_of(file, symbols, kReadWorker, kRead, kWrite);
  const auto copy = import_stub(file, "memcpy");
  const auto copy_offset = copy ? file.offset_of(*copy) : std::nullopt;
  if (!shared || !copy_offset || file.machine() != Machine::kX86_64)
    return std::nullopt;
  OpensslWaits waits{*copy_offset, {}};
  for (const auto* const name : {kRead.plain, kRead.extended})
    if (const auto caller = symbols.find(name); caller != symbols.end())
      for (const auto& call : direct_calls(file, caller->second.address, caller->second.size))
        if (const auto offset = file.offset_of(call.address + kCallBytes);
            !call.jump && call.target == *shared && offset)
          waits.returns.push_back(*offset);
  return waits.returns.empty() ? std::nullopt : std::optional(std::move(waits));
}

}  // namespace sonde::elf
