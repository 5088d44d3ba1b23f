// SPDX-License-Identifier: Apache-2.0
// The last outliers of all families, newest first; bounded. Any thread.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <vector>

#include "sonde/abi.h"

namespace sonde {

struct Outlier {
  std::uint64_t wall_ns;
  std::string family;
  std::string service;
  std::string command;
  std::uint32_t tgid;
  std::uint32_t pid;
  std::uint32_t what;
  std::uint64_t value_ns;
};

class Outliers {
public:
  explicit Outliers(std::size_t limit) : limit_(limit) {}

  void add(Outlier outlier);
  std::vector<Outlier> all() const;
  // {"outliers":[{"time":…,"family":…,…}]}
  std::string json() const;

private:
  std::size_t limit_;
  mutable std::mutex mutex_;
  std::deque<Outlier> list_;
};

}  // namespace sonde
