// SPDX-License-Identifier: Apache-2.0
// The tcp family on real sockets: what two processes do to each other is what their services have,
// to the connection and the byte, with each kind of storage.
#include <algorithm>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tests/bpf/tcp_fixture.hpp"

namespace sonde::testing {
namespace {

// Accepts `n` connections, reads `bytes` from each, answers with twice as much, waits for its end.
void serve(int listener, int n, std::size_t bytes)
{
  std::vector<std::thread> threads;
  for (int i = 0; i < n; ++i) {
    const int fd = ::accept(listener, nullptr, nullptr);
    threads.emplace_back([fd, bytes] {
      char buffer[4096];
      std::size_t got = 0;
      while (got < bytes) {
        const auto n_read = ::recv(fd, buffer, std::min(sizeof buffer, bytes - got), 0);
        if (n_read <= 0)
          break;
        got += static_cast<std::size_t>(n_read);
      }
      send_all(fd, 2 * bytes);
      while (::recv(fd, buffer, sizeof buffer, 0) > 0) {
      }
      ::close(fd);
    });
  }
  for (auto& thread : threads)
    thread.join();
}

// Four threads, `n` connections each.
void call(const Address& address, int n, std::size_t bytes)
{
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&address, n, bytes] {
      std::vector<char> buffer(4096);
      for (int i = 0; i < n; ++i) {
        const int fd = connect_to(address);
        send_all(fd, bytes);
        for (std::size_t got = 0; got < 2 * bytes;) {
          const auto n_read = ::recv(fd, buffer.data(), buffer.size(), 0);
          if (n_read <= 0)
            break;
          got += static_cast<std::size_t>(n_read);
        }
        ::close(fd);
      }
    });
  for (auto& thread : threads)
    thread.join();
}

TEST_P(Tcp, EveryConnectionAndEveryByteOfManyThreadsIsCountedOnBothSides)
{
  ASSERT_NO_FATAL_FAILURE(start());
  if (IsSkipped())
    return;
  constexpr int kEach = 50;
  constexpr std::size_t kBytes = 12345;
  int all = 0;
  for (const auto& [family, mapped] :
       {std::pair{AF_INET, false}, {AF_INET6, false}, {AF_INET6, true}}) {
    Peer server([&](const Peer::Inside& test) {
      const int listener = listen_on(family);
      test.pause(port_of(listener));
      serve(listener, 4 * kEach, kBytes);
    });
    place(server, "server");
    const auto address = loopback(family, static_cast<std::uint16_t>(server.go()), mapped);
    Peer client([&](const Peer::Inside&) { call(address, kEach, kBytes); });
    place(client, "client");
    client.start();
    server.go();
    client.wait();
    all += 4 * kEach;
    EXPECT_TRUE(eventually([&] {
      return closed("client", "client", "fin") == all && closed("server", "server", "fin") == all;
    })) << closed("client", "client", "fin")
        << " " << closed("server", "server", "fin");
  }
  const auto bytes = static_cast<double>(kBytes) * all;
  EXPECT_EQ(opened("client", "client"), all);
  EXPECT_EQ(opened("server", "server"), all);
  EXPECT_EQ(opened("client", "server") + opened("server", "client"), 0);
  EXPECT_EQ(value("sent_bytes_total", "client"), bytes);
  EXPECT_EQ(value("received_bytes_total", "server"), bytes);
  EXPECT_EQ(value("sent_bytes_total", "server"), 2 * bytes);
  EXPECT_EQ(value("received_bytes_total", "client"), 2 * bytes);
  EXPECT_EQ(value("connect_latency_seconds_count", "client"), all);
  EXPECT_EQ(value("connect_latency_seconds_count", "server"), 0);
  EXPECT_GE(value("rtt_seconds_count", "client"), all);
  // A late duplicate of a finished connection makes the listener send one, to nobody.
  EXPECT_EQ(value("resets_total", "client"), 0);
  EXPECT_EQ(value("resets_total", "server", {R"(direction="received")"}), 0);
  EXPECT_EQ(value("connections", "client"), 0);
}

