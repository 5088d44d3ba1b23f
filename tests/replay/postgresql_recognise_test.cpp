// SPDX-License-Identifier: Apache-2.0
// Which connections are taken for PostgreSQL, and what its exchanges are recorded as.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/replay/postgresql_text.hpp"
#include "tests/support/recorded.hpp"

namespace sonde::postgresql {

extern const protocols::Protocol protocol;

namespace {

using protocols::Exchange;
using protocols::Match;
using protocols::Role;
using testing::ElementsAre;
using testing::IsEmpty;

TEST(PostgresqlRecognise, KnowsTheFirstMessagesOfAConnection)
{
  for (const auto& bytes : {startup(), ssl_request(), cancel_request(), be32(8) + be32(80877104)}) {
    EXPECT_EQ(protocol.recognise({bytes, ""}), Match::kYes);
    for (std::size_t size = 0; size < 8; ++size)
      EXPECT_EQ(protocol.recognise({std::string_view(bytes).substr(0, size), ""}), Match::kNeedMore)
          << size;
  }
  EXPECT_EQ(protocol.recognise({startup().substr(0, 9), ""}), Match::kNeedMore);
  EXPECT_EQ(protocol.recognise({"", "N"}), Match::kNeedMore);
}

TEST(PostgresqlRecognise, KnowsAnOlderConnectionByWholeRequestsAndAnAnswer)
{
  const auto requests = bind_to("", "s") + execute("") + sync();
  EXPECT_EQ(protocol.recognise({requests, "", false}), Match::kNeedMore);
  EXPECT_EQ(protocol.recognise({requests, bound(), false}), Match::kYes);
  EXPECT_EQ(protocol.recognise({query("select 1"), "T", false}), Match::kNeedMore);
  EXPECT_EQ(protocol.recognise({query("select 1"), "HTTP/1.1 200 OK", false}), Match::kNo);
  EXPECT_EQ(protocol.recognise({bind_to("", "s") + "S", "", false}), Match::kNo);
  EXPECT_EQ(protocol.recognise({bind_to("", "s"), bound(), false}), Match::kYes);
  EXPECT_EQ(protocol.recognise({bind_to("", "s"), "HTTP/1.1 200 OK", false}), Match::kNo);
  EXPECT_EQ(
      protocol.recognise({bind_to("", "s", std::string(9000, 'x')).substr(0, 512), bound(), false}),
      Match::kYes);
  EXPECT_EQ(protocol.recognise({"", row("1") + complete("SELECT 1") + ready(), false}),
            Match::kYes);
  EXPECT_EQ(protocol.recognise({"", "the middle of a row" + ready(), false}), Match::kNeedMore);
  EXPECT_EQ(protocol.recognise({"Qx", "", false}), Match::kNeedMore);
}

TEST(PostgresqlRecognise, LeavesOtherProtocolsAlone)
{
  const std::pair<std::string, std::string> others[] = {
      {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\n"},
      {"PUT /Q HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\n"},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", be32(0)},
      {"*1\r\n$4\r\nPING\r\n", "+PONG\r\n"},
      {"CONNECT {}\r\nPING\r\n", "INFO {}\r\n"},
      {"PUB a 1\r\nx\r\n", "+OK\r\n"},
      {std::string("AMQP\0\0\x09\x01", 8), std::string("\1\0\0\0\0\0\x0c", 7)},
      {"",
       std::string("\x4a\0\0\0\x0a"
                   "8.0.36",
                   11)},  // MySQL greets
      {std::string("\x20\0\0\1\x8d\xa2\x3a\0", 8), std::string("\x4a\0\0\0\x0a", 5)},
      {std::string("\0\0\0\x1f\0\3\0\0\0\0\0\1\0\4test", 18), ""},  // Kafka: Metadata
      {std::string("\0\0\0\x08\0\3\0\0\0\0\0\1", 12), ""},
      {std::string("\x16\3\1\2\0\1\0\1", 8), std::string("\x16\3\3", 3)},  // TLS
      {std::string("\0\x1e\xab\xcd\1\0\0\1", 8), ""},                      // DNS
      {std::string("\0\0\0\x54\xfeSMB", 8), ""},
      {std::string("\0\0\0\x20\x80\1\0\1", 8), ""},  // Thrift, framed
      {be32(9) + be32(80877103), ""},
      {be32(8) + be32(80877102), ""},
      {be32(30) + be32(0x30000) + "\x01user", ""},
      {be32(30'000) + be32(0x30000) + "user", ""},
  };
  for (const auto& [to_server, to_client] : others) {
    EXPECT_EQ(protocol.recognise({to_server, to_client}), Match::kNo) << to_server;
    EXPECT_NE(protocol.recognise({to_server, to_client, false}), Match::kYes) << to_server;
  }
}

TEST(PostgresqlRecord, ObservesForTheCallerAndForTheServerInTheirOwnFamilies)
{
  const Exchange exchange{.operation = "insert",
                          .target = "orders",
                          .status = "23505",
                          .request_first_ns = 100,
                          .response_last_ns = 350};
  test::Recorded client(Role::kClient);
  protocol.record(exchange, client);
  EXPECT_THAT(client.lines,
              ElementsAre("database_query_duration_seconds{peer,postgresql,insert,orders} 250",
                          "database_errors_total{peer,postgresql,23505} 1"));
  test::Recorded server(Role::kServer);
  protocol.record(exchange, server);
  EXPECT_THAT(server.lines,
              ElementsAre("database_server_query_duration_seconds{postgresql,insert} 250",
                          "database_server_errors_total{postgresql,23505} 1"));
}

TEST(PostgresqlRecord, CountsTheErrorAloneWhereThereIsNoStatement)
{
  test::Recorded client(Role::kClient);
  protocol.record({.status = "57P01", .response_last_ns = 350}, client);
  protocol.record({.operation = "select",
                   .end = Exchange::End::kReset,
                   .request_first_ns = 100,
                   .response_last_ns = 0},
                  client);
  EXPECT_THAT(client.lines, ElementsAre("database_errors_total{peer,postgresql,57P01} 1"));
}

TEST(PostgresqlRecord, TellsActiveConnectionsFromIdleOnes)
{
  test::Recorded client(Role::kClient);
  protocol.level({}, 1, client);
  protocol.level({}, -1, client);
  protocol.level({.in_flight = 2}, 1, client);
  protocol.level({.in_transaction = true}, 1, client);
  EXPECT_THAT(client.lines,
              ElementsAre("database_connections_idle{peer,postgresql} 1",
                          "database_connections_idle{peer,postgresql} -1",
                          "database_connections_active{peer,postgresql} 1",
                          "database_connections_active{peer,postgresql} 1"));
  test::Recorded server(Role::kServer);
  protocol.level({}, 1, server);
  EXPECT_THAT(server.lines, IsEmpty());
}

}  // namespace
}  // namespace sonde::postgresql
