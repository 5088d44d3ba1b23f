// SPDX-License-Identifier: Apache-2.0
// A control group with a limit of memory, in whichever version of control groups has the memory
// controller here. Beyond its limit the kernel ends a process for lack of memory.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "agent/base/result.hpp"

namespace sonde::testing {

class MemoryCgroup {
public:
  // Fails with what is missing where no memory controller can be had.
  static Result<std::unique_ptr<MemoryCgroup>> create(std::uint64_t limit_bytes);
  // All processes in it must be gone.
  ~MemoryCgroup();
  MemoryCgroup(const MemoryCgroup&) = delete;
  MemoryCgroup& operator=(const MemoryCgroup&) = delete;

  // The calling process joins; safe between fork and exec.
  bool join() const;
  // Processes of the group that the kernel ended for lack of memory, as it counts them itself.
  std::uint64_t kills() const;

private:
  MemoryCgroup() = default;

  Result<> mount();
  Result<> make_group(std::uint64_t limit_bytes);

  bool unified_ = true;
  bool mounted_ = false;
  bool gave_ = false;  // the controller to the root's groups, who did not have it
  std::string root_;   // a mount of its own: nobody else's is needed or changed
  std::string group_;  // empty until it is made
};

}  // namespace sonde::testing
