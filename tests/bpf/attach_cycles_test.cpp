// SPDX-License-Identifier: Apache-2.0
// All families' probes on and off in servers under load, as often as is asked for; who runs the
// servers sees whether they suffer (tests/integration/attach_cycles.py). Run by hand.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fmt/format.h>
#include <sstream>
#include <thread>
#include <unordered_set>

#include <gtest/gtest.h>

#include "tests/support/node_fixture.hpp"

#include "agent/bpf/uprobes.hpp"
#include "agent/probes/executable_files.hpp"
#include "agent/probes/probe_planner.hpp"

namespace sonde::testing {
namespace {

using std::chrono::steady_clock;

// Keeps who wants to be told of files; tells nobody by itself.
class Collected final : public Executables {
public:
  explicit Collected(Executables& real) : real_(real) {}

  Result<> prepare(bpf_object* object) override { return real_.prepare(object); }
  bool may_probe_returns() const override { return real_.may_probe_returns(); }
  void add(UprobeUser& user) override
  {
    members.push_back(std::make_shared<UprobeMember>(UprobeMember{&user, members.size()}));
  }
  bool has(std::string_view) const override { return false; }
  void remove(UprobeUser&) override {}
  void libraries_changed() override {}
  void pause(UprobeUser&, std::uint32_t, bool, std::string_view) override {}
  void forked(const ProcessId&, const ProcessId&) override {}
  void executed(const ProcessId&) override {}
  void exited(const ProcessId&) override {}
  void resync() override {}
  std::vector<Explained> explain(std::uint32_t) const override { return {}; }
  std::vector<Count> counts() const override { return {}; }
  std::map<std::string, std::uint64_t> uninstrumented() const override { return {}; }

  std::vector<std::shared_ptr<const UprobeMember>> members;

private:
  Executables& real_;
};

// A family's probes in one file, and the processes that have it.
struct Place {
  UprobeUser* user;
  std::shared_ptr<const FilePlans> plans;
  const ProbePlan* plan;
  std::shared_ptr<const UniqueFd> fd;
  ProbedFile about;
  ProcessId process;
};

class AttachCycles : public ::testing::Test {
protected:
  void SetUp() override
  {
    if (std::getenv("SONDE_CYCLE_PIDS") == nullptr)
      GTEST_SKIP() << "SONDE_CYCLE_PIDS names no servers";
    ASSERT_TRUE(node_.start("socket"));
    collected_.emplace(node_.executables());
    for (const auto* family : families())
      if (family->name == "tls" || family->name == "go_http" || family->name == "go_grpc" ||
          family->name == "rust")
        start(*family);
    std::istringstream pids(std::getenv("SONDE_CYCLE_PIDS"));
    for (std::uint32_t pid = 0; pids >> pid;)
      find(pid);
  }
  void TearDown() override
  {
    if (collected_)
      node_.on_loop([&] { probes_.clear(); });
  }

  void start(const Family& family)
  {
    hosts_.push_back(std::make_unique<Host>(node_.loop(),
                                            node_.services(),
                                            node_.settings(),
                                            node_.maps(),
                                            node_.facts(),
                                            node_.hooks(),
                                            std::uint16_t{200},
                                            &*collected_,
                                            [this] { return node_.connections(); }));
    Result<std::unique_ptr<Probe>> probe;
    node_.on_loop([&] { probe = family.start(*hosts_.back()); });
    ASSERT_TRUE(probe) << family.name << ": " << probe.error().message();
    probes_.push_back(*std::move(probe));
  }

  void find(std::uint32_t pid)
  {
    const auto stat = proc::ProcFs("/proc").stat(pid);
    ASSERT_TRUE(stat) << pid;
    const ProcessId process{pid, stat->start_ticks};
    std::vector<std::pair<OpenFile, bool>> files;
    if (auto program = open_executable("/proc", pid))
      files.emplace_back(*std::move(program), false);
    const auto wanted = [&](std::string_view name) {
      return std::ranges::any_of(collected_->members,
                                 [&](const auto& one) { return one->user->wants_library(name); });
    };
    for (auto& library : open_libraries("/proc", pid, wanted))
      files.emplace_back(std::move(library), true);
    for (const auto& [file, library] : files) {
      if (!seen_.insert(file.key).second)
        continue;
      const auto plans = planner_.plan(file, library, process, collected_->members);
      for (const auto& [member, result] : plans->plans) {
        if (!result || result->sites.empty())
          continue;
        const auto number = static_cast<std::uint32_t>(places_.size());
        places_.push_back({collected_->members.at(member)->user,
                           plans,
                           &*result,
                           file.fd,
                           {number, library, file.path, plans->build_id},
                           process});
        fmt::print("{} of {}: {}, {} sites\n",
                   file.path,
                   pid,
                   places_.back().user->name(),
                   result->sites.size());
      }
    }
  }

  void cycle()
  {
    node_.on_loop([&] {
      for (const auto& place : places_)
        ASSERT_TRUE(place.user->attaching(place.about, *place.plan));
    });
    std::vector<bpf::UprobeLinks> links;
    for (const auto& place : places_) {
      auto some = attach_plan(*bpf::choose_uprobes(), *place.plan, *place.fd, place.about.number);
      ASSERT_TRUE(some) << some.error().message();
      std::ranges::move(*some, std::back_inserter(links));
    }
    node_.on_loop([&] {
      for (const auto& place : places_) {
        place.user->attached(place.about, *place.plan);
        place.user->joined(place.about, place.process);
      }
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    node_.on_loop([&] {
      for (const auto& place : places_)
        place.user->left(place.about, place.process);
    });
    close_links(std::move(links));
    node_.on_loop([&] {
      for (const auto& place : places_)
        place.user->detached(place.about);
    });
  }

  NodeFixture node_;
  std::optional<Collected> collected_;
  std::vector<std::unique_ptr<Host>> hosts_;
  std::vector<std::unique_ptr<Probe>> probes_;
  ProbePlanner planner_;
  std::vector<Place> places_;
  std::unordered_set<FileKey, FileKeyHash> seen_;
};

TEST_F(AttachCycles, LeaveServersUnderLoadAlone)
{
  ASSERT_FALSE(places_.empty());
  const auto* const asked = std::getenv("SONDE_CYCLES");
  const int cycles = asked == nullptr ? 1000 : std::atoi(asked);
  const auto begin = steady_clock::now();
  for (int i = 0; i < cycles && !HasFatalFailure(); ++i)
    cycle();
  fmt::print("{} cycles of {} files and families: {:.1f} ms each\n",
             cycles,
             places_.size(),
             std::chrono::duration<double, std::milli>(steady_clock::now() - begin).count() /
                 cycles);
}

}  // namespace
}  // namespace sonde::testing
