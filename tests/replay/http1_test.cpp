// SPDX-License-Identifier: Apache-2.0
// HTTP/1.x conversations whole, in every split, with holes, and as their appetite has them
// captured.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/http1_conversations.hpp"

namespace sonde::test {
namespace {

using http1::protocol;
using testing::ElementsAre;
using testing::IsEmpty;

using Lines = std::vector<std::string>;

TEST(Http1, ConversationsGiveTheirExchanges)
{
  for (const auto& [name, conversation, expected] : http1_cases()) {
    SCOPED_TRACE(name);
    const auto outcome = replay(protocol, conversation);
    EXPECT_EQ(outcome.exchanges, expected.exchanges);
    EXPECT_EQ(outcome.malformed, expected.malformed);
    EXPECT_EQ(outcome.successor, expected.successor);
    EXPECT_EQ(outcome.not_taken, expected.not_taken);
  }
}

TEST(Http1, AnySplitGivesTheSame)
{
  for (const auto& [name, conversation, expected] : http1_cases()) {
    SCOPED_TRACE(name);
    for (std::uint32_t seed = 0; seed < 300; ++seed) {
      std::mt19937 random(seed);
      ASSERT_EQ(replay(protocol, split_anywhere(conversation, random)), expected) << seed;
    }
    ASSERT_EQ(replay(protocol, in_single_bytes(conversation)), expected);
  }
}

TEST(Http1, AnyHoleGivesTheSameOrFewer)
{
  std::size_t whole = 0;
  std::size_t kept = 0;
  for (const auto& [name, conversation, expected] : http1_cases()) {
    SCOPED_TRACE(name);
    for (std::uint32_t seed = 0; seed < 3000; ++seed) {
      std::mt19937 random(seed);
      const auto outcome = replay_with_hole(protocol, conversation, random);
      ASSERT_TRUE(
          is_subsequence(without_sizes(outcome.exchanges), without_sizes(expected.exchanges)))
          << seed << ": " << testing::PrintToString(outcome.exchanges);
      for (const auto& line : outcome.exchanges)
        ASSERT_TRUE(without_sizes(line) == line ||
                    std::ranges::find(expected.exchanges, line) != expected.exchanges.end())
            << seed << ": " << line;
      ASSERT_THAT(outcome.malformed, IsEmpty()) << seed;
      whole += expected.exchanges.size();
      kept += outcome.exchanges.size();
    }
  }
  EXPECT_GT(kept * 10, whole * 6);
}

TEST(Http1, RandomConversationsWithHolesGiveTheSameOrFewer)
{
  std::size_t whole = 0;
  std::size_t kept = 0;
  for (std::uint32_t seed = 0; seed < 400; ++seed) {
    std::mt19937 random(seed);
    const auto made = random_http1_case(random);
    ASSERT_EQ(replay(protocol, made.conversation), made.expected) << seed;
    ASSERT_EQ(replay(protocol, split_anywhere(made.conversation, random)), made.expected) << seed;
    for (int i = 0; i < 100; ++i) {
      const auto outcome = replay_with_hole(protocol, made.conversation, random);
      ASSERT_TRUE(
          is_subsequence(without_sizes(outcome.exchanges), without_sizes(made.expected.exchanges)))
          << seed << " hole " << i << ": " << testing::PrintToString(outcome.exchanges);
      ASSERT_THAT(outcome.malformed, IsEmpty()) << seed << " hole " << i;
      whole += made.expected.exchanges.size();
      kept += outcome.exchanges.size();
    }
  }
  EXPECT_GT(kept * 10, whole * 6);
}

TEST(Http1, WhatItsAppetiteLeavesOutIsNotNeeded)
{
  for (const auto& [name, conversation, expected] : http1_cases()) {
    SCOPED_TRACE(name);
    if (name.starts_with("heads and targets"))
      continue;  // below
    EXPECT_EQ(replay_by_appetite(protocol, conversation), expected);
  }
}

TEST(Http1, AResponsesHeadLargerThanItsCaptureLeavesTheSizesOpen)
{
  const auto head = "HTTP/1.1 200 OK\r\nSet-Cookie: " + std::string(20'000, 's') +
                    "\r\nContent-Length: 2\r\n\r\n";
  const Conversation conversation = {client("GET /a HTTP/1.1\r\n\r\n"),
                                     server(head + "ok"),
                                     client("GET /b HTTP/1.1\r\n\r\n"),
                                     server("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")};
  EXPECT_THAT(replay_by_appetite(protocol, conversation).exchanges,
              ElementsAre("GET /a 200", "GET /b 404 0/0"));
}

TEST(Http1, HeadsThatAreLongAreCapturedWhole)
{
  const auto answer = [](std::size_t bytes) {
    return server("HTTP/1.1 200 OK\r\nSet-Cookie: " + std::string(bytes, 's') +
                  "\r\nContent-Length: 2\r\n\r\nok");
  };
  Conversation conversation;
  Lines expected;
  for (int i = 0; i < 40; ++i) {
    conversation.push_back(client("GET /a HTTP/1.1\r\n\r\n"));
    conversation.push_back(answer(i < 20 ? 100 : 10'000));
    // The first one shows that there are some.
    expected.emplace_back(i == 20 ? "GET /a 200" : "GET /a 200 0/2");
  }
  EXPECT_EQ(replay_by_appetite(protocol, conversation).exchanges, expected);
}

TEST(Http1, OfALargeChunkedBodyHeadAndTailAreEnough)
{
  const std::string large(900'000, 'l');
  std::string many;
  for (int i = 0; i < 3000; ++i)
    many += chunk(std::string(100, 'm'));
  const Conversation conversation = {
      client("GET /one HTTP/1.1\r\n\r\n"),
      server("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(large) + "0\r\n\r\n"),
      client("GET /many HTTP/1.1\r\n\r\n"),
      server("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
      server(many),
      server(many + "0\r\n\r\n"),
      client("GET /unknown HTTP/1.1\r\n\r\n"),
      server("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + many + "0\r\n\r\n"),
      client("GET /done HTTP/1.1\r\n\r\n"),
      server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")};
  EXPECT_THAT(replay_by_appetite(protocol, conversation).exchanges,
              ElementsAre("GET /one 200 0/900000",
                          "GET /many 200 0/600000",
                          "GET /unknown 200",
                          "GET /done 200 0/0"));
}

TEST(Http1, AConnectionJoinedInTheMiddleStartsAtItsNextRequest)
{
  const auto next = client("GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
  const auto ok = server("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  const Lines expected = {"GET /next 200 0/2", "GET /next 200 0/2"};
  EXPECT_EQ(replay(protocol, {next, ok, next, ok}, false).exchanges, expected);
  EXPECT_EQ(replay(protocol, {server("the rest"), next, ok, next, ok}, false).exchanges, expected);
  EXPECT_EQ(replay(protocol, {ok, next, ok, next, ok}, false).exchanges, expected);
  EXPECT_EQ(replay(protocol, {client("the rest"), ok, next, ok, next, ok}, false).exchanges,
            expected);
  EXPECT_EQ(replay(protocol,
                   {client("\x16\x03\x01"), client("GET /x HTTP/2\r\n"), next, ok, next, ok},
                   false),
            (Outcome{expected, {}, 0, {}}));
}

TEST(Http1, AResponseThatIsStillUnderWayWhenJoinedIsNobodys)
{
  // /b was sent before the response to a request nobody saw had ended.
  const auto outcome = replay(protocol,
                              {client("GET /b HTTP/1.1\r\n\r\n"),
                               server("rest of a body"),
                               server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")},
                              false);
  EXPECT_THAT(outcome.exchanges, IsEmpty());
  EXPECT_THAT(outcome.malformed, IsEmpty());
}

}  // namespace
}  // namespace sonde::test
