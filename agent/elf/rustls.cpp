// SPDX-License-Identifier: Apache-2.0
#include "agent/elf/rustls.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "agent/elf/instructions.hpp"

namespace sonde::elf {

namespace {

// lea rax, [rsi + n]; ret: encrypted_payload_len(), the second method of MessageEncrypter, with
// what TLS 1.3, AES-GCM and ChaCha20 of TLS 1.2 add to the plaintext.
constexpr std::array<std::uint8_t, 3> kOverheads = {0x11, 0x18, 0x10};

// Each costs a look through all relocations; real programs have a handful.
constexpr std::size_t kMostCandidates = 64;

// By how much a decrypter may be smaller: of AES-GCM in TLS 1.2 it keeps 4 bytes instead of 12.
constexpr std::uint64_t kNonceLessSalt = 8;

// A vtable: drop, size, align, methods.
constexpr std::uint64_t kMethods = 24;

// What a key of ring takes, and where it must lie: no other object with one method and nothing to
// drop is like that.
constexpr std::uint64_t kLeastKey = 256;
constexpr std::uint64_t kKeyAlign = 16;

// The third argument, behind where the result goes and the object.
constexpr unsigned kMessage = 2;
// A decrypter begins with the length of the ciphertext.
constexpr std::size_t kMostInstructions = 512;

std::uint8_t byte_of(std::byte value)
{
  return std::to_integer<std::uint8_t>(value);
}

std::int32_t displacement(std::span<const std::byte> code, std::size_t at)
{
  std::int32_t value = 0;
  std::memcpy(&value, code.data() + at, sizeof value);
  return value;
}

class Shapes {
public:
  explicit Shapes(const ElfFile& file) : file_(file)
  {
    const auto* text = file.section(".text");
    if (text == nullptr)
      return;
    begin_ = text->address;
    code_ = file.bytes_at(text->address, text->size);
    read_starts();
  }

  bool usable() const { return !code_.empty() && !starts_.empty(); }
  AddressRange function_at(std::uint64_t address) const
  {
    const auto next = std::ranges::upper_bound(starts_, address);
    if (next == starts_.begin())
      return {};
    return {*std::prev(next), next == starts_.end() ? begin_ + code_.size() : *next};
  }
  Rustls find(RustlsAges ages);

private:
  struct Vtable {
    std::uint64_t size;
    std::uint64_t align;
    std::uint64_t method;
  };

  // The linker's table of all functions that can be unwound (LSB, ".eh_frame_hdr").
  void read_starts()
  {
    const auto* header = file_.section(".eh_frame_hdr");
    const auto bytes = header != nullptr ? file_.bytes_at(header->address, header->size)
                                         : std::span<const std::byte>();
    if (bytes.size() < 12 || byte_of(bytes[0]) != 1 || byte_of(bytes[3]) != 0x3b)
      return;
    const auto count = static_cast<std::uint32_t>(displacement(bytes, 8));
    for (std::size_t i = 0, at = 12; i < count && at + 8 <= bytes.size(); ++i, at += 8)
      starts_.push_back(header->address + static_cast<std::uint64_t>(displacement(bytes, at)));
    std::ranges::sort(starts_);
  }
  bool in_text(std::uint64_t address) const { return address - begin_ < code_.size(); }
  std::optional<std::uint64_t> text_pointer(std::uint64_t address) const
  {
    const auto value = file_.pointer_at(address);
    return value && in_text(*value) ? value : std::nullopt;
  }
  std::optional<Vtable> vtable_at(std::uint64_t address) const
  {
    const auto drop = file_.pointer_at(address);
    const auto size = file_.read_at<std::uint64_t>(address + 8);
    const auto align = file_.read_at<std::uint64_t>(address + 16);
    const auto method = text_pointer(address + kMethods);
    const bool sane = drop && (*drop == 0 || in_text(*drop)) && size && *size > 0 && *size < 8192 &&
                      align && std::has_single_bit(*align) && *align <= 16 && method;
    return sane ? std::optional(Vtable{*size, *align, *method}) : std::nullopt;
  }
  // lea reg, [rip + n] within the range, and its target.
  template <typename See>
  void addresses_taken(AddressRange range, See&& see) const
  {
    if (!in_text(range.begin))
      return;
    const auto from = range.begin - begin_;
    const auto to = std::min<std::uint64_t>(range.end - begin_, code_.size());
    for (auto at = from; at + 7 <= to; ++at) {
      if ((byte_of(code_[at]) & 0xfbU) != 0x48 || byte_of(code_[at + 1]) != 0x8d ||
          (byte_of(code_[at + 2]) & 0xc7U) != 0x05)
        continue;
      see(begin_ + at, begin_ + at + 7 + static_cast<std::uint64_t>(displacement(code_, at + 3)));
    }
  }
  // Direct calls and jumps, and what looks like one.
  template <typename See>
  void branches(AddressRange range, See&& see) const
  {
    if (!in_text(range.begin))
      return;
    const auto from = range.begin - begin_;
    const auto to = std::min<std::uint64_t>(range.end - begin_, code_.size());
    for (auto at = from; at + 5 <= to; ++at)
      if ((byte_of(code_[at]) & 0xfeU) == 0xe8)
        see(begin_ + at, begin_ + at + 5 + static_cast<std::uint64_t>(displacement(code_, at + 1)));
  }
  bool drops_nothing(std::uint64_t vtable) const;
  std::optional<std::int64_t> length_of_message(std::uint64_t function) const;
  void find_encrypters();
  void find_decrypters();
  void find_keys(const Section& section);
  void look_for_decrypter(std::uint64_t function, const Vtable& encrypter);

