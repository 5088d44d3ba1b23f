// SPDX-License-Identifier: Apache-2.0
// Any bytes as /proc/PID/cgroup.
#include <cstddef>
#include <cstdint>

#include "agent/proc/inspect.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto cgroup = sonde::proc::parse_cgroup_file(text);
  if (cgroup.short_container().size() > size)
    __builtin_trap();
  (void)sonde::proc::cgroup_paths(text);
  return 0;
}
