// SPDX-License-Identifier: Apache-2.0
// The requests of a connection that wait for their responses, oldest first.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "agent/protocols/http1_message.hpp"

namespace sonde::http1 {

struct Request {
  std::string_view method;  // bounded
  std::string target;
  Upgrade upgrade = Upgrade::kNone;
  bool head_cut = false;  // its head's end was not captured: perhaps there was none
  bool ended = false;     // its last byte was seen
  bool sizes_known = true;
  std::uint64_t first_ns = 0;
  std::uint64_t last_ns = 0;
  std::uint64_t bytes = 0;

  bool is_connect() const { return method == "CONNECT"; }
};

// A ring that grows with the depth of the pipeline and keeps its strings: a connection without
// pipelining allocates once.
class Requests {
public:
  bool empty() const { return count_ == 0; }
  std::size_t size() const { return count_; }
  Request& front() { return ring_[first_]; }
  Request& back() { return at(count_ - 1); }
  Request& at(std::size_t i) { return ring_[(first_ + i) % ring_.size()]; }

  // The new last request, with whatever an earlier one left in it; nullptr when there are too many.
  Request* push(std::size_t target_bytes);
  void pop();
  void clear();

private:
  std::vector<Request> ring_{1};
  std::size_t first_ = 0;
  std::size_t count_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace sonde::http1
