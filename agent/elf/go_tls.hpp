// SPDX-License-Identifier: Apache-2.0
// Where Go's crypto/tls has plaintext in its hands, with both ends of it known and no return to
// wait for.
#pragma once

#include <cstdint>
#include <optional>

#include "agent/base/result.hpp"
#include "agent/elf/go_binary.hpp"
#include "agent/elf/probe_site.hpp"

namespace sonde::elf {

struct GoTls {
  // In (*Conn).Read the call of (*bytes.Reader).Read: AX is the address of the connection's field
  // `input`, which lies at `offset`. Or, where the compiler made one function of both (Go 1.26),
  // the call of memmove: the connection lies at `offset` in the stack.
  std::uint64_t read;  // in the file
  bool copies;
  std::uint64_t offset;
  // The begin of (*Conn).writeRecordLocked, which encrypts everything that is sent.
  ProbeSite written;
};

// Nothing where the program has no crypto/tls; fails where it has one that is unlike others.
Result<std::optional<GoTls>> find_go_tls(const GoBinary& binary);

// Whether all of the program's TLS is made by net/http, its HTTP/2 and gRPC: nobody else's code has
// a connection of crypto/tls made or accepts one. False where that is not sure.
bool only_http_uses_tls(const GoBinary& binary);

}  // namespace sonde::elf