TEST_P(Tcp, BytesOfAnOpenConnectionAreThereAtTheNextScrapeAndCountOnceWhenItCloses)
{
  ASSERT_NO_FATAL_FAILURE(start());
  if (IsSkipped())
    return;
  Peer server([](const Peer::Inside& test) {
    const int listener = listen_on(AF_INET);
    test.pause(port_of(listener));
    const int fd = ::accept(listener, nullptr, nullptr);
    for (;;)
      receive(fd, test.pause());
  });
  place(server, "server");
  const auto address = loopback(AF_INET, static_cast<std::uint16_t>(server.go()));
  Peer client([&](const Peer::Inside& test) {
    const int fd = connect_to(address);
    for (std::size_t n = test.pause(); n > 0; n = test.pause())
      send_all(fd, n);
    ::close(fd);
  });
  place(client, "client");
  client.go();
  server.go();
  EXPECT_TRUE(eventually([&] { return opened("server", "server") == 1; }));
  EXPECT_EQ(state("client", "client", "established"), 1);
  EXPECT_EQ(state("server", "server", "established"), 1);
  EXPECT_EQ(state("server", "server", "listen"), 1);
  double sent = 0;
  for (const std::size_t n : {1, 1000, 1'000'000}) {
    server.start(n);
    client.go(n);
    server.wait();
    sent += static_cast<double>(n);
    EXPECT_TRUE(eventually([&] {
      return value("sent_bytes_total", "client") == sent &&
             value("received_bytes_total", "server") == sent;
    })) << value("sent_bytes_total", "client");
  }
  client.go(0);
  EXPECT_TRUE(eventually([&] { return state("server", "server", "close_wait") == 1; }));
  EXPECT_EQ(state("client", "client", "fin_wait2"), 0) << "an orphan in FIN_WAIT2 has no socket";
  server.end();
  EXPECT_TRUE(eventually([&] { return closed("server", "server", "fin") == 1; }));
  EXPECT_EQ(closed("client", "client", "fin"), 1);
  EXPECT_EQ(value("sent_bytes_total", "client"), sent);
  EXPECT_EQ(value("received_bytes_total", "server"), sent);
  EXPECT_EQ(value("connections", "server"), 0);
}

TEST_P(Tcp, AResetByEitherSideClosesBothAsReset)
{
  ASSERT_NO_FATAL_FAILURE(start());
  if (IsSkipped())
    return;
  constexpr int kResets = 20;
  Peer server([](const Peer::Inside& test) {
    const int listener = listen_on(AF_INET);
    test.pause(port_of(listener));
    for (int i = 0; i < kResets; ++i) {
      const int fd = ::accept(listener, nullptr, nullptr);
      char byte = 0;
      ::recv(fd, &byte, 1, MSG_PEEK);
      ::close(fd);  // unread: the kernel sends a reset
    }
    for (int i = 0; i < kResets; ++i) {
      const int fd = ::accept(listener, nullptr, nullptr);
      receive(fd, 10);
      ::close(fd);
    }
  });
  place(server, "server");
  const auto address = loopback(AF_INET, static_cast<std::uint16_t>(server.go()));
  Peer client([&](const Peer::Inside&) {
    for (int i = 0; i < kResets; ++i) {
      const int fd = connect_to(address);
      send_all(fd, 10);
      receive(fd, 1);
      ::close(fd);
    }
    for (int i = 0; i < kResets; ++i) {
      const int fd = connect_to(address);
      send_all(fd, 3);
      ::shutdown(fd, SHUT_WR);  // then FIN_WAIT2 or earlier
      close_with_reset(fd);
    }
  });
  place(client, "client");
  client.start();
  server.go();
  client.wait();
  // A close in FIN_WAIT1 with all sent may be answered before the reset: then nobody resets.
  EXPECT_TRUE(eventually([&] {
    return closed("client", "client", "reset") + closed("client", "client", "fin") == 2 * kResets &&
           closed("server", "server", "reset") + closed("server", "server", "fin") == 2 * kResets;
  }));
  EXPECT_GE(closed("client", "client", "reset"), kResets);
  EXPECT_GE(closed("server", "server", "reset"), kResets);
  EXPECT_EQ(value("resets_total", "server", {R"(direction="sent")"}), kResets);
  EXPECT_EQ(value("resets_total", "client", {R"(direction="received")"}), kResets);
  EXPECT_EQ(closed("client", "client", "reset") - kResets,
            value("resets_total", "client", {R"(direction="sent")"}));
}

