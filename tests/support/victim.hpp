// SPDX-License-Identifier: Apache-2.0
// A process of tests/bpf/programs/uprobe_target.c, or of any program that answers each byte it
// reads with one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <sys/types.h>
#include <vector>

#include "agent/base/unique_fd.hpp"

namespace sonde::testing {

class Victim {
public:
  // Runs the file; a failure ends the test's process.
  explicit Victim(const std::string& path, const std::vector<std::string>& arguments = {});
  Victim(Victim&& other) noexcept;
  Victim& operator=(Victim&&) = delete;
  ~Victim() { stop(); }

  std::uint32_t tgid() const { return static_cast<std::uint32_t>(pid_); }
  // Sends `bytes` and waits for as many; false when the process has ended.
  bool call(std::size_t bytes = 1);
  // Ends its input and waits; the status of wait(2).
  int stop();

private:
  pid_t pid_ = -1;
  UniqueFd to_;
  UniqueFd from_;
};

}  // namespace sonde::testing
