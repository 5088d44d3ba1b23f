// SPDX-License-Identifier: Apache-2.0
// Bodies that the tap follows: heads and lines of sizes are captured wherever they lie, data is
// not.
#include <algorithm>

#include "tests/bpf/socket_wishes.hpp"

namespace sonde::tap_tests {
namespace {

constexpr std::string_view kHead =
    "HTTP/1.1 200 OK\r\nServer: one/1.0\r\ntransfer-encoding: Chunked\r\nX-Last: 1\r\n\r\n";

// A limit that no call below stays within.
constexpr auto kChunks = sonde_socket_wish(std::uint32_t{SONDE_SOCKET_HEAD} |
                                               SONDE_SOCKET_PER_TURN | SONDE_SOCKET_CHUNKS,
                                           64,
                                           0,
                                           false,
                                           0);

// A message, and the same with zeros where nothing is to be captured.
struct Body {
  std::string text{kHead};
  std::string seen{kHead};

  void chunk(std::size_t size, std::string_view extension = {})
  {
    const auto line = fmt::format("{:x}{}\r\n", size, extension);
    text += line + std::string(size, 'd') + "\r\n";
    seen += line + std::string(size, '\0') + "\r\n";
  }
  void end(std::string_view trailers = {})
  {
    text += fmt::format("0\r\n{}\r\n", trailers);
    seen += fmt::format("0\r\n{}\r\n", trailers);
  }
};

// Requests in a row.
struct Pipeline {
  std::string text;
  std::string seen;

