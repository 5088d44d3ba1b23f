// SPDX-License-Identifier: Apache-2.0
// HTTP/2 joined in the middle, with holes, malformed: what stays known, and how the decoder finds
// its way back.
#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/http2_text.hpp"

namespace sonde::http2 {

extern const protocols::Protocol protocol;

namespace {

using namespace test::h2;
using protocols::Direction;
using protocols::Exchange;
using test::client;
using test::Conversation;
using test::server;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

constexpr unsigned kEnd = kEndStream;

// A field with incremental indexing and without Huffman codes (RFC 7541 section 6.2.1), as Go's
// net/http writes paths; `name` is an index of the static table.
std::string indexed(unsigned name, std::string_view value)
{
  return std::string(1, static_cast<char>(0x40 | name)) + static_cast<char>(value.size()) +
         std::string(value);
}
std::string entry(unsigned index)
{
  return std::string(1, static_cast<char>(0x80 | index));
}
constexpr unsigned kPathName = 4;
constexpr unsigned kGet = 2;
constexpr unsigned kHttps = 7;
constexpr unsigned kOk = 8;
constexpr unsigned kNotFound = 13;
constexpr unsigned kNewest = 62;

std::string raw_headers(std::uint32_t stream, const std::string& block)
{
  return frame(1, kEnd | kEndHeaders, stream, block);
}

TEST(Http2Joined, MissesNothingOfABeginningThatWasTakenForTheMiddle)
{
  const Conversation conversation = {
      server(settings()),
      client(client_start() +
             raw_headers(1, entry(kGet) + entry(kHttps) + indexed(kPathName, "/first"))),
      server(raw_headers(1, entry(kOk))),
  };
  const auto outcome = test::replay(protocol, conversation, false);
  EXPECT_THAT(outcome.exchanges, ElementsAre("GET /first 200 0/0"));
  EXPECT_THAT(outcome.malformed, IsEmpty());
}

TEST(Http2Joined, KnowsWhatItsTablesHeldOnlyFromThenOn)
{
  const auto get = entry(kGet) + entry(kHttps);
  const Conversation conversation = {
      // A path that is older, one that is new, and both again: the older one is one further now.
      client(raw_headers(101, get + entry(kNewest))),
      server(raw_headers(101, entry(kOk))),
      client(raw_headers(103, get + indexed(kPathName, "/new"))),
      server(raw_headers(103, entry(kNotFound))),
      client(raw_headers(105, get + entry(kNewest)) + raw_headers(107, get + entry(kNewest + 1))),
      server(raw_headers(105, entry(kNewest + 5)) + raw_headers(107, entry(kOk))),
  };
  const auto outcome = test::replay(protocol, conversation, false);
  EXPECT_THAT(
      outcome.exchanges,
      ElementsAre("GET  200 0/0", "GET /new 404 0/0", "GET /new unknown 0/0", "GET  200 0/0"));
  EXPECT_THAT(outcome.malformed, IsEmpty());
}

TEST(Http2Joined, CountsRequestsWhosePathsNeverEnterTheTable)
{
  Connection at;
  for (std::uint32_t stream = 1; stream < 9; stream += 2) {
    at.ask({at.asks.headers(stream, request("GET", "/" + std::to_string(stream)), kEnd)});
    at.answer({at.answers.headers(stream, response("200")), data(stream, "abc", kEnd)});
  }
  at.turns.erase(at.turns.begin(), at.turns.begin() + 5);
  EXPECT_THAT(test::replay(protocol, at.turns, false).exchanges,
              ElementsAre("GET /3 200 0/3", "GET /5 200 0/3", "GET /7 200 0/3"));
}

TEST(Http2Joined, LeavesOutWhatWasAskedBefore)
{
  Connection at;
  at.ask({at.asks.headers(1, request("GET", "/before"), kEnd)});
  at.turns.clear();
  at.answer({at.answers.headers(1, response("200")), data(1, "abc", kEnd)});
  EXPECT_THAT(test::replay(protocol, at.turns, false).exchanges, IsEmpty());
  at.ask({at.asks.headers(3, request("GET", "/after"), kEnd)});
  at.answer({at.answers.headers(3, response("200")), data(3, "abcd", kEnd)});
  EXPECT_THAT(test::replay(protocol, at.turns, false).exchanges, ElementsAre("GET /after 200 0/4"));
}

TEST(Http2Joined, WaitsForACallThatBeginsWithFrames)
{
  Connection at;
  at.turns.clear();
  at.ask({"rest of an upload that was joined in its middle"});
  at.answer({"rest of a download"});
  at.ask({at.asks.headers(5, request("GET", "/a"), kEnd)});
  // This answer might have stood behind the download's rest: no request is called aborted for it.
  at.answer({"more of the download"});
  at.ask({at.asks.headers(7, request("GET", "/b"), kEnd)});
  at.answer({at.answers.headers(7, response("200"), kEnd)});
  const auto outcome = test::replay(protocol, at.turns, false);
  EXPECT_THAT(outcome.exchanges, ElementsAre("GET /b 200 0/0"));
  EXPECT_THAT(outcome.malformed, IsEmpty());
}

TEST(GrpcJoined, TellsCallsAndSuccessByTheirForm)
{
  Connection at;
  const auto pass = [&at](std::uint32_t stream, const Fields& trailers) {
    at.ask({at.asks.headers(stream, call("/s/m")), data(stream, message("q"), kEnd)});
    at.answer({at.answers.headers(stream, call_response()),
               data(stream, message("r")),
               at.answers.headers(stream, trailers, kEnd)});
  };
  const Fields success = {{"grpc-status", "0"}};
  pass(1, success);
  pass(3, {{"grpc-status", "5"}, {"grpc-message", "no such"}});
  at.turns.clear();
  pass(5, success);
  pass(7, {{"grpc-status", "7"}, {"grpc-message", "not you"}});
  pass(9, {{"grpc-status", "5"}, {"grpc-message", "no such"}});
  const auto outcome = test::replay(protocol, at.turns, false);
  EXPECT_THAT(outcome.exchanges,
              ElementsAre("grpc POST /s/m OK 6/6",
                          "grpc POST /s/m PermissionDenied 6/6",
                          "grpc POST /s/m other 6/6"));
  EXPECT_THAT(outcome.messages, ElementsAre(Pair("/s/m", Pair(3, 3))));
}

TEST(GrpcJoined, DoesNotTakeOtherUploadsForCalls)
{
  Connection at;
  const Fields json = {{"content-type", "application/json"}};
  at.ask({at.asks.headers(1, request("POST", "/orders/new", json), kEnd)});
  at.turns.clear();
  at.ask({at.asks.headers(3, request("POST", "/orders/new", json)), data(3, R"({"a":1})", kEnd)});
  at.answer({at.answers.headers(3, response("200")), data(3, "{}", kEnd)});
  EXPECT_THAT(test::replay(protocol, at.turns, false).exchanges,
              ElementsAre("POST /orders/new 200 7/2"));
}

// Feeds one connection with holes where the test wants them.
class Holed {
public:
  struct Lines : protocols::Sink {
    void exchange(const Exchange& exchange) override
    {
      lines.push_back(std::string(exchange.operation) + ' ' + std::string(exchange.target) + ' ' +
                      std::string(exchange.status) + (exchange.sizes_known ? "" : " open") +
                      (exchange.end == Exchange::End::kComplete ? "" : " aborted"));
    }
    void malformed(std::string_view reason) override { lines.emplace_back(reason); }
    std::vector<std::string> lines;
  };

