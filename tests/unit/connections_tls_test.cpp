// SPDX-License-Identifier: Apache-2.0
// Connections that are seen within TLS: linked with their socket, ended with it, counted once.
#include <string>

#include <gtest/gtest.h>

#include "tests/support/socket_records.hpp"

#include "agent/control/explanation.hpp"
#include "agent/protocols/connections.hpp"

namespace sonde::protocols {
namespace {

using test::Socket;
using test::Tap;

constexpr auto kServer = SONDE_SOCKET_ROLE_SERVER;
constexpr auto kClient = SONDE_SOCKET_ROLE_CLIENT;
constexpr auto kUnknown = SONDE_SOCKET_ROLE_UNKNOWN;

class ConnectionsTls : public ::testing::Test {
protected:
  ConnectionsTls()
  {
    tap.services.set(5, 1, "api");
    tap.services.set(6, 1, "web");
    tap.services.put(10, 5);
    tap.services.put(20, 6);
    server.between(1, 443, 2, 5000);
    client.between(2, 5000, 1, 443);
    tap.open(server);
    tap.open(client);
  }
  // What lies over a socket, whose number or addresses are known.
  static Socket over(const Socket& socket, std::uint64_t id, sonde_socket_role role, bool number)
  {
    Socket tls(id, role, socket.opened.tgid);
    tls.opened = socket.opened;
    tls.opened.socket = id;
    tls.opened.verdict = static_cast<std::uint32_t>(id);
    tls.opened.transport = SONDE_SOCKET_TLS;
    tls.opened.role = static_cast<__u8>(role);
    tls.opened.peer = number ? socket.opened.socket : 0;
    std::copy(std::begin(tls.position), std::end(tls.position), tls.opened.position);
    return tls;
  }
  void ask(Socket& socket, const std::string& name)
  {
    tap.sent(socket, "Q " + name + "\n");
    tap.received(socket, "A " + name + "\n");
  }
  std::string asked(const std::string& peer)
  {
    return tap.value(R"(line_client_requests_total{service="web",peer=")" + peer +
                     R"(",target="/a"})");
  }

  Tap tap;
  Socket server{1, kServer, 10};
  Socket client{2, kClient, 20};
};

TEST_F(ConnectionsTls, KnowTheOtherEndOfTheirSocket)
{
  auto tls = over(client, 3, kClient, true);
  tap.open(tls);
  ask(tls, "/a");
  EXPECT_EQ(asked("api"), "1");
}

TEST_F(ConnectionsTls, AreLinkedByAddressesWhereTheNumberIsNotKnown)
{
  auto tls = over(client, 3, kClient, false);
  tap.open(tls);
  ask(tls, "/a");
  EXPECT_EQ(asked("api"), "1");
  tap.close(client, SONDE_SOCKET_CLOSED_HERE);
  EXPECT_EQ(tap.connections.size(), 1U);
}

TEST_F(ConnectionsTls, AreLinkedWithASocketThatIsMetLater)
{
  Socket late(7, kClient, 20);
  late.between(2, 6000, 1, 443);
  auto tls = over(late, 3, kClient, false);
  tap.open(tls);
  tap.open(late);
  ask(tls, "/a");
  tap.close(late, SONDE_SOCKET_CLOSED_HERE);
  EXPECT_EQ(tap.connections.size(), 2U);
}

TEST_F(ConnectionsTls, LearnTheirSocketInAnotherRecord)
{
  Socket tls(3, kUnknown, 20);
  tls.opened.transport = SONDE_SOCKET_TLS;
  tap.open(tls);
  tap.sent(tls, "Q /a\n");
  const auto linked = over(client, 3, kClient, true);
  tap.open(linked);
  tap.received(tls, "A /a\n");
  EXPECT_EQ(asked("api"), "1");
}

TEST_F(ConnectionsTls, EndWithTheirSocketAndGiveTheirVerdictBack)
{
  auto tls = over(server, 3, kServer, true);
  tap.open(tls);
  tap.received(tls, "Q /a\n");
  ASSERT_EQ(tap.verdicts.entries[3].socket, 3U);
  tap.close(server, SONDE_SOCKET_CLOSED_THERE);
  EXPECT_EQ(tap.connections.size(), 1U);
  EXPECT_EQ(tap.verdicts.entries[3].socket, 0U);
}

TEST_F(ConnectionsTls, DoNotStandForTheirSocket)
{
  auto tls = over(server, 3, kServer, true);
  tap.open(tls);
  Socket closed = tls;
  tap.close(closed, SONDE_SOCKET_CLOSED_HERE);
  auto of_client = over(client, 4, kClient, true);
  tap.open(of_client);
  ask(of_client, "/a");
  EXPECT_EQ(asked("api"), "1");
}

TEST_F(ConnectionsTls, OfNoSocketEndWithTheirProcess)
{
  Socket tls(3, kUnknown, 20);
  tls.opened.transport = SONDE_SOCKET_TLS;
  tap.open(tls);
  tap.connections.end_orphans([](std::uint32_t) { return true; });
  EXPECT_EQ(tap.connections.size(), 3U);
  tap.connections.end_orphans([](std::uint32_t tgid) { return tgid != 20; });
  EXPECT_EQ(tap.connections.size(), 2U);
}

TEST_F(ConnectionsTls, AreShownAsSuch)
{
  auto tls = over(client, 3, kClient, true);
  tap.open(tls);
  ask(tls, "/a");
  std::string protocol;
  std::string remote;
  tap.connections.look([&](const ConnectionView& view) {
    if (view.transport != SONDE_SOCKET_TLS)
      return;
    protocol = control::explained(view).protocol;
    remote = control::explained(view).remote;
  });
  EXPECT_EQ(protocol, "tls/lines");
  EXPECT_EQ(remote, "10.0.0.1:443");
}

TEST_F(ConnectionsTls, WhatIsClaimedIsNotRecordedUntilTheClaimIsGivenUp)
{
  tap.connections.claim(20, Role::kClient, "lines");
  auto tls = over(client, 3, kClient, true);
  tap.open(tls);
  ask(tls, "/a");
  EXPECT_EQ(asked("api"), "none");
  EXPECT_EQ(tap.connections.counts().claimed, 1U);
  tap.connections.claim(20, Role::kServer, "lines", true);
  tap.connections.give_up_claim(20, Role::kServer, "lines");
  tap.connections.give_up_claim(20, Role::kClient, "lines");
  ask(tls, "/a");
  EXPECT_EQ(asked("api"), "1");
}

TEST_F(ConnectionsTls, WhatIsClaimedIsSoonNotReadAnyMore)
{
  tap.connections.claim(20, Role::kClient, "lines");
  auto tls = over(client, 3, kClient, true);
  tap.open(tls);
  for (int i = 0; i < 100; ++i)
    ask(tls, "/a");
  EXPECT_LT(tap.connections.counts().claimed, 100U);
  auto unseen = Unseen::kNothing;
  tap.connections.look([&](const ConnectionView& view) {
    if (view.transport == SONDE_SOCKET_TLS)
      unseen = view.unseen;
  });
  EXPECT_EQ(word_of(unseen), "counted_by_probes");
  tap.connections.survey();
  EXPECT_EQ(asked("api"), "none");
}

}  // namespace
}  // namespace sonde::protocols
