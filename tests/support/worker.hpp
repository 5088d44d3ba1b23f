// SPDX-License-Identifier: Apache-2.0
// A child process that waits to be let go, works, says that it is done and waits to be let end:
// what the kernel says of it can be read while it stands still.
#pragma once

#include <cstdint>
#include <functional>
#include <sys/types.h>

#include "agent/base/unique_fd.hpp"

namespace sonde::testing {

class Worker {
public:
  // Forks; `work` runs in the child after go(). `cpu` >= 0 pins it.
  explicit Worker(const std::function<void()>& work, int cpu = -1);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  pid_t pid() const { return pid_; }
  std::uint32_t tgid() const { return static_cast<std::uint32_t>(pid_); }
  void go();
  void wait_until_done() const;
  // Lets it end and reaps it.
  void finish();

  struct Kernel {
    std::uint64_t cpu_ns;  // /proc/PID/schedstat
    std::uint64_t run_delay_ns;
    std::uint64_t voluntary;  // /proc/PID/status
    std::uint64_t involuntary;
  };
  Kernel kernel() const;

private:
  pid_t pid_ = -1;
  bool went_ = false;
  UniqueFd go_;
  UniqueFd done_;
};

// Busy until this thread has used `ns` of CPU.
void spin(std::uint64_t ns);
void sleep_ns(std::uint64_t ns);

// CPUs this process may run on.
int cpu_count();

}  // namespace sonde::testing
