// SPDX-License-Identifier: Apache-2.0
// Conversations of HTTP/2 as browsers, curl, h2load, nginx, node and Go have them (RFC 9113).
#include <algorithm>
#include <iterator>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/decoder_properties.hpp"
#include "tests/support/http2_conversations.hpp"

namespace sonde::http2 {

extern const protocols::Protocol protocol;

namespace {

using namespace test::h2;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr unsigned kEnd = kEndStream;

TEST(Http2, FollowsEachOfTheStreamsThatPassAtTheSameTime)
{
  const auto outcome = test::replay(protocol, browser());
  EXPECT_THAT(outcome.exchanges,
              ElementsAre("GET /style.css 304 0/0", "GET / 200 0/13", "GET /app.js 200 0/12"));
  EXPECT_THAT(outcome.malformed, IsEmpty());
}

TEST(Http2, ReadsHeadsInPartsTrailersInterimAnswersAndTablesThatChange)
{
  const auto outcome = test::replay(protocol, uploads());
  EXPECT_THAT(outcome.exchanges,
              ElementsAre("POST /orders 201 20000/0",
                          "PUT /files/a 200 18/6",
                          "HEAD /files/a 200 0/0",
                          "GET /files/a 206 0/10000"));
  EXPECT_THAT(outcome.malformed, IsEmpty());
}

TEST(Http2, EndsRequestsAsTheyEndAndCountsNoPush)
{
  const auto outcome = test::replay(protocol, unusual());
  EXPECT_THAT(outcome.exchanges,
              ElementsAre("GET /page 200 0/4",
                          "POST /big 413 5/7",
                          "GET /slow unknown 0/0 client_closed",
                          "GET /broken 200 0/4 server_closed",
                          "CONNECT  200",
                          "GET /last 204 0/0"));
  EXPECT_THAT(outcome.malformed, IsEmpty());
}

TEST(Http2, GivesTheSameHoweverTheBytesAreCut)
{
  test::expect_the_same_however_cut(protocol, http_conversations());
}

TEST(Http2, GivesTheSameWhicheverDirectionIsSeenFirst)
{
  EXPECT_THAT(test::replay(protocol, quickly_answered()).exchanges,
              ElementsAre("CONNECT  200",
                          "GET /half 200 0/4 server_closed",
                          "GET /none unknown 0/0 server_closed",
                          "POST /early 413 0/0",
                          "GET /last 200 0/0"));
  for (const auto& conversation : {browser(), uploads(), quickly_answered()}) {
    const auto expected = test::replay(protocol, conversation).exchanges;
    for (const auto first : {protocols::Direction::kToServer, protocols::Direction::kToClient}) {
      test::Conversation apart;
      for (const auto direction : {first, opposite(first)})
        std::ranges::copy_if(conversation, std::back_inserter(apart), [&](const auto& turn) {
          return turn.direction == direction;
        });
      const auto outcome = test::replay(protocol, apart);
      EXPECT_THAT(outcome.exchanges, testing::UnorderedElementsAreArray(expected));
      EXPECT_THAT(outcome.malformed, IsEmpty());
    }
  }
}

TEST(Http2, CountsAnAnswerThatCameBeforeItsRequestEndedOnceThatIsOver)
{
  for (const int how : {0, 1, 2}) {
    Connection at;
    at.ask({at.asks.headers(1, request("POST", "/upload")), data(1, "one")});
    at.answer({at.answers.headers(1, response("405"), kEnd)});
    at.ask({data(1, "two", how == 0 ? kEnd : 0)});
    if (how == 1)
      at.answer({rst_stream(1, kNoError)});
    EXPECT_THAT(test::replay(protocol, at.turns).exchanges, ElementsAre("POST /upload 405 6/0"))
        << how;
  }
}

TEST(Http2, TellsWhoGaveARequestUp)
{
  Connection at;
  for (std::uint32_t stream = 1; stream < 9; stream += 2)
    at.ask({at.asks.headers(stream, request("GET", "/" + std::to_string(stream)), kEnd)});
  at.ask({rst_stream(3, kCancel)});
  at.answer({at.answers.headers(1, response("200")), rst_stream(5, kInternalError), data(1, "a")});
  at.ask({rst_stream(1, kCancel), rst_stream(99, kCancel)});
  EXPECT_THAT(test::replay(protocol, at.turns).exchanges,
              ElementsAre("GET /3 unknown 0/0 client_closed",
                          "GET /5 unknown 0/0 server_closed",
                          "GET /1 200 0/1 client_closed",
                          "GET /7 unknown 0/0 server_closed"));
}

TEST(Http2, AClientThatSaysGoodbyeHasGivenUpWhatIsOpenWhoeverClosesTheSocket)
{
  Connection at;
  at.ask({at.asks.headers(1, request("GET", "/1"), kEnd), goaway(0)});
  at.answer({at.answers.headers(1, response("200")), data(1, "a")});
  EXPECT_THAT(test::replay(protocol, at.turns).exchanges,
              ElementsAre("GET /1 200 0/1 client_closed"));
}

TEST(Http2, LeavesOutWhatTheServerWillNotLookAt)
{
  Connection at;
  for (std::uint32_t stream = 1; stream < 9; stream += 2)
    at.ask({at.asks.headers(stream, request("GET", "/" + std::to_string(stream)), kEnd)});
  // A server that is told to stop: everything may still come, then only what it has taken.
  at.answer({goaway(0x7fff'ffff), at.answers.headers(1, response("200"), kEnd)});
  at.ask({at.asks.headers(9, request("GET", "/9"), kEnd)});
  at.answer({goaway(5), at.answers.headers(5, response("200"), kEnd)});
  at.ask({at.asks.headers(11, request("GET", "/11"), kEnd)});
  EXPECT_THAT(test::replay(protocol, at.turns).exchanges,
              ElementsAre("GET /1 200 0/0", "GET /5 200 0/0", "GET /3 unknown 0/0 server_closed"));
}

TEST(Http2, AClientThatGoesAwayStillGetsItsAnswers)
{
  Connection at;
  at.ask({at.asks.headers(1, request("GET", "/a"), kEnd), goaway(0)});
  at.answer({at.answers.headers(1, response("200")), data(1, "abc", kEnd)});
  EXPECT_THAT(test::replay(protocol, at.turns).exchanges, ElementsAre("GET /a 200 0/3"));
}

TEST(Http2, ATunnelIsDoneWithTheAnswerAndARefusedOneWithItsEnd)
{
  Connection at;
  const Fields tunnel = {{":method", "CONNECT"}, {":authority", "example.org:443"}};
  at.ask({at.asks.headers(1, tunnel), at.asks.headers(3, tunnel)});
  at.answer({at.answers.headers(1, {{":status", "403"}}), data(1, "no", kEnd)});
  at.answer({at.answers.headers(3, {{":status", "200"}}), data(3, "hello")});
  at.ask({rst_stream(1, kNoError),
          data(3, "hi", kEnd),
          // RFC 8441: a WebSocket.

          at.asks.headers(5, request("CONNECT", "/chat", {{":protocol", "websocket"}}))});
  at.answer({at.answers.headers(5, {{":status", "200"}})});
  EXPECT_THAT(test::replay(protocol, at.turns).exchanges,
              ElementsAre("CONNECT  200", "CONNECT  403 0/2", "CONNECT /chat 200"));
}

TEST(Http2, MethodsAreABoundedSetAndPathsBoundedInLength)
{
  Connection at;
  at.ask({at.asks.headers(1, request("BREW", "/pot#handle"), kEnd),
          at.asks.headers(3, request("OPTIONS", "*"), kEnd),
          at.asks.headers(5, request("GET", "/" + std::string(5'000, 'a')), kEnd)});
  for (const std::uint32_t stream : {1U, 3U, 5U})
    at.answer({at.answers.headers(stream, response("200"), kEnd)});
  EXPECT_THAT(test::replay(protocol, at.turns).exchanges,
              ElementsAre("other /pot 200 0/0",
                          "OPTIONS * 200 0/0",
                          "GET /" + std::string(1'023, 'a') + " 200 0/0"));
}

TEST(Http2, TablesMayGrowAsFarAsServersAllow)
{
  Connection at;
  at.asks = Writer(65'536);
  std::vector<std::string> expected;
  // The names stay in a table that is larger than what nobody has to say.
  for (int round = 0; round < 3; ++round) {
    for (std::uint32_t i = 0; i < 100; ++i) {
      const auto stream = static_cast<std::uint32_t>(round) * 200 + 2 * i + 1;
      const Fields more = {{"x-id-" + std::to_string(i), std::string(100, 'v')}};
      at.ask({at.asks.headers(stream, request("GET", "/" + std::to_string(i), more), kEnd)});
      at.answer({at.answers.headers(stream, response("200"), kEnd)});
      expected.push_back("GET /" + std::to_string(i) + " 200 0/0");
    }
  }
  const auto outcome = test::replay(protocol, at.turns);
  EXPECT_EQ(outcome.exchanges, expected);
  EXPECT_THAT(outcome.malformed, IsEmpty());
}

TEST(Http2, FollowsABoundedNumberOfOpenStreams)
{
  Connection at;
  std::string all;
  for (std::uint32_t i = 0; i < 4'098; ++i)
    all += at.asks.headers(2 * i + 1, request("GET", "/deep"), kEnd);
  at.ask({all});
  all.clear();
  for (std::uint32_t i = 0; i < 4'098; ++i)
    all += at.answers.headers(2 * i + 1, response("200"), kEnd);
  at.answer({all});
  at.ask({at.asks.headers(9'001, request("GET", "/next"), kEnd)});
  at.answer({at.answers.headers(9'001, response("200"), kEnd)});
  auto expected = std::vector<std::string>(4'096, "GET /deep 200 0/0");
  expected.emplace_back("GET /next 200 0/0");
  const auto outcome = test::replay(protocol, at.turns);
  EXPECT_EQ(outcome.exchanges, expected);
  EXPECT_THAT(outcome.malformed, ElementsAre("streams", "streams"));
}

TEST(Http2, KnowsHowManyRequestsAreUnderWay)
{
  Connection at;
  at.ask({at.asks.headers(1, request("GET", "/a"), kEnd),
          at.asks.headers(3, request("POST", "/b")),
          at.asks.headers(5, call("/x.Y/Z"))});
  const auto decoder = protocol.decoder(true);
  struct Nobody : protocols::Sink {
    void exchange(const protocols::Exchange&) override {}
    void malformed(std::string_view) override {}
  } sink;
  for (const auto& turn : at.turns)
    decoder->data(turn.direction, {turn.bytes, 1}, sink);
  EXPECT_EQ(decoder->activity().in_flight, 2);
  EXPECT_TRUE(decoder->expects_response());
  // An early answer is one, too.
  decoder->data(
      protocols::Direction::kToClient, {at.answers.headers(3, response("403"), kEnd), 2}, sink);
  EXPECT_EQ(decoder->activity().in_flight, 1);
  decoder->closed(protocols::Exchange::End::kReset, 3, sink);
  EXPECT_EQ(decoder->activity().in_flight, 0);
}

}  // namespace
}  // namespace sonde::http2
