// SPDX-License-Identifier: Apache-2.0
// Attaches one program to many places of one file: by a single uprobe_multi link where the kernel
// has them (6.6), otherwise by a perf event for each place (cookies: 5.15). Either goes away with
// its descriptors, so nothing is left of an agent that is killed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <bpf/libbpf.h>

#include "agent/base/result.hpp"
#include "agent/base/unique_fd.hpp"

namespace sonde::bpf {

// BPF_TRACE_UPROBE_MULTI of <linux/bpf.h>, which Debian 12 has as of 6.1.
inline constexpr auto kTraceUprobeMulti = static_cast<bpf_attach_type>(48);

// A program for such links that does nothing, to try them with; none where there is no such thing.
UniqueFd load_idle_uprobe(const char* name);

enum class UprobeKind : std::uint8_t { kMulti, kPerf };

// The best kind this kernel has; `prefer_perf` passes uprobe_multi by. Fails where neither can tell
// one place from another.
Result<UprobeKind> choose_uprobes(bool prefer_perf = false);

// Makes the object's programs in sections "uprobe.multi…" loadable for this kind. Before load.
Result<> prepare_uprobes(bpf_object* object, UprobeKind kind);

// False where a return probe ends a process whose seccomp filter knows nothing of the system call
// that the kernel's trampoline makes: from ff474a78cef5 (6.11) until cf6cb56ef244 (6.14, and stable
// trees). Tried once, by a child with such a filter. Any thread.
bool return_probes_are_safe();

struct UprobePlace {
  std::uint64_t offset;  // in the file
  std::uint64_t cookie;
};

// One program's probes in one file, attached as long as this lives. Its end waits for programs that
// run just then (10 to 50 ms).
class UprobeLinks {
public:
  UprobeLinks() = default;
  // All places or none. `path` is opened by the kernel at once, so /proc/self/fd/N serves. Any
  // thread.
  static Result<UprobeLinks> attach(UprobeKind kind,
                                    const bpf_program* program,
                                    const std::string& path,
                                    std::span<const UprobePlace> places,
                                    bool at_return);

  bool empty() const { return links_.empty(); }

private:
  struct Destroy {
    void operator()(bpf_link* link) const { bpf_link__destroy(link); }
  };
  std::vector<std::unique_ptr<bpf_link, Destroy>> links_;
};

}  // namespace sonde::bpf
