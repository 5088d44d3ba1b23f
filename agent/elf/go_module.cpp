// SPDX-License-Identifier: Apache-2.0
// Layouts: runtime/symtab.go (pcHeader, moduledata) of Go 1.18 to 1.27.
#include "agent/elf/go_module.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

namespace sonde::elf {

namespace {

constexpr std::uint32_t kMagic118 = 0xfffffff0;
constexpr std::uint32_t kMagic120 = 0xfffffff1;
constexpr std::size_t kEntryBytes = 8;
constexpr std::uint64_t kMaxTypesBytes = 512 << 20;
constexpr std::size_t kMaxCandidates = 8;

// pcHeader: where the tables begin, less its own address.
struct Header {
  std::uint32_t magic;
  std::uint8_t zero[2];
  std::uint8_t instruction_size;
  std::uint8_t pointer_size;
  std::uint64_t functions;
  std::uint64_t files;
  std::uint64_t text;  // 0 from Go 1.26 on
  std::uint64_t names;
  std::uint64_t units;
  std::uint64_t file_names;
  std::uint64_t tables;
  std::uint64_t function_data;
};
static_assert(sizeof(Header) == 72);

bool plausible(const Header& header, std::uint64_t room)
{
  return (header.magic == kMagic118 || header.magic == kMagic120) && header.zero[0] == 0 &&
         header.zero[1] == 0 && (header.instruction_size == 1 || header.instruction_size == 4) &&
         header.pointer_size == 8 && header.functions > 0 &&
         header.functions < room / kEntryBytes && header.names < header.units &&
         header.units <= header.file_names && header.file_names <= header.tables &&
         header.tables < header.function_data && header.function_data < room;
}

std::optional<Header> header_at(const ElfFile& file, std::uint64_t address)
{
  const auto header = file.read_at<Header>(address);
  if (!header || !plausible(*header, file.size()))
    return {};
  return header;
}

// Every place where a pclntab may begin, the section first.
std::vector<std::uint64_t> pclntab_candidates(const ElfFile& file)
{
  std::vector<std::uint64_t> found;
  for (const auto* name : {".gopclntab", ".data.rel.ro.gopclntab"})
    if (const auto* section = file.section(name); section && header_at(file, section->address))
      found.push_back(section->address);
  if (!found.empty())
    return found;
  // Code last: it is the largest part and has one only where a linker puts constants into it.
  for (const bool executable : {false, true})
    for (const auto& segment : file.segments()) {
      if (segment.executable != executable || !found.empty())
        continue;
      const auto bytes = file.bytes(segment.offset, segment.file_size);
      for (std::size_t at = 0; at + sizeof(Header) <= bytes.size(); at += 8) {
        std::uint32_t magic;
        std::memcpy(&magic, bytes.data() + at, sizeof magic);
        if ((magic == kMagic118 || magic == kMagic120) && found.size() < kMaxCandidates &&
            header_at(file, segment.address + at))
          found.push_back(segment.address + at);
      }
    }
  return found;
}

// Words of moduledata; 21 to 24 are text and etext in pairs with minpc and maxpc before them.
constexpr std::size_t kWords = 48;
enum Word : std::uint8_t {
  kHeader = 0,
  kNames = 1,
  kUnits = 4,
  kFileNames = 7,
  kTables = 10,
  kFunctionData = 13,
  kFunctions = 16,
  kText = 22,
  kEndText = 23,
  kNoPointerData = 24,
};

struct Words {
  const ElfFile& file;
  std::uint64_t address;
  // Pointers are relocated, lengths are not; a length never lies where a relocation is.
  std::uint64_t operator[](std::size_t index) const
  {
    return file.pointer_at(address + (8 * index)).value_or(0);
  }
};

bool is_module_data(const ElfFile& file,
                    std::uint64_t address,
                    std::uint64_t pclntab,
                    const Header& header)
{
  if (file.bytes_at(address, kWords * 8).empty())
    return false;
  const Words word{.file = file, .address = address};
  return word[kHeader] == pclntab && word[kNames] == pclntab + header.names &&
         word[kUnits] == pclntab + header.units &&
         word[kFileNames] == pclntab + header.file_names &&
         word[kTables] == pclntab + header.tables &&
         word[kFunctionData] == pclntab + header.function_data &&
         word[kFunctions] == pclntab + header.function_data && word[kText] < word[kEndText];
}

std::optional<std::uint64_t>
find_module_data(const ElfFile& file, std::uint64_t pclntab, const Header& header)
{
  if (const auto* section = file.section(".go.module");
      section && is_module_data(file, section->address, pclntab, header))
    return section->address;
  for (const auto address : file.pointers_to(pclntab))
    if (is_module_data(file, address, pclntab, header))
      return address;
  return {};
}

// After text, etext and four pairs of data: [covctrs, ecovctrs (1.20),] end, gcdata, gcbss, types,
// [typedesclen (1.27),] etypes. Known places first, then their neighbourhood.
std::vector<AddressRange> types_candidates(const ElfFile& file, const Words& word)
{
  std::vector<AddressRange> found;
  const auto consider = [&](std::uint64_t begin, std::uint64_t end) {
    if (begin != 0 && begin < end && end - begin < kMaxTypesBytes && file.offset_of(begin) &&
        file.offset_of(end - 1))
      found.push_back({.begin = begin, .end = end});
  };
  for (const std::size_t index : {15U, 13U, 14U, 16U, 17U, 18U, 19U, 12U}) {
    const std::size_t at = kText + index;
    consider(word[at], word[at + 1]);
    if (word[at + 1] < kMaxTypesBytes && word[at] + word[at + 1] <= word[at + 2])
      consider(word[at], word[at + 2]);
  }
  return found;
}

// A slice's elements, whole or nothing.
std::span<const std::byte>
slice(const ElfFile& file, const Words& word, std::size_t index, std::uint64_t element_bytes)
{
  const auto length = word[index + 1];
  if (length > file.size() / element_bytes)
    return {};
  return file.bytes_at(word[index], length * element_bytes);
}

}  // namespace

Result<GoModuleData> GoModuleData::find(const ElfFile& file)
{
  const auto candidates = pclntab_candidates(file);
  if (candidates.empty())
    return fail("no pclntab of Go 1.18 or later");
  for (const auto pclntab : candidates) {
    const auto header = header_at(file, pclntab);
    const auto address = header ? find_module_data(file, pclntab, *header) : std::nullopt;
    if (!address)
      continue;
    const Words word{.file = file, .address = *address};
    GoModuleData module;
    module.address = *address;
    module.pclntab = pclntab;
    module.function_names = slice(file, word, kNames, 1);
    module.function_data = slice(file, word, kFunctionData, 1);
    module.functions = slice(file, word, kFunctions, kEntryBytes);
    if (module.function_names.empty() || module.function_data.empty() ||
        module.functions.size() < 2 * kEntryBytes)
      return fail("the tables of functions point out of the file");
    module.function_count = (module.functions.size() / kEntryBytes) - 1;
    module.text = {.begin = word[kText], .end = word[kEndText]};
    for (std::size_t pair = 0; pair < 4; ++pair) {
      const std::size_t at = kNoPointerData + (2 * pair);
      const AddressRange range{.begin = word[at], .end = word[at + 1]};
      if (range.begin < range.end && file.in_memory(range.begin) && file.in_memory(range.end - 1))
        module.data.push_back(range);
    }
    module.types = types_candidates(file, word);
    return module;
  }
  return fail("no moduledata belongs to the pclntab");
}

}  // namespace sonde::elf
