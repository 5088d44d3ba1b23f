// SPDX-License-Identifier: Apache-2.0
// Keeps the BPF programs' share of a core under bpf.max-cpu-ratio: measures for a second now and
// then, and detaches the dearest family when all of them together cost more. On the loop's thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include "agent/app/node.hpp"
#include "agent/base/event_loop.hpp"
#include "agent/base/unique_fd.hpp"

namespace sonde::app {

class CostCeiling {
public:
  // `ratio` of one core; above zero.
  static Result<std::unique_ptr<CostCeiling>> create(Node& node, double ratio);

private:
  CostCeiling(Node& node, double ratio) : node_(node), ratio_(ratio) {}
  void begin();
  void finish();
  std::map<const Family*, std::uint64_t> run_ns();

  Node& node_;
  double ratio_;
  bool measuring_ = false;
  std::uint64_t begun_ns_ = 0;
  std::map<const Family*, std::uint64_t> before_;
  UniqueFd statistics_;  // the kernel keeps statistics while this is open
  EventLoop::Timer timer_;
};

}  // namespace sonde::app
