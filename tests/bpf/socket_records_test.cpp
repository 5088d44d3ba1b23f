// SPDX-License-Identifier: Apache-2.0
// The socket tap's records against what a program really sent and received, call by call.
#include "tests/bpf/socket_fixture.hpp"

namespace sonde::tap_tests {
namespace {

class SocketCalls : public SocketRecords {};

TEST_P(SocketCalls, EveryByteOfBothSidesLiesInItsPlaceOverTcp)
{
  const auto call = GetParam().call;
  const auto sockets = run([&] { converse(connect_pair(AF_INET, 0), call, kStream, 11); });
  ASSERT_EQ(sockets.size(), 2U);
  for (const auto& socket : sockets) {
    const bool server = socket.opened.role == SONDE_SOCKET_ROLE_SERVER;
    expect_whole(socket, server ? kStream / 2 : kStream, server ? kStream : kStream / 2);
    EXPECT_EQ(socket.opened.transport, SONDE_SOCKET_TCP);
    EXPECT_EQ(socket.opened.remote[15], 1);
    EXPECT_TRUE(socket.closed.has_value());
  }
  EXPECT_NE(sockets[0].opened.role, sockets[1].opened.role);
  EXPECT_EQ(sockets[0].opened.local_port, sockets[1].opened.remote_port);
  EXPECT_EQ(tap_->counters().lost_ring, 0U);
}

TEST_P(SocketRecords, EveryByteOfBothSidesLiesInItsPlaceOverIpv6)
{
  const auto call = GetParam().call;
  const auto sockets = run([&] { converse(connect_pair(AF_INET6, 0), call, kStream, 21); });
  ASSERT_EQ(sockets.size(), 2U);
  for (const auto& socket : sockets) {
    const bool server = socket.opened.role == SONDE_SOCKET_ROLE_SERVER;
    expect_whole(socket, server ? kStream / 2 : kStream, server ? kStream : kStream / 2);
    EXPECT_EQ(socket.opened.local[15], 1);
  }
}

TEST_P(SocketRecords, EveryByteOfBothSidesLiesInItsPlaceOverUnixSockets)
{
  const auto call = GetParam().call;
  const auto sockets = run([&] { converse(connect_unix(), call, kStream, 31); });
  ASSERT_EQ(sockets.size(), 2U);
  for (const auto& socket : sockets) {
    EXPECT_EQ(socket.opened.transport, SONDE_SOCKET_UNIX);
    const bool client = socket.stream[SONDE_SOCKET_SENT].covered == kStream;
    expect_whole(socket, client ? kStream : kStream / 2, client ? kStream / 2 : kStream);
  }
  // The one that was met second knows the other.
  EXPECT_TRUE(sockets[0].opened.peer == sockets[1].opened.socket ||
              sockets[1].opened.peer == sockets[0].opened.socket);
}

TEST_P(SocketRecords, EveryByteOfBothSidesLiesInItsPlaceOverMptcp)
{
  const int probe = ::socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);
  if (probe < 0)
    GTEST_SKIP() << "this kernel has no MPTCP";
  ::close(probe);
  const auto call = GetParam().call;
  const auto sockets =
      run([&] { converse(connect_pair(AF_INET, IPPROTO_MPTCP), call, kStream, 41); });
  ASSERT_EQ(sockets.size(), 2U);
  for (const auto& socket : sockets) {
    const bool server = socket.opened.role == SONDE_SOCKET_ROLE_SERVER;
    EXPECT_EQ(socket.opened.transport, SONDE_SOCKET_MPTCP);
    expect_whole(socket, server ? kStream / 2 : kStream, server ? kStream : kStream / 2);
  }
}

TEST_P(SocketRecords, ManyConnectionsAtOnceLoseNothing)
{
  const auto call = GetParam().call;
  constexpr std::size_t kThreads = 8;
  constexpr std::size_t kEach = 12;
  constexpr std::size_t kSize = 20'000;
  const auto sockets = run([&] {
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < kThreads; ++t)
      threads.emplace_back([&, t] {
        for (unsigned i = 0; i < kEach; ++i)
          converse(connect_pair(AF_INET, 0), call, kSize, t * 1000 + i * 10);
      });
    for (auto& thread : threads)
      thread.join();
  });
  EXPECT_EQ(sockets.size(), 2 * kThreads * kEach);
  std::size_t closed = 0;
  for (const auto& socket : sockets) {
    const bool server = socket.opened.role == SONDE_SOCKET_ROLE_SERVER;
    expect_whole(socket, server ? kSize / 2 : kSize, server ? kSize : kSize / 2);
    closed += socket.closed.has_value() ? 1 : 0;
  }
  EXPECT_EQ(closed, sockets.size());
  EXPECT_EQ(tap_->counters().lost_ring, 0U);
  EXPECT_EQ(tap_->counters().no_storage, 0U);
  EXPECT_EQ(tap_->counters().faults, 0U);
}

