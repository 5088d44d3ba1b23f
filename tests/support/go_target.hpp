// SPDX-License-Identifier: Apache-2.0
// tests/go/runtime as a child process, and its runtime's metrics from two sides: what it says of
// itself, and what is read from its memory.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

#include "agent/base/result.hpp"
#include "agent/base/unique_fd.hpp"
#include "agent/runtime/go_memory.hpp"
#include "agent/runtime/process_memory.hpp"

namespace sonde::testing {

// By series, without service and pid: `go_goroutines`, `go_sched_latencies_seconds_bucket{le="1"}`.
using GoValues = std::map<std::string, double, std::less<>>;

class GoTarget {
public:
  explicit GoTarget(const std::string& program, const std::vector<std::string>& environment = {});
  ~GoTarget();
  GoTarget(const GoTarget&) = delete;
  GoTarget& operator=(const GoTarget&) = delete;

  pid_t pid() const { return pid_; }
  // The answer to a command, when it has come.
  GoValues ask(std::string_view command) const;
  void kill();

private:
  pid_t pid_ = -1;
  UniqueFd in_;
  UniqueFd out_;
};

// Another process' memory, as the family reads it.
class GoWatch {
public:
  static Result<GoWatch> open(pid_t pid);

  std::expected<runtime::GoSample, runtime::GoAbsence> sample();
  // Printed and read again; fails with the name of the absence.
  Result<GoValues> values();

  const runtime::GoProgram& program() const { return program_; }
  runtime::ProcessMemory& memory() { return memory_; }
  std::uint64_t bias() const { return bias_; }

private:
  GoWatch(const runtime::GoProgram& program, runtime::ProcessMemory memory, std::uint64_t bias)
      : program_(program), memory_(std::move(memory)), bias_(bias)
  {
  }

  runtime::GoProgram program_;
  runtime::ProcessMemory memory_;
  std::uint64_t bias_;
  runtime::GoReader reader_;
};

// What both tell and does not lie between a read before and one after.
struct GoComparison {
  std::size_t compared = 0;
  std::vector<std::string> differences;
  // A collection fell between the two reads: what it moves was elsewhere in between.
  bool collected = false;
};
Result<GoComparison> compare(const GoTarget& target, GoWatch& watch);

}  // namespace sonde::testing
