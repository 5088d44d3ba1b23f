// SPDX-License-Identifier: Apache-2.0
// A protocol small enough to see through: "Q x\n" is answered "A x\n" or "E x\n". `B n\n` announces
// n bytes that nobody wants, "S name\n" from the server hands the connection over. And one whose
// server speaks first: "HELLO\n", then the same lines.
#pragma once

#include <span>

#include "agent/protocols/protocol.hpp"

namespace sonde::test {

extern const protocols::Protocol line_protocol;
extern const protocols::Protocol hello_protocol;
std::span<const protocols::Protocol* const> line_protocols();

}  // namespace sonde::test
