// SPDX-License-Identifier: Apache-2.0
// Requests of Go's handlers that are under way, of those that go_http counts: looked for among the
// goroutines that the kernel's map knows, because two more counters would cost each request.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <unordered_map>

#include "sonde/go_http.h"

#include "agent/base/result.hpp"
#include "agent/protocols/connections.hpp"

namespace sonde::go_http {

class InFlight {
public:
  // The maps of what goroutines handle and of the programs' offsets. `all`: plaintext HTTP/1 too.
  static Result<InFlight> create(int handling_map, int binaries_map, bool all);

  // Moves the gauges of processes. `serves`: whether ends of this program's requests are seen.
  void look(protocols::Connections& to, const std::function<bool(std::uint32_t binary)>& serves);

private:
  InFlight(int handling, int binaries, bool all, std::size_t value_bytes)
      : handling_(handling), binaries_(binaries), all_(all), value_bytes_(value_bytes)
  {
  }
  bool counts(const sonde_go_http_under_way& way) const;

  int handling_;
  int binaries_;
  bool all_;
  std::size_t value_bytes_;
  std::unordered_map<std::uint32_t, protocols::RaisedLevels> raised_;  // by process
};

// Those that were seen before this time: clients gave them up without an answer, servers had ended
// them.
void forget_before(int requests_map, std::uint64_t before_ns);

}  // namespace sonde::go_http