  Holed()
  {
    ask(client_start());
    answer(server_start());
  }
  void ask(std::string_view bytes) { pass(Direction::kToServer, bytes, 0, 0); }
  void answer(std::string_view bytes) { pass(Direction::kToClient, bytes, 0, 0); }
  // Of the bytes, `size` ones from `at` on are missing.
  void ask(std::string_view bytes, std::size_t at, std::size_t size)
  {
    pass(Direction::kToServer, bytes, at, size);
  }
  void answer(std::string_view bytes, std::size_t at, std::size_t size)
  {
    pass(Direction::kToClient, bytes, at, size);
  }
  std::vector<std::string> closed()
  {
    decoder_->closed(Exchange::End::kReset, ++time_ns_, sink_);
    return sink_.lines;
  }

  Writer asks;
  Writer answers;

private:
  void pass(Direction direction, std::string_view bytes, std::size_t at, std::size_t size)
  {
    if (size == 0) {
      decoder_->data(direction, {bytes, ++time_ns_, true}, sink_);
      return;
    }
    if (at > 0)
      decoder_->data(direction, {bytes.substr(0, at), ++time_ns_, true}, sink_);
    decoder_->hole(direction, size, ++time_ns_, sink_);
    if (at + size < bytes.size())
      decoder_->data(direction, {bytes.substr(at + size), ++time_ns_, false}, sink_);
  }

