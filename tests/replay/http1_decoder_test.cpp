// SPDX-License-Identifier: Apache-2.0
// Times and ends of HTTP/1.x, and pairing after a loss, call by call.
#include <fmt/format.h>
#include <map>
#include <memory>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/http1_conversations.hpp"

namespace sonde::test {
namespace {

using http1::protocol;
using protocols::Direction;
using protocols::Exchange;
using testing::ElementsAre;
using testing::IsEmpty;

class Connection : public protocols::Sink {
public:
  explicit Connection(bool from_start = true) : decoder_(protocol.decoder(from_start)) {}

  Connection& client(std::uint64_t time_ns, std::string_view bytes, bool starts_call = true)
  {
    decoder_->data(Direction::kToServer, {bytes, time_ns, starts_call}, *this);
    return *this;
  }
  Connection& server(std::uint64_t time_ns, std::string_view bytes, bool starts_call = true)
  {
    decoder_->data(Direction::kToClient, {bytes, time_ns, starts_call}, *this);
    return *this;
  }
  Connection& client_hole(std::uint64_t time_ns, std::uint64_t bytes)
  {
    decoder_->hole(Direction::kToServer, bytes, time_ns, *this);
    return *this;
  }
  Connection& server_hole(std::uint64_t time_ns, std::uint64_t bytes)
  {
    decoder_->hole(Direction::kToClient, bytes, time_ns, *this);
    return *this;
  }
  Connection& end_of_server(std::uint64_t time_ns)
  {
    decoder_->end_of_stream(Direction::kToClient, time_ns, *this);
    return *this;
  }
  Connection& close(std::uint64_t time_ns, Exchange::End how)
  {
    decoder_->closed(how, time_ns, *this);
    return *this;
  }

  void exchange(const Exchange& e) override
  {
    constexpr std::array kEnds = {"", " client_closed", " server_closed", " reset"};
    lines.push_back(fmt::format("{} {} {} {}-{} {}-{}{}",
                                e.operation,
                                e.target,
                                e.status,
                                e.request_first_ns,
                                e.request_last_ns,
                                e.response_first_ns,
                                e.response_last_ns,
                                kEnds.at(static_cast<std::size_t>(e.end))));
  }
  void malformed(std::string_view reason) override { lines.emplace_back(reason); }

  const protocols::Decoder& decoder() const { return *decoder_; }

