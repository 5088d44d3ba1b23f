// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <sys/resource.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/app/check_node.hpp"

namespace sonde::app {
namespace {

using ::testing::HasSubstr;

// procfs and sysfs of a made-up node.
class CheckNode : public ::testing::Test {
protected:
  CheckNode()
      : root_(std::filesystem::temp_directory_path() / fmt::format("sonde_check_{}", ::getpid()))
  {
    std::filesystem::remove_all(root_);
    node_.paths.procfs = root_ / "proc";
    node_.paths.sysfs = root_ / "sys";
    node_.release = "6.12.1-amd64";
    node_.machine = "x86_64";
    node_.memlock_bytes = 65536;
    proc("self/uid_map", "         0          0 4294967295\n");
    capabilities("000001ffffffffff");
  }
  ~CheckNode() override { std::filesystem::remove_all(root_); }

  void proc(std::string_view name, std::string_view text) { write(root_ / "proc" / name, text); }
  void sys(std::string_view name, std::string_view text) { write(root_ / "sys" / name, text); }
  void capabilities(std::string_view hex)
  {
    proc("self/status", fmt::format("Name:\tsonde\nCapPrm:\t0\nCapEff:\t{}\n", hex));
  }
  Finding sysctl(std::string_view name)
  {
    for (auto& finding : check_sysctls(node_))
      if (finding.name == name)
        return finding;
    return {};
  }
  Finding privilege(std::string_view name)
  {
    for (auto& finding : check_privileges(node_))
      if (finding.name == name)
        return finding;
    return {};
  }

