// SPDX-License-Identifier: Apache-2.0
// The services of this node: processes found in /proc and by facts, named, and put into slots.
// Changes on the event loop's thread; read by any.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <unordered_set>
#include <vector>

#include "agent/base/event_loop.hpp"
#include "agent/base/settings.hpp"
#include "agent/proc/inspect.hpp"
#include "agent/proc/process_facts.hpp"
#include "agent/proc/process_table.hpp"
#include "agent/proc/procfs.hpp"
#include "agent/proc/service_slots.hpp"
#include "agent/proc/services.hpp"
#include "agent/proc/slot_memory.hpp"

namespace sonde {

// What a service table counts about itself.
struct ServiceCounts {
  std::uint64_t folded = 0;    // processes whose service found no free slot: they are in `other`
  std::uint64_t repaired = 0;  // processes that only a comparison with /proc found, or found gone
  std::size_t processes = 0;
};

class DiscoveredServices : public Services, public ProcessSink {
public:
  using Clock = std::function<std::uint64_t()>;

  // Finds the processes that run now. `memory` must outlive it; `self` is the agent's own process.
  static Result<std::unique_ptr<DiscoveredServices>> create(const Settings& settings,
                                                            proc::ProcFs procfs,
                                                            std::unique_ptr<SlotMemory> memory,
                                                            std::uint32_t self,
                                                            Clock now);

  // Expiry and comparison with /proc, from now on by timers of the loop.
  Result<> keep_up(EventLoop& loop);
  // What the timers do: expires services and, where `compare`, resyncs.
  void tick(bool compare);

  // New rules, limits and expected services. On an error everything stays as it was.
  Result<> apply(const Settings& settings);

  std::shared_ptr<const ServiceTable> table() const override;
  std::uint16_t slot_of(std::uint32_t tgid) const override { return memory_->slot(tgid); }
  void now_listening(std::uint32_t tgid) override;
  void add_observer(SlotObserver& observer) override { observers_.push_back(&observer); }
  void remove_observer(SlotObserver& observer) override { std::erase(observers_, &observer); }
  ProcessSink* processes() override { return this; }

  void forked(const ForkFact& fact) override;
  void executed(const ExecFact& fact) override;
  std::optional<std::uint16_t> exited(const ExitFact& fact) override;
  void resync() override;

  // Any thread.
  ServiceCounts counts() const;
  // The processes that are in the slot now, sorted.
  std::vector<std::uint32_t> processes_in(std::uint16_t slot) const;
  // Words for what gave the process the name of its service; empty where nothing did.
  std::string_view named_by(std::uint32_t tgid, std::string_view name) const;

private:
  struct Policy {
    proc::NamingRules rules;
    std::unordered_set<std::string> ignored;
    std::vector<std::string> expected;
    ServiceSlots::Limits limits;
    std::chrono::nanoseconds resync{};
  };

  DiscoveredServices(proc::ProcFs procfs,
                     std::unique_ptr<SlotMemory> memory,
                     std::uint32_t self,
                     Clock now)
      : procfs_(std::move(procfs)), memory_(std::move(memory)), self_(self), now_(std::move(now))
  {
  }

  static Result<Policy> read_policy(const Settings& settings);
  void adopt_policy(Policy policy);

  // All below with the lock held.
  Process* learn(const ProcessId& id);
  void forget(const Process& process);
  std::uint16_t slot_named(std::string name, bool& folded);
  void put(std::uint32_t tgid, Process& process, std::uint16_t slot);
  void name_process(std::uint32_t tgid, Process& process, const std::string& name);
  void name_from_proc(std::uint32_t tgid,
                      Process& process,
                      const std::string& comm,
                      const std::unordered_set<std::uint64_t>& listening);
  std::string fill_from_proc(const ExecFact& fact, proc::Traits& traits) const;
  void compare_with_proc();
  void connect(const std::vector<std::uint32_t>& fresh);
  void drop_missing();
  void adopt_orphans();

  proc::ProcFs procfs_;
  std::unique_ptr<SlotMemory> memory_;
  std::uint32_t self_;
  Clock now_;
  Policy policy_;
  std::vector<SlotObserver*> observers_;

  mutable std::mutex mutex_;
  ProcessTable processes_;
  ServiceSlots slots_;
  ServiceCounts counts_;
  mutable bool changed_ = true;  // since the snapshot was made
  mutable std::shared_ptr<const ServiceTable> snapshot_;

  EventLoop::Timer tick_;
  std::uint64_t compared_ns_ = 0;
};

// The settings it reads.
std::span<const Setting> service_settings();

namespace bpf {
class SharedMaps;
}

// As the agent runs it: slots in the shared maps, timers on the loop.
Result<std::unique_ptr<DiscoveredServices>> discover_services(const Settings& settings,
                                                              const std::filesystem::path& procfs,
                                                              bpf::SharedMaps& maps,
                                                              EventLoop& loop);

}  // namespace sonde
