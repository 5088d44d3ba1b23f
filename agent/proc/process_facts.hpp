// SPDX-License-Identifier: Apache-2.0
// What the process probe tells the services of: the ring's facts in the agent's own terms. Views
// are valid during the call.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "agent/proc/naming.hpp"

namespace sonde {

// A process across PID reuse: the thread-group id and when its leader started, in ticks of
// /proc/PID/stat, the coarser of the two sources.
struct ProcessId {
  std::uint32_t tgid = 0;
  std::uint64_t start_ticks = 0;

  bool operator==(const ProcessId&) const = default;
};

struct ForkFact {
  ProcessId process;
  ProcessId parent;
  bool kernel_thread = false;
};

struct ExecFact {
  ProcessId process;
  ProcessId parent;
  proc::Traits traits;
  bool script = false;               // argv[0] is the interpreter's, as the #! line says
  bool environment_complete = true;  // otherwise /proc may know of OTEL_SERVICE_NAME
  bool cgroup_complete = true;       // no hierarchy that the kernel's fact does not show
};

struct ExitFact {
  ProcessId process;
  std::uint16_t slot = 0;  // where the kernel saw it
};

// On the event loop's thread, in the ring's order: causal for each process, with holes where facts
// were lost.
class ProcessSink {
public:
  virtual ~ProcessSink() = default;
  virtual void forked(const ForkFact& fact) = 0;
  virtual void executed(const ExecFact& fact) = 0;
  // The slot the process ended in; nothing when this very exit was told before.
  virtual std::optional<std::uint16_t> exited(const ExitFact& fact) = 0;
  // Compares with /proc and repairs: at start, when facts were lost, and now and then.
  virtual void resync() = 0;
};

}  // namespace sonde
