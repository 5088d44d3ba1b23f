// SPDX-License-Identifier: Apache-2.0
// What every family does alike when it loads: choose programs, report hooks, name its maps.
#pragma once

#include <initializer_list>
#include <netinet/in.h>
#include <span>
#include <string_view>
#include <vector>

#include <bpf/libbpf.h>

#include "agent/base/result.hpp"
#include "agent/base/unique_fd.hpp"
#include "agent/bpf/skeleton.hpp"
#include "agent/metrics/bounds.hpp"
#include "agent/probes/probe.hpp"

namespace sonde {

// Registers an object's loaded programs and own maps for sonde_bpf_*; unregisters on destruction,
// which must come before the skeleton's.
class LoadedObject {
public:
  LoadedObject() = default;
  // `lent`: maps that belong to another family's object.
  LoadedObject(Hooks& hooks, bpf_object* object, std::span<const char* const> lent = {});
  LoadedObject(LoadedObject&& other) noexcept;
  LoadedObject& operator=(LoadedObject&& other) noexcept;
  LoadedObject(const LoadedObject&) = delete;
  LoadedObject& operator=(const LoadedObject&) = delete;
  ~LoadedObject();

  // Of a map that does not belong to the object itself.
  void add_map(int fd);

private:
  Hooks* hooks_ = nullptr;
  std::vector<int> fds_;
};

// Attaches a program and reports the hook under its section's name ("tp_btf/sched_switch").
// Nothing when it failed. `note` goes along with success (which fallback is in use).
bpf::Link attach_and_report(Host& host,
                            std::string_view probe,
                            const bpf_program* program,
                            std::string note = {});

// A socket that listens on the loopback, at `address`, to see what a socket gets there; none
// without loopback.
UniqueFd listen_on_loopback(sockaddr_in& address);

// The bounds of a kDurations or kIntegers setting.
Result<metrics::Bounds> duration_bounds(const Settings& settings, std::string_view key);
Result<metrics::Bounds> integer_bounds(const Settings& settings, std::string_view key);

}  // namespace sonde
