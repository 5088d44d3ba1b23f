// SPDX-License-Identifier: Apache-2.0
// Paths as the runtimes and systemd make them.
#include <gtest/gtest.h>

#include "agent/proc/cgroup.hpp"

namespace sonde::proc {
namespace {

const std::string kId = "4f0e3b7a9c1d2e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7";
const std::string kOuter = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
constexpr const char* kUid = "0f6f4c3e-2b7a-4c8e-9d1a-5e6f7a8b9c0d";
constexpr const char* kEscapedUid = "0f6f4c3e_2b7a_4c8e_9d1a_5e6f7a8b9c0d";

struct Case {
  std::string path;
  std::string container;
  std::string unit = "";
  std::string pod = "";
};

TEST(Cgroup, EveryRuntimesPathsTellContainerPodAndUnit)
{
  const std::string uid = kUid;
  const std::string escaped = kEscapedUid;
  const Case cases[] = {
      {"/docker/" + kId, kId},
      {"/system.slice/docker-" + kId + ".scope", kId},
      {"/system.slice/docker-" + kId + ".scope/system.slice/nginx.service", kId},
      {"/docker/" + kOuter + "/docker/" + kId, kId},
      {"/kubepods/burstable/pod" + uid + "/" + kId, kId, "", uid},
      {"/kubepods/besteffort/pod" + uid + "/crio-" + kId, kId, "", uid},
      {"/kubepods.slice/kubepods-pod" + escaped + ".slice/cri-containerd-" + kId + ".scope",
       kId,
       "",
       uid},
      {"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + escaped +
           ".slice/crio-" + kId + ".scope/container",
       kId,
       "",
       uid},
      {"/system.slice/docker-" + kOuter +
           ".scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod" + escaped +
           ".slice/cri-containerd-" + kId + ".scope",
       kId,
       "",
       uid},
      {"/kubepods-pod" + escaped + ".slice:cri-containerd:" + kId, kId, "", ""},
      {"/machine.slice/libpod-" + kId + ".scope/container", kId},
      {"/libpod_parent/libpod-" + kId, kId},
      {"/machine.slice/libpod-conmon-" + kId + ".scope", ""},
      {"/kubepods.slice/crio-conmon-" + kId + ".scope", ""},
      {"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + kId + ".scope", kId},
      {"/lxc/web", "web"},
      {"/lxc.payload.web/system.slice/ssh.service", "web"},
      {"/lxc.monitor.web", ""},
      {"/machine.slice/machine-deb\\x2d12.scope", "deb-12"},
      {"/machine.slice/machine-qemu\\x2d1\\x2dvm.scope", ""},
      {"/system.slice/nginx.service", "", "nginx"},
      {"/system.slice/system-getty.slice/getty@tty1.service", "", "getty@tty1"},
      {"/user.slice/user-1000.slice/user@1000.service/app.slice/web.service", "", "web"},
      {"/user.slice/user-1000.slice/user@1000.service/init.scope", "", "user@1000"},
      {"/user.slice/user-1000.slice/session-3.scope", ""},
      {"/../../system.slice/nginx.service", "", "nginx"},
      {"/process_api/a9a7e49864966a54b1e49272e62ad0b9", ""},
      {"/", ""},
      {"", ""},
  };
  for (const auto& [path, container, unit, pod] : cases) {
    const auto found = parse_cgroup_path(path);
    EXPECT_EQ(found.container, container) << path;
    EXPECT_EQ(found.unit, unit) << path;
    if (!pod.empty()) {
      EXPECT_EQ(found.pod, pod) << path;
    }
  }
}

TEST(Cgroup, AContainerIsCalledByTheDigitsThatDockerPsPrints)
{
  EXPECT_EQ(parse_cgroup_path("/docker/" + kId).short_container(), kId.substr(0, 12));
  EXPECT_EQ(parse_cgroup_path("/lxc/a-long-container-name").short_container(),
            "a-long-container-name");
}

TEST(Cgroup, OnAHybridTheHierarchyThatKnowsTheContainerWins)
{
  const auto hybrid = parse_cgroup_file("9:name=systemd:/system.slice/containerd.service\n"
                                        "4:cpu,memory:/docker/" +
                                        kId + "\n0::/system.slice/containerd.service\n");
  EXPECT_EQ(hybrid.container, kId);
  EXPECT_EQ(hybrid.unit, "");
  EXPECT_EQ(parse_cgroup_file("0::/\n4:memory:/\n1:name=systemd:/system.slice/a.service\n").unit,
            "a");
  EXPECT_EQ(parse_cgroup_file("4:memory:/system.slice/b.service\n0::/system.slice/a.service").unit,
            "a");
}

TEST(Cgroup, MalformedLinesSayNothing)
{
  for (const auto* text : {"", ":", "::", "0::", "\n\n", "x", "0::/\\x/.service", "4:memory"})
    EXPECT_EQ(parse_cgroup_file(text).container, "") << text;
}

}  // namespace
}  // namespace sonde::proc
