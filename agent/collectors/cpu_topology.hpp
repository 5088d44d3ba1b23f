// SPDX-License-Identifier: Apache-2.0
// What sysfs says about the CPUs: online, isolated, thermal throttling. Owned by the cpu
// collector. Looks at the folders again only when the kernel's lists of CPUs change; a scrape reads
// the lists and the throttle counts.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "agent/base/file.hpp"
#include "agent/collectors/collector.hpp"

namespace sonde {

class CpuTopology {
public:
  struct Throttled {
    std::string package;
    std::string core;  // empty for the package as a whole
    std::uint64_t count;
  };

  explicit CpuTopology(const Paths& paths);

  // Reads the lists of CPUs; call it before the others in each scrape.
  Result<> refresh();

  // Whether each CPU is online; empty when the kernel cannot take CPUs off line.
  std::vector<std::pair<std::string, bool>> online();
  const std::vector<std::uint32_t>& isolated() const { return isolated_; }
  std::vector<Throttled> throttled();

private:
  struct Cpu {
    std::uint32_t number;
    std::filesystem::path folder;
    ReusedFile online;
  };
  struct Throttle {
    std::string package;
    std::string core;
    ReusedFile file;
  };

  void find_throttles();

  std::filesystem::path folder_;
  ReusedFile present_list_;
  ReusedFile online_list_;
  std::string seen_;  // the lists that cpus_ and throttles_ were made from
  bool ever_ = false;
  std::vector<std::uint32_t> online_cpus_;
  bool has_online_list_ = false;
  bool can_go_offline_ = false;
  std::vector<std::uint32_t> isolated_;
  std::deque<Cpu> cpus_;
  std::deque<Throttle> throttles_;
};

}  // namespace sonde
