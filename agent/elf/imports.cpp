// SPDX-License-Identifier: Apache-2.0
#include "agent/elf/imports.hpp"

#include <elf.h>
#include <vector>

namespace sonde::elf {

namespace {

// The words that the loader fills with the function's address.
std::vector<std::uint64_t> words_of(const ElfFile& file, std::string_view function)
{
  std::vector<std::uint64_t> words;
  const auto& sections = file.sections();
  for (const auto& table : sections) {
    if (table.type != SHT_RELA || table.link >= sections.size())
      continue;
    const auto& symbols = sections[table.link];
    if (symbols.type != SHT_DYNSYM || symbols.link >= sections.size())
      continue;
    const auto& names = sections[symbols.link];
    const auto entries = file.bytes(table.offset, table.size);
    for (std::size_t at = 0; at + sizeof(Elf64_Rela) <= entries.size(); at += sizeof(Elf64_Rela)) {
      Elf64_Rela entry;
      std::memcpy(&entry, entries.data() + at, sizeof entry);
      const auto type = ELF64_R_TYPE(entry.r_info);
      const auto number = ELF64_R_SYM(entry.r_info);
      if ((type != R_X86_64_JUMP_SLOT && type != R_X86_64_GLOB_DAT) ||
          number >= symbols.size / sizeof(Elf64_Sym))
        continue;
      const auto symbol = file.read_at<Elf64_Sym>(symbols.address + number * sizeof(Elf64_Sym));
      if (symbol && file.string_at(names.address + symbol->st_name) == function)
        words.push_back(entry.r_offset);
    }
  }
  return words;
}

bool holds(std::span<const std::byte> code, std::size_t at, std::string_view bytes)
{
  return at <= code.size() && bytes.size() <= code.size() - at &&
         std::memcmp(code.data() + at, bytes.data(), bytes.size()) == 0;
}

}  // namespace

std::optional<std::uint64_t> import_stub(const ElfFile& file, std::string_view function)
{
  static constexpr std::string_view kJump = "\xff\x25";  // jmp *word(%rip)
  static constexpr std::string_view kBound = "\xf2";     // bnd
  static constexpr std::string_view kEndbr64 = "\xf3\x0f\x1e\xfa";
  if (file.machine() != Machine::kX86_64)
    return std::nullopt;
  for (const auto word : words_of(file, function))
    for (const auto& section : file.sections()) {
      if (!section.name.starts_with(".plt"))
        continue;
      const auto code = file.bytes(section.offset, section.size);
      for (std::size_t at = 0; at + 6 <= code.size(); ++at) {
        std::int32_t distance = 0;
        if (!holds(code, at, kJump))
          continue;
        std::memcpy(&distance, code.data() + at + 2, sizeof distance);
        if (section.address + at + 6 + static_cast<std::uint64_t>(std::int64_t{distance}) != word)
          continue;
        auto begin = at;
        begin -= begin >= 1 && holds(code, begin - 1, kBound) ? 1 : 0;
        begin -= begin >= 4 && holds(code, begin - 4, kEndbr64) ? 4 : 0;
        return section.address + begin;
      }
    }
  return std::nullopt;
}

}  // namespace sonde::elf
