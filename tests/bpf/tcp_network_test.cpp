// SPDX-License-Identifier: Apache-2.0
// The tcp family where the network or the owner is not as plain: loss, silence, sockets that change
// hands, slots that change services, MPTCP.
#include <algorithm>
#include <fcntl.h>
#include <linux/sockios.h>
#include <vector>

#include "tests/bpf/tcp_fixture.hpp"

namespace sonde::testing {
namespace {

class TcpNetwork : public Tcp {};

bool nft(const std::string& rules)
{
  return std::system(fmt::format("nft '{}' 2>/dev/null", rules).c_str()) == 0;
}

// Joins the network namespace of a process.
bool join_network(std::uint32_t pid)
{
  const UniqueFd fd(::open(fmt::format("/proc/{}/ns/net", pid).c_str(), O_RDONLY | O_CLOEXEC));
  return fd && ::setns(fd.get(), CLONE_NEWNET) == 0;
}

// A server in its own network namespace: hands over its port, 0 when `rules` (%p is the port) could
// not be set; then accepts `n` connections and reads `bytes` from each.
void serve_behind(const Peer::Inside& test, const std::string& rules, int n, std::size_t bytes)
{
  if (!own_network()) {
    test.pause(0);
    return;
  }
  const int listener = listen_on(AF_INET);
  const auto port = port_of(listener);
  auto text = "add table ip t; add chain ip t i { type filter hook input priority 0; }; " + rules;
  for (auto at = text.find("%p"); at != std::string::npos; at = text.find("%p"))
    text.replace(at, 2, std::to_string(port));
  test.pause(nft(text) ? port : 0);
  std::vector<int> sockets;
  for (int i = 0; i < n; ++i)
    sockets.push_back(::accept(listener, nullptr, nullptr));
  for (const int fd : sockets)
    receive(fd, bytes);
}

TEST_P(TcpNetwork, RetransmitsUnderLossAreTcpInfosTotal)
{
  ASSERT_NO_FATAL_FAILURE(start());
  if (IsSkipped())
    return;
  constexpr int kConnections = 10;
  constexpr std::size_t kBytes = 400'000;
  Peer server([](const Peer::Inside& test) {
    serve_behind(test,
                 "add rule ip t i tcp flags & (syn|fin) == 0 numgen random mod 8 == 0 drop",
                 kConnections,
                 kBytes);
  });
  place(server, "server");
  const auto port = static_cast<std::uint16_t>(server.go());
  if (port == 0)
    GTEST_SKIP() << "no network namespace, or nft cannot drop packets here";
  const auto netns_of = server.pid();
  Peer client([&](const Peer::Inside& test) {
    join_network(netns_of);
    std::vector<int> sockets;
    for (int i = 0; i < kConnections; ++i)
      sockets.push_back(connect_to(loopback(AF_INET, port)));
    for (const int fd : sockets)
      send_all(fd, kBytes);
    std::uint64_t total = 0;
    for (const int fd : sockets) {
      for (int left = 1; left > 0; ::usleep(1000))
        ::ioctl(fd, SIOCOUTQ, &left);  // not yet acknowledged
      total += info_of(fd).tcpi_total_retrans;
    }
    test.pause(total);
  });
  place(client, "client");
  client.start();
  server.start();
  const auto total = static_cast<double>(client.wait());
  // Segments on a loopback are large, so there are few to lose: about fifteen are.
  EXPECT_GE(total, 3);
  text = node.scrape();
  EXPECT_EQ(value("retransmits_total", "client"), total);
  EXPECT_EQ(value("sent_bytes_total", "client"), static_cast<double>(kBytes) * kConnections);
  server.wait();
  EXPECT_TRUE(eventually([&] {
    return value("received_bytes_total", "server") == static_cast<double>(kBytes) * kConnections;
  }));
  client.end();
  server.end();
  EXPECT_TRUE(eventually([&] { return value("connections", "client") == 0; }));
  EXPECT_GE(value("retransmits_total", "client"), total);
}

TEST_P(TcpNetwork, AConnectWithoutAnswerTimesOutAndOneWithoutAWayIsUnreachable)
{
  ASSERT_NO_FATAL_FAILURE(start());
  if (IsSkipped())
    return;
  Peer client([](const Peer::Inside& test) {
    const bool ready = own_network() &&
                       nft("add table ip t; add chain ip t i { type filter hook input priority 0; "
                           "}; add rule ip t i tcp dport 81 drop; add rule ip t i tcp dport 82 "
                           "reject with icmp type host-unreachable");
    test.pause(ready ? 1 : 0);
    const auto try_port = [](std::uint16_t port) {
      const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
      const int once = 1;
      ::setsockopt(fd, IPPROTO_TCP, TCP_SYNCNT, &once, sizeof once);
      const auto address = loopback(AF_INET, port);
      ::connect(fd, reinterpret_cast<const sockaddr*>(&address.storage), address.size);
      ::close(fd);
    };
    try_port(81);
    try_port(82);
    // Given up by the program: none of them.
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    const auto address = loopback(AF_INET, 81);
    ::connect(fd, reinterpret_cast<const sockaddr*>(&address.storage), address.size);
    ::close(fd);
  });
  place(client, "client");
  if (client.go() == 0)
    GTEST_SKIP() << "no network namespace, or nft cannot drop and reject packets here";
  client.go();
  EXPECT_TRUE(eventually([&] { return value("connect_failures_total", "client") == 2; }));
  EXPECT_EQ(value("connect_failures_total", "client", {R"(reason="timeout")"}), 1);
  EXPECT_EQ(value("connect_failures_total", "client", {R"(reason="unreachable")"}), 1);
  EXPECT_GE(value("retransmits_total", "client"), 1) << "SYNs sent again count";
  EXPECT_EQ(opened("client", "client"), 0);
}

TEST_P(TcpNetwork, APeerThatFallsSilentClosesTheConnectionAsTimeout)
{
  ASSERT_NO_FATAL_FAILURE(start());
  if (IsSkipped())
    return;
  Peer server([](const Peer::Inside& test) {
    serve_behind(test, "", 1, 1);
    test.pause(nft("add rule ip t i tcp dport 1-65535 drop") ? 1 : 0);
  });
  place(server, "server");
  const auto port = static_cast<std::uint16_t>(server.go());
  if (port == 0)
    GTEST_SKIP() << "no network namespace, or nft cannot drop packets here";
  const auto netns_of = server.pid();
  Peer client([&](const Peer::Inside& test) {
    join_network(netns_of);
    const int fd = connect_to(loopback(AF_INET, port));
    const unsigned limit_ms = 300;
    ::setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &limit_ms, sizeof limit_ms);
    send_all(fd, 1);
    test.pause();
    send_all(fd, 1);
    receive(fd, 1);
  });
  place(client, "client");
  client.start();
  ASSERT_EQ(server.go(), 1);
  client.wait();
  client.go();
  EXPECT_TRUE(eventually([&] { return closed("client", "client", "timeout") == 1; }));
  EXPECT_EQ(value("connections_closed_total", "client"), 1);
  EXPECT_EQ(value("sent_bytes_total", "client"), 1);
}

TEST_P(TcpNetwork, AConnectionBelongsToWhoReceivesFromItNotToWhoListened)
{
  ASSERT_NO_FATAL_FAILURE(start());
  if (IsSkipped())
    return;
  node.fixed().place(static_cast<std::uint32_t>(::getpid()), "starter");
  const UniqueFd listener(listen_on(AF_INET));
  EXPECT_TRUE(NodeFixture::eventually([&] {
    return std::ranges::count(node.fixed().listeners(), static_cast<std::uint32_t>(::getpid())) > 0;
  }));
  Peer worker([&](const Peer::Inside&) {
    const int fd = ::accept(listener.get(), nullptr, nullptr);
    receive(fd, 10);
    ::close(fd);
  });
  place(worker, "worker");
  Peer client([&](const Peer::Inside& test) {
    const int fd = connect_to(loopback(AF_INET, port_of(listener.get())));
    send_all(fd, 10);
    test.pause();
    ::close(fd);
  });
  place(client, "client");
  worker.start();
  client.go();
  worker.wait();
  client.go();
  EXPECT_TRUE(eventually([&] { return closed("worker", "server", "fin") == 1; }));
  EXPECT_EQ(opened("worker", "server"), 1);
  EXPECT_EQ(opened("starter", "server"), 0);
  EXPECT_EQ(value("received_bytes_total", "worker"), 10);
  EXPECT_EQ(state("starter", "server", "listen"), 1);
}

TEST_P(TcpNetwork, ASlotThatChangesHandsGivesNoCountsToItsNewService)
{
  ASSERT_NO_FATAL_FAILURE(start());
  if (IsSkipped())
    return;
  Peer server([](const Peer::Inside& test) {
    const int listener = listen_on(AF_INET);
    test.pause(port_of(listener));
    const int fd = ::accept(listener, nullptr, nullptr);
    receive(fd, 100);
    test.pause();
    receive(fd, 50);
    ::close(fd);
  });
  place(server, "server");
  const auto address = loopback(AF_INET, static_cast<std::uint16_t>(server.go()));
  Peer client([&](const Peer::Inside& test) {
    const int fd = connect_to(address);
    send_all(fd, 100);
    test.pause();
    send_all(fd, 50);
    receive(fd, 1);
    ::close(fd);
  });
  place(client, "first");
  client.start();
  server.go();
  client.wait();
  EXPECT_TRUE(eventually([&] { return value("sent_bytes_total", "first") == 100; }));
  // What the first one had stays in the node's totals; what comes after belongs to `other`.
  const auto others = value("sent_bytes_total", "other");
  const auto slot = node.fixed().slot_named("first");
  node.fixed().release("first");
  ASSERT_EQ(node.fixed().slot_named("second"), slot);
  client.start();
  server.go();
  client.wait();
  EXPECT_TRUE(eventually([&] { return value("sent_bytes_total", "other") >= others + 50; }))
      << value("sent_bytes_total", "other") << " " << others;
  for (const auto* family : {"sent_bytes_total",
                             "received_bytes_total",
                             "connections_opened_total",
                             "connections_closed_total",
                             "rtt_seconds_count"})
    EXPECT_EQ(value(family, "second"), 0) << family;
}

TEST_P(TcpNetwork, EachSubflowOfAnMptcpConnectionIsOneConnection)
{
  constexpr int kMptcp = 262;
  const UniqueFd trial(::socket(AF_INET, SOCK_STREAM, kMptcp));
  if (!trial)
    GTEST_SKIP() << "this kernel has no MPTCP, or net.mptcp.enabled is 0";
  ASSERT_NO_FATAL_FAILURE(start());
  if (IsSkipped())
    return;
  Peer server([](const Peer::Inside& test) {
    const int listener = listen_on(AF_INET, 16, kMptcp);
    test.pause(port_of(listener));
    const int fd = ::accept(listener, nullptr, nullptr);
    receive(fd, 1000);
    test.pause();
    send_all(fd, 2000);
    receive(fd, 1);
    ::close(fd);
  });
  place(server, "server");
  const auto address = loopback(AF_INET, static_cast<std::uint16_t>(server.go()));
  Peer client([&](const Peer::Inside& test) {
    const int fd = connect_to(address, kMptcp);
    send_all(fd, 1000);
    test.pause();
    receive(fd, 2000);
    ::close(fd);
  });
  place(client, "client");
  client.start();
  server.go();
  client.wait();
  EXPECT_TRUE(eventually([&] { return value("received_bytes_total", "server") == 1000; }));
  EXPECT_EQ(opened("client", "client"), 1);
  EXPECT_EQ(opened("server", "server"), 1);
  client.start();
  server.go();
  client.wait();
  EXPECT_TRUE(eventually([&] {
    return value("connections_closed_total", "client") == 1 &&
           value("connections_closed_total", "server") == 1;
  }));
  EXPECT_EQ(value("received_bytes_total", "client"), 2000);
  EXPECT_EQ(opened("client", "client") + opened("server", "server"), 2);
}

TEST_P(TcpNetwork, PacketsForAPortWithoutASocketAreDropsByTheKernelsReason)
{
  if (bpf::Features::kernel().tracepoint_arguments("kfree_skb") < 3)
    GTEST_SKIP() << "this kernel's kfree_skb gives no reason (5.17)";
  ASSERT_NO_FATAL_FAILURE(start());
  if (IsSkipped())
    return;
  constexpr auto kSeries = R"(node_tcp_drops_total{reason="no_socket"})";
  const auto before = NodeFixture::value(node.scrape(), kSeries);
  ASSERT_TRUE(before);
  const int listener = listen_on(AF_INET6);
  const auto port = port_of(listener);
  ::close(listener);
  for (int i = 0; i < 10; ++i) {
    connect_to(loopback(AF_INET, port));
    connect_to(loopback(AF_INET6, port));
  }
  EXPECT_TRUE(NodeFixture::eventually(
      [&] { return NodeFixture::value(node.scrape(), kSeries).value_or(0) >= *before + 20; }));
}

INSTANTIATE_TEST_SUITE_P(Storages, TcpNetwork, ::testing::ValuesIn(kStorages), storage_name);

}  // namespace
}  // namespace sonde::testing