TEST_P(Tcp, ARefusedConnectIsAFailureAndNeitherAConnectionNorAReset)
{
  ASSERT_NO_FATAL_FAILURE(start());
  if (IsSkipped())
    return;
  constexpr int kRefused = 50;
  const int listener = listen_on(AF_INET6);
  const auto port = port_of(listener);
  ::close(listener);
  Peer client([&](const Peer::Inside&) {
    for (int i = 0; i < kRefused; ++i) {
      connect_to(loopback(AF_INET, port));
      connect_to(loopback(AF_INET6, port));
    }
  });
  place(client, "client");
  client.go();
  EXPECT_TRUE(eventually([&] {
    return value("connect_failures_total", "client", {R"(reason="refused")"}) == 2 * kRefused;
  }));
  EXPECT_EQ(value("connect_failures_total", "client"), 2 * kRefused);
  EXPECT_EQ(value("resets_total", "client"), 0);
  EXPECT_EQ(opened("client", "client"), 0);
  EXPECT_EQ(value("connections_closed_total", "client"), 0);
  EXPECT_EQ(value("connect_latency_seconds_count", "client"), 0);
}

TEST_P(Tcp, AConnectionOlderThanTheProbeCountsFromNowOnAndNotAsOpened)
{
  Peer server([](const Peer::Inside& test) {
    const int listener = listen_on(AF_INET);
    test.pause(port_of(listener));
    const int fd = ::accept(listener, nullptr, nullptr);
    receive(fd, 5000);
    test.pause();
    receive(fd, 7000);
    test.pause();
    ::close(fd);
  });
  const auto address = loopback(AF_INET, static_cast<std::uint16_t>(server.go()));
  Peer client([&](const Peer::Inside& test) {
    const int fd = connect_to(address);
    send_all(fd, 5000);
    test.pause();
    send_all(fd, 7000);
    test.pause();
    receive(fd, 1);
    ::close(fd);
  });
  server.start();
  client.go();
  server.wait();
  place(server, "server");
  place(client, "client");
  ASSERT_NO_FATAL_FAILURE(start());
  if (IsSkipped())
    return;
  text = node.scrape();
  EXPECT_EQ(state("client", "client", "established"), 1);
  EXPECT_EQ(state("server", "server", "established"), 1);
  EXPECT_EQ(state("server", "server", "listen"), 1);
  EXPECT_EQ(value("sent_bytes_total", "client"), 0);
  EXPECT_TRUE(NodeFixture::eventually(
      [&] { return std::ranges::count(node.fixed().listeners(), server.pid()) == 1; }));
  server.start();
  client.go();
  server.wait();
  EXPECT_TRUE(eventually([&] {
    return value("sent_bytes_total", "client") == 7000 &&
           value("received_bytes_total", "server") == 7000;
  }));
  server.go();
  client.go();
  EXPECT_TRUE(eventually([&] {
    return closed("client", "client", "fin") == 1 && closed("server", "server", "fin") == 1;
  }));
  EXPECT_EQ(opened("client", "client") + opened("server", "server"), 0);
  EXPECT_EQ(value("sent_bytes_total", "client"), 7000);
}

