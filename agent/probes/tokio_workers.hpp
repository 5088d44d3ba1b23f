// SPDX-License-Identifier: Apache-2.0
// How long the workers of tokio runtimes were busy and parked, from what the scheduler counts of
// each thread: no probe. A worker blocks only to park; the time it waits for a CPU is neither.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "agent/proc/process_facts.hpp"

namespace sonde {

// What a thread of a runtime is doing now, from /proc/PID/task/TID/syscall. Threads for blocking
// work have the workers' name; they wait for work with a limit, workers without one.
enum class TokioEvidence : std::uint8_t { kNone, kParked, kDriver, kIdle };
TokioEvidence read_tokio_evidence(std::string_view syscall);

// One process. For one thread at a time.
class TokioWorkers {
public:
  // Time that passed before `since_ticks` is left out.
  TokioWorkers(std::filesystem::path procfs, ProcessId process, std::uint64_t since_ticks)
      : tasks_(procfs / std::to_string(process.tgid) / "task"), since_ticks_(since_ticks)
  {
  }

  struct Time {
    std::uint64_t busy_ns = 0;
    std::uint64_t park_ns = 0;
    std::size_t workers = 0;
  };
  // Since it was asked last.
  Time advance(std::uint64_t boottime_ns);

private:
  // kNew: it may not have its name yet.
  enum class Kind : std::uint8_t { kNew, kOther, kUnknown, kWorker, kBlocking };
  struct Thread {
    Kind kind = Kind::kNew;
    bool certain = false;
    bool seen = false;
    std::uint64_t start_ticks = 0;
    std::uint64_t busy_ns = 0;
    std::uint64_t blocked_ns = 0;
  };

  void meet(const std::filesystem::path& folder, Thread& thread, std::uint64_t boottime_ns);
  void classify(const std::filesystem::path& folder, Thread& thread) const;

  std::filesystem::path tasks_;
  std::uint64_t since_ticks_;
  std::uint64_t first_ticks_ = 0;  // when the first thread of a runtime began
  std::unordered_map<std::uint32_t, Thread> threads_;
};

}  // namespace sonde
