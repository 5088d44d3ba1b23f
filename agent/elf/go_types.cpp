// SPDX-License-Identifier: Apache-2.0
#include "agent/elf/go_types.hpp"

#include <algorithm>
#include <cstring>

#include "agent/elf/varint.hpp"

namespace sonde::elf {

namespace {

// abi.Type, and what follows it.
constexpr std::uint64_t kFlags = 20;
constexpr std::uint64_t kKind = 23;
constexpr std::uint64_t kString = 40;
constexpr std::uint64_t kPointerToThis = 44;
constexpr std::uint64_t kTypeBytes = 48;
constexpr std::uint64_t kElement = 48;  // PtrType
constexpr std::uint64_t kFields = 56;   // StructType: pointer, length, capacity
constexpr std::uint64_t kStructBytes = 80;
constexpr std::uint64_t kUncommonBytes = 16;  // begins with the package's path
constexpr std::uint64_t kFieldBytes = 24;     // name, type, offset
constexpr std::uint64_t kMaxFields = 4096;
constexpr std::uint64_t kMaxName = 4096;
constexpr std::uint8_t kUncommon = 1;
constexpr std::uint8_t kExtraStar = 2;
constexpr std::uint8_t kNamed = 4;
constexpr std::uint8_t kEmbedded = 8;  // of a name
constexpr std::uint8_t kKindMask = 31;

// What a type with methods or a name has after its own kind's descriptor.
std::uint64_t descriptor_bytes(GoKind kind)
{
  switch (kind) {
  case GoKind::kStruct:
  case GoKind::kInterface:
    return 80;
  case GoKind::kPointer:
  case GoKind::kSlice:
    return 56;
  case GoKind::kArray:
    return 72;
  case GoKind::kChan:
    return 64;
  case GoKind::kFunc:
    return 56;
  case GoKind::kMap:
    return 0;  // differs between versions
  default:
    return kTypeBytes;
  }
}

// "sync/atomic.Pointer[net/http.response]": the dot before the name, which no name of a type has.
std::size_t dot_of(std::string_view name)
{
  return name.substr(0, name.find('[')).rfind('.');
}

std::uint32_t hash_of(std::string_view name)
{
  return static_cast<std::uint32_t>(std::hash<std::string_view>{}(name));
}

std::string_view after_dot(std::string_view name)
{
  const auto dot = dot_of(name);
  return dot == std::string_view::npos ? name : name.substr(dot + 1);
}

}  // namespace

GoTypes::GoTypes(const ElfFile& file, AddressRange range, const GoVersion& version)
    : file_(&file), range_(range), bytes_(file.bytes_at(range.begin, range.size())),
      embedded_in_offset_(version < GoVersion{.major = 1, .minor = 19})
{
}

Result<GoTypes> GoTypes::find(const ElfFile& file,
                              const std::vector<AddressRange>& candidates,
                              const GoVersion& version)
{
  for (const auto& candidate : candidates) {
    GoTypes types(file, candidate, version);
    if (types.bytes_.empty())
      continue;
    types.scan();
    if (types.find("runtime.g"))
      return types;
  }
  return fail("no type descriptors where moduledata says");
}

void GoTypes::scan()
{
  for (std::uint64_t type = (range_.begin + 7) & ~std::uint64_t{7}; holds(type, kStructBytes);
       type += 8) {
    const auto flags = at<std::uint8_t>(type + kFlags);
    if ((flags & (kNamed | kUncommon)) != (kNamed | kUncommon))
      continue;
    if (!(kind(type) == GoKind::kStruct ? is_struct(type) : has_pointer(type)))
      continue;
    const auto text = string(type);
    if (!text.empty())
      index_.push_back({hash_of(after_dot(text)), static_cast<std::uint32_t>(type - range_.begin)});
  }
  std::ranges::sort(
      index_, {}, [](const Entry& entry) { return std::pair(entry.hash, entry.offset); });
}

// Its fields follow it at once.
bool GoTypes::is_struct(std::uint64_t type) const
{
  const auto length = at<std::uint64_t>(type + kFields + 8);
  if (length > kMaxFields || length != at<std::uint64_t>(type + kFields + 16))
    return false;
  const auto fields = file_->pointer_at(type + kFields);
  return fields == type + kStructBytes || fields == type + kStructBytes + kUncommonBytes;
}

// *T, whose element is T again.
bool GoTypes::has_pointer(std::uint64_t type) const
{
  const auto kind_of = kind(type);
  return kind_of > GoKind::kInvalid && kind_of <= GoKind::kUnsafePointer && pointer_to(type) != 0;
}

template <typename T>
T GoTypes::at(std::uint64_t address) const
{
  T value;
  std::memcpy(&value, bytes_.data() + (address - range_.begin), sizeof value);
  return value;
}

bool GoTypes::holds(std::uint64_t address, std::uint64_t size) const
{
  return address >= range_.begin && address <= range_.end && size <= range_.end - address;
}

namespace {

// A byte of flags, a length, the text.
std::string_view decode_name(std::span<const std::byte> bytes, std::uint8_t* flags = nullptr)
{
  if (bytes.empty())
    return {};
  if (flags != nullptr)
    *flags = std::to_integer<std::uint8_t>(bytes[0]);
  bytes = bytes.subspan(1);
  const auto text = take_text(bytes);
  return text && text->size() <= kMaxName ? *text : std::string_view{};
}

}  // namespace

std::string_view GoTypes::name(std::uint32_t offset) const
{
  return offset == 0 || offset >= bytes_.size() ? std::string_view{}
                                                : decode_name(bytes_.subspan(offset));
}

std::string_view GoTypes::name_of_field(std::uint64_t address, std::uint8_t& flags) const
{
  if (holds(address, 1))
    return decode_name(bytes_.subspan(address - range_.begin), &flags);
  return decode_name(file_->bytes_from(address, kMaxName), &flags);
}

std::string_view GoTypes::string(std::uint64_t type) const
{
  auto text = name(at<std::uint32_t>(type + kString));
  if ((at<std::uint8_t>(type + kFlags) & kExtraStar) != 0 && text.starts_with('*'))
    text.remove_prefix(1);
  return text;
}

std::string_view GoTypes::package(std::uint64_t type) const
{
  const auto size = descriptor_bytes(kind(type));
  if ((at<std::uint8_t>(type + kFlags) & kUncommon) == 0 || size == 0 || !holds(type + size, 4))
    return {};
  return name(at<std::uint32_t>(type + size));
}

GoKind GoTypes::kind(std::uint64_t type) const
{
  return GoKind{static_cast<std::uint8_t>(at<std::uint8_t>(type + kKind) & kKindMask)};
}

std::uint64_t GoTypes::pointer_to(std::uint64_t type) const
{
  const auto offset = at<std::uint32_t>(type + kPointerToThis);
  const std::uint64_t pointer = range_.begin + offset;
  if (offset == 0 || pointer % 8 != 0 || !holds(pointer, kElement + 8) ||
      kind(pointer) != GoKind::kPointer || file_->pointer_at(pointer + kElement) != type)
    return 0;
  return pointer;
}

GoType GoTypes::described(std::uint64_t type) const
{
  return {.address = type,
          .pointer = pointer_to(type),
          .size = at<std::uint64_t>(type),
          .kind = kind(type)};
}

Result<GoType> GoTypes::find(std::string_view wanted) const
{
  const auto dot = dot_of(wanted);
  if (dot == std::string_view::npos)
    return fail(std::string(wanted) + ": no package");
  const auto short_name = wanted.substr(dot + 1);
  std::optional<std::uint64_t> found;
  for (const auto& entry :
       std::ranges::equal_range(index_, hash_of(short_name), {}, &Entry::hash)) {
    const auto type = range_.begin + entry.offset;
    if (after_dot(string(type)) != short_name || package(type) != wanted.substr(0, dot))
      continue;
    if (found)
      return fail(std::string(wanted) + ": more than one type has that name");
    found = type;
  }
  if (!found)
    return fail(std::string(wanted) + ": no such type");
  return described(*found);
}

std::vector<GoField> GoTypes::fields(std::uint64_t type) const
{
  std::vector<GoField> out;
  if (!holds(type, kStructBytes) || kind(type) != GoKind::kStruct)
    return out;
  const auto length = at<std::uint64_t>(type + kFields + 8);
  const auto begin = file_->pointer_at(type + kFields);
  if (!begin || length > kMaxFields || !holds(*begin, length * kFieldBytes))
    return out;
  const auto size = at<std::uint64_t>(type);
  for (std::uint64_t i = 0; i < length; ++i) {
    const std::uint64_t field = *begin + (i * kFieldBytes);
    const auto name_address = file_->pointer_at(field);
    const auto field_type = file_->pointer_at(field + 8);
    std::uint8_t flags = 0;
    GoField result{};
    result.name = name_address ? name_of_field(*name_address, flags) : std::string_view{};
    result.offset = at<std::uint64_t>(field + 16);
    result.embedded = (flags & kEmbedded) != 0;
    if (embedded_in_offset_) {
      result.embedded = (result.offset & 1) != 0;
      result.offset >>= 1;
    }
    if (result.name.empty() || !field_type || result.offset > size)
      return {};
    result.type = *field_type;
    result.kind = holds(*field_type, kTypeBytes) ? kind(*field_type) : GoKind::kInvalid;
    out.push_back(result);
  }
  return out;
}

std::string GoTypes::text(std::uint64_t type) const
{
  return holds(type, kTypeBytes) ? std::string(string(type)) : std::string{};
}

void GoTypes::for_each_struct(
    const std::function<bool(std::string_view, std::string_view, const GoType&)>& callback) const
{
  std::vector<std::uint32_t> offsets;
  for (const auto& entry : index_)
    if (kind(range_.begin + entry.offset) == GoKind::kStruct)
      offsets.push_back(entry.offset);
  std::ranges::sort(offsets);
  for (const auto offset : offsets) {
    const auto type = range_.begin + offset;
    if (!callback(package(type), after_dot(string(type)), described(type)))
      return;
  }
}

}  // namespace sonde::elf
