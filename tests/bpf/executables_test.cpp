// SPDX-License-Identifier: Apache-2.0
// The life of uprobes: files, processes, budgets.
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fmt/format.h>
#include <fstream>
#include <sys/mount.h>
#include <sys/wait.h>
#include <thread>

#include <gtest/gtest.h>

#include "tests/bpf/uprobe_fixture.hpp"

namespace sonde::testing {
namespace {

using std::chrono::steady_clock;

double milliseconds_since(steady_clock::time_point begin)
{
  return std::chrono::duration<double, std::milli>(steady_clock::now() - begin).count();
}

struct Way {
  const char* name;
  const char* link;
  bool facts;
};

class Uprobes : public UprobeNode, public ::testing::WithParamInterface<Way> {
protected:
  void begin()
  {
    node_.set("uprobes.link", GetParam().link);
    if (GetParam().facts) {
      ASSERT_TRUE(node_.start("process"));
    }
    counter_.emplace(node_);
  }
  void TearDown() override
  {
    counter_.reset();
    for (const auto& folder : mounts_)
      ::umount2(folder.c_str(), MNT_DETACH);
    UprobeNode::TearDown();
  }
  HitCounter& counter() { return *counter_; }
  std::vector<Executables::Explained> explain(std::uint32_t tgid)
  {
    std::vector<Executables::Explained> out;
    node_.on_loop([&] { out = node_.executables().explain(tgid); });
    return out;
  }

