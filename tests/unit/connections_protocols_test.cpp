// SPDX-License-Identifier: Apache-2.0
// The protocols of this build, from records of the tap to what a scrape shows.
#include <string>

#include <gtest/gtest.h>

#include "tests/support/socket_records.hpp"

#include "agent/protocols/connections.hpp"

namespace sonde::protocols {
namespace {

using test::Socket;

struct Node : test::Tap {
  Node() : Tap(options_of_tests(), protocols::protocols())
  {
    services.set(5, 1, "api");
    services.put(10, 5);
    services.set(6, 1, "cache");
    services.put(11, 6);
  }
};

constexpr std::string_view kGet = "GET /items?id=7 HTTP/1.1\r\nHost: a\r\n\r\n";
constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

TEST(ConnectionsProtocols, CountARequestOnBothSidesInTheirOwnFamilies)
{
  Node node;
  Socket client(1, SONDE_SOCKET_ROLE_CLIENT, 11);
  client.between(1, 40'000, 2, 80);
  Socket server(2, SONDE_SOCKET_ROLE_SERVER, 10);
  server.between(2, 80, 1, 40'000);
  node.open(client);
  node.open(server);
  for (int i = 0; i < 3; ++i) {
    node.sent(client, kGet);
    node.received(server, kGet);
    EXPECT_EQ(node.value(R"(http_requests_in_flight{service="api"})"), "1");
    node.sent(server, kOk);
    node.received(client, kOk);
  }
  EXPECT_EQ(
      node.value(R"(http_requests_total{service="api",method="GET",path="/items",status="200"})"),
      "3");
  EXPECT_EQ(
      node.value(
          R"(http_client_requests_total{service="cache",peer="api",method="GET",status="200"})"),
      "3");
  EXPECT_EQ(node.value(
                R"(http_request_duration_seconds_count{service="api",method="GET",path="/items"})"),
            "3");
  EXPECT_EQ(node.value(R"(http_requests_in_flight{service="api"})"), "0");
  EXPECT_EQ(node.value(R"(sonde_connections{protocol="http1"})"), "2");
}

TEST(ConnectionsProtocols, AskTheTapForHeadsOfRequestsAndSkipTheirBodies)
{
  Node node;
  Socket server(2, SONDE_SOCKET_ROLE_SERVER, 10);
  node.open(server);
  node.received(server, "POST /items HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
  const auto wish = node.verdicts.entries[2].wish[SONDE_SOCKET_RECEIVED];
  EXPECT_TRUE(wish >> 35U & 1U);
  EXPECT_EQ(static_cast<std::uint32_t>(wish), server.position[SONDE_SOCKET_RECEIVED] + 1'000'000);
  server.position[SONDE_SOCKET_RECEIVED] += 1'000'000;
  node.sent(server, kOk);
  node.received(server, kGet);
  node.sent(server, kOk);
  EXPECT_EQ(
      node.value(R"(http_requests_total{service="api",method="POST",path="/items",status="200"})"),
      "1");
  EXPECT_EQ(
      node.value(R"(http_requests_total{service="api",method="GET",path="/items",status="200"})"),
      "1");
  EXPECT_EQ(node.connections.counts().lost_bytes, 0U);
}

TEST(ConnectionsProtocols, TellRedisFromHttpWhateverTheHintSays)
{
  Node node;
  for (const auto role :
       {SONDE_SOCKET_ROLE_UNKNOWN, SONDE_SOCKET_ROLE_CLIENT, SONDE_SOCKET_ROLE_SERVER}) {
    Socket socket(10 + static_cast<std::uint64_t>(role), role, 11);
    node.open(socket);
    for (int i = 0; i < 2; ++i) {
      node.received(socket, "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n");
      node.sent(socket, "$5\r\nvalue\r\n");
    }
  }
  EXPECT_EQ(node.value(R"(redis_server_operations_total{service="cache",operation="GET"})"), "6");
  EXPECT_EQ(node.value(R"(sonde_connections{protocol="redis"})"), "3");
}

TEST(ConnectionsProtocols, CountALongPipelineOfAConnectionThatIsJoined)
{
  Node node;
  Socket client(3, SONDE_SOCKET_ROLE_CLIENT, 11);
  client.between(1, 40'000, 2, 6379);
  client.opened.from_start = 0;
  node.open(client);
  const std::string command =
      "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$900\r\n" + std::string(900, 'v') + "\r\n";
  std::string batch;
  for (int i = 0; i < 40; ++i)
    batch += command;
  for (std::size_t at = 0; at < batch.size(); at += 4096)
    node.sent(client, batch.substr(at, 4096));
  for (int i = 0; i < 40; ++i)
    node.received(client, "+OK\r\n");
  EXPECT_EQ(
      node.value(R"(redis_operations_total{service="cache",peer="10.0.0.2:6379",operation="SET"})"),
      "40");
  EXPECT_EQ(node.value(R"(sonde_connections{protocol="redis"})"), "1");
}

TEST(ConnectionsProtocols, LeaveAnUpgradedConnectionAlone)
{
  Node node;
  Socket server(2, SONDE_SOCKET_ROLE_SERVER, 10);
  node.open(server);
  node.received(server,
                "GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: something\r\n\r\n");
  node.sent(server,
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: something\r\n\r\n"
            "bytes of something");
  EXPECT_EQ(node.value(R"(http_requests_total{service="api",method="GET",path="/x",status="101"})"),
            "1");
  EXPECT_EQ(node.value(R"(sonde_connections{protocol="ignored"})"), "1");
  EXPECT_EQ(test::mode_of(node.verdicts.entries[2].wish[SONDE_SOCKET_SENT]), SONDE_SOCKET_IGNORE);
}

TEST(ConnectionsProtocols, CountAnAbortedRequestByWhoWentAway)
{
  Node node;
  Socket server(2, SONDE_SOCKET_ROLE_SERVER, 10);
  node.open(server);
  node.received(server, kGet);
  node.close(server, SONDE_SOCKET_CLOSED_THERE);
  EXPECT_EQ(node.value(R"(http_requests_aborted_total{service="api",method="GET",path="/items",)"
                       R"(reason="client_closed"})"),
            "1");
  EXPECT_EQ(node.value(R"(http_requests_in_flight{service="api"})"), "0");
}

}  // namespace
}  // namespace sonde::protocols