  Node node_;
  std::filesystem::path root_;

private:
  static void write(const std::filesystem::path& path, std::string_view text)
  {
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
};

TEST_F(CheckNode, KernelsFrom510AreGood)
{
  EXPECT_EQ(check_kernel(node_).verdict, Verdict::kPass);
  node_.release = "5.10.0-30-amd64";
  EXPECT_EQ(check_kernel(node_).verdict, Verdict::kPass);
  for (const auto* old : {"5.9.16", "4.19.0-26-amd64", "nonsense", ""}) {
    node_.release = old;
    EXPECT_EQ(check_kernel(node_).verdict, Verdict::kFail) << old;
  }
  node_.release = "7.2+deb14-amd64";
  EXPECT_EQ(check_kernel(node_).verdict, Verdict::kPass);
  node_.machine = "riscv64";
  EXPECT_EQ(check_kernel(node_).verdict, Verdict::kFail);
}

TEST_F(CheckNode, WithoutTypesOnlyCollectorsWork)
{
  EXPECT_EQ(check_types(node_).verdict, Verdict::kWarn);
  EXPECT_THAT(check_types(node_).remedy, HasSubstr("CONFIG_DEBUG_INFO_BTF"));
  sys("kernel/btf/vmlinux", "");
  EXPECT_EQ(check_types(node_).verdict, Verdict::kPass);
}

TEST_F(CheckNode, OnlyConfidentialityLocksProgramsOut)
{
  EXPECT_EQ(check_lockdown(node_).verdict, Verdict::kPass);
  sys("kernel/security/lockdown", "none [integrity] confidentiality\n");
  EXPECT_EQ(check_lockdown(node_).verdict, Verdict::kPass);
  EXPECT_EQ(check_lockdown(node_).what, "integrity");
  sys("kernel/security/lockdown", "none integrity [confidentiality]\n");
  EXPECT_EQ(check_lockdown(node_).verdict, Verdict::kWarn);
}

TEST_F(CheckNode, EachMissingCapabilitySaysWhatIsLost)
{
  for (const auto& finding : check_privileges(node_))
    EXPECT_EQ(finding.verdict, Verdict::kPass) << finding.name;
  capabilities("0000000000000000");
  for (const auto* name :
       {"BPF", "PERFMON", "SYS_PTRACE", "DAC_READ_SEARCH", "CHECKPOINT_RESTORE", "SYSLOG"}) {
    const auto finding = privilege(fmt::format("capability {}", name));
    EXPECT_EQ(finding.verdict, Verdict::kWarn) << name;
    EXPECT_THAT(finding.what, HasSubstr("missing: "));
    EXPECT_FALSE(finding.remedy.empty());
  }
}

TEST_F(CheckNode, TheSixCapabilitiesAreEnough)
{
  const auto six = 1ULL << 39 | 1ULL << 38 | 1ULL << 19 | 1ULL << 2 | 1ULL << 40 | 1ULL << 34;
  capabilities(fmt::format("{:016x}", six));
  for (const auto& finding : check_privileges(node_))
    EXPECT_EQ(finding.verdict, Verdict::kPass) << finding.name;
}

TEST_F(CheckNode, SysAdminStandsForTheFinerCapabilities)
{
  capabilities(fmt::format("{:016x}", 1ULL << 21));
  EXPECT_EQ(privilege("capability BPF").what, "covered by SYS_ADMIN");
  EXPECT_EQ(privilege("capability SYS_PTRACE").verdict, Verdict::kWarn);
}

TEST_F(CheckNode, CapabilitiesOfAUserNamespaceDoNotCount)
{
  proc("self/uid_map", "0 1000 1\n");
  EXPECT_EQ(privilege("user namespace").verdict, Verdict::kWarn);
}

TEST_F(CheckNode, LockedMemoryMattersBefore511)
{
  EXPECT_EQ(check_memlock(node_).verdict, Verdict::kPass);
  node_.release = "5.10.0";
  EXPECT_EQ(check_memlock(node_).verdict, Verdict::kPass);  // may be raised
  capabilities("0000000000000000");
  EXPECT_EQ(check_memlock(node_).verdict, Verdict::kWarn);
  node_.memlock_bytes = RLIM_INFINITY;
  EXPECT_EQ(check_memlock(node_).verdict, Verdict::kPass);
}

TEST_F(CheckNode, TheModeOfCgroupsIsNamed)
{
  EXPECT_EQ(check_cgroups(node_).verdict, Verdict::kWarn);
  sys("fs/cgroup/memory/tasks", "");
  EXPECT_EQ(check_cgroups(node_).what, "v1");
  sys("fs/cgroup/unified/cgroup.controllers", "");
  EXPECT_THAT(check_cgroups(node_).what, HasSubstr("hybrid"));
  sys("fs/cgroup/cgroup.controllers", "cpu io");
  EXPECT_EQ(check_cgroups(node_).what, "v2");
}

TEST_F(CheckNode, AContainersPidNamespaceIsAWarning)
{
  EXPECT_EQ(check_pid_namespace(node_).verdict, Verdict::kWarn);
  const auto link = root_ / "proc/self/ns/pid";
  std::filesystem::create_directories(link.parent_path());
  std::filesystem::create_symlink("pid:[4026531836]", link);
  EXPECT_EQ(check_pid_namespace(node_).verdict, Verdict::kPass);
  std::filesystem::remove(link);
  std::filesystem::create_symlink("pid:[4026532211]", link);
  EXPECT_EQ(check_pid_namespace(node_).verdict, Verdict::kWarn);
  EXPECT_THAT(check_pid_namespace(node_).remedy, HasSubstr("hostPID"));
}

TEST_F(CheckNode, SysctlsThatAreNotVisibleAreNoFault)
{
  for (const auto& finding : check_sysctls(node_))
    EXPECT_EQ(finding.verdict, Verdict::kPass) << finding.name;
}

TEST_F(CheckNode, EachSysctlHasItsRemedy)
{
  proc("sys/net/core/bpf_jit_enable", "0\n");
  EXPECT_EQ(sysctl("BPF JIT").verdict, Verdict::kWarn);
  proc("sys/net/core/optmem_max", "2048\n");
  EXPECT_EQ(sysctl("socket storage").verdict, Verdict::kWarn);
  proc("sys/net/core/optmem_max", "4096\n");
  EXPECT_EQ(sysctl("socket storage").verdict, Verdict::kPass);
  proc("sys/kernel/unprivileged_bpf_disabled", "0\n");
  EXPECT_EQ(sysctl("unprivileged BPF").verdict, Verdict::kWarn);
  proc("sys/kernel/perf_event_paranoid", "3\n");
  EXPECT_EQ(sysctl("perf events").verdict, Verdict::kPass);
  proc("sys/kernel/bpf_stats_enabled", "0\n");
  EXPECT_EQ(sysctl("BPF statistics").verdict, Verdict::kPass);
  node_.max_cpu_ratio = 0.05;
  EXPECT_EQ(sysctl("BPF statistics").verdict, Verdict::kPass);
  capabilities("0");
  EXPECT_EQ(sysctl("BPF statistics").verdict, Verdict::kWarn);
  proc("sys/kernel/bpf_stats_enabled", "1\n");
  EXPECT_EQ(sysctl("BPF statistics").verdict, Verdict::kPass);
  EXPECT_EQ(sysctl("perf events").verdict, Verdict::kWarn);
}

TEST_F(CheckNode, MalformedFilesAreNoCrash)
{
  proc("sys/net/core/optmem_max", "many\n");
  proc("self/status", "CapEff\n\n:\nCapEff:\txyz\n");
  proc("self/uid_map", "");
  sys("kernel/security/lockdown", "] [ ");
  EXPECT_FALSE(check_node(node_).empty());
  EXPECT_EQ(privilege("capabilities").verdict, Verdict::kWarn);
}

}  // namespace
}  // namespace sonde::app
