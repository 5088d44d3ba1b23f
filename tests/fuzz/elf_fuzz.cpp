// SPDX-License-Identifier: Apache-2.0
// Any bytes as an executable: its tables, and probe sites in every function that it says it has.
#include <cstddef>
#include <cstdint>

#include "agent/elf/elf_file.hpp"
#include "agent/elf/probe_site.hpp"

namespace {

using namespace sonde::elf;

constexpr unsigned kMaxSites = 200;

void check(const ElfFile& file, const sonde::Result<ProbeSite>& site, AddressRange function)
{
  if (site && (!function.contains(site->address) || file.offset_of(site->address) != site->offset ||
               site->offset >= file.size()))
    __builtin_trap();
}

void ask(const ElfFile& file)
{
  for (const auto& section : file.sections())
    (void)file.bytes(section.offset, section.size);
  for (const auto& segment : file.segments()) {
    if (segment.file_size > file.size() || segment.file_size > segment.memory_size)
      __builtin_trap();
    (void)file.bytes_from(segment.address, segment.file_size);
    (void)file.string_at(segment.address);
    (void)file.pointer_at(segment.address);
    (void)file.pointers_to(segment.address);
  }
  (void)file.build_id();
  (void)file.needed();
  unsigned sites = 0;
  file.for_each_symbol([&](const Symbol& symbol) {
    const AddressRange function{symbol.address, symbol.address + symbol.size};
    check(file, c_entry_site(file, function), function);
    check(file, go_entry_site(file, function), function);
    return ++sites < kMaxSites;
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
  if (const auto file = ElfFile::parse(std::as_bytes(std::span(data, size))))
    ask(*file);
  return 0;
}
