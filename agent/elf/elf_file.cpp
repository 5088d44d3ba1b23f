// SPDX-License-Identifier: Apache-2.0
#include "agent/elf/elf_file.hpp"

#include <algorithm>
#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>

#include "agent/elf/file_contents.hpp"
#include "agent/elf/relocations.hpp"

namespace sonde::elf {

namespace {

// The kernel executes nothing with more program headers than fit into 64 KiB.
constexpr unsigned kMaxSegments = (64 << 10) / sizeof(Elf64_Phdr);
constexpr std::size_t kMaxSectionName = 256;
constexpr std::size_t kMaxSymbolName = 16 << 10;
constexpr std::uint64_t kMaxNoteBytes = 64 << 10;
constexpr std::size_t kMaxNeeded = 256;
constexpr std::uint64_t kMaxDynamicBytes = 64 << 10;

template <typename T>
T load(std::span<const std::byte> bytes, std::size_t at = 0)
{
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

std::string_view text_at(std::span<const std::byte> table, std::uint64_t at, std::size_t limit)
{
  if (at >= table.size())
    return {};
  const auto* begin = reinterpret_cast<const char*>(table.data()) + at;
  const std::size_t room = std::min<std::size_t>(table.size() - at, limit);
  const auto* end = static_cast<const char*>(std::memchr(begin, 0, room));
  return end == nullptr ? std::string_view{} : std::string_view(begin, end);
}

std::string hexadecimal(std::span<const std::byte> bytes)
{
  std::string text;
  for (const auto byte : bytes)
    text += fmt::format("{:02x}", std::to_integer<unsigned>(byte));
  return text;
}

// The descriptor of the first note of that owner and type.
std::span<const std::byte>
find_note(std::span<const std::byte> notes, std::string_view owner, std::uint32_t type)
{
  const auto aligned = [](std::uint64_t size) { return (size + 3) & ~std::uint64_t{3}; };
  while (notes.size() >= sizeof(Elf64_Nhdr)) {
    const auto header = load<Elf64_Nhdr>(notes);
    const std::uint64_t name_at = sizeof header;
    const std::uint64_t body_at = name_at + aligned(header.n_namesz);
    if (body_at + header.n_descsz > notes.size())
      return {};
    const std::string_view name(reinterpret_cast<const char*>(notes.data()) + name_at,
                                header.n_namesz);
    if (header.n_type == type && name == owner)
      return notes.subspan(body_at, header.n_descsz);
    notes =
        notes.subspan(std::min<std::uint64_t>(notes.size(), body_at + aligned(header.n_descsz)));
  }
  return {};
}

}  // namespace

ElfFile::ElfFile() = default;
ElfFile::ElfFile(ElfFile&&) noexcept = default;
ElfFile& ElfFile::operator=(ElfFile&&) noexcept = default;
ElfFile::~ElfFile() = default;

Result<ElfFile> ElfFile::open(const std::filesystem::path& path)
{
  UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file)
    return fail(errno, "open " + path.string());
  return in(open(std::move(file)), path.string());
}

Result<ElfFile> ElfFile::open(UniqueFd file)
{
  return read(std::make_unique<FileContents>(SONDE_TRY(FileContents::open(std::move(file)))));
}

Result<ElfFile> ElfFile::parse(std::span<const std::byte> image)
{
  return read(std::make_unique<FileContents>(image));
}

Result<ElfFile> ElfFile::read(std::unique_ptr<FileContents> contents)
{
  ElfFile file;
  file.contents_ = std::move(contents);
  const auto bytes = file.bytes(0, sizeof(Elf64_Ehdr));
  if (bytes.empty() || std::memcmp(bytes.data(), ELFMAG, SELFMAG) != 0)
    return fail("not an ELF file");
  const auto header = load<Elf64_Ehdr>(bytes);
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB)
    return fail("not an ELF file of 64 bits, little endian");
  if (header.e_type != ET_EXEC && header.e_type != ET_DYN)
    return fail("neither an executable nor a shared library");
  file.position_independent_ = header.e_type == ET_DYN;
  if (header.e_machine == EM_X86_64)
    file.machine_ = Machine::kX86_64;
  else if (header.e_machine == EM_AARCH64)
    file.machine_ = Machine::kAarch64;
  file.read_segments(header.e_phoff, header.e_phentsize, header.e_phnum);
  file.read_sections(header.e_shoff, header.e_shentsize, header.e_shnum, header.e_shstrndx);
  if (file.segments_.empty())
    return fail("nothing in it is loaded");
  return file;
}

