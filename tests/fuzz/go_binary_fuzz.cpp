// SPDX-License-Identifier: Apache-2.0
// Any bytes as a Go program: build information, functions with their sites, types with their
// fields.
#include <cstddef>
#include <cstdint>

#include "agent/elf/go_binary.hpp"
#include "agent/elf/probe_site.hpp"

namespace {

using namespace sonde::elf;

constexpr unsigned kMaxSites = 200;

void ask(const GoBinary& binary)
{
  unsigned sites = 0;
  binary.for_each_function([&](std::string_view name, AddressRange range) {
    if (range.end < range.begin)
      __builtin_trap();
    if (++sites < kMaxSites) {
      const auto site = go_entry_site(binary.file(), range);
      if (site && !range.contains(site->address))
        __builtin_trap();
      (void)binary.function(name);
      (void)binary.function_at(range.begin);
    }
    return true;
  });
  binary.for_each_struct([&](std::string_view package, std::string_view name, const GoType& type) {
    for (const auto& field : binary.fields_at(type.address))
      if (field.offset > type.size)
        __builtin_trap();
    (void)binary.type(std::string(package) + "." + std::string(name));
    (void)binary.type_string(type.pointer);
    return true;
  });
  (void)binary.field("net/http.Request", "Method.a.b");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
  const auto file = ElfFile::parse(std::as_bytes(std::span(data, size)));
  if (!file)
    return 0;
  (void)GoBuild::read(*file);
  if (const auto binary = GoBinary::read(*file))
    ask(*binary);
  return 0;
}
