// SPDX-License-Identifier: Apache-2.0
// Redis joined in the middle, shifted, malformed: how the decoder finds its way back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/replay/redis_text.hpp"
#include "tests/support/conversation.hpp"

namespace sonde::redis {

extern const protocols::Protocol protocol;

namespace {

using test::client;
using test::Conversation;
using test::server;
using testing::ElementsAre;
using testing::IsEmpty;

TEST(RedisResync, FindsTheNextCommandWhenItJoinsInTheMiddle)
{
  const Conversation conversation = {server("tail of a value\r\n"),
                                     server("+OK\r\n"),
                                     client("middle of a value *1\r\n$4\r\nPING\r\n"),
                                     client(command({"GET", "a"})),
                                     server("$1\r\n1\r\n"),
                                     client(command({"GET", "b"})),
                                     server("$2\r\n22\r\n")};
  const auto outcome = test::replay(protocol, conversation, false);
  EXPECT_THAT(outcome.exchanges, ElementsAre("GET   4/1", "GET   4/2"));
  EXPECT_THAT(outcome.malformed, IsEmpty());
}

TEST(RedisResync, NoticesThatItsPairingHasShifted)
{
  // Joined after a request was written and before its reply.
  const Conversation conversation = {client(command({"GET", "b"})),
                                     server(":1\r\n:2\r\n"),
                                     client(command({"GET", "c"})),
                                     server(":3\r\n"),
                                     client(command({"GET", "d"})),
                                     server(":44\r\n")};
  const auto outcome = test::replay(protocol, conversation, false);
  EXPECT_THAT(outcome.exchanges, ElementsAre("GET   4/1", "GET   4/2"));
  EXPECT_THAT(outcome.malformed, ElementsAre("unasked_reply"));
}

TEST(RedisResync, NamesWhatCannotBeRedisAndGoesOn)
{
  const std::pair<std::string, std::string> requests[] = {
      {"*1\r\n+PING\r\n", "bulk_type"},
      {"*x\r\n", "arguments"},
      {"*2000000\r\n", "arguments"},
      {"*1\r\n$-1\r\n", "length"},
      {"*1\r\n$9999999999999\r\n", "length"},
      {"*1\r\n$4\r\nPINGxx", "bulk_end"},
      {"\x16\x03\x01", "command_start"},
      {"PING " + std::string(70'000, 'x'), "inline_size"},
  };
  const Conversation after = {server("-ERR Protocol error\r\n"),
                              client(command({"GET", "a"})),
                              server("+a\r\n"),
                              client(command({"GET", "a"})),
                              server("+abc\r\n")};
  for (const auto& [bytes, reason] : requests) {
    Conversation conversation = {client(bytes)};
    conversation.insert(conversation.end(), after.begin(), after.end());
    const auto outcome = test::replay(protocol, conversation);
    EXPECT_THAT(outcome.malformed, ElementsAre(reason)) << bytes.substr(0, 20);
    EXPECT_THAT(outcome.exchanges, ElementsAre("GET   4/3"));
  }
  const std::pair<std::string, std::string> replies[] = {
      {"x", "type"},
      {"+OK\n", "line_end"},
      {"+OK\rx", "line_end"},
      {"$12x\r\n", "length"},
      {"$-2\r\n", "length"},
      {"$2\r\nabc\r\n", "bulk_end"},
      {"$?\r\nx", "chunk"},
      {"$?\r\n;-1\r\n", "length"},
      {"$?\r\n;?\r\n", "length"},
      {"*1\r\n.\r\n", "type"},
      {"*?\r\n.x\r\n", "line_size"},
      {"+" + std::string(70'000, 'x'), "line_size"},
      {times(33, "*1\r\n"), "depth"},
  };
  for (const auto& [bytes, reason] : replies) {
    Conversation conversation = {client(command({"GET", "a"})), server(bytes)};
    conversation.insert(conversation.end(), after.begin(), after.end());
    const auto outcome = test::replay(protocol, conversation);
    EXPECT_THAT(outcome.malformed, ElementsAre(reason)) << bytes.substr(0, 20);
    EXPECT_THAT(outcome.exchanges, ElementsAre("GET   4/3"));
  }
}

TEST(RedisResync, BoundsTheCommandsThatWait)
{
  Conversation conversation = {client(times(140'000, "*1\r\n$4\r\nPING\r\n"))};
  const auto outcome = test::replay(protocol, conversation);
  EXPECT_THAT(outcome.malformed, ElementsAre("backlog"));
  EXPECT_THAT(outcome.exchanges, IsEmpty());
}

}  // namespace
}  // namespace sonde::redis
