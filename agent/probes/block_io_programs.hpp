// SPDX-License-Identifier: Apache-2.0
// Which of the block_io programs this kernel gets, and what it must be told of this kernel.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "agent/base/result.hpp"
#include "agent/base/settings.hpp"
#include "agent/bpf/features.hpp"

struct block_io_bpf;

namespace sonde::block_io {

struct Choice {
  bool by_start = true;     // submitters by block_io_start
  bool from_issue = false;  // latency from block_rq_issue
  bool alone = false;       // the kernel runs no tracepoint program within itself
  bool preempted = false;   // tracepoint programs may be preempted: attached twice (7.0)
  // request::rq_flags
  std::uint32_t flag_io_stat = 1U << 13;
  std::uint32_t flag_flush_sequence = 1U << 4;
};

// Fails when the settings ask for what the kernel does not have.
Result<Choice> choose(const Settings& settings, const bpf::Features& kernel);

// The second program of a hook, silent unless it cannot be attached.
bool is_second(std::string_view program);

// Leaves out the programs that are not needed. Before load.
void select_programs(block_io_bpf& object, const Choice& choice, const bpf::Features& kernel);

// In words, for the reports of hooks.
std::string describe_completion(const Choice& choice);
std::string describe_submission(const Choice& choice);

}  // namespace sonde::block_io
