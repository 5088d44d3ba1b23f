// SPDX-License-Identifier: Apache-2.0
// The tcp family on a node of its own, once with each kind of storage, and its samples by service.
#pragma once

#include <fmt/format.h>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "tests/bpf/tcp_peer.hpp"
#include "tests/support/node_fixture.hpp"

#include "agent/bpf/features.hpp"

namespace sonde::testing {

struct Storage {
  const char* name;
  const char* storage;
  const char* clone;
};

inline constexpr Storage kStorages[] = {{"Socket", "socket", "true"},
                                        {"SocketWithoutClone", "socket", "false"},
                                        {"Hash", "hash", "true"}};

inline std::string storage_name(const ::testing::TestParamInfo<Storage>& info)
{
  return info.param.name;
}

class Tcp : public ::testing::TestWithParam<Storage> {
protected:
  void SetUp() override
  {
    node.set("tcp.storage", GetParam().storage);
    node.set("tcp.clone", GetParam().clone);
  }

  void TearDown() override
  {
    if (!HasFailure())
      return;
    for (const auto& hook : node.hooks().all())
      fmt::print("{} {}: {} {}\n", hook.probe, hook.hook, hook.up ? "up" : "down", hook.reason);
  }

  void start()
  {
    if (std::string_view(GetParam().storage) == "socket" &&
        !bpf::Features::kernel().has_function("bpf_sk_storage_get_tracing"))
      GTEST_SKIP() << "this kernel has no socket storage for tracing programs (5.12)";
    const auto probe = node.start("tcp");
    if (!probe && probe.error().message().ends_with("gives a socket no storage"))
      GTEST_SKIP() << probe.error().message() << " (7.0 on a CPU without cmpxchg16b)";
    ASSERT_TRUE(probe) << probe.error().message();
  }
  void place(const Peer& peer, const std::string& service)
  {
    node.fixed().place(peer.pid(), service);
  }
  // Sum of a service's samples of `service_tcp_<family>` with these labels.
  double
  value(const std::string& family, const std::string& service, std::vector<std::string> labels = {})
  {
    labels.push_back(fmt::format(R"(service="{}")", service));
    return NodeFixture::sum(text, "service_tcp_" + family, labels);
  }
  double closed(const std::string& service, const std::string& role, const std::string& reason)
  {
    return value("connections_closed_total",
                 service,
                 {fmt::format(R"(role="{}")", role), fmt::format(R"(reason="{}")", reason)});
  }
  double opened(const std::string& service, const std::string& role)
  {
    return value("connections_opened_total", service, {fmt::format(R"(role="{}")", role)});
  }
  double state(const std::string& service, const std::string& role, const std::string& name)
  {
    return value("connections",
                 service,
                 {fmt::format(R"(role="{}")", role), fmt::format(R"(state="{}")", name)});
  }
  bool eventually(const std::function<bool()>& holds)
  {
    return NodeFixture::eventually([&] {
      text = node.scrape();
      return holds();
    });
  }

  NodeFixture node;
  std::string text;
};

}  // namespace sonde::testing
