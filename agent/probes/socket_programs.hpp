// SPDX-License-Identifier: Apache-2.0
// Which of the socket tap's programs this kernel can run, and which of them are wanted.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.hpp"
#include "agent/base/unique_fd.hpp"

struct socket_bpf;

namespace sonde::socket {

enum class Source : std::uint8_t { kTracepoints, kTwice, kFunctions };

std::string_view describe(Source source);

// `wanted`: auto, tracepoints, twice (tracepoints with two programs each) or functions.
Result<Source> choose_source(const std::string& wanted);

void choose_programs(socket_bpf& object, Source source);

// The rings of the CPUs, which together have about `bytes`. The maps are made at load: before it
// `prepare`, after it `create`.
class Rings {
public:
  static void prepare(socket_bpf& object, unsigned cpus, std::uint64_t bytes);
  static Result<Rings> create(socket_bpf& object);

  // One a CPU.
  std::span<const int> fds() const { return fds_; }

private:
  std::vector<UniqueFd> rings_;
  std::vector<int> fds_;
};

}  // namespace sonde::socket
