// SPDX-License-Identifier: Apache-2.0
// Conversations as redis-py, go-redis, redis-cli and redis-benchmark have them with Redis 7.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/replay/redis_text.hpp"
#include "tests/support/conversation.hpp"
#include "tests/support/decoder_properties.hpp"

namespace sonde::redis {

extern const protocols::Protocol protocol;

namespace {

using protocols::Exchange;
using test::client;
using test::Conversation;
using test::server;
using testing::ElementsAre;
using testing::IsEmpty;

const std::string kPayload =
    "\r\n*1\r\n$4\r\nPING\r\n+OK\r\nGET / HTTP/1.1\r\n\r\nPUB go.one 3\r\nabc\r\n";

// redis-py 5: greeting, plain commands, a transaction, an error.
Conversation python()
{
  return {
      client(command({"CLIENT", "SETINFO", "LIB-NAME", "redis-py"})),
      server("-ERR Unknown subcommand or wrong number of arguments for 'SETINFO'\r\n"),
      client(command({"SET", "greeting", kPayload})),
      server("+OK\r\n"),
      client(command({"GET", "greeting"})),
      server(bulk(kPayload)),
      client(command({"INCRBY", "greeting", "1"})),
      server("-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
      client(command({"MULTI"}) + command({"SET", "a", "1"}) + command({"HGETALL", "h"}) +
             command({"EXEC"})),
      server("+OK\r\n+QUEUED\r\n+QUEUED\r\n"),
      server("*2\r\n+OK\r\n*2\r\n$1\r\nf\r\n$-1\r\n"),
      client(command({"EVAL", "return {1,{2,'x'},redis.call('GET','a')}", "0"})),
      server("*3\r\n:1\r\n*2\r\n:2\r\n$1\r\nx\r\n$1\r\n1\r\n"),
      client(command({"lrange", "l", "0", "-1"})),
      server("*0\r\n"),
      client(command({"BLPOP", "l", "1"})),
      server("*-1\r\n"),
  };
}

// go-redis 9: HELLO 3, RESP3 types, pushes between replies.
Conversation go()
{
  return {
      client(command({"hello", "3"})),
      server("%3\r\n$6\r\nserver\r\n$5\r\nredis\r\n$5\r\nproto\r\n:3\r\n$7\r\nmodules\r\n*0\r\n"),
      client(command({"client", "tracking", "on"}) + command({"get", "k"})),
      server("+OK\r\n>2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n$1\r\nv\r\n"),
      client(command({"zscore", "z", "m"})),
      server(",1.5\r\n"),
      client(command({"smembers", "s"})),
      server("~2\r\n+a\r\n#t\r\n"),
      client(command({"GET", "none"}) + command({"DEBUG", "PROTOCOL"}) + command({"INFO"})),
      server("_\r\n(3492890328409238509324850943850943825024385\r\n=8\r\ntxt:abcd\r\n"),
      client(command({"EVAL", "x", "0"})),
      server("|1\r\n+ttl\r\n:3600\r\n!21\r\nSYNTAX invalid syntax\r\n"),
      client(command({"LRANGE", "x", "0", "1"}) + command({"ECHO", "x"})),
      server("*?\r\n:1\r\n%?\r\n+a\r\n*0\r\n.\r\n|1\r\n+x\r\n:1\r\n:2\r\n.\r\n"),
      server("$?\r\n;4\r\nHell\r\n;1\r\no\r\n;0\r\n"),
  };
}

// One subscribing connection of RESP2.
Conversation subscriber()
{
  return {
      client(command({"SUBSCRIBE", "a", "b", "c"})),
      server(
          "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n"),
      server("*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:3\r\n*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$"
             "2\r\nhi\r\n"),
      client(command({"PSUBSCRIBE", "p*"})),
      server("*3\r\n$7\r\nmessage\r\n$1\r\nb\r\n" + bulk(kPayload)),
      server("*3\r\n$10\r\npsubscribe\r\n$2\r\np*\r\n:4\r\n"),
      server("*4\r\n$8\r\npmessage\r\n$2\r\np*\r\n$2\r\npx\r\n$1\r\n1\r\n"),
      client(command({"PING"})),
      server("*2\r\n$4\r\npong\r\n$0\r\n\r\n"),
      client(command({"UNSUBSCRIBE"})),
      server("*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:3\r\n*3\r\n$11\r\nunsubscribe\r\n$1\r\nb\r\n:"
             "2\r\n"
             "*3\r\n$11\r\nunsubscribe\r\n$1\r\nc\r\n:1\r\n"),
      client(command({"PUNSUBSCRIBE", "p*"})),
      server("*3\r\n$12\r\npunsubscribe\r\n$2\r\np*\r\n:0\r\n"),
      client(command({"UNSUBSCRIBE"})),
      server("*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n"),
      client(command({"RPUSH", "l", "message"}) + command({"LRANGE", "l", "0", "-1"})),
      server(":3\r\n*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nb\r\n"),
  };
}

// redis-benchmark -P 16, several rounds, the replies in two writes.
Conversation benchmark_pipeline()
{
  Conversation all;
  for (int i = 0; i < 8; ++i) {
    all.push_back(client(times(16, command({"SET", "key:__rand_int__", "xxx"}))));
    all.push_back(server(times(9, "+OK\r\n")));
    all.push_back(server(times(7, "+OK\r\n")));
  }
  return all;
}

std::vector<Conversation> conversations()
{
  return {python(), go(), subscriber(), benchmark_pipeline()};
}

TEST(Redis, PairsEachCommandWithItsReply)
{
  EXPECT_THAT(test::replay(protocol, python()).exchanges,
              ElementsAre("CLIENT  ERR 29/65",
                          "SET   69/2",
                          "GET   11/58",
                          "INCRBY  WRONGTYPE 15/65",
                          "MULTI   5/2",
                          "SET   5/6",
                          "HGETALL   8/6",
                          "EXEC   4/3",
                          "EVAL   45/4",
                          "LRANGE   10/0",
                          "BLPOP   7/0"));
}

TEST(Redis, ReadsEveryTypeOfResp3AndLeavesPushesOut)
{
  EXPECT_THAT(test::replay(protocol, go()).exchanges,
              ElementsAre("HELLO   6/24",
                          "CLIENT   16/2",
                          "GET   4/1",
                          "ZSCORE   8/3",
                          "SMEMBERS   9/2",
                          "GET   7/0",
                          "DEBUG   13/43",
                          "INFO   4/8",
                          "EVAL  SYNTAX 6/28",
                          "LRANGE   9/5",
                          "ECHO   5/5"));
}

TEST(Redis, CountsASubscriptionOnceAndNoMessage)
{
  EXPECT_THAT(test::replay(protocol, subscriber()).exchanges,
              ElementsAre("SUBSCRIBE   12/33",
                          "PSUBSCRIBE   12/13",
                          "PING   4/4",
                          "UNSUBSCRIBE   11/39",
                          "PUNSUBSCRIBE   14/15",
                          "UNSUBSCRIBE   11/12",
                          "RPUSH   13/1",
                          "LRANGE   10/9"));
}

TEST(Redis, SubscribesByPushInResp3WhileCommandsGoOn)
{
  const Conversation conversation = {
      client(command({"HELLO", "3"})),
      server("%1\r\n+proto\r\n:3\r\n"),
      client(command({"SSUBSCRIBE", "s1", "s2"}) + command({"GET", "a"})),
      server(">3\r\n$10\r\nssubscribe\r\n$2\r\ns1\r\n:1\r\n>3\r\n$8\r\nsmessage\r\n$2\r\ns1\r\n+"
             "x\r\n"),
      server(">3\r\n$10\r\nssubscribe\r\n$2\r\ns2\r\n:2\r\n$1\r\n1\r\n"),
      client(command({"LRANGE", "l", "0", "-1"}) + command({"SUNSUBSCRIBE"})),
      server("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nb\r\n>3\r\n$12\r\nsunsubscribe\r\n+s1\r\n:"
             "1\r\n"),
      server(">3\r\n$12\r\nsunsubscribe\r\n+s2\r\n:0\r\n"),
      client(command({"SUBSCRIBE", "x"})),
      server("-NOPERM this user has no permissions to access one of the channels\r\n"),
      client(command({"RESET"})),
      server("+RESET\r\n"),
  };
  EXPECT_THAT(test::replay(protocol, conversation).exchanges,
              ElementsAre("HELLO   6/6",
                          "SSUBSCRIBE   14/26",
                          "GET   4/1",
                          "LRANGE   10/9",
                          "SUNSUBSCRIBE   12/30",
                          "SUBSCRIBE  NOPERM 10/65",
                          "RESET   5/5"));
}

TEST(Redis, CountsAThousandCommandsOfOneWrite)
{
  const Conversation conversation = {client(times(1000, command({"INCR", "n"}))),
                                     server(times(1000, ":12\r\n"))};
  const auto outcome = test::replay(protocol, conversation);
  EXPECT_EQ(outcome.exchanges, std::vector<std::string>(1000, "INCR   5/2"));
  EXPECT_EQ(test::replay(protocol, test::in_single_bytes(conversation)), outcome);
}

TEST(Redis, ReadsInlineCommands)
{
  const Conversation conversation = {client("PING\r\n\r\nset  key 'two words'\nUNKNOWN x\r\n"),
                                     server("+PONG\r\n+OK\r\n-ERR unknown command\r\n"),
                                     client("SUBSCRIBE \"a b\" c\r\n*0\r\n*-1\r\n"),
                                     server("*3\r\n$9\r\nsubscribe\r\n$3\r\na b\r\n:1\r\n"
                                            "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:2\r\n")};
  const auto outcome = test::replay(protocol, conversation);
  EXPECT_THAT(outcome.exchanges,
              ElementsAre("PING   4/4", "SET   20/2", "other  ERR 9/19", "SUBSCRIBE   17/24"));
  EXPECT_THAT(outcome.malformed, IsEmpty());
  EXPECT_EQ(test::replay(protocol, test::in_single_bytes(conversation)), outcome);
}

TEST(Redis, CountsCommandsThatWantNoReply)
{
  const Conversation conversation = {
      client(command({"CLIENT", "REPLY", "SKIP"}) + command({"SET", "a", "1"}) +
             command({"GET", "a"})),
      server("$1\r\n1\r\n"),
      client("client reply off\r\n" + command({"SET", "b", "1"}) + command({"SET", "b", "2"}) +
             command({"CLIENT", "REPLY", "SKIP"}) + command({"CLIENT", "reply", "on"}) +
             command({"GET", "b"})),
      server("+OK\r\n$1\r\n2\r\n"),
      client(command({"CLIENT", "REPLY", "OFF"}) + command({"RESET"}) +
             command({"CLIENT", "REPLY", "WHAT"})),
      server("+RESET\r\n-ERR syntax error\r\n"),
  };
  const auto outcome = test::replay(protocol, conversation);
  EXPECT_THAT(outcome.exchanges,
              ElementsAre("CLIENT   15/0",
                          "SET   5/0",
                          "GET   4/1",
                          "CLIENT   16/0",
                          "SET   5/0",
                          "SET   5/0",
                          "CLIENT   15/0",
                          "CLIENT   13/2",
                          "GET   4/1",
                          "CLIENT   14/0",
                          "RESET   5/5",
                          "CLIENT  ERR 15/16"));
  EXPECT_THAT(outcome.malformed, IsEmpty());
}

TEST(Redis, HandsOverWhatMonitorAndReplicationSend)
{
  const Conversation monitor = {
      client(command({"PING"}) + command({"MONITOR"})),
      server("+PONG\r\n+OK\r\n+1339518083.107412 [0 127.0.0.1:1] \"x\"\r\n")};
  auto outcome = test::replay(protocol, monitor);
  EXPECT_THAT(outcome.exchanges, ElementsAre("PING   4/4", "MONITOR   7/0"));
  EXPECT_EQ(outcome.successor, "opaque");
  EXPECT_EQ(outcome.not_taken, monitor[1].bytes.size() - 7);

  const Conversation refused = {client(command({"PSYNC", "?", "-1"})),
                                server("-NOAUTH Authentication required.\r\n"),
                                client(command({"PING"})),
                                server("+PONG\r\n")};
  outcome = test::replay(protocol, refused);
  EXPECT_THAT(outcome.exchanges, ElementsAre("PSYNC  NOAUTH 8/31", "PING   4/4"));
  EXPECT_EQ(outcome.successor, "");
}

TEST(Redis, EndsCommandsWithoutReplyAsAborted)
{
  const Conversation conversation = {
      client(command({"GET", "a"}) + command({"BLPOP", "l", "0"}) + "*2\r\n$3\r\nGET\r\n$5\r\nab"),
      server("$1\r\n1\r\n*2\r\n$1\r\nl")};
  EXPECT_THAT(test::replay(protocol, conversation).exchanges,
              ElementsAre("GET   4/1", "BLPOP   7/0 server_closed"));
}

TEST(Redis, GivesTheSameHoweverTheBytesAreCut)
{
  for (const auto& conversation : conversations())
    EXPECT_THAT(test::replay(protocol, conversation).malformed, IsEmpty());
  test::expect_the_same_however_cut(protocol, conversations());
}

TEST(Redis, NeverInventsAnExchangeWhenBytesAreMissing)
{
  test::expect_nothing_invented(protocol, conversations(), 2000);
}

TEST(Redis, PassesLargeValuesWithoutTheirBytes)
{
  const std::string value(400'000, 'v');
  const Conversation conversation = {
      client(command({"SET", "big", value})),
      server("+OK\r\n"),
      client("*2\r\n$3\r\nGET\r\n$3\r\nbig\r\n"),
      server("$400000\r\n" + value.substr(0, 10'000)),
      server(value.substr(10'000) + "\r\n"),
      client("*2\r\n$6\r\nAPPEND\r\n$300000\r\n" + value.substr(0, 100)),
      server("")};
  auto decoder = protocol.decoder(true);
  EXPECT_EQ(test::replay_by_appetite(protocol, conversation), test::replay(protocol, conversation));

  class Ignore : public protocols::Sink {
    void exchange(const Exchange&) override {}
    void malformed(std::string_view) override {}
  } ignore;
  decoder->data(protocols::Direction::kToServer, {conversation[5].bytes, 1}, ignore);
  EXPECT_EQ(decoder->appetite(protocols::Direction::kToServer).skip, 300'002 - 100);
  EXPECT_EQ(decoder->activity().in_flight, 0);
}

}  // namespace
}  // namespace sonde::redis