void ElfFile::read_segments(std::uint64_t offset, unsigned entry_size, unsigned count)
{
  if (entry_size < sizeof(Elf64_Phdr) || count > kMaxSegments)
    return;
  const auto table = bytes(offset, std::uint64_t{entry_size} * count);
  for (std::size_t at = 0; at < table.size(); at += entry_size) {
    const auto header = load<Elf64_Phdr>(table, at);
    Segment segment{.address = header.p_vaddr,
                    .memory_size = header.p_memsz,
                    .offset = header.p_offset,
                    .file_size = std::min(header.p_filesz, header.p_memsz),
                    .readable = (header.p_flags & PF_R) != 0,
                    .writable = (header.p_flags & PF_W) != 0,
                    .executable = (header.p_flags & PF_X) != 0};
    if (segment.address + segment.memory_size < segment.address)
      continue;
    segment.file_size =
        segment.offset > size() ? 0 : std::min(segment.file_size, size() - segment.offset);
    if (header.p_type == PT_LOAD)
      segments_.push_back(segment);
    else if (header.p_type == PT_NOTE)
      notes_.push_back(segment);
    else if (header.p_type == PT_DYNAMIC)
      dynamic_ = segment;
  }
  std::ranges::sort(segments_, {}, &Segment::address);
}

void ElfFile::read_sections(std::uint64_t offset,
                            unsigned entry_size,
                            unsigned count,
                            unsigned names)
{
  if (entry_size < sizeof(Elf64_Shdr))
    return;
  const auto table = bytes(offset, std::uint64_t{entry_size} * count);
  if (table.empty())
    return;
  std::span<const std::byte> strings;
  if (names < count) {
    const auto header = load<Elf64_Shdr>(table, std::size_t{names} * entry_size);
    strings = bytes(header.sh_offset, header.sh_size);
  }
  sections_.reserve(count);
  for (std::size_t at = 0; at < table.size(); at += entry_size) {
    const auto header = load<Elf64_Shdr>(table, at);
    sections_.push_back({.name = text_at(strings, header.sh_name, kMaxSectionName),
                         .type = header.sh_type,
                         .flags = header.sh_flags,
                         .address = header.sh_addr,
                         .offset = header.sh_offset,
                         .size = header.sh_size,
                         .link = header.sh_link,
                         .entry_size = header.sh_entsize});
  }
}

std::uint64_t ElfFile::size() const
{
  return contents_->size();
}

const Section* ElfFile::section(std::string_view name) const
{
  const auto found = std::ranges::find(sections_, name, &Section::name);
  return found == sections_.end() ? nullptr : &*found;
}

const Segment* ElfFile::segment_of(std::uint64_t address) const
{
  auto after = std::ranges::upper_bound(segments_, address, {}, &Segment::address);
  if (after == segments_.begin())
    return nullptr;
  --after;
  return address - after->address < after->memory_size ? &*after : nullptr;
}

std::optional<std::uint64_t> ElfFile::offset_of(std::uint64_t address) const
{
  const auto* segment = segment_of(address);
  if (segment == nullptr || address - segment->address >= segment->file_size)
    return {};
  return segment->offset + (address - segment->address);
}

std::optional<std::uint64_t> ElfFile::address_of(std::uint64_t offset) const
{
  for (const auto& segment : segments_)
    if (offset >= segment.offset && offset - segment.offset < segment.file_size)
      return segment.address + (offset - segment.offset);
  return {};
}

bool ElfFile::in_memory(std::uint64_t address) const
{
  return segment_of(address) != nullptr;
}

std::span<const std::byte> ElfFile::bytes(std::uint64_t offset, std::uint64_t size) const
{
  return contents_->bytes(offset, size);
}

std::span<const std::byte> ElfFile::bytes_at(std::uint64_t address, std::uint64_t size) const
{
  const auto* segment = segment_of(address);
  if (segment == nullptr)
    return {};
  const std::uint64_t within = address - segment->address;
  if (within >= segment->file_size || size > segment->file_size - within)
    return {};
  return bytes(segment->offset + within, size);
}

std::span<const std::byte> ElfFile::bytes_from(std::uint64_t address, std::uint64_t limit) const
{
  const auto* segment = segment_of(address);
  if (segment == nullptr || address - segment->address >= segment->file_size)
    return {};
  return bytes_at(address, std::min(limit, segment->file_size - (address - segment->address)));
}

std::optional<std::string_view> ElfFile::string_at(std::uint64_t address, std::size_t limit) const
{
  const auto bytes = bytes_from(address, limit + 1);
  const auto* begin = reinterpret_cast<const char*>(bytes.data());
  const auto* end =
      bytes.empty() ? nullptr : static_cast<const char*>(std::memchr(begin, 0, bytes.size()));
  if (end == nullptr)
    return {};
  return std::string_view(begin, end);
}

