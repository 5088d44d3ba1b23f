// SPDX-License-Identifier: Apache-2.0
// The Executables of a running agent: processes and their files on the loop's thread, plans and
// attachments on one worker, detachments on another.
#pragma once

#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "agent/base/worker.hpp"
#include "agent/bpf/mapped.hpp"
#include "agent/bpf/uprobes.hpp"
#include "agent/probes/executable_files.hpp"
#include "agent/probes/executables.hpp"
#include "agent/probes/hooks.hpp"
#include "agent/probes/probe_planner.hpp"

namespace sonde {

class LiveExecutables final : public Executables {
public:
  struct Limits {
    std::uint64_t hits_per_second = 0;  // of one file; 0: none
    std::chrono::nanoseconds rest{};
    std::vector<std::string> exclude;
  };

  LiveExecutables(EventLoop& loop,
                  Hooks& hooks,
                  std::filesystem::path procfs,
                  Result<bpf::UprobeKind> kind,
                  Limits limits);
  ~LiveExecutables() override;
  Result<> start(unsigned cpus);

  Result<> prepare(bpf_object* object) override;
  bool may_probe_returns() const override;
  void add(UprobeUser& user) override;
  bool has(std::string_view user) const override;
  void remove(UprobeUser& user) override;
  void libraries_changed() override { looked_ns_ = 0; }
  void pause(UprobeUser& user, std::uint32_t file, bool paused, std::string_view why) override;
  void forked(const ProcessId& process, const ProcessId& parent) override;
  void executed(const ProcessId& process) override;
  void exited(const ProcessId& process) override;
  void resync() override;
  std::vector<Explained> explain(std::uint32_t tgid) const override;
  std::vector<Count> counts() const override;
  std::map<std::string, std::uint64_t> uninstrumented() const override;

private:
  static constexpr std::string_view kHook = "uprobe";
  // A file that is used again within this time keeps its probes.
  static constexpr std::uint64_t kLingerNs = 200'000'000;

  using Members = std::vector<std::shared_ptr<const UprobeMember>>;

  enum class State : std::uint8_t {
    kRefused,
    kPlanned,
    kAttaching,
    kAttached,
    kDetaching,
    kResting
  };

  // One family's probes in one file.
  struct Use {
    std::shared_ptr<const UprobeMember> member;
    State state = State::kRefused;
    Refusal refusal;
    std::shared_ptr<const FilePlans> plans;  // what keeps `plan` alive
    const ProbePlan* plan = nullptr;
    std::vector<bpf::UprobeLinks> links;
    std::uint64_t rests_until_ns = 0;
    bool paused = false;  // by its user
    std::string why_paused;
  };

  struct File {
    FileKey key;
    ProbedFile about;
    bool numbered = false;
    bool busy = false;                                           // the worker has it
    std::unordered_map<std::uint32_t, std::uint64_t> processes;  // tgid, start
    std::vector<Use> uses;
    std::uint64_t deserted_ns = 0;
    std::uint64_t hits = 0;  // at the last look
  };

  struct Running {
    std::uint64_t start_ticks = 0;
    FileKey executable;
    std::vector<FileKey> files;  // of those that are followed
  };

  struct Look {
    std::uint64_t due_ns;
    ProcessId process;
    std::size_t step;
  };

  struct Attached {
    std::uint64_t member;
    Result<std::vector<bpf::UprobeLinks>> links;
  };

  // Processes (live_processes.cpp).
  void run(const ProcessId& process, const OpenFile& executable);
  void use_file(const ProcessId& process, const OpenFile& open, bool library);
  void join(File& file, const ProcessId& process, Running& running);
  void leave(std::uint32_t tgid, Running& running);
  void look_later(const ProcessId& process, std::size_t step);
  void arm_look();
  void look();
  void look_into(std::vector<ProcessId> processes);
  void found(const ProcessId& process, const std::vector<OpenFile>& libraries);
  bool wants_libraries() const;
  bool excluded(const std::string& path) const;

  // Files (live_executables.cpp).
  void consider(File& file);
  bool take_off_paused(File& file);
  void take_off(File& file, Use& use, std::vector<bpf::UprobeLinks>& links);
  std::optional<OpenFile> reopen(const File& file) const;
  void ask(File& file, const Members& members, OpenFile open);
  void planned(const FileKey& key, const std::shared_ptr<const FilePlans>& plans);
  void attach(File& file, const OpenFile& open);
  Result<std::vector<bpf::UprobeLinks>>
  attach_sites(const ProbePlan& plan, const UniqueFd& file, std::uint32_t number) const;
  void attached(const FileKey& key, std::vector<Attached> results);
  bool number(File& file);
  void detach(const std::vector<FileKey>& keys, std::uint64_t rest_until_ns);
  void detached(const std::vector<FileKey>& keys, std::uint64_t rest_until_ns);
  void forget(File& file);
  void arm_sweep(std::uint64_t delay_ns);
  void sweep();
  void tick();
  void count_uninstrumented();
  void watch_budget(std::uint64_t now_ns);
  std::uint64_t hits_of(const File& file) const;
  Members asked_about(bool library, std::string_view path) const;
  // Runs on the loop's thread while this exists.
  void post(std::function<void()> work);
  void count(std::string_view family, const std::function<void(Count&)>& change);

  EventLoop& loop_;
  Hooks& hooks_;
  std::filesystem::path procfs_;
  Result<bpf::UprobeKind> kind_;
  Limits limits_;
  UniqueFd hits_map_;
  bpf::Rows<sonde_uprobe_hits> hits_;
  FileKey own_;
  Members members_;
  std::uint64_t serials_ = 0;
  std::unordered_map<std::uint32_t, Running> processes_;
  std::unordered_map<FileKey, File, FileKeyHash> files_;
  // What was refused by all, so that the next run of a short program costs no look into it.
  std::unordered_map<FileKey, std::shared_ptr<const FilePlans>, FileKeyHash> remembered_;
  std::vector<std::uint32_t> free_numbers_;
  std::vector<File*> numbered_;  // by their numbers; of a free number none
  std::vector<Look> looks_;
  std::uint64_t looks_due_ns_ = 0;
  std::uint64_t looked_ns_ = 0;  // at the libraries of all
  bool told_ = false;            // of processes, by facts
  std::uint64_t compared_ns_ = 0;
  std::uint64_t ticked_ns_ = 0;
  bool sweeping_ = false;  // the timer is armed
  EventLoop::Timer sweep_;
  EventLoop::Timer tick_;
  EventLoop::Timer look_;

  mutable std::mutex counts_mutex_;
  std::vector<Count> counts_;
  std::map<std::string, std::uint64_t> uninstrumented_;

  // Shared with what was posted to the loop: gone when this is.
  std::shared_ptr<LiveExecutables*> self_;
  // Shared by the threads that are within a family's code or use its programs, and held alone by
  // remove() when it takes the family out.
  std::shared_mutex gate_;
  ProbePlanner planner_;  // the worker's, and remove()'s
  Worker worker_;         // reads files
  Worker attacher_;       // need not wait until they are read
  Worker closer_;
};

}  // namespace sonde
