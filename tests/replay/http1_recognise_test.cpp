// SPDX-License-Identifier: Apache-2.0
// How a connection is recognised as HTTP/1.x, and the metrics of its exchanges.
#include <algorithm>
#include <fmt/format.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/http1_conversations.hpp"

namespace sonde::test {
namespace {

using http1::protocol;
using protocols::Exchange;
using protocols::Match;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

const std::string kGet = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const std::string kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

Match recognised(std::string_view to_server,
                 std::string_view to_client = {},
                 bool from_start = true)
{
  return protocol.recognise({to_server, to_client, from_start});
}

TEST(Http1Recognise, ByTheRequestLineAndByItAlone)
{
  EXPECT_EQ(recognised(kGet), Match::kYes);
  EXPECT_EQ(recognised("\r\nBREW /pot?x HTTP/1.0\n"), Match::kYes);
  for (std::size_t i = 0; i < kGet.find('\n'); ++i)
    EXPECT_EQ(recognised(kGet.substr(0, i)), Match::kNeedMore) << i;
  EXPECT_EQ(recognised("GET /" + std::string(8'000, 'a')), Match::kNeedMore);
  EXPECT_EQ(recognised("GET /" + std::string(9'000, 'a')), Match::kNo);
  for (const auto* other : {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                            "PRI * HTTP/2",
                            "\x16\x03\x01\x02",
                            "*1\r\n$4\r\nPING\r\n",
                            "PING\r\n",
                            "CONNECT {\"verbose\":false}\r\n",
                            "EHLO example.org\r\n",
                            "OPTIONS rtsp://a/b RTSP/1.0\r\n",
                            "GET key\r\n",
                            "GET / HTTP/1.1x\r\n",
                            "GET / HTTP/1.x",
                            "GET / HTTP/1.1x\r",
                            "GET  /",
                            "GET /\x7f",
                            " GET",
                            "AMQP\1",
                            "METHODWITHFARTOOMANYCHARACTERSTOBEONE"})
    EXPECT_EQ(recognised(other), Match::kNo) << other;
  EXPECT_EQ(recognised(std::string_view("\0\0\0\x08", 4)), Match::kNo);
}

TEST(Http1Recognise, AServerThatSpeaksFirstIsSomethingElse)
{
  EXPECT_EQ(recognised("", "220 mail ESMTP\r\n"), Match::kNo);
  EXPECT_EQ(recognised(kGet, "-ERR unknown command\r\n"), Match::kNo);
  EXPECT_EQ(recognised("", kOk), Match::kNeedMore);
  EXPECT_EQ(recognised("", ""), Match::kNeedMore);
}

TEST(Http1Recognise, InTheMiddleEitherSideMayTell)
{
  EXPECT_EQ(recognised("rest of\nbody", kOk, false), Match::kYes);
  EXPECT_EQ(recognised(kGet, "rest of body", false), Match::kYes);
  EXPECT_EQ(recognised("rest\n", "rest", false), Match::kNo);
  EXPECT_EQ(recognised("rest\n", "HTTP/1.1 2", false), Match::kNeedMore);
  EXPECT_EQ(recognised("GET /", "rest", false), Match::kNeedMore);
  EXPECT_EQ(recognised("", "", false), Match::kNeedMore);
}

class Record : public protocols::Recorder {
public:
  explicit Record(protocols::Role role) : role_(role) {}
  protocols::Role role() const override { return role_; }
  std::string_view peer() const override { return "shop:80"; }
  void count(const metrics::Desc& family, Values values, std::uint64_t n) override
  {
    add(family, values, fmt::format("+{}", n));
  }
  void observe(const metrics::Desc& family, Values values, std::uint64_t value) override
  {
    add(family, values, fmt::format("={}", value));
  }
  void adjust(const metrics::Desc& family, Values values, std::int64_t by) override
  {
    add(family, values, fmt::format("{:+}", by));
  }
  void merge(const metrics::Desc& family,
             Values values,
             std::span<const std::uint64_t>,
             std::uint64_t sum) override
  {
    observe(family, values, sum);
  }
  std::string_view route(std::string_view, std::string_view path) override
  {
    return path == "/users/1" ? "/users/{id}" : path;
  }

  std::vector<std::string> lines;

private:
  void add(const metrics::Desc& family, Values values, const std::string& value)
  {
    EXPECT_TRUE(std::ranges::any_of(protocol.metrics, [&](auto& one) { return &one == &family; }));
    const auto names = 1 + std::ranges::count(family.labels, ' ');
    EXPECT_EQ(static_cast<std::size_t>(names), values.size() + 1) << family.name;
    lines.push_back(fmt::format("{}{{{}}} {}", family.name, fmt::join(values, ","), value));
  }

  protocols::Role role_;
};

TEST(Http1Record, TheRoleDecidesTheFamilies)
{
  Exchange exchange = {.operation = "GET",
                       .target = "/users/1",
                       .status = "200",
                       .request_first_ns = 100,
                       .request_last_ns = 110,
                       .response_first_ns = 150,
                       .response_last_ns = 180,
                       .request_bytes = 5,
                       .response_bytes = 7};
  Record server(protocols::Role::kServer);
  protocol.record(exchange, server);
  EXPECT_THAT(server.lines,
              UnorderedElementsAre("http_requests_total{GET,/users/{id},200} +1",
                                   "http_request_duration_seconds{GET,/users/{id}} =80",
                                   "http_response_first_byte_seconds{GET,/users/{id}} =50",
                                   "http_request_size_bytes{GET,/users/{id}} =5",
                                   "http_response_size_bytes{GET,/users/{id}} =7"));
  Record caller(protocols::Role::kClient);
  protocol.record(exchange, caller);
  EXPECT_THAT(caller.lines,
              UnorderedElementsAre("http_client_requests_total{shop:80,GET,200} +1",
                                   "http_client_request_duration_seconds{shop:80,GET} =80"));

  exchange.end = Exchange::End::kReset;
  server.lines.clear();
  protocol.record(exchange, server);
  EXPECT_THAT(server.lines, ElementsAre("http_requests_aborted_total{GET,/users/{id},reset} +1"));
  caller.lines.clear();
  protocol.record(exchange, caller);
  EXPECT_THAT(caller.lines,
              ElementsAre("http_client_requests_aborted_total{shop:80,GET,reset} +1"));
}

TEST(Http1Record, UnknownSizesAndTimesAreNotObserved)
{
  const Exchange exchange = {
      .operation = "GET", .target = "/", .status = "101", .sizes_known = false};
  Record server(protocols::Role::kServer);
  protocol.record(exchange, server);
  EXPECT_THAT(server.lines, ElementsAre("http_requests_total{GET,/,101} +1"));
}

TEST(Http1Record, InFlightIsTheServersGauge)
{
  Record server(protocols::Role::kServer);
  protocol.level({.in_flight = 3}, -1, server);
  protocol.level({.in_flight = 0}, 1, server);
  EXPECT_THAT(server.lines, ElementsAre("http_requests_in_flight{} -3"));
  Record caller(protocols::Role::kClient);
  protocol.level({.in_flight = 3}, 1, caller);
  EXPECT_THAT(caller.lines, IsEmpty());
}

}  // namespace
}  // namespace sonde::test
