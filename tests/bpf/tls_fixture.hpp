// SPDX-License-Identifier: Apache-2.0
// A node that looks into TLS, and what it must count of a client and a server.
#pragma once

#include <fmt/format.h>

#include <gtest/gtest.h>

#include "tests/support/node_fixture.hpp"

#include "agent/bpf/uprobes.hpp"

namespace sonde::testing {

class TlsNode : public ::testing::Test {
protected:
  void SetUp() override
  {
    if (const auto kind = bpf::choose_uprobes(); !kind)
      GTEST_SKIP() << kind.error().message();
  }

  void start(std::uint32_t server, std::uint32_t client)
  {
    node_.fixed().place(server, "server");
    node_.fixed().place(client, "client");
    const auto socket = node_.start("socket");
    if (!socket)
      GTEST_SKIP() << socket.error().message();
    const auto tls = node_.start("tls");
    ASSERT_TRUE(tls) << tls.error().message();
    ASSERT_TRUE(NodeFixture::eventually([&] { return attached(client) && attached(server); }));
  }
  bool attached(std::uint32_t tgid)
  {
    bool found = false;
    node_.on_loop([&] {
      for (const auto& one : node_.executables().explain(tgid))
        found = found || (one.family == "tls" && one.sites > 0);
    });
    return found;
  }
  double servers(const std::string& text) const
  {
    return NodeFixture::sum(
        text, "http_requests_total", {R"(service="server")", R"(status="200")"});
  }
  double clients(const std::string& text) const
  {
    return NodeFixture::sum(text,
                            "http_client_requests_total",
                            {R"(service="client")", R"(peer="server")", R"(status="200")"});
  }
  void expect(std::size_t requests)
  {
    const auto wanted = static_cast<double>(requests);
    NodeFixture::eventually([&] {
      const auto text = node_.scrape();
      return servers(text) >= wanted && clients(text) >= wanted;
    });
    const auto text = node_.scrape();
    EXPECT_EQ(servers(text), wanted);
    EXPECT_EQ(clients(text), wanted) << text;
    const auto all = [&](std::string_view name, const char* service) {
      return NodeFixture::sum(text, name, {fmt::format("service=\"{}\"", service)});
    };
    EXPECT_EQ(all("http_requests_total", "server"), wanted);
    EXPECT_EQ(all("http_client_requests_total", "client"), wanted);
    EXPECT_EQ(all("http_requests_aborted_total", "server"), 0);
    EXPECT_EQ(all("http_client_requests_aborted_total", "client"), 0);
  }

  NodeFixture node_;
};

}  // namespace sonde::testing