  std::unique_ptr<protocols::Decoder> decoder_ = protocol.decoder(true);
  Lines sink_;
  std::uint64_t time_ns_ = 0;
};

constexpr std::size_t kHeader = 9;

TEST(Http2Holes, WithinDataDoNoHarm)
{
  Holed at;
  at.ask(at.asks.headers(1, request("POST", "/a")));
  at.ask(data(1, std::string(100, 'u')) + data(1, "", kEnd), kHeader, 100);
  at.answer(at.answers.headers(1, response("200")));
  at.answer(padded_data(1, std::string(100, 'd'), 20, kEnd), kHeader + 1 + 90, 30);
  at.ask(at.asks.headers(3, request("GET", "/a"), kEnd));
  at.answer(at.answers.headers(3, response("200"), kEnd));
  EXPECT_THAT(at.closed(), ElementsAre("POST /a 200", "GET /a 200"));
}

TEST(Http2Holes, WithinAHeaderBlockLeaveFieldsUnknownAndTheFramingKnown)
{
  Holed at;
  const auto get = at.asks.headers(1, request("GET", "/a"), kEnd);
  at.ask(get, kHeader + 2, get.size() - kHeader - 2);
  const auto ok = at.answers.headers(1, response("404"));
  at.answer(ok + data(1, "abc", kEnd), kHeader, ok.size() - kHeader);
  at.ask(at.asks.headers(3, request("GET", "/b"), kEnd));
  at.answer(at.answers.headers(3, response("200"), kEnd));
  const auto early = at.answers.headers(5, {{":status", "103"}});
  at.ask(at.asks.headers(5, request("GET", "/c"), kEnd));
  at.answer(early, kHeader, early.size() - kHeader);
  at.answer(at.answers.headers(5, response("200"), kEnd));
  EXPECT_THAT(at.closed(), ElementsAre("GET  unknown", "GET /b 200", "GET /c 200"));
}

TEST(Http2Holes, OverFramesLoseTheDirectionUntilACallBeginsWithFrames)
{
  Holed at;
  at.ask(at.asks.headers(1, request("GET", "/a"), kEnd) + "");
  at.ask(at.asks.headers(3, request("GET", "/b"), kEnd));
  // The end of the first answer and all of the second may be in the hole.
  const auto first = at.answers.headers(1, response("200")) + data(1, "abc", kEnd);
  const auto second = at.answers.headers(3, response("200")) + data(3, "abc", kEnd);
  at.answer(first + second, 20, first.size() + second.size() - 25);
  at.ask(at.asks.headers(5, request("GET", "/c"), kEnd));
  at.answer("rest");
  at.ask(at.asks.headers(7, request("GET", "/d"), kEnd));
  at.answer(at.answers.headers(7, response("200")) + data(7, "abc", kEnd));
  EXPECT_THAT(at.closed(), ElementsAre("GET /d 200"));
}

// As of one write of 5 MB, of which the tap captures a beginning and an end.
TEST(Http2Holes, AnAnswerCountsWhenItsCallEndsWithItsLastFrames)
{
  Holed at;
  at.ask(at.asks.headers(1, request("GET", "/large"), kEnd));
  std::string answer = at.answers.headers(1, response("200"));
  for (int i = 0; i < 10; ++i)
    answer += data(1, std::string(16'384, 'd'));
  answer += data(1, std::string(100, 'd')) + data(1, "", kEnd);
  at.answer(answer, 40'000, answer.size() - 40'000 - 4000);
  at.ask(at.asks.headers(3, request("GET", "/a"), kEnd));
  at.answer(at.answers.headers(3, response("200"), kEnd));
  EXPECT_THAT(at.closed(), ElementsAre("GET /large 200 open", "GET /a 200"));
}

TEST(Http2Holes, AnAnswerWhoseHeadWasLostCountsByItsEnd)
{
  Holed at;
  at.ask(at.asks.headers(1, request("GET", "/a"), kEnd));
  at.answer(at.answers.headers(1, response("200")), 0, 20);
  at.answer(data(1, "abc") + data(1, "", kEnd));
  EXPECT_THAT(at.closed(), ElementsAre("GET /a unknown open"));
}

TEST(Http2Holes, RequestsThatWereLostAreNobodys)
{
  Holed at;
  const auto lost = at.asks.headers(1, request("GET", "/lost"), kEnd);
  at.ask(lost + at.asks.headers(3, request("GET", "/a"), kEnd), 0, lost.size());
  at.answer(at.answers.headers(1, response("200"), kEnd));
  at.answer(at.answers.headers(3, response("200"), kEnd));
  at.ask(at.asks.headers(5, request("GET", "/b"), kEnd));
  at.answer(at.answers.headers(5, response("200"), kEnd));
  EXPECT_THAT(at.closed(), ElementsAre("GET /b 200"));
}

TEST(Http2Malformed, NamesWhatNoPeerWouldAcceptAndGoesOn)
{
  const std::pair<std::string, std::string> bad[] = {
      {data(0, "x"), "stream_id"},
      {frame(1, kEndHeaders, 0, "x"), "stream_id"},
      {rst_stream(0, kCancel), "stream_id"},
      {frame(4, 0, 1, ""), "stream_id"},
      {frame(6, 0, 3, "12345678"), "stream_id"},
      {frame(7, 0, 3, "12345678"), "stream_id"},
      {frame(3, 0, 1, "123"), "frame_size"},
      {frame(4, 0, 0, "1234567"), "frame_size"},
      {frame(6, 0, 0, "1234567"), "frame_size"},
      {frame(7, 0, 0, "1234567"), "frame_size"},
      {frame(8, 0, 0, "12345"), "frame_size"},
      {frame(0, kPadded, 1, ""), "frame_size"},
      {frame(1, kEndHeaders | kPriority, 1, "1234"), "frame_size"},
      {frame(0, kPadded, 1, "\x05x"), "padding"},
      {frame(1, kEndHeaders | kPadded, 1, "\x05x"), "padding"},
      {frame(9, kEndHeaders, 1, ""), "continuation"},
      {frame(1, 0, 1, "\x82") + data(1, "x"), "continuation"},
      {frame(1, 0, 1, "\x82") + frame(9, kEndHeaders, 3, ""), "continuation"},
      {frame(1, 0, 1, "\x82") + frame(0x77, 0, 0, ""), "continuation"},
  };
  for (const auto& [bytes, reason] : bad) {
    for (const bool asked : {true, false}) {
      Connection at;
      at.ask({at.asks.headers(1, request("POST", "/first"))});
      asked ? at.ask({bytes}) : at.answer({bytes});
      at.ask({at.asks.headers(5, request("GET", "/next"), kEnd)});
      at.answer({at.answers.headers(5, response("200"), kEnd)});
      const auto outcome = test::replay(protocol, at.turns);
      EXPECT_THAT(outcome.malformed, ElementsAre(reason));
      EXPECT_THAT(outcome.exchanges, ElementsAre("GET /next 200 0/0")) << reason;
    }
  }
}

TEST(Http2Malformed, APrefaceThatIsNone)
{
  Connection at;
  at.turns.front() = client("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n");
  at.ask({at.asks.headers(5, request("GET", "/next"), kEnd)});
  at.answer({at.answers.headers(5, response("200"), kEnd)});
  const auto outcome = test::replay(protocol, at.turns);
  EXPECT_THAT(outcome.malformed, ElementsAre("preface"));
  EXPECT_THAT(outcome.exchanges, ElementsAre("GET /next 200 0/0"));
}

TEST(Http2Malformed, AHeaderBlockThatCannotBeRead)
{
  for (const std::string block : {"\x80", "\xff\xff\xff\xff\xff\x7f", "\x40\x8a", "\x82\xfe"}) {
    Connection at;
    at.ask({raw_headers(1, block)});
    at.ask({at.asks.headers(3, request("GET", "/next"), kEnd)});
    at.answer({at.answers.headers(3, response("200"), kEnd)});
    const auto outcome = test::replay(protocol, at.turns);
    EXPECT_THAT(outcome.malformed, ElementsAre("header_block"));
    EXPECT_THAT(outcome.exchanges, testing::Contains("GET /next 200 0/0"));
  }
}

}  // namespace
}  // namespace sonde::http2
