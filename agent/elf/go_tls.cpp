// SPDX-License-Identifier: Apache-2.0
#include "agent/elf/go_tls.hpp"

#include <algorithm>
#include <cstring>
#include <span>

#include "agent/elf/calls.hpp"

namespace sonde::elf {

namespace {

constexpr std::string_view kConn = "crypto/tls.Conn";

// What others' code goes through for a connection; the types where a function is compiled into its
// caller. QUIC's are none that bytes are read from.
constexpr std::string_view kMakers[] = {"crypto/tls.Client",
                                        "crypto/tls.Server",
                                        "crypto/tls.NewListener",
                                        "crypto/tls.dial",
                                        "crypto/tls.(*Dialer).Dial",
                                        "crypto/tls.(*Dialer).DialContext",
                                        "crypto/tls.(*Dialer).netDialer"};
constexpr std::string_view kMadeTypes[] = {kConn, "crypto/tls.Dialer", "crypto/tls.listener"};
// The standard library has no use for them, so somebody else has.
constexpr std::string_view kOnlyOthersCall[] = {
    "crypto/tls.Dial", "crypto/tls.DialWithDialer", "crypto/tls.Listen"};
// Beside the standard library.
constexpr std::string_view kOfHttp[] = {"golang.org/x/net/http2.",
                                        "google.golang.org/grpc/credentials."};
// First parts of the standard library's packages; of it net/http and net/smtp use crypto/tls.
constexpr std::string_view kStandard[] = {
    "archive",  "bufio",   "bytes",   "cmp",      "compress", "container", "context", "crypto",
    "database", "debug",   "embed",   "encoding", "errors",   "expvar",    "flag",    "fmt",
    "go",       "hash",    "html",    "image",    "index",    "internal",  "io",      "iter",
    "log",      "maps",    "math",    "mime",     "net",      "os",        "path",    "plugin",
    "reflect",  "regexp",  "runtime", "slices",   "sort",     "strconv",   "strings", "structs",
    "sync",     "syscall", "testing", "text",     "time",     "unicode",   "unique",  "unsafe",
    "vendor",   "weak"};
// Of code that is looked through; programs with more of their own mostly have drivers, too.
constexpr std::uint64_t kMostCode = std::uint64_t{16} << 20;

// What bpf/lib/tls_go.h takes for granted.
Result<> check_layout(const GoBinary& binary)
{
  if (SONDE_TRY(binary.field_offset(kConn, "conn")) != 0)
    return fail("crypto/tls.Conn does not begin with its net.Conn");
  // net.TCPConn is a conn, which is a *netFD.
  const auto descriptor = binary.field_offset("net.netFD", "pfd.Sysfd");
  if (descriptor && *descriptor != 16)
    return fail("net.netFD has its descriptor elsewhere");
  return {};
}

std::optional<std::uint64_t>
call_of(const GoBinary& binary, const std::vector<DirectCall>& calls, std::string_view function)
{
  const auto target = binary.function(function);
  return target ? call_of(calls, target->begin) : std::nullopt;
}

// Where in its frame the function keeps its first argument: above the return address, in a place
// that the caller leaves for it (ABIInternal, "spill area"). `sub rsp, n` makes the frame, before
// it `push rbp` from Go 1.21 on; `mov [rsp + place], rax` keeps the argument.
std::optional<std::uint64_t> place_of_argument(const ElfFile& file, AddressRange function)
{
  constexpr std::uint64_t kPrologue = 64;
  const auto bytes = file.bytes_at(function.begin, std::min(function.size(), kPrologue));
  const auto at = [&](std::size_t i) { return std::to_integer<std::uint8_t>(bytes[i]); };
  for (std::size_t i = 0; i + 4 <= bytes.size(); ++i) {
    if (at(i) != 0x48 || at(i + 1) != 0x83 || at(i + 2) != 0xec)
      continue;
    // push rbp; mov rbp, rsp
    const bool pushed = i >= 4 && at(i - 4) == 0x55;
    const std::uint64_t place = std::uint64_t{at(i + 3)} + 8 + (pushed ? 8 : 0);
    for (auto kept = i + 4; kept + 5 <= bytes.size(); ++kept)
      if (at(kept) == 0x48 && at(kept + 1) == 0x89 && at(kept + 2) == 0x44 &&
          at(kept + 3) == 0x24 && at(kept + 4) == place)
        return place;
    return std::nullopt;
  }
  return std::nullopt;
}

Result<> find_read(const GoBinary& binary, AddressRange read, GoTls& out)
{
  const auto& file = binary.file();
  const auto calls = direct_calls(file, read.begin, read.size());
  auto call = call_of(binary, calls, "bytes.(*Reader).Read");
  out.copies = !call;
  if (call) {
    out.offset = SONDE_TRY(binary.field_offset(kConn, "input"));
  } else {
    call = call_of(binary, calls, "runtime.memmove");
    const auto place = place_of_argument(file, read);
    if (!call || !place)
      return fail(
          "crypto/tls.(*Conn).Read neither calls (*bytes.Reader).Read nor copies as it does");
    out.offset = *place;
  }
  const auto offset = file.offset_of(*call);
  if (!offset || out.offset > 0xffff)
    return fail("crypto/tls.Conn is too large");
  out.read = *offset;
  return {};
}

bool is_others(std::string_view function)
{
  const auto first = function.substr(0, function.find_first_of("./:"));
  return std::ranges::find(kStandard, first) == std::end(kStandard) && first != "type" &&
         std::ranges::none_of(kOfHttp, [&](auto package) { return function.starts_with(package); });
}

// Whether the code may have one of the addresses as an operand relative to the next instruction.
// Without a disassembler some of what is looked at is no operand; that errs on the safe side.
bool refers_to(std::span<const std::byte> code,
               std::uint64_t address,
               std::span<const std::uint64_t> targets)
{
  for (std::size_t at = 1; at + 4 <= code.size(); ++at) {
    std::int32_t distance;
    std::memcpy(&distance, &code[at], sizeof distance);
    const auto target = address + at + 4 + static_cast<std::uint64_t>(std::int64_t{distance});
    if (target >= targets.front() && target <= targets.back() &&
        std::ranges::binary_search(targets, target))
      return true;
  }
  return false;
}

// Nothing where a type is not found.
std::vector<std::uint64_t> makers_of(const GoBinary& binary)
{
  std::vector<std::uint64_t> found;
  for (const auto name : kMakers)
    if (const auto function = binary.function(name))
      found.push_back(function->begin);
  const auto made = found.size();
  for (const auto name : kMadeTypes)
    if (const auto type = binary.type(name))
      found.push_back(type->address);
  if (found.size() == made)
    return {};
  std::ranges::sort(found);
  return found;
}

}  // namespace

bool only_http_uses_tls(const GoBinary& binary)
{
  const auto makers = makers_of(binary);
  if (makers.empty() || std::ranges::any_of(kOnlyOthersCall, [&](auto name) {
        return binary.function(name).has_value();
      }))
    return false;
  bool only = true;
  std::uint64_t looked_through = 0;
  binary.for_each_function([&](std::string_view name, AddressRange range) {
    if (!is_others(name))
      return true;
    looked_through += range.size();
    const auto code = binary.file().bytes_at(range.begin, range.size());
    only = looked_through <= kMostCode && !code.empty() && !refers_to(code, range.begin, makers);
    return only;
  });
  return only;
}

Result<std::optional<GoTls>> find_go_tls(const GoBinary& binary)
{
  const auto read = binary.function("crypto/tls.(*Conn).Read");
  const auto write = binary.function("crypto/tls.(*Conn).writeRecordLocked");
  if (!read || !write)
    return std::optional<GoTls>();
  SONDE_TRY(check_layout(binary));
  GoTls tls{};
  SONDE_TRY(find_read(binary, *read, tls));
  tls.written = SONDE_TRY(go_entry_site(binary.file(), *write));
  return std::optional(tls);
}

}  // namespace sonde::elf