  void add(std::string_view method, std::string_view header, std::size_t body = 0)
  {
    const auto head = fmt::format("{} /a/path HTTP/1.1\r\nHost: here\r\n{}\r\n", method, header);
    text += head + std::string(body, 'd');
    seen += head + std::string(body, '\0');
  }
  void with_length(std::string_view method, std::size_t body)
  {
    add(method,
        fmt::format("Content-Type: text/plain\r\ncontent-Length: {}\r\nCookie: c\r\n", body),
        body);
  }
  void chunked(std::size_t size, std::string_view trailers)
  {
    Body body;
    body.text = body.seen = {};
    body.chunk(size);
    body.chunk(2 * size);
    body.end(trailers);
    add("POST", "Transfer-Encoding: chunked\r\n");
    text += body.text;
    seen += body.seen;
  }
};

Pipeline large_pipeline()
{
  Pipeline requests;
  requests.add("GET", "");
  requests.with_length("PUT", 900'000);
  for (int i = 0; i < 40; ++i)
    requests.add(i % 2 != 0 ? "GET" : "DELETE", "X-Filler: abcdefghijklmnopqrstuvwxyz\r\n");
  requests.with_length("POST", 300'000);
  requests.with_length("PATCH", 1);
  requests.chunked(70'000, "");
  requests.with_length("PUT", 0);
  requests.chunked(3'000, "Etag: none\r\nX-More: of a trailer, longer than a piece\r\n");
  requests.add("HEAD", "");
  requests.with_length("POST", 100'000);
  requests.add("GET", "");
  return requests;
}

Body large_body(std::size_t chunks)
{
  Body body;
  for (std::size_t i = 0; i < chunks; ++i)
    body.chunk(1 + i * 7919 % 30'000, i % 5 == 0 ? "; name=\"value\"" : "");
  body.end("Etag: none\r\n");
  return body;
}

// The text in calls of random sizes, of which the first has the whole head.
std::vector<std::string> cut(const std::string& text, unsigned seed, std::size_t most)
{
  std::mt19937 random(seed);
  std::vector<std::string> calls;
  for (std::size_t at = 0; at < text.size();) {
    const auto size = calls.empty() ? kHead.size() : 1 + random() % most;
    calls.push_back(text.substr(at, size));
    at += calls.back().size();
  }
  return calls;
}

class SocketChunks : public SocketWishes {
protected:
  template <typename Text>
  void expect_followed(const Text& body, const std::vector<std::string>& calls)
  {
    // A head that is cut into several runs of bytes is not looked through.
    const auto stream = sent(kChunks, calls, Call::kReadWrite);
    EXPECT_EQ(stream.covered, 1 + body.text.size());
    ASSERT_EQ(stream.bytes.size(), 1 + body.seen.size());
    const auto seen = stream.bytes.substr(1);
    const auto at =
        static_cast<std::size_t>(std::ranges::mismatch(seen, body.seen).in1 - seen.begin());
    EXPECT_EQ(at, seen.size()) << "differs from byte " << at << " on";
  }
};

TEST_P(SocketChunks, OfALargeCallWithManyOnlyTheLinesOfSizesAreCaptured)
{
  const auto body = large_body(90);
  ASSERT_GT(body.text.size(), std::size_t{SONDE_SOCKET_MAX_CALL});
  expect_followed(body, {body.text});
  expect_followed(body, {std::string(kHead), body.text.substr(kHead.size())});
}

TEST_P(SocketChunks, LinesOfSizesAreFoundHoweverCallsCutThem)
{
  const auto body = large_body(20);
  for (const unsigned seed : {1U, 2U, 3U})
    expect_followed(body, cut(body.text, seed, seed == 1 ? 7000 : 60'000));
  Body small;
  for (std::size_t size = 1; size < 40; ++size)
    small.chunk(100 + size);
  small.end();
  expect_followed(small, cut(small.text, 4, 5));
}

TEST_P(SocketChunks, ABodyWhoseHeadWasNotSeenIsFollowedFromTheEndOfAChunk)
{
  Body body;
  body.text = body.seen = {};
  body.chunk(40'000);
  body.chunk(300'000);
  body.chunk(20);
  body.end();
  // What comes before that end is not wanted at all.
  const auto data_end = body.text.find("\r\n", 10);
  const auto wish = sonde_socket_wish(std::uint32_t{SONDE_SOCKET_FULL} | SONDE_SOCKET_CHUNKS,
                                      0,
                                      0,
                                      true,
                                      static_cast<std::uint32_t>(1 + data_end));
  const auto stream = sent(wish, {body.text.substr(0, 10'000), body.text.substr(10'000)});
  ASSERT_EQ(stream.bytes.size(), 1 + body.seen.size());
  EXPECT_TRUE(stream.bytes.substr(1 + data_end) == body.seen.substr(data_end));
  EXPECT_EQ(stream.captured, 1 + std::ranges::count_if(body.seen.substr(data_end), [](char c) {
                               return c != '\0';
                             }));
}

TEST_P(SocketChunks, WhatDoesNotReadAsAChunkIsCapturedByTheWish)
{
  Body body;
  body.chunk(5'000);
  const auto good = body.seen.size();
  body.text += "this is none\r\n" + std::string(1'000, 'x');
  const auto stream = sent(kChunks, {body.text}, Call::kReadWrite);
  EXPECT_EQ(stream.covered, 1 + body.text.size());
  EXPECT_TRUE(stream.bytes.substr(1, good) == body.seen);
  const auto rest = stream.bytes.substr(1 + good);
  EXPECT_EQ(rest.substr(0, 14), "this is none\r\n");
  EXPECT_LE(std::ranges::count(rest, 'x'), 500);
}

TEST_P(SocketChunks, AHeadWithALengthIsCapturedByTheWish)
{
  const std::string text =
      "HTTP/1.1 200 OK\r\nContent-Length: 90000\r\n\r\n10\r\n" + std::string(89'996, 'y');
  const auto stream = sent(kChunks, {text});
  EXPECT_EQ(stream.covered, 1 + text.size());
  EXPECT_EQ(stream.captured, 1U + SONDE_SOCKET_TURN_LIMIT);
}

TEST_P(SocketChunks, OfManyRequestsInOneCallOnlyTheHeadsAreCaptured)
{
  const auto requests = large_pipeline();
  ASSERT_GT(requests.text.size(), std::size_t{SONDE_SOCKET_MAX_CALL});
  const auto stream = sent(kChunks, {requests.text}, Call::kReadWrite);
  EXPECT_EQ(stream.covered, 1 + requests.text.size());
  ASSERT_EQ(stream.bytes.size(), 1 + requests.seen.size());
  // A body of a byte may be captured with the heads around it.
  auto seen = stream.bytes.substr(1);
  for (std::size_t at = 0; at < seen.size(); ++at)
    if (requests.text[at] == 'd' && requests.seen[at] == '\0' && seen[at] == 'd')
      seen[at] = '\0';
  EXPECT_TRUE(seen == requests.seen);
  EXPECT_LT(stream.captured, 10'000U);
}

TEST_P(SocketChunks, TheBodyOfARequestIsFollowedHoweverCallsCutIt)
{
  Pipeline requests;
  requests.with_length("POST", 50'000);
  const auto head = requests.text.find("\r\n\r\n") + 4;
  for (int i = 0; i < 3; ++i)
    requests.with_length("PUT", 3'000);
  requests.add("GET", "");
  expect_followed(requests,
                  {requests.text.substr(0, head + 100),
                   requests.text.substr(head + 100, 40'000),
                   requests.text.substr(head + 40'100)});
}

TEST_P(SocketChunks, WhatOneCallHasWholeIsCapturedWhole)
{
  Pipeline requests;
  requests.with_length("POST", 10);
  requests.add("GET", "");
  requests.with_length("PUT", 30);
  const auto wish =
      sonde_socket_wish(std::uint32_t{SONDE_SOCKET_HEAD} | SONDE_SOCKET_CHUNKS, 4096, 0, false, 0);
  const auto stream = sent(wish, {requests.text}, Call::kReadWrite);
  EXPECT_TRUE(stream.bytes.substr(1) == requests.text);
  EXPECT_EQ(stream.calls, 2U);
}

std::vector<std::string> cut_anywhere(const std::string& text, std::mt19937& random)
{
  std::vector<std::string> pieces;
  for (std::size_t at = 0; at < text.size(); at += pieces.back().size())
    pieces.push_back(text.substr(at, random() % 3 == 0 ? random() % 8 : random() % 160));
  return pieces;
}

TEST_P(SocketChunks, WhatIsCutAnywhereIsNeverTakenForOtherBytes)
{
  std::mt19937 random(11);
  std::string text = "x";
  std::vector<std::vector<std::string>> calls;
  for (int i = 0; i < 200; ++i) {
    Pipeline requests;
    for (unsigned n = 0; n < 1 + random() % 6; ++n) {
      if (random() % 4 == 0)
        requests.chunked(1 + random() % 50, random() % 2 == 0 ? "" : "Etag: none\r\n");
      else
        requests.with_length("PUT", random() % 3 == 0 ? 0 : random() % 40);
    }
    text += requests.text;
    calls.push_back(cut_anywhere(requests.text, random));
  }
  const auto stream = sent_in_pieces(kChunks, calls);
  EXPECT_EQ(stream.covered, text.size());
  EXPECT_EQ(stream.overlaps, 0U);
  ASSERT_LE(stream.bytes.size(), text.size());
  for (std::size_t i = 0; i < stream.bytes.size(); ++i)
    ASSERT_TRUE(stream.bytes[i] == '\0' || stream.bytes[i] == text[i]) << "at " << i;
}

TEST_P(SocketChunks, TheRestOfAStatusLineIsNoRequest)
{
  const auto wish =
      sonde_socket_wish(std::uint32_t{SONDE_SOCKET_HEAD} | SONDE_SOCKET_CHUNKS, 4096, 0, false, 0);
  const std::vector<std::string> texts = {"H",
                                          "TTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n",
                                          "WWW-Authenticate: Basic\r\nContent-Length: 99\r\n\r\n",
                                          "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"};
  const auto stream = sent(wish, texts, Call::kReadWrite);
  std::string all = "x";
  for (const auto& text : texts)
    all += text;
  EXPECT_TRUE(stream.bytes == all);
}

TEST_P(SocketChunks, AfterTheAnswerToAHeadTheNextBodyIsFollowed)
{
  Body body;
  body.text = body.seen = std::string(kHead) + std::string(kHead);
  body.chunk(50'000);
  body.chunk(20'000);
  body.end();
  const auto stream =
      sent_in_pieces(kChunks, {{std::string(kHead)}, {body.text.substr(kHead.size())}});
  EXPECT_TRUE(stream.bytes.substr(1) == body.seen);
}

INSTANTIATE_TEST_SUITE_P(Calls, SocketChunks, kCases, case_name);

}  // namespace
}  // namespace sonde::tap_tests
