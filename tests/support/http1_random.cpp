// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "tests/support/http1_conversations.hpp"

namespace sonde::test {

namespace {

const std::string kLast = "0\r\n\r\n";
const std::string kQuoted = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
                            "GET /inside HTTP/1.1\r\nHost: x\r\n\r\n0\r\n\r\n";

}  // namespace

Http1Case random_http1_case(std::mt19937& random)
{
  const auto below = [&](std::uint32_t n) { return static_cast<std::size_t>(random() % n); };
  // A body as it is on the wire, its headers and its size.
  struct Body {
    std::string headers;
    std::string bytes;
    std::size_t size = 0;
  };
  const auto body = [&] {
    const auto text =
        (kQuoted + std::string(2'000, 't')).substr(0, below(4) == 0 ? 2'100 : below(300));
    if (below(2) == 0)
      return Body{fmt::format("Content-Length: {}\r\n", text.size()), text, text.size()};
    Body chunked = {"Transfer-Encoding: chunked\r\n", "", text.size()};
    for (std::string_view rest = text; !rest.empty();) {
      const auto part = rest.substr(0, 1 + below(200));
      chunked.bytes += chunk(std::string(part));
      rest.remove_prefix(part.size());
    }
    chunked.bytes += below(3) == 0 ? "0\r\nX-Trailer: t\r\n\r\n" : kLast;
    return chunked;
  };
  const auto say = [&](Conversation& all, Turn turn) {
    auto two = turn;
    const auto at = below(4) == 0 ? below(static_cast<std::uint32_t>(turn.bytes.size()) + 1) : 0;
    turn.bytes.erase(at);
    two.bytes.erase(0, at);
    all.push_back(turn);
    all.push_back(two);
  };

  Http1Case made;
  int serial = 0;
  for (auto batches = 1 + below(8); batches > 0; --batches) {
    std::string requests;
    std::vector<std::string> responses;
    for (auto n = below(4) == 0 ? 1 + below(4) : 1; n > 0; --n) {
      const auto target = fmt::format("/{}", ++serial);
      const auto sent = below(3) == 0 ? body() : Body();
      const bool head = sent.size == 0 && below(5) == 0;
      const auto* const method = head ? "HEAD" : sent.headers.empty() ? "GET" : "POST";
      requests += fmt::format(
          "{} {}?q HTTP/1.1\r\nHost: h\r\n{}\r\n{}", method, target, sent.headers, sent.bytes);
      const auto status = 200 + below(4);
      auto answer = body();
      if (head || status == 204) {
        answer.bytes.clear();
        answer.size = 0;
      }
      const auto* const interim = below(6) == 0 ? "HTTP/1.1 100 Continue\r\n\r\n" : "";
      responses.push_back(fmt::format(
          "{}HTTP/1.1 {} X\r\n{}\r\n{}", interim, status, answer.headers, answer.bytes));
      made.expected.exchanges.push_back(
          fmt::format("{} {} {} {}/{}", method, target, status, sent.size, answer.size));
    }
    say(made.conversation, client(requests));
    for (const auto& response : responses)
      say(made.conversation, server(response));
  }
  return made;
}

}  // namespace sonde::test
