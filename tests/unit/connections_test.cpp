// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/socket_records.hpp"

#include "agent/protocols/connections.hpp"

namespace sonde::protocols {
namespace {

using test::Socket;
using test::Tap;

constexpr auto kServer = SONDE_SOCKET_ROLE_SERVER;
constexpr auto kClient = SONDE_SOCKET_ROLE_CLIENT;

void serve(Tap& tap, Socket& socket, const std::string& name)
{
  tap.received(socket, "Q " + name + "\n");
  tap.sent(socket, "A " + name + "\n");
}
void ask(Tap& tap, Socket& socket, const std::string& name)
{
  tap.sent(socket, "Q " + name + "\n");
  tap.received(socket, "A " + name + "\n");
}

TEST(Connections, CountsExchangesForTheServiceThatServes)
{
  Tap tap;
  tap.services.set(5, 1, "api");
  tap.services.put(10, 5);
  Socket socket(1, kServer, 10);
  tap.open(socket);
  serve(tap, socket, "/a");
  serve(tap, socket, "/a");
  EXPECT_EQ(tap.value(R"(line_requests_total{service="api",target="/a",status="ok"})"), "2");
  EXPECT_EQ(tap.value(R"(line_duration_seconds_count{service="api",target="/a"})"), "2");
  EXPECT_EQ(tap.value(R"(line_duration_seconds_bucket{service="api",target="/a",le="5e-05"})"),
            "2");
  EXPECT_EQ(tap.value(R"(sonde_connections{protocol="lines"})"), "1");
  EXPECT_EQ(tap.connections.counts().exchanges, 2U);
}

TEST(Connections, UsesTheNameThatAProcessHasWhenTheExchangeIsRecorded)
{
  Tap tap;
  Socket socket(1, kServer, 10);
  tap.open(socket);
  serve(tap, socket, "/a");
  EXPECT_EQ(tap.value(R"(line_requests_total{service="other",target="/a",status="ok"})"), "1");
  tap.services.set(5, 1, "api");
  tap.services.put(10, 5);
  serve(tap, socket, "/a");
  EXPECT_EQ(tap.value(R"(line_requests_total{service="api",target="/a",status="ok"})"), "1");
}

TEST(Connections, FallsBackToTheSlotOfTheCallOnlyWhileItsServiceHoldsIt)
{
  Tap tap;
  tap.services.set(5, 1, "gone");
  Socket socket(1, kServer, 10);  // a process that is no more
  socket.opened.slot = 5;
  socket.opened.generation = 1;
  tap.open(socket);
  serve(tap, socket, "/a");
  EXPECT_EQ(tap.value(R"(line_requests_total{service="gone",target="/a",status="ok"})"), "1");
  tap.services.release(5);
  tap.services.set(5, 2, "new");
  serve(tap, socket, "/a");
  EXPECT_EQ(tap.value(R"(line_requests_total{service="gone",target="/a",status="ok"})"), "none");
  EXPECT_EQ(tap.value(R"(line_requests_total{service="new",target="/a",status="ok"})"), "none");
  EXPECT_EQ(tap.value(R"(line_requests_total{service="other",target="/a",status="ok"})"), "1");
}

TEST(Connections, NamesThePeerByItsAddressUntilItsSocketShowsUp)
{
  Tap tap;
  tap.services.set(5, 1, "api");
  tap.services.set(6, 1, "db");
  tap.services.put(10, 5);
  tap.services.put(11, 6);
  Socket client(1, kClient, 10);
  client.between(1, 40'000, 2, 5432);
  tap.open(client);
  ask(tap, client, "x");
  EXPECT_EQ(
      tap.value(R"(line_client_requests_total{service="api",peer="10.0.0.2:5432",target="x"})"),
      "1");
  Socket server(2, kServer, 11);
  server.between(2, 5432, 1, 40'000);
  server.opened.netns = 77;  // the same network seen from a container
  tap.open(server);
  ask(tap, client, "x");
  EXPECT_EQ(tap.value(R"(line_client_requests_total{service="api",peer="db",target="x"})"), "1");
}

TEST(Connections, NamesAPeerThatClosedBeforeItsAnswerWasRead)
{
  Tap tap;
  tap.services.set(5, 1, "api");
  tap.services.set(6, 1, "db");
  tap.services.put(10, 5);
  tap.services.put(11, 6);
  Socket client(1, kClient, 10);
  client.between(1, 40'000, 2, 5432);
  tap.open(client);
  Socket server(2, kServer, 11);
  server.between(2, 5432, 1, 40'000);
  tap.open(server);
  tap.close(server, SONDE_SOCKET_CLOSED_HERE);
  ask(tap, client, "x");
  EXPECT_EQ(tap.value(R"(line_client_requests_total{service="api",peer="db",target="x"})"), "1");
}

TEST(Connections, KeepsLoopbacksOfDifferentNamespacesApart)
{
  Tap tap;
  tap.services.set(6, 1, "db");
  tap.services.put(11, 6);
  const auto loopback = [](Socket& socket) {
    for (auto* address : {socket.opened.local, socket.opened.remote}) {
      address[12] = 127;
      address[15] = 1;
    }
  };
  Socket client(1, kClient, 10);
  client.between(0, 40'000, 0, 5432);
  loopback(client);
  Socket server(2, kServer, 11);
  server.between(0, 5432, 0, 40'000);
  loopback(server);
  server.opened.netns = 77;
  tap.open(server);
  tap.open(client);
  ask(tap, client, "x");
  EXPECT_EQ(
      tap.value(R"(line_client_requests_total{service="other",peer="127.0.0.1:5432",target="x"})"),
      "1");
  Socket same(3, kServer, 11);
  same.opened = server.opened;
  same.opened.socket = 3;
  same.opened.netns = 0;
  tap.open(same);
  ask(tap, client, "x");
  EXPECT_EQ(tap.value(R"(line_client_requests_total{service="other",peer="db",target="x"})"), "1");
}

TEST(Connections, FindsThePeerOfAUnixSocketByItsId)
{
  Tap tap;
  tap.services.set(6, 1, "db");
  tap.services.put(11, 6);
  Socket client(1, SONDE_SOCKET_ROLE_UNKNOWN, 10);
  client.opened.transport = SONDE_SOCKET_UNIX;
  tap.open(client);
  Socket server(2, SONDE_SOCKET_ROLE_UNKNOWN, 11);
  server.opened.transport = SONDE_SOCKET_UNIX;
  server.opened.peer = 1;
  tap.open(server);
  ask(tap, client, "x");
  serve(tap, server, "x");
  EXPECT_EQ(tap.value(R"(line_client_requests_total{service="other",peer="db",target="x"})"), "1");
  EXPECT_EQ(tap.value(R"(line_requests_total{service="db",target="x",status="ok"})"), "1");
}

TEST(Connections, WritesAnIPv6PeerInBrackets)
{
  std::array<std::uint8_t, 16> address{0x20, 0x01, 0x0d, 0xb8};
  address[15] = 1;
  EXPECT_EQ(host_and_port(address, 80), "[2001:db8::1]:80");
}

TEST(Connections, NeverDecodesTheAgentsOwn)
{
  Tap tap;
  Socket socket(1, kServer, 10);
  socket.opened.slot = SONDE_SLOT_AGENT;
  tap.open(socket);
  serve(tap, socket, "/a");
  EXPECT_EQ(tap.connections.counts().exchanges, 0U);
  EXPECT_EQ(tap.value(R"(sonde_connections{protocol="ignored"})"), "1");
  EXPECT_EQ(test::mode_of(tap.verdicts.entries[1].wish[0]), SONDE_SOCKET_IGNORE);
}

TEST(Connections, CountsBytesOfSocketsItDoesNotKnow)
{
  Tap tap;
  Socket socket(1, kServer, 10);
  serve(tap, socket, "/a");
  tap.close(socket);
  EXPECT_EQ(tap.connections.counts().unknown, 2U);
  tap.open(socket);
  tap.close(socket);
  tap.received(socket, "Q late\n");
  EXPECT_EQ(tap.connections.counts().unknown, 3U);
  EXPECT_EQ(tap.connections.size(), 0U);
}

TEST(Connections, IgnoresWhatFindsNoRoomAndCountsIt)
{
  auto options = Tap::options_of_tests();
  options.max_connections = 2;
  Tap tap(std::move(options));
  for (std::uint64_t id = 1; id <= 3; ++id)
    tap.open(Socket(id, kServer, 10));
  EXPECT_EQ(tap.connections.size(), 2U);
  EXPECT_EQ(tap.connections.counts().overflow, 1U);
  EXPECT_EQ(test::mode_of(tap.verdicts.entries[3].wish[1]), SONDE_SOCKET_IGNORE);
  tap.close(Socket(1, kServer, 10));
  tap.open(Socket(4, kServer, 10));
  EXPECT_EQ(tap.connections.size(), 2U);
}

TEST(Connections, TellsSocketsThatUseAVerdictsPlaceOneAfterTheOtherApart)
{
  Tap tap;
  Socket first(1, kServer, 10);
  tap.open(first);
  tap.received(first, "no protocol of ours");
  tap.sent(first, "indeed not");
  tap.close(first);
  Socket second(2, kServer, 10);
  second.opened.verdict = 1;
  tap.open(second);
  EXPECT_EQ(tap.verdicts.entries[1].socket, 1U);  // so the tap takes the default
  serve(tap, second, "/a");
  EXPECT_EQ(tap.verdicts.entries[1].socket, 2U);
  EXPECT_EQ(test::mode_of(tap.verdicts.entries[1].wish[SONDE_SOCKET_RECEIVED]), SONDE_SOCKET_FULL);
}

TEST(Connections, SettlesGaugesWhereTheyWereRaised)
{
  Tap tap;
  tap.services.set(5, 1, "early");
  tap.services.put(10, 5);
  Socket socket(1, kServer, 10);
  tap.open(socket);
  tap.received(socket, "Q a\nQ b\n");
  EXPECT_EQ(tap.value(R"(line_in_flight{service="early"})"), "2");
  tap.services.set(6, 1, "late");
  tap.services.put(10, 6);
  tap.sent(socket, "A a\n");
  EXPECT_EQ(tap.value(R"(line_in_flight{service="early"})"), "0");
  EXPECT_EQ(tap.value(R"(line_in_flight{service="late"})"), "1");
  tap.close(socket);
  EXPECT_EQ(tap.value(R"(line_in_flight{service="late"})"), "0");
}

TEST(Connections, SweepsWhatWaitsAndAsksToBeWoken)
{
  Tap tap;
  Socket socket(1, kServer, 10);
  tap.open(socket);
  serve(tap, socket, "/a");
  EXPECT_EQ(tap.wakes, 0);
  tap.sent(socket, "rubbish\n");
  EXPECT_EQ(tap.wakes, 1);
  tap.connections.sweep(tap.now_ns + 1'000'000);
  EXPECT_EQ(tap.wakes, 2);
  tap.connections.sweep(tap.now_ns + Connection::kPatienceNs);
  EXPECT_EQ(tap.wakes, 2);
  EXPECT_EQ(tap.value(R"(sonde_decode_errors_total{protocol="lines",reason="line"})"), "1");
}

TEST(Connections, BoundsTheReasonsOfDecodeErrors)
{
  DecodeErrors errors;
  for (int i = 0; i < 100; ++i)
    errors.count("lines", "reason" + std::to_string(i));
  errors.count("lines", "reason3");
  metrics::Exposition out;
  out.begin("e", metrics::Type::kCounter, "");
  errors.render(out);
  EXPECT_EQ(out.lines(), DecodeErrors::kMaxReasons);
  EXPECT_NE(out.body().find("reason=\"reason3\"} 2\n"), std::string::npos);
  EXPECT_NE(out.body().find("reason=\"other\"} 85\n"), std::string::npos);
}

TEST(Connections, LetsAnObserverSeeEachExchange)
{
  Tap tap;
  tap.services.set(5, 1, "api");
  tap.services.put(10, 5);
  std::vector<std::string> seen;
  tap.connections.on_exchange([&](const Observed& observed) {
    seen.push_back(observed.service.name + " " + std::string(observed.protocol.name) + " " +
                   std::string(observed.route) + " " + std::string(observed.peer));
  });
  Socket server(1, kServer, 10);
  tap.open(server);
  serve(tap, server, "/a");
  Socket client(2, kClient, 10);
  client.between(1, 40'000, 2, 80);
  tap.open(client);
  ask(tap, client, "/b");
  EXPECT_EQ(seen, (std::vector<std::string>{"api lines /a ", "api lines /b 10.0.0.2:80"}));
}

TEST(Connections, RefusesRecordsThatNoTapMakes)
{
  Tap tap;
  const std::vector<std::byte> nothing(4);
  EXPECT_FALSE(tap.connections.record(nothing));
  Socket socket(1, kServer, 10);
  auto record = tap.record(socket, SONDE_SOCKET_SENT, 10);
  record.captured = 10;  // which are not there
  EXPECT_FALSE(tap.connections.record(std::as_bytes(std::span(&record, 1))));
  record.captured = 0;
  record.direction = 2;
  EXPECT_FALSE(tap.connections.record(std::as_bytes(std::span(&record, 1))));
  EXPECT_EQ(tap.connections.counts().malformed, 3U);
  EXPECT_TRUE(tap.connections.record(std::as_bytes(std::span(&socket.opened, 1))));
  EXPECT_EQ(tap.connections.size(), 1U);
}

TEST(Connections, FindsEverySocketAfterManyHaveComeAndGone)
{
  Tap tap;
  std::vector<Socket> open;
  std::uint64_t id = 0;
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 500; ++i) {
      ++id;
      open.emplace_back(id, kServer, 10).between(1, 80, 2, static_cast<std::uint16_t>(id));
      tap.open(open.back());
    }
    for (auto& socket : open)
      serve(tap, socket, "x");
    for (std::size_t i = 0; i < open.size() / 2; ++i)
      tap.close(open[i]);
    open.erase(open.begin(), open.begin() + static_cast<long>(open.size() / 2));
  }
  EXPECT_EQ(tap.connections.size(), open.size());
  EXPECT_EQ(tap.connections.counts().unknown, 0U);
  EXPECT_EQ(tap.value(R"(sonde_connections{protocol="lines"})"), std::to_string(open.size()));
}

TEST(Connections, TakesLittleMemoryForASocketThatNobodyDecodes)
{
  EXPECT_LE(Connections::bytes_ignored(), 64U);
  EXPECT_LE(Connections::bytes_decoded(), 512U);
}

}  // namespace
}  // namespace sonde::protocols
