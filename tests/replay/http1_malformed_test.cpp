// SPDX-License-Identifier: Apache-2.0
// What is not HTTP/1.x, or HTTP that two readers would read differently: counted as malformed, and
// the connection goes on at its next request.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/http1_conversations.hpp"

namespace sonde::test {
namespace {

using http1::protocol;
using testing::ElementsAre;
using testing::IsEmpty;

using Lines = std::vector<std::string>;

struct Bad {
  std::string bytes;
  std::string reason;
};

std::vector<Bad> bad_requests()
{
  const auto post = [](const std::string& headers) { return "POST /x HTTP/1.1\r\n" + headers; };
  return {
      {"\x16\x03\x01\x02garbage\r\n", "bad_request_line"},
      {"GET\r\n", "bad_request_line"},
      {"GET / HTTP/2.0\r\n\r\n", "bad_request_line"},
      {"GET / HTTP/1.12\r\n\r\n", "bad_request_line"},
      {"GET  / HTTP/1.1\r\n\r\n", "bad_request_line"},
      {"GET /a b HTTP/1.1\r\n\r\n", "bad_request_line"},
      {"GET /\x01 HTTP/1.1\r\n\r\n", "bad_request_line"},
      {"GE(T / HTTP/1.1\r\n\r\n", "bad_request_line"},
      {std::string("GET /\0 HTTP/1.1\r\n\r\n", 19), "nul_byte"},
      {post(std::string("A: \0\r\n\r\n", 8)), "nul_byte"},
      {post("NoColon\r\n\r\n"), "bad_header"},
      {post(" Folded: nothing\r\n\r\n"), "bad_header"},
      {post(": empty\r\n\r\n"), "bad_header"},
      {post("Content-Length : 5\r\n\r\n"), "bad_header"},
      {post("Transfer-Encoding\t: chunked\r\n\r\n"), "bad_header"},
      {post("Content-Length: -1\r\n\r\n"), "bad_content_length"},
      {post("Content-Length: +1\r\n\r\n"), "bad_content_length"},
      {post("Content-Length: \r\n\r\n"), "bad_content_length"},
      {post("Content-Length: 0x10\r\n\r\n"), "bad_content_length"},
      {post("Content-Length: 1 2\r\n\r\n"), "bad_content_length"},
      {post("Content-Length: 18446744073709551616\r\n\r\n"), "bad_content_length"},
      {post("Content-Length: 9223372036854775807\r\n\r\n"), "bad_content_length"},
      {post("Content-Length: 5\r\nContent-Length: 6\r\n\r\n"), "content_length_conflict"},
      {post("Content-Length: 5, 6\r\n\r\n"), "content_length_conflict"},
      {post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"), "length_and_chunked"},
      {post("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n"), "length_and_chunked"},
      {post("Transfer-Encoding: chunked, chunked\r\n\r\n"), "bad_transfer_encoding"},
      {post("Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n"),
       "bad_transfer_encoding"},
      {post("Transfer-Encoding: \x0b"
            "chunked\r\n\r\n"),
       "bad_transfer_encoding"},
      {post("Transfer-Encoding: ,\r\n\r\n"), "bad_transfer_encoding"},
      {post("Transfer-Encoding: gzip\r\n\r\n"), "bad_transfer_encoding"},
      {"POST /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "bad_transfer_encoding"},
      {post("Transfer-Encoding: " + std::string(2'000, 'c') + "\r\n\r\n"), "header_too_long"},
      {post("Upgrade: a\r\n" + std::string(1'100, ' ') + "b\r\n " + std::string(1'100, 'c') +
            "\r\n"),
       "header_too_long"},
      {post("A: " + std::string(2U << 20, 'a') + "\r\n\r\n"), "head_too_large"},
  };
}

TEST(Http1Malformed, BadRequestsAreCountedAndTheNextOneIsFound)
{
  const auto good = client("GET /good HTTP/1.1\r\nHost: a\r\n\r\n");
  const auto ok = server("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  const auto refused = server("HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n\r\nbad");
  for (const auto& [bytes, reason] : bad_requests()) {
    const auto outcome = replay(protocol, {good, ok, client(bytes), refused, good, ok, good, ok});
    const Lines three(3, "GET /good 200 0/2");
    EXPECT_EQ(outcome, (Outcome{three, {reason}, 0, {}})) << bytes.substr(0, 60);
  }
}

TEST(Http1Malformed, BadChunksEndTheRequestWithItsResponse)
{
  const auto head = client("POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
  const auto refused = server("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
  const auto good = client("GET /good HTTP/1.1\r\n\r\n");
  const auto ok = server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  const std::vector<Bad> bad = {{"xyz\r\n", "bad_chunk_size"},
                                {"\r\n", "bad_chunk_size"},
                                {" 5\r\nhello\r\n", "bad_chunk_size"},
                                {"-5\r\nhello\r\n", "bad_chunk_size"},
                                {"0x5\r\nhello\r\n", "bad_chunk_size"},
                                {"5 5\r\nhello\r\n", "bad_chunk_size"},
                                {"fffffffffffffffff\r\n", "bad_chunk_size"},
                                {"5\r\nhello!\r\n", "bad_chunk_end"},
                                {"5\r\nhello\r\r\n", "bad_chunk_end"},
                                {"5\r\nhello\r\n0\r\nX: \0\r\n\r\n", "nul_byte"}};
  for (auto [bytes, reason] : bad) {
    if (reason == "nul_byte")
      bytes = std::string("0\r\nX: \0\r\n\r\n", 11);
    const auto outcome = replay(protocol, {head, client(bytes), refused, good, ok, good, ok});
    EXPECT_EQ(outcome,
              (Outcome{{"POST /x 400", "GET /good 200 0/0", "GET /good 200 0/0"}, {reason}, 0, {}}))
        << bytes;
  }
}

TEST(Http1Malformed, BadResponsesBelongToNobody)
{
  const auto get = client("GET /x HTTP/1.1\r\n\r\n");
  const auto ok = server("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1");
  const std::vector<Bad> bad = {
      {"-ERR unknown command 'GET'\r\n", "bad_status_line"},
      {"HTTP/2.0 200 OK\r\n\r\n", "bad_status_line"},
      {"HTTP/1.1 20 OK\r\n\r\n", "bad_status_line"},
      {"HTTP/1.1 2000 OK\r\n\r\n", "bad_status_line"},
      {"HTTP/1.1 099 OK\r\n\r\n", "bad_status_line"},
      {"HTTP/1.1  200 OK\r\n\r\n", "bad_status_line"},
      {"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "bad_header"},
      {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
       "length_and_chunked"},
      {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
       "content_length_conflict"},
  };
  for (const auto& [bytes, reason] : bad) {
    const auto outcome = replay(protocol, {get, ok, get, server(bytes), get, ok});
    const Lines two(2, "GET /x 200 0/1");
    EXPECT_EQ(outcome, (Outcome{two, {reason}, 0, {}})) << bytes;
  }
}

TEST(Http1Malformed, ABrokenChunkLeavesTheResponsesSizeOpen)
{
  const auto outcome =
      replay(protocol,
             {client("GET /broken HTTP/1.1\r\n\r\n"),
              server("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello world\r\n"),
              client("GET /next HTTP/1.1\r\n\r\n"),
              server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")});
  EXPECT_THAT(outcome.exchanges, ElementsAre("GET /broken 200", "GET /next 200 0/0"));
  EXPECT_THAT(outcome.malformed, ElementsAre("bad_chunk_end"));
}

TEST(Http1Malformed, AMalformedRequestInAPipelineLeavesThoseBeforeIt)
{
  const auto outcome = replay(protocol,
                              {client("GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\nnonsense\r\n"),
                               server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
                               server("HTTP/1.1 204 No Content\r\n\r\n"
                                      "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")});
  EXPECT_THAT(outcome.exchanges, ElementsAre("GET /1 200 0/0", "GET /2 204 0/0"));
  EXPECT_THAT(outcome.malformed, ElementsAre("bad_request_line"));
}

TEST(Http1Malformed, APipelineHasABound)
{
  std::string requests;
  for (int i = 0; i < 1025; ++i)
    requests += "GET /deep HTTP/1.1\r\n\r\n";
  std::string responses;
  for (int i = 0; i < 1025; ++i)
    responses += "HTTP/1.1 204 No Content\r\n\r\n";
  const auto outcome = replay(protocol, {client(requests), server(responses)});
  EXPECT_THAT(outcome.exchanges, IsEmpty());
  EXPECT_THAT(outcome.malformed, ElementsAre("pipeline_too_deep"));

  requests.erase(0, requests.size() / 1025);
  EXPECT_EQ(replay(protocol, {client(requests), server(responses)}).exchanges,
            Lines(1024, "GET /deep 204 0/0"));
}

}  // namespace
}  // namespace sonde::test