  std::vector<std::string> lines;

private:
  std::unique_ptr<protocols::Decoder> decoder_;
};

const std::string kGet = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const std::string kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

TEST(Http1Decoder, TimesAreThoseOfTheFirstAndLastBytes)
{
  Connection c;
  c.client(10, "\r\n").client(11, "PO").client(12, "ST /p HTTP/1.1\r\nContent-Length: 3\r\n\r\na");
  c.server(13, "HTTP/1.1 100 Continue\r\n\r\n").client(14, "bc");
  c.server(15, "HTTP/1.1 200 OK\r\nContent-Le").server(16, "ngth: 2\r\n\r\no").server(17, "k");
  EXPECT_THAT(c.lines, ElementsAre("POST /p 200 11-14 15-17"));
}

TEST(Http1Decoder, AHolesTimeCountsAsItsBytes)
{
  Connection c;
  c.client(10, "PUT /p HTTP/1.1\r\nContent-Length: 100\r\n\r\n").client_hole(12, 100);
  c.server(15, "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n").server_hole(19, 50);
  EXPECT_THAT(c.lines, ElementsAre("PUT /p 200 10-12 15-19"));
}

TEST(Http1Decoder, ABodyWithoutLengthEndsWithItsLastByteNotWithTheClose)
{
  Connection by_stream;
  by_stream.client(1, kGet).server(2, "HTTP/1.0 200 OK\r\n\r\n").server(3, "x").end_of_server(9);
  by_stream.close(10, Exchange::End::kClientClosed);
  EXPECT_THAT(by_stream.lines, ElementsAre("GET /a 200 1-1 2-3"));

  Connection by_close;
  by_close.client(1, kGet).server(2, "HTTP/1.0 200 OK\r\n\r\n").server_hole(3, 5);
  by_close.close(10, Exchange::End::kServerClosed);
  EXPECT_THAT(by_close.lines, ElementsAre("GET /a 200 1-1 2-3"));

  Connection by_reset;
  by_reset.client(1, kGet).server(2, "HTTP/1.0 200 OK\r\n\r\n").server(3, "x");
  by_reset.close(10, Exchange::End::kReset);
  EXPECT_THAT(by_reset.lines, ElementsAre("GET /a 200 1-1 2-0 reset"));
}

TEST(Http1Decoder, ARequestCountsAsAbortedOnceItsHeadIsComplete)
{
  Connection half;
  half.client(1, "GET /a HTTP/1.1\r\nHo").close(2, Exchange::End::kClientClosed);
  EXPECT_THAT(half.lines, IsEmpty());

  Connection body;
  body.client(1, "POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\n").client(2, "ab");
  EXPECT_EQ(body.decoder().activity().in_flight, 1U);
  body.close(3, Exchange::End::kClientClosed);
  EXPECT_THAT(body.lines, ElementsAre("POST /a  1-0 0-0 client_closed"));
  EXPECT_EQ(body.decoder().activity().in_flight, 0U);

  Connection interim;
  interim.client(1, kGet).server(2, "HTTP/1.1 100 Continue\r\n\r\n");
  interim.close(3, Exchange::End::kReset);
  EXPECT_THAT(interim.lines, ElementsAre("GET /a  1-1 0-0 reset"));
}

TEST(Http1Decoder, AResponseIsExpectedWhileARequestIsOpen)
{
  Connection c;
  EXPECT_FALSE(c.decoder().expects_response());
  c.client(1, "GET /a HTTP/1.1\r\n");
  EXPECT_FALSE(c.decoder().expects_response());
  c.client(2, "\r\n");
  EXPECT_TRUE(c.decoder().expects_response());
  c.server(3, kOk);
  EXPECT_FALSE(c.decoder().expects_response());
}

TEST(Http1Decoder, AnswersToRequestsThatAHoleMayHaveHeldDoNotWaitForTheNextOne)
{
  Connection c;
  c.client(1'000, "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n");
  c.client_hole(1'000, 100'000);
  c.client(1'000, "0\r\n\r\nGET /unseen HTTP/1.1\r\n\r\n", false);
  c.server(2'000, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
  EXPECT_TRUE(c.decoder().expects_response());
  c.server(3'000, kOk);
  c.client(50'000, "POST /b HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
  c.server(51'000, "HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_FALSE(c.decoder().expects_response());
  EXPECT_THAT(c.lines,
              ElementsAre("POST /a 201 1000-0 2000-2000", "POST /b 204 50000-50000 51000-51000"));
}

TEST(Http1Decoder, AResponseThatCameBeforeItsRequestDoesNotShiftThePairing)
{
  Connection c;
  c.server(5, kOk).client(4, "GET /early HTTP/1.1\r\n\r\n");
  c.client(8, kGet).server(9, kOk);
  EXPECT_THAT(c.lines, ElementsAre("GET /a 200 8-8 9-9"));
}

TEST(Http1Decoder, ARequestLostInAHoleTakesNobodysResponse)
{
  Connection c;
  c.client(1'000, kGet).server(2'000, kOk).client_hole(3'000, 300).server(4'000, kOk);
  // The server has been silent for long enough to have nothing left to say.
  c.client(20'000, kGet).server(30'000, kOk);
  EXPECT_THAT(c.lines,
              ElementsAre("GET /a 200 1000-1000 2000-2000", "GET /a 200 20000-20000 30000-30000"));

  Connection pipelining;
  pipelining.client(1'000, kGet + kGet).server(2'000, kOk + kOk).client_hole(3'000, 300);
  pipelining.server(4'000, kOk).client(20'000, kGet).server(30'000, kOk);
  pipelining.client(2'000'000'000, kGet).server(2'000'000'001, kOk);
  EXPECT_EQ(pipelining.lines.size(), 3U);
  EXPECT_EQ(pipelining.lines.back(), "GET /a 200 2000000000-2000000000 2000000001-2000000001");
}

TEST(Http1Decoder, ARequestWhoseHeadersAreCutKeepsItsPath)
{
  Connection c;
  c.client(1'000, "GET /long HTTP/1.1\r\nCookie: a").client_hole(1'000, 9'000);
  c.server(2'000, kOk).client(50'000, kGet).server(60'000, kOk);
  EXPECT_THAT(c.lines,
              ElementsAre("GET /long 200 1000-0 2000-2000", "GET /a 200 50000-50000 60000-60000"));
}

TEST(Http1Decoder, AfterAnAlternationOfRequestsAndResponsesTheNextIsBelieved)
{
  Connection c;
  c.client(1, kGet).server(2, kOk).client(3, kGet).server(4, kOk).client(5, kGet).server(6, kOk);
  c.client_hole(7, 60).server(8, kOk).client(9, kGet).server(10, kOk);
  EXPECT_EQ(c.lines.size(), 4U);
  EXPECT_EQ(c.lines.back(), "GET /a 200 9-9 10-10");
}

TEST(Http1Decoder, TheFirstRequestOfAJoinedConnectionMayBeCutInItsMethod)
{
  for (const std::string_view cut : {"G", "GE", "GET", "GET ", "GET /"}) {
    Connection c(false);
    c.client(1, cut)
        .client(2, std::string_view(kGet).substr(cut.size()))
        .server(3, kOk)
        .client(4, kGet)
        .server(5, kOk);
    EXPECT_THAT(c.lines, ElementsAre("GET /a 200 1-2 3-3", "GET /a 200 4-4 5-5")) << cut;
  }
  Connection after(false);
  after.client(1, "rest").client(2, kGet).server(3, kOk);
  EXPECT_THAT(after.lines, ElementsAre("GET /a 200 2-2 3-3"));
}

TEST(Http1Decoder, TheFirstAnswerOfAJoinedConnectionMayComeInOneCallWithItsHints)
{
  Connection c(false);
  c.client(1, kGet).server(2, "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n" + kOk);
  c.client(3, kGet).server(4, kOk);
  EXPECT_THAT(c.lines, ElementsAre("GET /a 200 1-1 2-2", "GET /a 200 3-3 4-4"));
}

TEST(Http1Decoder, InsideABodyNothingIsTakenForARequest)
{
  Connection c;
  c.client(1, "POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n").client_hole(2, 50);
  c.client(100'000, "GET /inside HTTP/1.1\r\n\r\n").server(200'000, kOk);
  c.client(300'000, kGet).server(400'000, kOk);
  EXPECT_THAT(
      c.lines,
      ElementsAre("POST /x 200 1-0 200000-200000", "GET /a 200 300000-300000 400000-400000"));
}

TEST(Http1Decoder, AfterALossOnBothSidesItGoesOnWithALaterRequest)
{
  Connection c;
  c.client(1, "POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n").client_hole(2, 50);
  c.server(3, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").server_hole(4, 70);
  c.client(100'000, kGet).server(200'000, kOk);
  EXPECT_THAT(c.lines, ElementsAre("GET /a 200 100000-100000 200000-200000"));
}

TEST(Http1Decoder, AChunkedResponseThatWasLostEndsWithItsTrailers)
{
  Connection c;
  c.client(1, kGet)
      .server(2, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4")
      .server_hole(3, 70);
  c.server(4, "data\r\n0\r\nnot: a trailer\r\nbut data\r\n\r\n", false);
  EXPECT_THAT(c.lines, IsEmpty());
  c.server_hole(5, 70).server(6, "data\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n", false);
  EXPECT_THAT(c.lines, ElementsAre("GET /a 200 1-1 2-6"));
}

TEST(Http1Decoder, AResponseInPiecesEndsTheLostOneBeforeIt)
{
  Connection c;
  c.client(1, kGet)
      .server(2, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4")
      .server_hole(3, 70);
  c.client(4, kGet).server(5, "HT").server(6, "TP/1.1 204 No Content\r\n\r\n");
  EXPECT_THAT(c.lines, ElementsAre("GET /a 200 1-1 2-3", "GET /a 204 4-4 5-6"));
}

TEST(Http1Decoder, AnswersMayShareACallUntilEnoughHaveComeAlone)
{
  Connection c;
  const auto limit = [&] { return c.decoder().appetite(Direction::kToClient).limit; };
  for (std::uint64_t i = 0; i < 8; ++i) {
    EXPECT_EQ(limit(), 16384);
    c.client(2 * i, kGet).server(2 * i + 1, kOk);
  }
  EXPECT_EQ(limit(), 4096);
  c.client(100, kGet).client(101, kGet);
  EXPECT_EQ(limit(), 65536);
}

TEST(Http1Decoder, AnUpgradeWhoseAnswerIsLostIsNotFollowed)
{
  Connection c;
  c.client(1, "GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n").server_hole(2, 150);
  c.server(3, "\x81\x02hi").client(4, "\x81\x82maskxx").client(5, "\x81\x82maskxx");
  EXPECT_THAT(c.lines, testing::AnyOf(IsEmpty(), ElementsAre("bad_request_line")));
}

TEST(Http1Decoder, WhatFollowsARefusedTunnelIsNotARequest)
{
  Connection c;
  c.client(1, "CONNECT a:1 HTTP/1.1\r\n\r\n").client(2, kGet).client_hole(3, 9);
  c.server(4, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
  c.client(50'000, kGet).server(60'000, kOk);
  EXPECT_THAT(c.lines, ElementsAre("CONNECT  403 1-1 4-4", "GET /a 200 50000-50000 60000-60000"));
}

}  // namespace
}  // namespace sonde::test