std::string ElfFile::build_id() const
{
  std::vector<std::span<const std::byte>> all;
  all.reserve(notes_.size());
  for (const auto& segment : notes_)
    all.push_back(bytes(segment.offset, std::min(segment.file_size, kMaxNoteBytes)));
  for (const auto& section : sections_)
    if (section.type == SHT_NOTE && all.size() < kMaxSegments)
      all.push_back(bytes(section.offset, std::min(section.size, kMaxNoteBytes)));
  using namespace std::string_view_literals;
  for (const auto notes : all)
    if (const auto id = find_note(notes, "GNU\0"sv, NT_GNU_BUILD_ID); !id.empty())
      return hexadecimal(id);
  constexpr std::uint32_t kGoBuildId = 4;
  for (const auto notes : all)
    if (const auto id = find_note(notes, "Go\0\0"sv, kGoBuildId); !id.empty())
      return {reinterpret_cast<const char*>(id.data()), id.size()};
  return {};
}

void ElfFile::for_each_symbol(const std::function<bool(const Symbol&)>& callback) const
{
  for (const auto& section : sections_) {
    if ((section.type != SHT_SYMTAB && section.type != SHT_DYNSYM) ||
        section.link >= sections_.size())
      continue;
    const auto table = bytes(section.offset, section.size);
    const auto& names = sections_[section.link];
    const auto strings = bytes(names.offset, names.size);
    // Names may overlap, but not so much that looking for their ends takes for ever.
    std::uint64_t budget = (std::uint64_t{64} << 20) + (8 * names.size);
    for (std::size_t at = 0; at + sizeof(Elf64_Sym) <= table.size(); at += sizeof(Elf64_Sym)) {
      const auto symbol = load<Elf64_Sym>(table, at);
      const unsigned type = ELF64_ST_TYPE(symbol.st_info);
      if (symbol.st_shndx == SHN_UNDEF || symbol.st_name == 0 || type == STT_FILE ||
          type == STT_SECTION || type == STT_TLS)
        continue;
      const auto name = text_at(strings, symbol.st_name, kMaxSymbolName);
      const std::uint64_t length = name.empty() ? kMaxSymbolName : name.size();
      if (length > budget)
        return;
      budget -= length;
      const bool function = type == STT_FUNC || type == STT_GNU_IFUNC;
      if (!name.empty() && !callback({.name = name,
                                      .address = symbol.st_value,
                                      .size = symbol.st_size,
                                      .function = function}))
        return;
    }
  }
}

ElfFile::Dynamic ElfFile::read_dynamic() const
{
  Dynamic found;
  if (!dynamic_)
    return found;
  const auto table = bytes(dynamic_->offset, std::min(dynamic_->file_size, kMaxDynamicBytes));
  for (std::size_t at = 0; at + sizeof(Elf64_Dyn) <= table.size(); at += sizeof(Elf64_Dyn)) {
    const auto entry = load<Elf64_Dyn>(table, at);
    switch (entry.d_tag) {
    case DT_NULL:
      return found;
    case DT_NEEDED:
      found.needed.push_back(entry.d_un.d_val);
      break;
    case DT_STRTAB:
      found.strings = entry.d_un.d_ptr;
      break;
    case DT_STRSZ:
      found.strings_size = entry.d_un.d_val;
      break;
    case DT_RELA:
      found.relocations = entry.d_un.d_ptr;
      break;
    case DT_RELASZ:
      found.relocations_size = entry.d_un.d_val;
      break;
    default:
      break;
    }
  }
  return found;
}

std::vector<std::string_view> ElfFile::needed() const
{
  const auto dynamic = read_dynamic();
  const auto strings = bytes_at(dynamic.strings, dynamic.strings_size);
  std::vector<std::string_view> names;
  for (const auto at : dynamic.needed)
    if (const auto name = text_at(strings, at, kMaxSymbolName);
        !name.empty() && names.size() < kMaxNeeded)
      names.push_back(name);
  return names;
}

const Relocations& ElfFile::relocations() const
{
  if (!relocations_) {
    const auto dynamic = read_dynamic();
    relocations_ = std::make_unique<Relocations>(
        bytes_at(dynamic.relocations, dynamic.relocations_size), machine_);
  }
  return *relocations_;
}

std::optional<std::uint64_t> ElfFile::pointer_at(std::uint64_t address) const
{
  if (position_independent_)
    if (const auto value = relocations().find(address))
      return value;
  return read_at<std::uint64_t>(address);
}

std::vector<std::uint64_t> ElfFile::pointers_to(std::uint64_t value, std::size_t limit) const
{
  std::vector<std::uint64_t> found;
  if (position_independent_)
    relocations().for_each([&](std::uint64_t address, std::uint64_t addend) {
      if (addend == value && found.size() < limit)
        found.push_back(address);
    });
  for (const auto& segment : segments_) {
    if (!segment.writable)
      continue;
    const auto bytes = bytes_at(segment.address, segment.file_size);
    for (std::size_t at = (8 - segment.address % 8) % 8;
         at + 8 <= bytes.size() && found.size() < limit;
         at += 8)
      if (load<std::uint64_t>(bytes, at) == value)
        found.push_back(segment.address + at);
  }
  return found;
}

std::uint64_t ElfFile::resident() const
{
  return contents_->resident();
}

}  // namespace sonde::elf
