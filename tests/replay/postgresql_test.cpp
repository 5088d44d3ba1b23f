// SPDX-License-Identifier: Apache-2.0
// Conversations as libpq, psycopg, pgbench, pgx and node-postgres have them with PostgreSQL 15.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/replay/postgresql_text.hpp"
#include "tests/support/conversation.hpp"
#include "tests/support/decoder_properties.hpp"

namespace sonde::postgresql {

extern const protocols::Protocol protocol;

namespace {

using test::client;
using test::Conversation;
using test::server;
using testing::ElementsAre;
using testing::IsEmpty;

const std::string kPayload =
    "'; select * from secret; \r\n*1\r\n$4\r\nPING\r\nGET / HTTP/1.1\r\n\r\n" +
    complete("SELECT 9") + ready() + "PUB go.one 3\r\n";

Conversation connected(Conversation rest)
{
  Conversation all = {
      client(ssl_request()),
      server("N"),
      client(startup()),
      server(message('R', be32(10) + text("SCRAM-SHA-256") + text(""))),
      client(message('p', text("SCRAM-SHA-256") + be32(5) + "n,,n=")),
      server(message('R', be32(11) + "r=abc")),
      client(message('p', "c=biws,r=abc")),
      server(message('R', be32(12) + "v=abc") + message('R', be32(0)) +
             message('S', text("server_version") + text("15.7"))),
      server(message('K', be32(1) + be32(2)) + ready()),
  };
  all.insert(all.end(), rest.begin(), rest.end());
  return all;
}

// libpq with simple queries: psycopg2, psql, pgbench -M simple.
Conversation simple()
{
  return connected({
      client(query("BEGIN")),
      server(complete("BEGIN") + ready('T')),
      client(query("/* c */ SELECT abalance FROM pgbench_accounts WHERE aid = 1;")),
      server(columns() + row("0") + complete("SELECT 1") + ready('T')),
      client(query("INSERT INTO public.Orders VALUES (" + kPayload.substr(0, 40) + "')")),
      server(notice() + complete("INSERT 0 1") + message('A', be32(1) + text("c") + text("x")) +
             ready('T')),
      client(query("select * from missing")),
      server(error("42P01") + ready('E')),
      client(query("select 1")),
      server(error("25P02") + ready('E')),
      client(query("COMMIT")),
      server(complete("ROLLBACK") + ready()),
      client(query("-- ping")),
      server(message('I') + ready()),
      server(message('A', be32(1) + text("c") + text("x"))),
      client(query("select 1; update t set a = ';'; select 2/0; delete from u")),
      server(columns() + row("1") + complete("SELECT 1") + complete("UPDATE 3") + error("22012") +
             ready()),
      client(query("ROLLBACK TO x; RELEASE x")),
      server(complete("ROLLBACK") + complete("RELEASE") + ready()),
  });
}

// pgbench -M prepared: a lone Parse first, then a pipeline with one Sync; libpq's Close.
Conversation prepared()
{
  return connected({
      client(parse("P0_1", "SELECT abalance FROM pgbench_accounts WHERE aid = $1;") + sync()),
      server(parsed() + ready()),
      client(bind_to("", "P0_1") + describe('P', "") + execute("") + sync()),
      server(bound() + columns() + row(kPayload) + complete("SELECT 1") + ready()),
      client(parse("P0_2", "update pgbench_tellers set a = $1") + sync()),
      server(parsed() + ready()),
      client(bind_to("", "P0_1") + describe('P', "") + execute("") + bind_to("", "P0_2") +
             describe('P', "") + execute("") + bind_to("", "P0_1", "77") + describe('P', "") +
             execute("") + sync()),
      server(bound() + columns() + row("1") + complete("SELECT 1") + bound() + message('n') +
             complete("UPDATE 1")),
      server(bound() + columns() + row("2") + complete("SELECT 1") + ready()),
      client(close('S', "P0_1") + sync()),
      server(message('3') + ready()),
      client(query("DEALLOCATE ALL")),
      server(complete("DEALLOCATE ALL") + ready()),
      client(parse("P0_1", "delete from other") + bind_to("", "P0_1") + execute("") + sync()),
      server(parsed() + bound() + complete("DELETE 0") + ready()),
  });
}

// pgx: all Parse and Describe first, then all Bind and Execute; an error skips up to Sync.
Conversation pgx()
{
  return connected({
      client(parse("s1", "select a from one") + describe('S', "s1") +
             parse("s2", "insert into two values ($1)") + describe('S', "s2") + sync()),
      server(parsed() + parameters() + columns() + parsed() + parameters() + message('n') +
             ready()),
      client(bind_to("", "s1") + describe('P', "") + execute("") + bind_to("", "s2") +
             describe('P', "") + execute("") + sync()),
      server(bound() + columns() + complete("SELECT 0") + bound() + message('n') +
             complete("INSERT 0 1") + ready()),
      client(bind_to("", "s2", "bad") + describe('P', "") + execute("") + bind_to("", "s1") +
             describe('P', "") + execute("") + sync()),
      server(error("22P02") + ready()),
      client(bind_to("", "s1") + execute("") + bind_to("", "s2") + execute("") + bind_to("", "s1") +
             execute("") + sync()),
      server(bound() + complete("SELECT 0") + bound() + error("23505") + ready()),
      client(parse("", "selec 1") + describe('S', "") + sync()),
      server(error("42601") + ready()),
      client(parse("", "") + bind_to("", "") + execute("") + sync()),
      server(parsed() + bound() + message('I') + ready()),
      client(parse("s3", "select a, b from three") + describe('S', "s3") + sync()),
      server(parsed() + parameters() + columns() + ready()),
      client(query("copy three ( a, b ) from stdin binary;")),
      server(message('G', std::string("\1\0\0", 3))),
      client(message('d', "PGCOPY\n\xff\r\n" + kPayload) + message('d', kPayload)),
      client(message('c')),
      server(complete("COPY 2") + ready()),
  });
}

// A cursor of protocol level, COPY in all ways, a function call.
Conversation cursors_and_copies()
{
  return connected({
      client(parse("", "select * from big") + bind_to("c1", "") + describe('P', "c1") +
             execute("c1", 2) + message('H')),
      server(parsed() + bound() + columns() + row("1") + row("2") + message('s')),
      client(execute("c1", 2) + message('H')),
      server(row("3") + row("4") + message('s')),
      client(execute("c1", 2) + sync()),
      server(row("5") + complete("SELECT 1") + ready()),
      client(query("copy t to stdout")),
      server(message('H', std::string("\0\0\0", 3)) + message('d', "1\n") + message('d', kPayload) +
             message('c') + complete("COPY 2") + ready()),
      client(parse("", "copy t from stdin") + bind_to("", "") + execute("") + sync()),
      server(parsed() + bound() + message('G', std::string("\0\0\0", 3))),
      client(message('d', "1\n") + message('d', "2\n")),
      client(message('c') + sync()),
      server(complete("COPY 2") + ready()),
      client(query("COPY t FROM STDIN")),
      server(message('G', std::string("\0\0\0", 3))),
      client(message('d', "1\n") + message('f', text("no more"))),
      server(error("57014") + ready()),
      client(message('F', be32(1) + std::string(6, '\0'))),
      server(message('V', be32(0)) + ready()),
      client(parse("", "copy u from stdin") + bind_to("", "") + execute("") + message('d', "1\n") +
             message('c') + sync()),
      server(parsed() + bound() + message('G', std::string("\0\0\0", 3)) + complete("COPY 1") +
             ready()),
      client(query("select 1")),
      server(columns() + row("1") + complete("SELECT 1") + ready()),
      client(message('X')),
  });
}

std::vector<Conversation> conversations()
{
  return {simple(), prepared(), pgx(), cursors_and_copies()};
}

// Without sizes.
std::vector<std::string> said(const test::Outcome& outcome)
{
  std::vector<std::string> lines;
  for (const auto& line : outcome.exchanges)
    lines.push_back(line.substr(0, line.rfind(' ')));
  return lines;
}

TEST(Postgresql, CountsAStatementPerCommandCompleteOrError)
{
  const auto outcome = test::replay(protocol, simple());
  EXPECT_THAT(outcome.malformed, IsEmpty());
  EXPECT_THAT(said(outcome),
              ElementsAre("begin  ",
                          "select pgbench_accounts ",
                          "insert public.orders ",
                          "select missing 42P01",
                          "select  25P02",
                          "commit  ",
                          "select  ",
                          "update t ",
                          "select  22012",
                          "rollback  ",
                          "release  "));
}

TEST(Postgresql, KnowsPreparedStatementsByName)
{
  const auto outcome = test::replay(protocol, prepared());
  EXPECT_THAT(outcome.malformed, IsEmpty());
  EXPECT_THAT(said(outcome),
              ElementsAre("select pgbench_accounts ",
                          "select pgbench_accounts ",
                          "update pgbench_tellers ",
                          "select pgbench_accounts ",
                          "deallocate  ",
                          "delete other "));
}

TEST(Postgresql, PairsABatchAndSkipsUpToSyncAfterAnError)
{
  const auto outcome = test::replay(protocol, pgx());
  EXPECT_THAT(outcome.malformed, IsEmpty());
  EXPECT_THAT(said(outcome),
              ElementsAre("select one ",
                          "insert two ",
                          "insert two 22P02",
                          "select one ",
                          "insert two 23505",
                          "other  42601",
                          "copy three "));
}

TEST(Postgresql, CountsACursorAndACopyOnce)
{
  const auto outcome = test::replay(protocol, cursors_and_copies());
  EXPECT_THAT(outcome.malformed, IsEmpty());
  EXPECT_THAT(
      said(outcome),
      ElementsAre("select big ", "copy t ", "copy t ", "copy t 57014", "copy u ", "select  "));
}

// asyncpg's fetchrow: a row limit, and a Sync instead of the rest.
TEST(Postgresql, CountsASuspendedStatementOnceWhenItsPortalEnds)
{
  const auto fetch = [](std::string_view portal) {
    return client(bind_to(portal, "s") + execute(portal, 1) + sync());
  };
  const auto outcome = replay(
      postgresql::protocol,
      connected({
          client(parse("s", "select 1 from a") + describe('S', "s") + message('H')),
          server(parsed() + columns()),
          fetch(""),
          server(bound() + row("1") + message('s') + ready()),
          fetch(""),
          server(bound() + row("1") + message('s') + ready()),
          client(query("begin")),
          server(complete("BEGIN") + ready('T')),
          fetch("p"),
          server(bound() + row("1") + message('s') + ready('T')),
          fetch(""),
          server(bound() + row("1") + message('s') + ready('T')),
          fetch(""),
          server(bound() + row("1") + message('s') + ready('T')),
          client(close('P', "p") + sync()),
          server(message('3') + ready('T')),
          client(bind_to("p", "s") + execute("p", 1) + execute("p", 1) + sync()),
          server(bound() + row("1") + message('s') + row("2") + complete("SELECT 1") + ready('T')),
          client(query("rollback")),
          server(complete("ROLLBACK") + ready()),
          fetch(""),
          server(bound() + row("1") + message('s') + ready('I')),
      }));
  EXPECT_THAT(outcome.malformed, IsEmpty());
  EXPECT_THAT(said(outcome),
              ElementsAre("select a ",
                          "select a ",
                          "begin  ",
                          "select a ",
                          "select a ",
                          "select a ",
                          "rollback  ",
                          "select a ",
                          "select a "));
}

TEST(Postgresql, MeasuresMessagesOnTheWire)
{
  const Conversation conversation = connected({
      client(query("select 1")),
      server(columns() + row("1") + complete("SELECT 1") + ready()),
      client(parse("", "copy t from stdin") + bind_to("", "") + execute("") + sync()),
      server(parsed() + bound() + message('G', std::string("\0\0\0", 3))),
      client(message('d', "12345") + message('c') + sync()),
      server(complete("COPY 1") + ready()),
  });
  EXPECT_THAT(test::replay(protocol, conversation).exchanges,
              ElementsAre("select   14/53", "copy t  69/30"));
}

TEST(Postgresql, GivesErrorsThatAnswerNoStatementNoOperation)
{
  auto outcome = test::replay(protocol, {client(startup()), server(error("3D000", "FATAL"))});
  EXPECT_THAT(outcome.exchanges, ElementsAre("  3D000 0/0"));

  outcome = test::replay(protocol, connected({server(error("57P01", "FATAL"))}));
  EXPECT_THAT(outcome.exchanges, ElementsAre("  57P01 0/0"));

  // A constraint that is checked at the end of the transaction, which Sync is.
  outcome = test::replay(protocol,
                         connected({client(parse("", "insert into t values (1)") + bind_to("", "") +
                                           execute("") + sync()),
                                    server(parsed() + bound() + complete("INSERT 0 1")),
                                    server(error("23503") + ready()),
                                    client(query("select 1")),
                                    server(error("57P01", "FATAL"))}));
  EXPECT_THAT(said(outcome), ElementsAre("insert t ", "  23503", "select  57P01"));
  EXPECT_THAT(outcome.malformed, IsEmpty());

  outcome = test::replay(protocol,
                         connected({client(query("select 1")), server(error("not 5") + ready())}));
  EXPECT_THAT(said(outcome), ElementsAre("select  other"));
}

TEST(Postgresql, LeavesCancelRequestsAndEncryptionAlone)
{
  auto outcome = test::replay(protocol, {client(cancel_request())});
  EXPECT_THAT(outcome.exchanges, IsEmpty());
  EXPECT_THAT(outcome.malformed, IsEmpty());

  outcome = test::replay(protocol, {client(ssl_request()), server("S"), client("\x16\x03\x01")});
  EXPECT_EQ(outcome.successor, "encrypted");
  EXPECT_EQ(outcome.not_taken, 3);

  // Kerberos is refused, then TLS, then it goes on in clear.
  outcome = test::replay(protocol,
                         {client(be32(8) + be32(80877104)),
                          server("N"),
                          client(ssl_request()),
                          server("N"),
                          client(startup()),
                          server(message('R', be32(0)) + ready()),
                          client(query("show all")),
                          server(complete("SHOW") + ready())});
  EXPECT_THAT(said(outcome), ElementsAre("show  "));

  outcome = test::replay(protocol, {client(ssl_request()), server(error("08P01", "FATAL"))});
  EXPECT_THAT(outcome.exchanges, ElementsAre("  08P01 0/0"));
}

TEST(Postgresql, HandsOverAReplicationStream)
{
  const auto outcome = test::replay(
      protocol,
      connected({client(query("IDENTIFY_SYSTEM")),
                 server(columns() + row("1") + complete("IDENTIFY_SYSTEM") + ready()),
                 client(query("START_REPLICATION SLOT x LOGICAL 0/0")),
                 server(message('W', std::string("\0\0\0", 3)) + message('d', "w...."))}));
  EXPECT_THAT(said(outcome), ElementsAre("other  "));
  EXPECT_EQ(outcome.successor, "opaque");
}

TEST(Postgresql, EndsStatementsInProgressAsAborted)
{
  const auto outcome = test::replay(protocol,
                                    connected({client(query("select pg_sleep(9) from t; select 2")),
                                               server(columns()),
                                               client(bind_to("", "s1") + execute("") + sync())}));
  EXPECT_THAT(outcome.exchanges, ElementsAre("select t  41/0 server_closed"));
}

TEST(Postgresql, GivesTheSameHoweverTheBytesAreCut)
{
  test::expect_the_same_however_cut(protocol, conversations());
}

TEST(Postgresql, NeverInventsAnExchangeWhenBytesAreMissing)
{
  test::expect_nothing_invented(protocol, conversations(), 3000);
}

}  // namespace
}  // namespace sonde::postgresql
