// SPDX-License-Identifier: Apache-2.0
#include "agent/elf/go_tls.hpp"

#include <algorithm>

#include "agent/elf/calls.hpp"

namespace sonde::elf {

namespace {

constexpr std::string_view kConn = "crypto/tls.Conn";

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
  if (!target)
    return std::nullopt;
  const auto call = std::ranges::find_if(
      calls, [&](const DirectCall& one) { return !one.jump && one.target == target->begin; });
  return call == calls.end() ? std::nullopt : std::optional(call->address);
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

}  // namespace

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
