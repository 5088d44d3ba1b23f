// SPDX-License-Identifier: Apache-2.0
// Which connections are taken for HTTP/2, and what their requests are recorded as.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/http2_text.hpp"
#include "tests/support/recorded.hpp"

namespace sonde::http2 {

extern const protocols::Protocol protocol;

namespace {

using namespace test::h2;
using protocols::Match;
using protocols::Role;
using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

Match recognised(std::string_view to_server, std::string_view to_client, bool from_start = true)
{
  return protocol.recognise({to_server, to_client, from_start});
}

TEST(Http2Recognise, ByThePrefaceAndByItAlone)
{
  EXPECT_EQ(recognised(kPreface, ""), Match::kYes);
  EXPECT_EQ(recognised(client_start(), server_start()), Match::kYes);
  for (std::size_t size = 0; size < kPreface.size(); ++size)
    EXPECT_EQ(recognised(kPreface.substr(0, size), ""), Match::kNeedMore) << size;
  for (const std::string_view other : {"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
                                       "PRI / HTTP/2.0\r\n",
                                       "GET / HTTP/1.1\r\n\r\n",
                                       "POST / HTTP/1.1\r\n\r\n",
                                       "PING\r\n",
                                       "*1\r\n$4\r\nPING\r\n",
                                       "\x16\x03\x01\x02"})
    EXPECT_EQ(recognised(other, ""), Match::kNo) << other;
  Writer asks;
  EXPECT_EQ(recognised(asks.headers(1, request("GET", "/")), ""), Match::kNo);
}

TEST(Http2Recognise, AServerMaySpeakFirstButOnlyFrames)
{
  EXPECT_EQ(recognised("", settings()), Match::kNeedMore);
  EXPECT_EQ(recognised("", settings().substr(0, 5)), Match::kNeedMore);
  EXPECT_EQ(recognised(kPreface, settings().substr(0, 5)), Match::kYes);
  EXPECT_EQ(recognised("", "220 mail ESMTP ready\r\n"), Match::kNo);
  EXPECT_EQ(recognised("", "HTTP/1.1 400 Bad Request\r\n\r\n"), Match::kNo);
  EXPECT_EQ(recognised(kPreface, "HTTP/1.1 400 Bad Request\r\n\r\n"), Match::kNo);
  EXPECT_EQ(recognised("PRI * HT", "-ERR unknown command\r\n"), Match::kNo);
}

TEST(Http2Recognise, InTheMiddleEitherSideMayTellByItsFrames)
{
  Writer asks;
  Writer answers;
  const auto get = asks.headers(7, request("GET", "/a"), kEndStream);
  const auto ok = answers.headers(7, response("200")) + data(7, "content", kEndStream);
  EXPECT_EQ(recognised(get, "", false), Match::kYes);
  EXPECT_EQ(recognised("", ok, false), Match::kYes);
  EXPECT_EQ(recognised("rest of a body", ok, false), Match::kYes);
  EXPECT_EQ(recognised(get, "rest of a body", false), Match::kYes);
  // The call may end within a frame, or be one of content.
  EXPECT_EQ(recognised(get.substr(0, 30), "", false), Match::kYes);
  EXPECT_EQ(recognised("", data(5, std::string(8'000, 'x')).substr(0, 4'096), false),
            Match::kNeedMore);
  EXPECT_EQ(recognised("", data(5, "x") + window_update(0) + ping(), false), Match::kYes);
  EXPECT_EQ(recognised("", "", false), Match::kNeedMore);
}

TEST(Http2Recognise, InTheMiddleAHeadTellsWhoSpeaks)
{
  Writer asks;
  Writer answers;
  const auto get = asks.headers(7, request("GET", "/a"), kEndStream);
  const auto missing = answers.headers(7, response("404"), kEndStream);
  EXPECT_EQ(recognised(missing, "", false), Match::kNo);
  EXPECT_EQ(recognised("", get, false), Match::kNo);
  EXPECT_EQ(recognised(ping() + missing, "", false), Match::kNo);
  EXPECT_EQ(recognised("", missing, false), Match::kYes);
  EXPECT_EQ(recognised(ping() + get, "", false), Match::kYes);
}

// Of libraries that are fed from memory no handshake is seen, nor at first whose socket it is.
TEST(Http2Recognise, ABeginningThatWasTakenForTheMiddleByThePrefaceOfWhoeverWritesIt)
{
  EXPECT_EQ(recognised(client_start(), "", false), Match::kYes);
  EXPECT_EQ(recognised(settings() + window_update(0), "", false), Match::kNeedMore);
  EXPECT_EQ(recognised("", settings(), false), Match::kNeedMore);
  EXPECT_EQ(recognised(settings(), client_start(), false), Match::kNo);
  EXPECT_EQ(recognised(client_start(), settings(), false), Match::kYes);
}

TEST(Http2Recognise, LeavesTheMiddleOfOtherProtocolsAlone)
{
  const std::string others[] = {
      "rest of a body",
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
      "GET / HTTP/1.1\r\n\r\n",
      "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n",
      std::string("Q\0\0\0\x0dSELECT 1\0", 14),
      std::string("Z\0\0\0\x05I", 6) + std::string("T\0\0\0\x20\0\1", 7),
      std::string("\x17\x03\x03\0\x20", 5) + std::string(32, 'e'),
      std::string(64, '\0'),
      std::string(64, '\xff'),
      std::string("\x4a\0\0\0\x0a", 5) + "8.0.36",
      // Frames in which something cannot be.
      frame(0, 0, 0, "data of no stream"),
      frame(1, kEndHeaders | 0x2, 1, "a flag that is not"),
      frame(4, 0, 1, ""),
      frame(4, 0, 0, "seven b"),
      frame(6, 0, 0, "short"),
      frame(9, kEndHeaders, 1, "of no head"),
      frame(0x77, 0, 1, "of no known type"),
  };
  for (const auto& bytes : others) {
    EXPECT_EQ(recognised(bytes, "", false), Match::kNo) << bytes;
    EXPECT_EQ(recognised("", bytes, false), Match::kNo) << bytes;
  }
  Writer asks;
  // Clients use odd streams and promise nothing.
  EXPECT_EQ(recognised(asks.headers(2, request("GET", "/a")), "", false), Match::kNo);
  EXPECT_EQ(recognised(asks.push_promise(1, 2, request("GET", "/a")), "", false), Match::kNo);
}

protocols::Exchange get(std::string_view target, std::string_view status)
{
  return {.operation = "GET",
          .target = target,
          .status = status,
          .request_first_ns = 100,
          .request_last_ns = 100,
          .response_first_ns = 300,
          .response_last_ns = 350,
          .response_bytes = 17};
}

TEST(Http2Record, CountsIntoTheFamiliesOfHttp)
{
  test::Recorded server(Role::kServer);
  protocol.record(get("/a", "200"), server);
  EXPECT_THAT(server.lines, Contains("http_requests_total{GET,/a,200} 1"));
  EXPECT_THAT(server.lines, Contains("http_request_duration_seconds{GET,/a} 250"));
  test::Recorded client(Role::kClient);
  protocol.record(get("/a", "200"), client);
  EXPECT_THAT(client.lines, Contains("http_client_requests_total{peer,GET,200} 1"));
}

TEST(Http2Record, CountsWhatItCannotNameAsUnknown)
{
  test::Recorded server(Role::kServer);
  protocol.record(get("", "unknown"), server);
  EXPECT_THAT(server.lines, Contains("http_requests_total{GET,unknown,unknown} 1"));
  auto tunnel = get("", "200");
  tunnel.operation = "CONNECT";
  test::Recorded proxy(Role::kServer);
  protocol.record(tunnel, proxy);
  EXPECT_THAT(
      proxy.lines,
      Contains(AllOf(HasSubstr("http_requests_total{CONNECT,"), Not(HasSubstr("unknown")))));
}

}  // namespace
}  // namespace sonde::http2
