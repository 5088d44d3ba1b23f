// SPDX-License-Identifier: Apache-2.0
// Calls of gRPC as grpc-go, tonic, grpc-java and proxies in front of them have them ("gRPC over
// HTTP2").
#include <functional>

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
using testing::Pair;

constexpr unsigned kEnd = kEndStream;
constexpr auto kSay = "/demo.v1.Greeter/Say";

TEST(Grpc, CountsCallsByTheirCodeWithTheirMessages)
{
  const auto outcome = test::replay(protocol, unary_calls());
  EXPECT_THAT(outcome.exchanges,
              ElementsAre("grpc POST /demo.v1.Greeter/Say OK 10/15",
                          "grpc POST /demo.v1.Greeter/Say NotFound 5/0"));
  EXPECT_THAT(outcome.messages, ElementsAre(Pair(kSay, Pair(2, 1))));
  EXPECT_THAT(outcome.malformed, IsEmpty());
}

TEST(Grpc, FollowsMessagesOverTheBordersOfFrames)
{
  const auto outcome = test::replay(protocol, streaming_calls());
  EXPECT_THAT(outcome.exchanges,
              ElementsAre("grpc POST /demo.v1.Chat/List OK 8/26",
                          "grpc POST /demo.v1.Chat/Talk Aborted 40026/40011"));
  EXPECT_THAT(
      outcome.messages,
      ElementsAre(Pair("/demo.v1.Chat/List", Pair(1, 3)), Pair("/demo.v1.Chat/Talk", Pair(4, 2))));
}

TEST(Grpc, TellsCallsFromOtherRequestsByTheContentType)
{
  EXPECT_THAT(test::replay(protocol, calls_and_requests()).exchanges,
              ElementsAre("grpc POST /a.B/C Unauthenticated 6/6",
                          "POST /a.B/C 200 6/6",
                          "grpc POST /a.B/C Unauthenticated 6/6",
                          "GET /healthz 200 0/4"));
}

TEST(Grpc, GivesTheSameHoweverTheBytesAreCut)
{
  test::expect_the_same_however_cut(protocol, call_conversations());
}

// Of one call that is answered with these bytes, behind its head.
std::vector<std::string> answered(const std::function<std::string(Writer&)>& answer)
{
  Connection at;
  at.ask({at.asks.headers(1, call("/s/m")), data(1, message("q"), kEnd)});
  at.answer({answer(at.answers)});
  return test::replay(protocol, at.turns).exchanges;
}

TEST(Grpc, KnowsEveryCodeInTrailersAndWithoutAResponse)
{
  const std::vector<std::string> codes = {"OK",
                                          "Canceled",
                                          "Unknown",
                                          "InvalidArgument",
                                          "DeadlineExceeded",
                                          "NotFound",
                                          "AlreadyExists",
                                          "PermissionDenied",
                                          "ResourceExhausted",
                                          "FailedPrecondition",
                                          "Aborted",
                                          "OutOfRange",
                                          "Unimplemented",
                                          "Internal",
                                          "Unavailable",
                                          "DataLoss",
                                          "Unauthenticated",
                                          // What is none.
                                          "Unknown"};
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const auto code = std::to_string(i);
    EXPECT_THAT(answered([&](Writer& to) {
                  const auto head = to.headers(1, call_response());
                  return head + to.headers(1, call_trailers(code), kEnd);
                }),
                ElementsAre("grpc POST /s/m " + codes[i] + " 6/0"));
    EXPECT_THAT(answered([&](Writer& to) {
                  auto only = call_response();
                  only.emplace_back("grpc-status", code);
                  return to.headers(1, only, kEnd);
                }),
                ElementsAre("grpc POST /s/m " + codes[i] + " 6/0"));
  }
  EXPECT_THAT(answered([&](Writer& to) { return to.headers(1, call_trailers("x"), kEnd); }),
              ElementsAre("grpc POST /s/m Unknown 6/0"));
}

TEST(Grpc, TakesTheHttpStatusWhereNoCodeIsGiven)
{
  const std::pair<std::string, std::string> expected[] = {{"400", "Internal"},
                                                          {"401", "Unauthenticated"},
                                                          {"403", "PermissionDenied"},
                                                          {"404", "Unimplemented"},
                                                          {"429", "Unavailable"},
                                                          {"502", "Unavailable"},
                                                          {"503", "Unavailable"},
                                                          {"504", "Unavailable"},
                                                          {"500", "Unknown"},
                                                          {"418", "Unknown"},
                                                          {"200", "Unknown"}};
  for (const auto& [status, code] : expected) {
    EXPECT_THAT(answered([&](Writer& to) {
                  const auto head =
                      to.headers(1, response(status, {{"content-type", "text/html"}}));
                  return head + data(1, "<html>", kEnd);
                }),
                ElementsAre("grpc POST /s/m " + code + " 6/6"));
  }
}

TEST(Grpc, TakesTheErrorOfAResetForACode)
{
  const std::pair<std::uint32_t, std::string> expected[] = {
      {kNoError, "Internal"},
      {kProtocolError, "Internal"},
      {kInternalError, "Internal"},
      {kFlowControlError, "Internal"},
      {kCancel, "Canceled"},
      {kEnhanceYourCalm, "ResourceExhausted"},
      {kInadequateSecurity, "PermissionDenied"}};
  for (const auto& [error, code] : expected) {
    EXPECT_THAT(answered([&](Writer&) { return rst_stream(1, error); }),
                ElementsAre("grpc POST /s/m " + code + " 6/0"));
    EXPECT_THAT(
        answered([&](Writer& to) { return to.headers(1, call_response()) + rst_stream(1, error); }),
        ElementsAre("grpc POST /s/m " + code + " 6/0"));
  }
}

TEST(Grpc, LeavesOutCallsThatAreTriedAgain)
{
  EXPECT_THAT(answered([](Writer&) { return rst_stream(1, kRefusedStream); }), IsEmpty());
  EXPECT_THAT(answered([](Writer&) { return goaway(0); }), IsEmpty());
}

TEST(Grpc, EndsACallWithItsStatusWhateverComesAfter)
{
  Connection at;
  at.ask({at.asks.headers(1, call("/s/m")), data(1, message("q"))});
  at.answer({at.answers.headers(1, call_trailers("8"), kEnd), rst_stream(1, kNoError)});
  at.ask({data(1, message("late")), rst_stream(1, kCancel)});
  const auto outcome = test::replay(protocol, at.turns);
  // Trailers without any :status are not a response, but a code is a code.
  EXPECT_THAT(outcome.exchanges, ElementsAre("grpc POST /s/m ResourceExhausted 6/0"));
  EXPECT_THAT(outcome.messages, ElementsAre(Pair("/s/m", Pair(1, 0))));
}

TEST(Grpc, ACallWhoseConnectionEndsHasNoCodeOfItsOwn)
{
  Connection at;
  at.ask({at.asks.headers(1, call("/s/m")), data(1, message("q"), kEnd)});
  at.answer({at.answers.headers(1, call_response()), data(1, message("r"))});
  EXPECT_THAT(test::replay(protocol, at.turns).exchanges,
              ElementsAre("grpc POST /s/m  6/6 server_closed"));
}

}  // namespace
}  // namespace sonde::http2