TEST_P(SocketRecords, PeekedBytesCountOnce)
{
  const auto sockets = run([] {
    const auto pair = connect_pair(AF_INET, 0);
    send_pattern(Call::kReadWrite, pair.client, 1000, 1);
    std::string buffer(1000, '\0');
    for (int i = 0; i < 5; ++i)
      if (::recv(pair.server, buffer.data(), buffer.size(), MSG_PEEK | MSG_WAITALL) != 1000)
        _exit(8);
    if (::recv(pair.server, buffer.data(), buffer.size(), MSG_WAITALL) != 1000)
      _exit(9);
  });
  ASSERT_EQ(sockets.size(), 2U);
  for (const auto& socket : sockets)
    EXPECT_EQ(socket.stream[0].covered + socket.stream[1].covered, 1000U);
}

TEST_P(SocketRecords, WhatATapCannotSeeIsCoveredOrKnownByThePositionAfterIt)
{
  const auto sockets = run([] {
    const auto pair = connect_pair(AF_INET, 0);
    const int file = ::memfd_create("body", 0);
    const auto body = pattern_text(50'000);
    if (::write(file, body.data(), body.size()) != 50'000)
      _exit(8);
    if (::write(pair.server, "head", 4) != 4)
      _exit(9);
    off_t from = 0;
    std::thread reader([&] { receive_all(Call::kSendRecv, pair.client, 5); });
    while (from < 50'000)
      if (::sendfile(pair.server, file, &from, 50'000 - static_cast<std::size_t>(from)) <= 0)
        _exit(10);
    if (::write(pair.server, "tail", 4) != 4)
      _exit(11);
    ::shutdown(pair.server, SHUT_WR);
    reader.join();
  });
  ASSERT_EQ(sockets.size(), 2U);
  for (const auto& socket : sockets) {
    if (socket.opened.role == SONDE_SOCKET_ROLE_CLIENT) {
      EXPECT_EQ(socket.stream[SONDE_SOCKET_RECEIVED].captured, 50'008U);
      continue;
    }
    const auto& sent = socket.stream[SONDE_SOCKET_SENT];
    EXPECT_EQ(sent.end, 50'008U);
    EXPECT_EQ(sent.captured, 8U);
    EXPECT_EQ(sent.bytes.substr(0, 4), "head");
    EXPECT_EQ(sent.bytes.substr(50'004), "tail");
  }
}

TEST_P(SocketRecords, WhatIsReadAfterTheConnectionHasEndedIsSeenBeforeTheClose)
{
  const auto sockets = run([] {
    const auto pair = connect_pair(AF_INET, 0);
    if (::write(pair.client, "ask", 3) != 3)
      _exit(8);
    ::shutdown(pair.client, SHUT_WR);
    std::string buffer(3, '\0');
    if (::read(pair.server, buffer.data(), 3) != 3)
      _exit(9);
    send_pattern(Call::kReadWrite, pair.server, 5000, 3);
    ::close(pair.server);
    ::usleep(100'000);  // the kernel has closed it, nothing has been read
    receive_all(Call::kReadWrite, pair.client, 4);
    ::close(pair.client);
  });
  ASSERT_EQ(sockets.size(), 2U);
  for (const auto& socket : sockets) {
    EXPECT_TRUE(socket.closed.has_value());
    EXPECT_FALSE(socket.spoke_after_close);
    if (socket.opened.role == SONDE_SOCKET_ROLE_CLIENT) {
      EXPECT_EQ(socket.stream[SONDE_SOCKET_RECEIVED].captured, 5000U);
      EXPECT_EQ(socket.closed, SONDE_SOCKET_CLOSED_HERE);
    }
  }
}

TEST_P(SocketRecords, AReceiverThatStopsOrResetsIsToldApart)
{
  const auto how = [](const std::vector<TappedSocket>& sockets, sonde_socket_role role) {
    for (const auto& socket : sockets)
      if (socket.opened.role == role)
        return static_cast<int>(socket.closed.value_or(99));
    return -1;
  };
  const auto exchange = [](Pair pair) {
    char byte = 'x';
    if (::write(pair.client, &byte, 1) != 1 || ::read(pair.server, &byte, 1) != 1)
      _exit(8);
    if (::write(pair.server, &byte, 1) != 1 || ::read(pair.client, &byte, 1) != 1)
      _exit(9);
  };
  const auto orderly = run([&] {
    const auto pair = connect_pair(AF_INET, 0);
    exchange(pair);
    ::close(pair.client);
    ::usleep(50'000);
    ::close(pair.server);
    ::usleep(50'000);
  });
  EXPECT_EQ(how(orderly, SONDE_SOCKET_ROLE_CLIENT), SONDE_SOCKET_CLOSED_HERE);
  EXPECT_EQ(how(orderly, SONDE_SOCKET_ROLE_SERVER), SONDE_SOCKET_CLOSED_THERE);
  const auto reset = run([&] {
    const auto pair = connect_pair(AF_INET, 0);
    exchange(pair);
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(pair.client, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    ::close(pair.client);
    ::usleep(50'000);
  });
  EXPECT_EQ(how(reset, SONDE_SOCKET_ROLE_CLIENT), SONDE_SOCKET_CLOSED_RESET);
  EXPECT_EQ(how(reset, SONDE_SOCKET_ROLE_SERVER), SONDE_SOCKET_CLOSED_RESET);
}

INSTANTIATE_TEST_SUITE_P(Calls, SocketCalls, kAllCases, case_name);
INSTANTIATE_TEST_SUITE_P(Calls, SocketRecords, kCases, case_name);

}  // namespace
}  // namespace sonde::tap_tests
