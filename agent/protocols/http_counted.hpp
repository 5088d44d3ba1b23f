// SPDX-License-Identifier: Apache-2.0
// HTTP requests that another source than the sockets' bytes has counted: they go into the same
// families. Defined where these are.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "agent/protocols/protocol.hpp"

namespace sonde::http1 {

// One that was seen on a connection, and what it means that some are under way.
void record(const protocols::Exchange& exchange, protocols::Recorder& recorder);
void level(const protocols::Activity& activity, std::int64_t by, protocols::Recorder& recorder);

// The method as a label.
std::string_view known_method(std::string_view method);

// By the recorder's own bounds, not cumulative.
struct Distribution {
  std::span<const std::uint64_t> buckets;
  std::uint64_t sum = 0;
};

struct Served {
  std::string_view method;
  std::string_view route;
  std::string_view status;
  std::uint64_t requests = 0;
  Distribution durations;
  Distribution request_sizes;
  Distribution response_sizes;
};
void record(const Served& served, protocols::Recorder& recorder);

struct Called {
  std::string_view method;
  std::string_view status;
  std::uint64_t requests = 0;
  Distribution durations;
};
void record(const Called& called, protocols::Recorder& recorder);

// One that was served; exchange.target is the route already, a duration is known where both times
// are, `request_size_known` and sizes_known say so of the sizes.
void record_served(const protocols::Exchange& exchange,
                   bool request_size_known,
                   protocols::Recorder& recorder);

}  // namespace sonde::http1
