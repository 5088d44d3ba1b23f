// SPDX-License-Identifier: Apache-2.0
// Which connections are taken for Redis, and what its exchanges are recorded as.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/recorded.hpp"

namespace sonde::redis {

extern const protocols::Protocol protocol;

namespace {

using protocols::Match;
using protocols::Role;
using testing::ElementsAre;

constexpr std::string_view kWhole = "*1\r\n$4\r\nPING\r\n";

TEST(RedisRecognise, KnowsACommandAtTheStart)
{
  EXPECT_EQ(protocol.recognise({"*1\r\n$4\r\nPING\r\n", ""}), Match::kYes);
  EXPECT_EQ(protocol.recognise({"*2\r\n$5\r\nhello\r\n$1\r\n3\r\n", ""}), Match::kYes);
  EXPECT_EQ(protocol.recognise({"*3\r\n$3\r\nSET\r\n$1", "+OK"}), Match::kYes);
  EXPECT_EQ(protocol.recognise({"PING\r\n", "+PONG\r\n"}), Match::kYes);
  EXPECT_EQ(protocol.recognise({"get a\r\n", "$-1\r\n"}), Match::kYes);
  EXPECT_EQ(protocol.recognise({"*1\r\n$7\r\nMOD.CMD\r\n", "%1\r\n"}), Match::kYes);
}

TEST(RedisRecognise, WaitsWhileMoreCouldDecide)
{

  for (std::size_t size = 0; size < kWhole.size(); ++size)
    EXPECT_EQ(protocol.recognise({kWhole.substr(0, size), ""}), Match::kNeedMore) << size;
  for (const std::string_view inline_part : {"PI", "PING", "PING\r\n"})
    EXPECT_EQ(protocol.recognise({inline_part, ""}), Match::kNeedMore);
  EXPECT_EQ(protocol.recognise({"PING\r\n", "+PO"}), Match::kNeedMore);
  EXPECT_EQ(protocol.recognise({"", "+OK\r\n"}), Match::kNeedMore);
  EXPECT_EQ(protocol.recognise({"*1\r\n$7\r\nMOD.CMD\r\n", "+O"}), Match::kNeedMore);
}

TEST(RedisRecognise, WantsBothSidesOfAnOlderConnection)
{
  EXPECT_EQ(protocol.recognise({kWhole, "", false}), Match::kNeedMore);
  EXPECT_EQ(protocol.recognise({kWhole, ":1\r\n", false}), Match::kYes);
  EXPECT_EQ(protocol.recognise({kWhole, "HTTP/1.1 200 OK\r\n", false}), Match::kNo);
  EXPECT_EQ(protocol.recognise({"", "*3\r\n$7\r\nmessage\r\n$1\r\na", false}), Match::kYes);
  EXPECT_EQ(protocol.recognise({"", ">4\r\n$8\r\npmessage\r\n$1\r\na", false}), Match::kYes);
  EXPECT_EQ(protocol.recognise({"", ":1\r\n", false}), Match::kNeedMore);
  EXPECT_EQ(protocol.recognise({"", "\x4a", false}), Match::kNo);
  EXPECT_EQ(protocol.recognise({"PING\r\n", "+PONG\r\n", false}), Match::kNo);
}

TEST(RedisRecognise, LeavesOtherProtocolsAlone)
{
  const std::pair<std::string_view, std::string_view> others[] = {
      {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\n"},
      {"PING\r\n", "PONG\r\n"},                            // NATS
      {"CONNECT {}\r\nPING\r\n", "INFO {\"server\"\r\n"},  // NATS
      {"QUIT\r\n", "+OK\r\n"},                             // POP3
      {"AUTH PLAIN\r\n", "+\r\n"},                         // SMTP, POP3
      {"get a\r\n", "VALUE a 0 1\r\n1\r\nEND\r\n"},        // memcached
      {"append a 0 0 1\r\nx\r\n", "STORED\r\n"},           // memcached
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ""},
      {"\x16\x03\x01\x02", ""},
      {std::string_view("AMQP\0\0\x09\x01", 8), "\x01"},
      {std::string_view("\0\0\0\x08\x04\xd2\x16\x2f", 8), "N"},  // PostgreSQL
      {"",
       "\x4a\x00\x00\x00\x0a"
       "8.0.36"},  // MySQL
      {"*1\r\n$4\r\nPI G\r\n", ""},
      {"*1\r\n$4\r\nPINGx", ""},
      {"*1x", ""},
      {"*1\rx", ""},
      {"*0\r\n", ""},
      {"*1\r\n$99\r\nx", ""},
      {"*123456789\r\n", ""},
      {"*1\r\n+PING\r\n", ""},
      {"verylongwordthatisnocommandatall", ""},
      {"PING\r\n", "-ERR\n"},
      {"PING\r\n", ":x1\r\n"},
      {"PING\r\n", "-\x01\r\n"},
  };
  for (const auto& [to_server, to_client] : others)
    EXPECT_EQ(protocol.recognise({to_server, to_client}), Match::kNo) << to_server;
}

TEST(RedisRecord, CountsForTheCallerAndForTheServerInTheirOwnFamilies)
{
  const protocols::Exchange exchange{
      .operation = "GET", .status = "ERR", .request_first_ns = 100, .response_last_ns = 350};
  test::Recorded client(Role::kClient);
  protocol.record(exchange, client);
  EXPECT_THAT(client.lines,
              ElementsAre("redis_operations_total{peer,GET} 1",
                          "redis_operation_duration_seconds{peer,GET} 250",
                          "redis_errors_total{peer,GET,ERR} 1"));
  test::Recorded server(Role::kServer);
  protocol.record(exchange, server);
  EXPECT_THAT(server.lines,
              ElementsAre("redis_server_operations_total{GET} 1",
                          "redis_server_operation_duration_seconds{GET} 250"));
}

TEST(RedisRecord, GivesNoDurationToACommandWithoutReply)
{
  test::Recorded client(Role::kClient);
  protocol.record({.operation = "SET", .request_first_ns = 100}, client);
  protocol.record({.operation = "BLPOP",
                   .end = protocols::Exchange::End::kReset,
                   .request_first_ns = 100,
                   .response_last_ns = 200},
                  client);
  protocol.level({.in_flight = 1}, 1, client);
  EXPECT_THAT(
      client.lines,
      ElementsAre("redis_operations_total{peer,SET} 1", "redis_operations_total{peer,BLPOP} 1"));
}

}  // namespace
}  // namespace sonde::redis
