// SPDX-License-Identifier: Apache-2.0
#include "tests/support/kernel.hpp"

#include <cstdlib>
#include <sys/utsname.h>

#include "agent/base/file.hpp"
#include "agent/bpf/features.hpp"

namespace sonde::testing {

bool cpu_has_cmpxchg16b()
{
  const auto info = read_file("/proc/cpuinfo");
  return info && info->contains(" cx16");
}

std::string why_no_tap(std::string_view source)
{
  const auto& kernel = bpf::Features::kernel();
  utsname name{};
  if (::uname(&name) == 0 && std::atoi(name.release) >= 7 && !cpu_has_cmpxchg16b())
    return "this kernel gives a socket no storage on a CPU without cmpxchg16b (7.0)";
  if (source == "tracepoints" || source == "twice")
    return kernel.has_tracepoint("sock_send_length")
               ? ""
               : "this kernel has no tracepoint sock_send_length (6.3)";
  if (!kernel.has_function("bpf_loop"))
    return "this kernel has no bpf_loop (5.17)";
  return kernel.has_fentry() ? "" : "this kernel refuses fentry programs";
}

}  // namespace sonde::testing