  NodeFixture node_;
  std::optional<HitCounter> counter_;
  std::vector<std::filesystem::path> mounts_;
};

constexpr Way kMulti{"Multi", "auto", true};
constexpr Way kPerf{"Perf", "perf", true};
// /proc alone tells of processes, every two seconds.
constexpr Way kWithoutFacts{"WithoutFacts", "auto", false};

std::string name_of(const ::testing::TestParamInfo<Way>& way)
{
  return way.param.name;
}

class UprobesOfProcesses : public Uprobes {};

INSTANTIATE_TEST_SUITE_P(Ways, Uprobes, ::testing::Values(kMulti, kPerf), name_of);
INSTANTIATE_TEST_SUITE_P(Ways,
                         UprobesOfProcesses,
                         ::testing::Values(kMulti, kPerf, kWithoutFacts),
                         name_of);

TEST_P(UprobesOfProcesses, CountEachCallOfAProcessThatWasThereAndOfOneThatCame)
{
  const auto path = copy("");
  Victim old(path);
  begin();
  ASSERT_TRUE(eventually([&] { return counter().files()[path] == 1; }));
  ASSERT_TRUE(old.call(5000));
  EXPECT_EQ(counter().hits(), 5000U);

  Victim fresh(path);
  ASSERT_TRUE(eventually([&] { return counter().files()[path] == 2; }));
  ASSERT_TRUE(fresh.call(300));
  EXPECT_EQ(counter().hits(), 5300U) << "attached once, not once for each process";

  const auto explained = explain(fresh.tgid());
  ASSERT_EQ(explained.size(), 1U);
  EXPECT_EQ(explained[0].sites, 1U);
  EXPECT_EQ(explained[0].reason, "");
}

TEST_P(Uprobes, AreTakenOffAfterTheLastProcessOnly)
{
  begin();
  const auto path = copy("");
  Victim one(path);
  Victim two(path);
  ASSERT_TRUE(eventually([&] { return counter().files()[path] == 2; }));
  one.stop();
  ASSERT_TRUE(eventually([&] { return counter().files()[path] == 1; }));
  ASSERT_TRUE(two.call(10));
  EXPECT_EQ(counter().hits(), 10U);
  two.stop();
  EXPECT_TRUE(eventually([&] { return counter().files().empty(); }));
}

TEST_P(Uprobes, FollowAFileThatIsDeletedAndItsReplacement)
{
  const auto path = copy("");
  Victim old(path);
  std::filesystem::remove(path);
  copy("");
  Victim fresh(path);
  begin();
  ASSERT_TRUE(eventually([&] {
    return explain(old.tgid()).size() == 1 && explain(old.tgid())[0].sites == 1 &&
           explain(fresh.tgid()).size() == 1 && explain(fresh.tgid())[0].sites == 1;
  }));
  ASSERT_TRUE(old.call(20));
  ASSERT_TRUE(fresh.call(3));
  EXPECT_EQ(counter().hits(), 23U);
  EXPECT_EQ(counter().plans, 1) << "the second file is of the same build";
}

TEST_P(Uprobes, StayForAChildThatOutlivesItsParent)
{
  begin();
  const auto path = copy("");
  Victim victim(path, {"fork"});
  siginfo_t ended{};
  ASSERT_EQ(::waitid(P_PID, victim.tgid(), &ended, WEXITED | WNOWAIT), 0);
  ASSERT_TRUE(eventually([&] { return counter().files()[path] == 1; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  ASSERT_TRUE(victim.call(11));
  EXPECT_EQ(counter().hits(), 11U);
  victim.stop();
  EXPECT_TRUE(eventually([&] { return counter().files().empty(); }));
}

// As containers of one image do.
TEST_P(Uprobes, OfAFileInTwoOverlaysAreHitOnce)
{
  for (const auto* name : {"lower", "empty"})
    std::filesystem::create_directories(folder_ / name);
  std::filesystem::rename(copy(""), folder_ / "lower" / HitCounter::kTarget);
  std::vector<std::string> paths;
  for (const auto* name : {"one", "two"}) {
    const auto folder = folder_ / name;
    std::filesystem::create_directories(folder);
    const auto options = fmt::format("lowerdir={0}/lower:{0}/empty", folder_.native());
    if (::mount("overlay", folder.c_str(), "overlay", MS_RDONLY, options.c_str()) != 0)
      GTEST_SKIP() << "no overlays here: " << std::strerror(errno);
    mounts_.push_back(folder);
    paths.push_back(folder / HitCounter::kTarget);
  }
  begin();
  Victim one(paths[0]);
  Victim two(paths[1]);
  ASSERT_TRUE(eventually([&] {
    const auto files = counter().files();
    return files.size() == 1 && files.begin()->second == 2;
  }));
  ASSERT_TRUE(one.call(100));
  ASSERT_TRUE(two.call(20));
  EXPECT_EQ(counter().hits(), 120U);
}

TEST_P(Uprobes, LeaveAFileAloneThatIsExcludedAndSayWhyOneIsRefused)
{
  node_.set("uprobes.exclude", "uprobe_target_excluded");
  begin();
  Victim excluded(copy("_excluded"));
  const auto stripped = copy("_stripped");
  ASSERT_EQ(std::system(fmt::format("strip {}", stripped).c_str()), 0);
  Victim refused(stripped);
  ASSERT_TRUE(eventually([&] { return explain(refused.tgid()).size() == 1; }));
  EXPECT_EQ(explain(refused.tgid())[0].reason, "no_symbols");
  EXPECT_TRUE(eventually([&] { return node_.executables().uninstrumented()["no_symbols"] == 1; }));
  EXPECT_TRUE(explain(excluded.tgid()).empty());
  EXPECT_TRUE(counter().files().empty());
}

TEST_P(Uprobes, GoForAWhileWhenTheyAreHitTooOften)
{
  node_.set("uprobes.max-hits", "1000");
  node_.set("uprobes.rest", "1500ms");
  begin();
  const auto path = copy("");
  Victim victim(path);
  ASSERT_TRUE(eventually([&] { return counter().files()[path] == 1; }));
  ASSERT_TRUE(eventually([&] {
    EXPECT_TRUE(victim.call(4000));
    return counter().files().empty();
  }));
  const auto explained = explain(victim.tgid());
  ASSERT_EQ(explained.size(), 1U);
  EXPECT_EQ(explained[0].reason, "over_budget");
  EXPECT_EQ(node_.executables().counts()[0].over_budget, 1U);
  ASSERT_TRUE(eventually([&] { return counter().files()[path] == 1; }));
  const auto before = counter().hits();
  ASSERT_TRUE(victim.call(7));
  EXPECT_EQ(counter().hits(), before + 7);
}

TEST_P(Uprobes, SurviveAThousandAttachmentsUnderLoad)
{
  begin();
  const auto path = copy("");
  Victim victim(path);
  std::atomic<bool> stop = false;
  std::thread load([&] {
    while (!stop)
      EXPECT_TRUE(victim.call(64));
  });
  // Each detachment waits for the kernel's grace periods: 50 ms.
  const auto cycles = std::getenv("SONDE_LONG_TESTS") != nullptr ? 1000 : 20;
  for (int i = 0; i < cycles; ++i) {
    ASSERT_TRUE(eventually([&] { return counter().files()[path] == 1; })) << i;
    counter_.reset();
    counter_.emplace(node_);
  }
  stop = true;
  load.join();
  EXPECT_EQ(victim.stop(), 0);
}

// The figures in agent/probes/README.md.
TEST_P(Uprobes, OfAHundredFilesAreOnAndOffInTime)
{
  begin();
  if (GetParam().link == std::string_view("perf") ||
      *bpf::choose_uprobes() == bpf::UprobeKind::kPerf)
    GTEST_SKIP() << "the kernel takes perf events off one by one, 90 ms each on 6.18";
  std::vector<std::string> paths;
  for (int i = 0; i < 100; ++i)
    paths.push_back(copy(fmt::format("_{}", i)));
  std::vector<Victim> victims;
  const auto born = steady_clock::now();
  for (const auto& path : paths)
    victims.emplace_back(path);
  const auto all_born = milliseconds_since(born);
  ASSERT_TRUE(eventually([&] { return counter().files().size() == 100; }));
  const auto attached = milliseconds_since(born);
  for (auto& victim : victims)
    ASSERT_TRUE(victim.call(10));
  EXPECT_EQ(counter().hits(), 1000U);
  EXPECT_EQ(counter().plans, 1);
  for (auto& victim : victims)
    victim.stop();
  const auto dead = steady_clock::now();
  ASSERT_TRUE(eventually([&] { return counter().files().empty(); }));
  fmt::print("100 files: born in {:.0f} ms, attached after {:.0f} ms, detached {:.0f} ms after the "
             "last process\n",
             all_born,
             attached,
             milliseconds_since(dead));
}

TEST_P(Uprobes, OfAHundredProcessesAreOnInTime)
{
  const auto path = copy("");
  std::vector<Victim> victims;
  for (int i = 0; i < 100; ++i)
    victims.emplace_back(path);
  const auto started = steady_clock::now();
  begin();
  ASSERT_TRUE(eventually([&] { return counter().files()[path] == 100; }));
  fmt::print("100 processes of one file: attached {:.0f} ms after the family's start began\n",
             milliseconds_since(started));
  for (auto& victim : victims)
    ASSERT_TRUE(victim.call(10));
  EXPECT_EQ(counter().hits(), 1000U);
}

// On a kernel where they are not, programs with a filter of their system calls would be killed.
TEST(ReturnProbes, AreSafeOnTheKernelsThatSondeIsTestedOn)
{
  EXPECT_TRUE(bpf::return_probes_are_safe());
}

// The byte that a process has where the file has it at this offset.
int byte_at(std::uint32_t tgid, const std::string& path, std::uint64_t offset)
{
  std::ifstream maps(fmt::format("/proc/{}/maps", tgid));
  for (std::string line; std::getline(maps, line);) {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    std::uint64_t from = 0;
    std::array<char, 8> mode{};
    if (!line.ends_with(path) ||
        std::sscanf(line.c_str(), "%lx-%lx %7s %lx", &begin, &end, mode.data(), &from) != 4 ||
        mode[2] != 'x' || offset < from || offset >= from + (end - begin))
      continue;
    std::ifstream memory(fmt::format("/proc/{}/mem", tgid), std::ios::binary);
    memory.seekg(static_cast<std::streamoff>(begin + offset - from));
    return memory.get();
  }
  return -1;
}

class KilledAgent : public UprobeNode, public ::testing::WithParamInterface<bool> {};

INSTANTIATE_TEST_SUITE_P(Ways, KilledAgent, ::testing::Bool(), [](const auto& perf) {
  return perf.param ? "Perf" : "Multi";
});

TEST_P(KilledAgent, LeavesNothing)
{
  constexpr int kBreakpoint = 0xcc;
  const auto path = copy("");
  Victim victim(path);
  ASSERT_TRUE(victim.call());
  std::uint64_t offset = 0;
  auto elf = *elf::ElfFile::open(path);
  elf.for_each_symbol([&](const elf::Symbol& symbol) {
    if (symbol.name == "hit")
      offset = *elf.offset_of(symbol.address);
    return offset == 0;
  });
  const auto agent = ::fork();
  if (agent == 0) {
    auto skeleton = *bpf::Skeleton<rust_bpf>::open();
    const auto kind = *bpf::choose_uprobes(GetParam());
    const bpf::UprobePlace place{offset, 0};
    std::optional<Result<bpf::UprobeLinks>> links;
    if (bpf::prepare_uprobes(skeleton->obj, kind) && skeleton.load())
      links = bpf::UprobeLinks::attach(kind, skeleton->progs.go_panic, path, {&place, 1}, false);
    while (links && *links)
      ::pause();
    ::_exit(1);
  }
  const auto probed = [&] { return byte_at(victim.tgid(), path, offset) == kBreakpoint; };
  EXPECT_TRUE(eventually(probed));
  ::kill(agent, SIGKILL);
  ASSERT_EQ(::waitpid(agent, nullptr, 0), agent);
  EXPECT_TRUE(eventually([&] { return !probed(); }));
  EXPECT_TRUE(victim.call(100));
}

}  // namespace
}  // namespace sonde::testing
