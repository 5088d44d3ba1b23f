// SPDX-License-Identifier: Apache-2.0
// What `sonde tail` wants to see, and an exchange as a line of it. Pure. Nothing that a request
// carries is in a line but what may be a label too: no path, no key, no statement, no header.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "agent/base/result.hpp"
#include "agent/protocols/connections.hpp"

namespace sonde::control {

struct TailRequest {
  std::string protocol;     // or a group of them; empty: all
  std::string service;      // empty: all
  std::string status;       // 5xx or 503 or 23505; empty: all
  std::uint64_t limit = 0;  // lines, then it ends; 0: none
  bool json = false;

  bool operator==(const TailRequest&) const = default;
};

// As a line, without its first word. Reading it back fails when it was not made by to_line().
std::string to_line(const TailRequest& request);
Result<TailRequest> read_tail(std::string_view line);

// Fails when no protocol is called so; names those that there are.
Result<> accept(const TailRequest& request, std::span<const protocols::Protocol* const> known);

bool matches(const TailRequest& request, const protocols::Observed& seen);

// `wall_ns` is when the exchange ended, by the clock of the day.
std::string tail_text(const protocols::Observed& seen, std::uint64_t wall_ns);
std::string tail_json(const protocols::Observed& seen, std::uint64_t wall_ns);

}  // namespace sonde::control