  const ElfFile& file_;
  std::uint64_t begin_ = 0;
  std::span<const std::byte> code_;
  std::vector<std::uint64_t> starts_;
  std::map<std::uint64_t, Vtable> encrypters_;  // by the vtable's address
  std::set<std::uint64_t> encrypt_;
  std::set<std::uint64_t> decrypt_;
};

void Shapes::find_encrypters()
{
  std::size_t candidates = 0;
  for (std::size_t at = 0; at + 5 <= code_.size() && candidates < kMostCandidates; ++at) {
    if (byte_of(code_[at]) != 0x48 || byte_of(code_[at + 1]) != 0x8d ||
        byte_of(code_[at + 2]) != 0x46 || byte_of(code_[at + 4]) != 0xc3 ||
        std::ranges::find(kOverheads, byte_of(code_[at + 3])) == kOverheads.end())
      continue;
    ++candidates;
    for (const auto slot : file_.pointers_to(begin_ + at)) {
      const auto address = slot - kMethods - 8;
      if (const auto vtable = vtable_at(address))
        encrypters_.emplace(address, *vtable);
    }
  }
}

// encrypter() and decrypter() are neighbours in a vtable, too, and each takes the address of the
// vtable of what it makes: in itself or in a function it calls.
void Shapes::find_decrypters()
{
  const AddressRange all{begin_, begin_ + code_.size()};
  std::map<std::uint64_t, const Vtable*> makers;
  addresses_taken(all, [&](std::uint64_t at, std::uint64_t target) {
    if (const auto found = encrypters_.find(target); found != encrypters_.end())
      makers.emplace(function_at(at).begin, &found->second);
  });
  auto callers = makers;
  branches(all, [&](std::uint64_t at, std::uint64_t target) {
    if (const auto found = makers.find(target); found != makers.end())
      callers.emplace(function_at(at).begin, found->second);
  });
  std::size_t candidates = 0;
  for (const auto& [function, vtable] : callers) {
    if (++candidates > kMostCandidates)
      return;
    for (const auto slot : file_.pointers_to(function))
      for (const auto neighbour : {slot + 8, slot - 8})
        if (const auto other = text_pointer(neighbour))
          look_for_decrypter(*other, *vtable);
  }
}

void Shapes::look_for_decrypter(std::uint64_t function, const Vtable& encrypter)
{
  const auto range = function_at(function);
  std::vector<AddressRange> looked_into = {range};
  branches(range, [&](std::uint64_t, std::uint64_t target) {
    if (std::ranges::binary_search(starts_, target) && looked_into.size() < 64)
      looked_into.push_back(function_at(target));
  });
  for (const auto& one : looked_into)
    addresses_taken(one, [&](std::uint64_t, std::uint64_t target) {
      const auto vtable = vtable_at(target);
      if (vtable && !encrypters_.contains(target) && !text_pointer(target + kMethods + 8) &&
          encrypter.size - vtable->size <= kNonceLessSalt && vtable->align == encrypter.align)
        decrypt_.insert(vtable->method);
    });
}

// Nothing at all or, from older compilers, a function that returns at once.
bool Shapes::drops_nothing(std::uint64_t vtable) const
{
  const auto drop = file_.pointer_at(vtable);
  return drop && (*drop == 0 || (in_text(*drop) && byte_of(code_[*drop - begin_]) == 0xc3));
}

// Where in its message a function finds the length: at 16 of OpaqueMessage, which has a Vec, at 8
// of BorrowedPlainMessage, which has a slice.
std::optional<std::int64_t> Shapes::length_of_message(std::uint64_t function) const
{
  const auto end = std::min<std::uint64_t>(function_at(function).end - begin_, code_.size());
  const InstructionDecoder decoder;
  unsigned message = 1U << kMessage;  // the registers that have it
  std::optional<std::int64_t> found;
  auto at = function - begin_;
  for (std::size_t i = 0; i < kMostInstructions && at < end && message != 0; ++i) {
    const auto instruction = decoder.decode(code_.subspan(at, end - at), begin_ + at);
    if (!instruction)
      return found;
    at += instruction->length;
    if (instruction->read && (message >> instruction->read->base & 1U) != 0) {
      if (instruction->read->displacement == 16)
        return 16;
      if (instruction->read->displacement == 8)
        found = 8;
    }
    const bool copies = instruction->copied && (message >> *instruction->copied & 1U) != 0;
    message = copies ? message | instruction->written : message & ~unsigned{instruction->written};
  }
  return found;
}

// The objects of both traits are keys with what makes nonces, and their vtables have one method.
void Shapes::find_keys(const Section& section)
{
  const auto words = file_.bytes_at(section.address, section.size);
  std::size_t candidates = 0;
  for (std::size_t at = 0; at + kMethods + 8 <= words.size(); at += 8) {
    std::array<std::uint64_t, 2> layout{};
    std::memcpy(layout.data(), words.data() + at + 8, sizeof layout);
    if (layout[0] < kLeastKey || layout[1] != kKeyAlign)
      continue;
    const auto vtable = vtable_at(section.address + at);
    if (!vtable || !drops_nothing(section.address + at) || decrypt_.contains(vtable->method) ||
        encrypt_.contains(vtable->method))
      continue;
    if (++candidates > kMostCandidates)
      return;
    if (const auto length = length_of_message(vtable->method))
      (*length == 16 ? decrypt_ : encrypt_).insert(vtable->method);
  }
}

Rustls Shapes::find(RustlsAges ages)
{
  if (ages.two_methods) {
    find_encrypters();
    if (!encrypters_.empty())
      find_decrypters();
    for (const auto& [address, vtable] : encrypters_)
      encrypt_.insert(vtable.method);
  }
  // With both, what was not found of the one must not be taken for the other.
  if (ages.one_method && (!ages.two_methods || !decrypt_.empty()))
    for (const auto* name : {".data.rel.ro", ".rodata"})
      if (const auto* section = file_.section(name))
        find_keys(*section);
  Rustls out;
  for (const auto address : encrypt_)
    out.encrypt.push_back({address, function_at(address).end});
  for (const auto address : decrypt_)
    out.decrypt.push_back({address, function_at(address).end});
  return out;
}

// "…MessageEncrypter…7encrypt17h…" (legacy) and "…MessageEncrypter7encrypt" (v0).
bool is_method(std::string_view symbol, std::string_view trait, std::string_view method)
{
  const auto at = symbol.rfind(method);
  if (!symbol.contains("rustls") || !symbol.contains(trait) || at == std::string_view::npos)
    return false;
  const auto rest = symbol.substr(at + method.size());
  return rest.empty() || rest.starts_with("17h");
}

Rustls by_symbols(const ElfFile& file)
{
  std::map<std::uint64_t, AddressRange> encrypt;
  std::map<std::uint64_t, AddressRange> decrypt;
  file.for_each_symbol([&](const Symbol& symbol) {
    if (symbol.function && is_method(symbol.name, "MessageEncrypter", "7encrypt"))
      encrypt[symbol.address] = {symbol.address, symbol.address + symbol.size};
    else if (symbol.function && is_method(symbol.name, "MessageDecrypter", "7decrypt"))
      decrypt[symbol.address] = {symbol.address, symbol.address + symbol.size};
    return true;
  });
  Rustls out;
  for (const auto& [address, range] : encrypt)
    out.encrypt.push_back(range);
  for (const auto& [address, range] : decrypt)
    out.decrypt.push_back(range);
  return out;
}

}  // namespace

std::optional<RustlsAges> rustls_age(std::string_view version)
{
  if (version.starts_with("0.20.") || version.starts_with("0.21."))
    return RustlsAges{.one_method = true};
  if (version.starts_with("0.22.") || version.starts_with("0.23."))
    return RustlsAges{.two_methods = true};
  return {};
}

Rustls find_rustls(const ElfFile& file, RustlsAges ages)
{
  if (file.machine() != Machine::kX86_64)
    return {};
  auto named = by_symbols(file);
  if (!named.encrypt.empty() && !named.decrypt.empty())
    return named;
  Shapes shapes(file);
  return shapes.usable() ? shapes.find(ages) : Rustls{};
}

}  // namespace sonde::elf
