// SPDX-License-Identifier: Apache-2.0
// The clocks Sonde reads, in nanoseconds.
#pragma once

#include <cstdint>
#include <ctime>

namespace sonde {

inline std::uint64_t read_clock_ns(clockid_t clock)
{
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U +
         static_cast<std::uint64_t>(now.tv_nsec);
}

// The clock of bpf_ktime_get_ns(): stops in suspend.
inline std::uint64_t monotonic_ns()
{
  return read_clock_ns(CLOCK_MONOTONIC);
}
// The clock of task_struct::start_boottime and of field 22 of /proc/PID/stat.
inline std::uint64_t boottime_ns()
{
  return read_clock_ns(CLOCK_BOOTTIME);
}
inline std::uint64_t wall_ns()
{
  return read_clock_ns(CLOCK_REALTIME);
}

// Dividing rounds once; multiplying by 1e-9 prints 0.18303919600000002.
constexpr double seconds(std::uint64_t ns)
{
  return static_cast<double>(ns) / 1e9;
}

}  // namespace sonde
