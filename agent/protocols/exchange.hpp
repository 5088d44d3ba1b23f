// SPDX-License-Identifier: Apache-2.0
// One request with its response, whatever protocol and whatever source: metrics, rules, traces and
// `sonde tail` are all made from these.
#pragma once

#include <cstdint>
#include <string_view>

namespace sonde::protocols {

// What the observed process is on a connection.
enum class Role : std::uint8_t { kServer, kClient };

// Who speaks: the one that opened the connection (requests), or the other.
enum class Direction : std::uint8_t { kToServer, kToClient };

constexpr Direction opposite(Direction direction)
{
  return direction == Direction::kToServer ? Direction::kToClient : Direction::kToServer;
}

struct Protocol;

// Texts are valid while the sink's call lasts. Times are CLOCK_MONOTONIC nanoseconds, those of the
// read or write that carried the byte; 0 where that byte was never seen.
struct Exchange {
  enum class End : std::uint8_t { kComplete, kClientClosed, kServerClosed, kReset };

  std::string_view operation;  // GET, select, HGETALL: from an allow-list or capped by the recorder
  std::string_view target;     // raw path without query, table, subject; never shown as it is
  std::string_view status;     // 200, SQLSTATE, first word of an error; empty for success elsewhere
  End end = End::kComplete;
  std::uint64_t request_first_ns = 0;
  std::uint64_t request_last_ns = 0;
  std::uint64_t response_first_ns = 0;
  std::uint64_t response_last_ns = 0;
  std::uint64_t request_bytes = 0;  // body or payload as the protocol defines it, framing excluded
  std::uint64_t response_bytes = 0;
  bool sizes_known = true;  // false when a hole or an upgrade leaves the sizes open
  // Of protocols whose requests and responses are messages: those that Sink::progress() has not
  // told.
  std::uint64_t request_messages = 0;
  std::uint64_t response_messages = 0;
  const Protocol* within = nullptr;  // whose exchange it is where that is not the connection's own
};

}  // namespace sonde::protocols
