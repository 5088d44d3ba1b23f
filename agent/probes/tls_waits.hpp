// SPDX-License-Identifier: Apache-2.0
// Threads that wait within a library's read when its probes come: the end of that call comes to no
// return probe, so it is looked for elsewhere, as long as such a thread waits.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string_view>

#include "sonde/tls.h"
#include "tls.skel.h"

#include "agent/base/event_loop.hpp"
#include "agent/probes/executables.hpp"
#include "agent/probes/probe.hpp"

namespace sonde::tls {

// Which processes' threads the programs know from their first socket on. Several reasons may keep
// one among them.
class KnownProcesses {
public:
  explicit KnownProcesses(tls_bpf& object) : object_(object) {}
  void add(std::uint32_t tgid);
  void remove(std::uint32_t tgid);

private:
  tls_bpf& object_;
  std::map<std::uint32_t, unsigned> reasons_;
};

// By its file name: OpenSSL or one of its kin.
bool is_openssl(std::string_view library);

// The descriptor that a thread waits to read from, by its /proc/PID/task/TID/syscall.
std::optional<std::uint64_t> descriptor_waited_for(std::string_view syscall);

class Waits final : public UprobeUser {
public:
  Waits(Host& host, tls_bpf& object, KnownProcesses& processes)
      : host_(host), object_(object), processes_(processes)
  {
  }
  ~Waits() override;

  Result<> start();
  // Reads whose bytes were not to be had. Any thread.
  std::uint64_t lost() const;

private:
  using Threads = std::set<std::uint32_t>;
  struct File {
    std::uint64_t since_ns = 0;
    std::map<std::uint32_t, Threads> processes;  // by their tgid
  };

  std::string_view name() const override { return "tls"; }
  bool wants_libraries() const override { return true; }
  bool wants_library(std::string_view library) const override;
  PlanResult plan(Subject& subject) override;
  void attached(const ProbedFile& file, const ProbePlan& plan) override;
  void joined(const ProbedFile& file, const ProcessId& process) override;
  void left(const ProbedFile& file, const ProcessId& process) override;
  void detached(const ProbedFile& file) override;

  Threads waiting_threads(std::uint32_t tgid);
  void settle();
  void forget(std::uint32_t tgid, const Threads& threads);
  Threads still_waiting(std::uint32_t tgid, const Threads& threads) const;

  Host host_;
  tls_bpf& object_;
  KnownProcesses& processes_;
  std::map<std::uint32_t, File> files_;  // by their numbers
  EventLoop::Timer tick_;
  std::atomic<std::uint64_t> given_up_ = 0;
  bool added_ = false;
};

}  // namespace sonde::tls
