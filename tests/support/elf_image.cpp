// SPDX-License-Identifier: Apache-2.0
#include "tests/support/elf_image.hpp"

#include <cstring>
#include <elf.h>

namespace sonde::test {

namespace {

class Writer {
public:
  explicit Writer(std::uint64_t address) : address_(address) {}

  std::uint64_t here() const { return address_ + bytes_.size(); }
  Bytes take() { return std::move(bytes_); }

  template <typename T>
  std::uint64_t add(T value)
  {
    const auto at = here();
    const auto* begin = reinterpret_cast<const std::byte*>(&value);
    bytes_.insert(bytes_.end(), begin, begin + sizeof value);
    return at;
  }
  std::uint64_t text(std::string_view text)
  {
    const auto at = here();
    for (const char c : text)
      add(c);
    return at;
  }
  void align(std::size_t to)
  {
    while (here() % to != 0)
      add(std::uint8_t{0});
  }
  template <typename T>
  void patch(std::uint64_t address, T value)
  {
    std::memcpy(bytes_.data() + (address - address_), &value, sizeof value);
  }

private:
  std::uint64_t address_;
  Bytes bytes_;
};

// Flags, length, text.
std::uint64_t add_name(Writer& out, std::string_view text)
{
  const auto at = out.add(std::uint8_t{1});
  out.add(static_cast<std::uint8_t>(text.size()));
  out.text(text);
  return at;
}

constexpr std::uint64_t kConstants = 0x500000;
constexpr std::uint64_t kVariables = 0x600000;
constexpr std::uint64_t kCodeBytes = 32;

struct Field {
  std::uint64_t name;
  std::uint64_t type;
  std::uint64_t offset;
};

std::uint64_t
add_type(Writer& out, std::uint64_t size, std::uint8_t flags, std::uint8_t kind, std::uint64_t name)
{
  out.align(8);
  const auto at = out.add(size);
  out.add(std::uint64_t{0});
  out.add(std::uint32_t{0x1234});
  for (const std::uint8_t byte : {flags, std::uint8_t{8}, std::uint8_t{8}, kind})
    out.add(byte);
  out.add(std::uint64_t{0});
  out.add(std::uint64_t{0});
  out.add(static_cast<std::uint32_t>(name - kConstants));
  out.add(std::uint32_t{0});
  return at;
}

void add_struct(Writer& out,
                std::uint64_t size,
                std::uint64_t name,
                std::uint64_t package,
                const std::vector<Field>& fields)
{
  const auto at = add_type(out, size, 1 | 2 | 4, 25, name);
  out.add(std::uint64_t{0});
  out.add(at + 96);
  out.add(std::uint64_t{fields.size()});
  out.add(std::uint64_t{fields.size()});
  out.add(static_cast<std::uint32_t>(package - kConstants));
  out.add(std::uint32_t{0});
  out.add(std::uint32_t{16});
  out.add(std::uint32_t{0});
  for (const auto& field : fields)
    out.add(field);
  // *T
  const auto pointer = add_type(out, 8, 0, 22, name);
  out.add(at);
  out.patch(at + 44, static_cast<std::uint32_t>(pointer - kConstants));
}

struct Table {
  std::uint64_t address;
  std::uint64_t names;
  std::uint64_t units;
  std::uint64_t data;
  std::uint64_t end;
  std::uint64_t functions;
};

Table add_pclntab(Writer& out, const std::vector<std::string_view>& functions)
{
  out.align(32);
  Table table{};
  table.address = out.add(std::uint32_t{0xfffffff1});
  out.add(std::uint32_t{0x08010000});
  out.add(std::uint64_t{functions.size()});
  out.add(std::uint64_t{1});
  out.add(std::uint64_t{0});
  const auto offsets = out.here();
  for (int i = 0; i < 5; ++i)
    out.add(std::uint64_t{0});
  table.names = out.here();
  std::vector<std::uint32_t> names;
  for (const auto function : functions) {
    names.push_back(static_cast<std::uint32_t>(out.text(function) - table.names));
    out.add(char{0});
  }
  table.units = out.here();
  out.align(8);
  const auto pc_tables = out.add(std::uint64_t{0});
  table.data = out.here();
  table.functions = functions.size() + 1;
  for (std::size_t i = 0; i <= functions.size(); ++i) {
    out.add(static_cast<std::uint32_t>(kCodeBytes * i));
    out.add(static_cast<std::uint32_t>((8 * (functions.size() + 1)) + (8 * i)));
  }
  for (std::size_t i = 0; i < functions.size(); ++i) {
    out.add(static_cast<std::uint32_t>(kCodeBytes * i));
    out.add(names[i]);
  }
  table.end = out.here();
  const std::uint64_t starts[] = {table.names, table.units, table.units, pc_tables, table.data};
  for (std::size_t i = 0; i < 5; ++i)
    out.patch(offsets + (8 * i), starts[i] - table.address);
  return table;
}

Bytes go_variables(const Table& table, std::uint64_t types, std::uint64_t end_of_types)
{
  Writer out(kVariables);
  out.text("\xff Go buildinf:");
  out.add(std::uint8_t{8});
  out.add(std::uint8_t{2});
  out.add(std::uint64_t{0});
  out.add(std::uint64_t{0});
  constexpr std::string_view version = "go1.26.8";
  constexpr std::string_view modules =
      "0123456789abcdefpath\texample.test/a\nmod\texample.test/a\tv1.2.3\t\n"
      "dep\tgolang.org/x/net\tv0.1.0\th1:x\nbuild\tCGO_ENABLED=0\n0123456789abcdef";
  out.add(static_cast<std::uint8_t>(version.size()));
  out.text(version);
  out.add(static_cast<std::uint8_t>(0x80 | (modules.size() & 0x7f)));
  out.add(static_cast<std::uint8_t>(modules.size() >> 7));
  out.text(modules);
  out.align(32);
  const auto slice = [&](std::uint64_t address, std::uint64_t length) {
    out.add(address);
    out.add(length);
    out.add(length);
  };
  out.add(table.address);
  slice(table.names, table.units - table.names);
  slice(table.units, 0);
  slice(table.units, 0);
  slice(table.data - 8, 8);
  slice(table.data, table.end - table.data);
  slice(table.data, table.functions);
  out.add(std::uint64_t{0});
  const auto end = kCodeAddress + (kCodeBytes * (table.functions - 1));
  for (const std::uint64_t word :
       {kCodeAddress, end, kCodeAddress, end, kVariables, kVariables + 64})
    out.add(word);
  for (int i = 0; i < 11; ++i)
    out.add(std::uint64_t{0});
  out.add(types);
  out.add(end_of_types);
  for (int i = 0; i < 16; ++i)
    out.add(std::uint64_t{0});
  return out.take();
}

}  // namespace

Bytes elf_image(const std::vector<ImageSegment>& segments,
                std::uint16_t machine,
                std::uint16_t type)
{
  Writer out(0);
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = type;
  header.e_machine = machine;
  header.e_version = EV_CURRENT;
  header.e_phoff = sizeof header;
  header.e_ehsize = sizeof header;
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = static_cast<Elf64_Half>(segments.size());
  out.add(header);
  std::uint64_t offset = sizeof header + (segments.size() * sizeof(Elf64_Phdr));
  for (const auto& segment : segments) {
    out.add(Elf64_Phdr{.p_type = PT_LOAD,
                       .p_flags = segment.flags,
                       .p_offset = offset,
                       .p_vaddr = segment.address,
                       .p_paddr = segment.address,
                       .p_filesz = segment.bytes.size(),
                       .p_memsz = segment.bytes.size(),
                       .p_align = 8});
    offset += segment.bytes.size();
  }
  for (const auto& segment : segments)
    out.text({reinterpret_cast<const char*>(segment.bytes.data()), segment.bytes.size()});
  return out.take();
}

Bytes code_image(const std::vector<std::uint8_t>& code, std::uint16_t machine)
{
  Bytes bytes;
  for (const auto byte : code)
    bytes.push_back(std::byte{byte});
  return elf_image({{kCodeAddress, bytes, PF_R | PF_X}}, machine);
}

Bytes go_image()
{
  Writer out(kConstants);
  out.add(std::uint64_t{0});
  const auto runtime = add_name(out, "runtime");
  const auto http = add_name(out, "net/http");
  const auto g = add_name(out, "*runtime.g");
  const auto request = add_name(out, "*http.Request");
  const auto names =
      std::vector{add_name(out, "goid"), add_name(out, "Method"), add_name(out, "Close")};
  const auto integer = add_type(out, 8, 0, 6, add_name(out, "int64"));
  const auto text = add_type(out, 16, 0, 24, add_name(out, "string"));
  const auto boolean = add_type(out, 1, 0, 1, add_name(out, "bool"));
  add_struct(out, 16, g, runtime, {{names[0], integer, 8}});
  add_struct(out, 24, request, http, {{names[1], text, 0}, {names[2], boolean, 16}});
  out.align(8);
  const auto end_of_types = out.here();
  const auto table = add_pclntab(out, {"main.main", "runtime.main"});
  Bytes code(2 * kCodeBytes, std::byte{0xcc});
  for (const std::size_t begin : {std::size_t{0}, kCodeBytes}) {
    // cmp rsp, [r14+16]; jbe +10; push rbp; mov rbp, rsp; pop rbp; ret
    const std::uint8_t body[] = {
        0x49, 0x3b, 0x66, 0x10, 0x76, 0x0a, 0x55, 0x48, 0x89, 0xe5, 0x5d, 0xc3};
    std::memcpy(code.data() + begin, body, sizeof body);
  }
  auto variables = go_variables(table, kConstants, end_of_types);
  return elf_image({{kCodeAddress, code, PF_R | PF_X},
                    {kConstants, out.take(), PF_R},
                    {kVariables, variables, PF_R | PF_W}});
}

}  // namespace sonde::test