TEST_P(Tcp, AHalfClosedConnectionCountsItsPayloadAndNoFin)
{
  ASSERT_NO_FATAL_FAILURE(start());
  if (IsSkipped())
    return;
  Peer server([](const Peer::Inside& test) {
    const int listener = listen_on(AF_INET6);
    test.pause(port_of(listener));
    const int fd = ::accept(listener, nullptr, nullptr);
    receive(fd, 101);
    test.pause();
    send_all(fd, 1001);
    test.pause();
    ::close(fd);
  });
  place(server, "server");
  const auto address = loopback(AF_INET6, static_cast<std::uint16_t>(server.go()));
  Peer client([&](const Peer::Inside& test) {
    const int fd = connect_to(address);
    send_all(fd, 100);
    ::shutdown(fd, SHUT_WR);
    test.pause();
    receive(fd, 1002);
    ::close(fd);
  });
  place(client, "client");
  client.go();
  server.go();
  EXPECT_TRUE(eventually([&] {
    return state("client", "client", "fin_wait2") == 1 &&
           state("server", "server", "close_wait") == 1;
  }));
  EXPECT_EQ(value("sent_bytes_total", "client"), 100);
  EXPECT_EQ(value("received_bytes_total", "server"), 100);
  server.go();
  EXPECT_TRUE(eventually([&] { return value("received_bytes_total", "client") == 1001; }));
  client.start();
  server.go();
  client.wait();
  EXPECT_TRUE(eventually([&] {
    return closed("client", "client", "fin") == 1 && closed("server", "server", "fin") == 1;
  }));
  EXPECT_EQ(value("sent_bytes_total", "server"), 1001);
  EXPECT_EQ(value("received_bytes_total", "client"), 1001);
  EXPECT_EQ(value("received_bytes_total", "server"), 100);
}

TEST_P(Tcp, ARoundTripIsObservedOnceForWhatWasAcknowledgedHoweverOftenItIsScraped)
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
    ::close(fd);
  });
  place(server, "server");
  const auto address = loopback(AF_INET, static_cast<std::uint16_t>(server.go()));
  Peer client([&](const Peer::Inside& test) {
    const int fd = connect_to(address);
    send_all(fd, 100);
    test.pause();
    close_with_reset(fd);
  });
  place(client, "client");
  client.start();
  server.go();
  client.wait();
  EXPECT_TRUE(eventually([&] { return value("rtt_seconds_count", "client") == 1; }));
  for (int i = 0; i < 20; ++i)
    text = node.scrape();
  EXPECT_EQ(value("rtt_seconds_count", "client"), 1);
  EXPECT_EQ(value("rtt_seconds_count", "server"), 0) << "nothing of its was acknowledged";
  // Nothing has been acknowledged since, so the reset brings no second observation.
  client.go();
  EXPECT_TRUE(eventually([&] { return closed("client", "client", "reset") == 1; }));
  EXPECT_EQ(value("rtt_seconds_count", "client"), 1);
  EXPECT_TRUE(eventually([&] { return value("rtt_seconds_count", "server") == 1; }));
  EXPECT_GE(NodeFixture::value(text, "node_tcp_rtt_seconds_count").value_or(0), 2);
}

TEST_P(Tcp, EveryServiceHasEverySeriesAtZeroFromTheStart)
{
  ASSERT_NO_FATAL_FAILURE(start());
  if (IsSkipped())
    return;
  node.fixed().slot_named("idle");
  text = node.scrape();
  for (const auto* series :
       {R"(service_tcp_connections_opened_total{service="idle",role="client"})",
        R"(service_tcp_connections_closed_total{service="idle",role="server",reason="timeout"})",
        R"(service_tcp_connect_failures_total{service="idle",reason="unreachable"})",
        R"(service_tcp_connections{service="idle",role="server",state="listen"})",
        R"(service_tcp_retransmits_total{service="idle"})",
        R"(service_tcp_sent_bytes_total{service="idle"})",
        R"(service_tcp_received_bytes_total{service="idle"})",
        R"(service_tcp_resets_total{service="idle",direction="received"})",
        R"(service_tcp_connect_latency_seconds_count{service="idle"})",
        R"(service_tcp_rtt_seconds_bucket{service="idle",le="0.001024"})"})
    EXPECT_EQ(NodeFixture::value(text, series), 0) << series;
}

INSTANTIATE_TEST_SUITE_P(Storages, Tcp, ::testing::ValuesIn(kStorages), storage_name);

}  // namespace
}  // namespace sonde::testing
