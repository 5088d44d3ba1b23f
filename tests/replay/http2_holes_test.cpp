// SPDX-License-Identifier: Apache-2.0
// Holes of any place and length in HTTP/2 and gRPC: no exchange that was not there, but what is
// said of one may be unknown.
#include <algorithm>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/http2_conversations.hpp"

namespace sonde::http2 {

extern const protocols::Protocol protocol;

namespace {

// A line of test::Outcome, taken apart.
struct Line {
  bool call = false;
  std::string operation;
  std::string target;
  std::string status;
  std::string sizes;
  std::string end;

  explicit Line(std::string text)
  {
    call = text.starts_with("grpc ");
    text.erase(0, call ? 5 : 0);
    const auto word = [&text] {
      const auto size = std::min(text.find(' '), text.size());
      auto first = text.substr(0, size);
      text.erase(0, size + 1);
      return first;
    };
    operation = word();
    target = word();
    status = word();
    if (text.find('/') != std::string::npos)
      sizes = word();
    end = text;
  }

  bool knows_status() const { return status != "unknown" && status != "other"; }
  int unknown() const
  {
    return (operation == "unknown" ? 1 : 0) + (target.empty() ? 1 : 0) + (knows_status() ? 0 : 1) +
           (sizes.empty() ? 1 : 0);
  }
  // Whether it is `whole`, of which some things are unknown. A call whose content type was lost may
  // be a request of HTTP.
  bool may_be(const Line& whole) const
  {
    const bool same_status =
        status == whole.status || !knows_status() || (whole.call && !call && status == "200");
    return (call == whole.call || whole.call) && same_status &&
           (operation == whole.operation || operation == "unknown") &&
           (target == whole.target || target.empty()) && (sizes == whole.sizes || sizes.empty()) &&
           end == whole.end;
  }
};

// The first of `fewer` that is none of `all`, each of which stands for one.
std::optional<std::string> invented(std::vector<std::string> fewer,
                                    const std::vector<std::string>& all)
{
  std::vector<Line> left(all.begin(), all.end());
  // Those of which most is known have the least choice.
  std::ranges::sort(fewer, {}, [](const std::string& line) { return Line(line).unknown(); });
  for (const auto& text : fewer) {
    const Line line(text);
    // Of its own kind rather than another.
    std::ranges::partition(left, [&](const auto& one) { return one.call == line.call; });
    const auto found =
        std::ranges::find_if(left, [&](const auto& one) { return line.may_be(one); });
    if (found == left.end())
      return text;
    left.erase(found);
  }
  return std::nullopt;
}

void expect_only_less_known(const std::vector<test::Conversation>& conversations)
{
  std::mt19937 random(7663);
  std::size_t kept = 0;
  std::size_t possible = 0;
  for (const auto& conversation : conversations) {
    const auto whole = test::replay(protocol, conversation);
    for (int i = 0; i < 3'000; ++i) {
      const auto holed = test::replay_with_hole(protocol, conversation, random);
      const auto other = invented(holed.exchanges, whole.exchanges);
      ASSERT_FALSE(other) << *other << " of " << ::testing::PrintToString(holed.exchanges)
                          << ", not of " << ::testing::PrintToString(whole.exchanges);
      for (const auto& [target, messages] : holed.messages) {
        const auto found = whole.messages.find(target);
        ASSERT_TRUE(target.empty() || found != whole.messages.end()) << target;
        ASSERT_TRUE(target.empty() || (messages.first <= found->second.first &&
                                       messages.second <= found->second.second))
            << target;
      }
      kept += holed.exchanges.size();
      possible += whole.exchanges.size();
    }
  }
  EXPECT_GT(kept * 2, possible);
}

constexpr std::size_t kHeader = 9;

// As of a connection that is joined after some turns, of either direction within the content of a
// frame. (Two bytes of a frame's header and a short message may be another frame to anybody.)
test::Conversation rest_of(const test::Conversation& conversation, std::mt19937& random)
{
  test::Conversation rest(conversation.begin() +
                              static_cast<std::ptrdiff_t>(random() % conversation.size()),
                          conversation.end());
  for (const auto direction : {protocols::Direction::kToServer, protocols::Direction::kToClient}) {
    const auto first = std::ranges::find(rest, direction, &test::Turn::direction);
    if (first == rest.end() || random() % 2 == 0)
      continue;
    const auto byte = [first](std::size_t at) {
      return static_cast<unsigned char>(first->bytes[at]);
    };
    const auto content = std::size_t{byte(0)} << 16U | std::size_t{byte(1)} << 8U | byte(2);
    if (content > 0)
      first->bytes.erase(0, kHeader + random() % std::min(content, first->bytes.size() - kHeader));
  }
  std::erase_if(rest, [](const auto& turn) { return turn.bytes.empty(); });
  return rest;
}

TEST(Http2Joined, KnowsLessOfRequestsAndInventsNone)
{
  std::mt19937 random(7663);
  auto conversations = test::h2::http_conversations();
  for (auto& calls : test::h2::call_conversations())
    conversations.push_back(std::move(calls));
  for (const auto& conversation : conversations) {
    const auto whole = test::replay(protocol, conversation);
    for (int i = 0; i < 1'000; ++i) {
      const auto joined = test::replay(protocol, rest_of(conversation, random), false);
      const auto other = invented(joined.exchanges, whole.exchanges);
      ASSERT_FALSE(other) << *other << " of " << ::testing::PrintToString(joined.exchanges)
                          << ", not of " << ::testing::PrintToString(whole.exchanges);
    }
  }
}

TEST(Http2Holes, MakeRequestsLessKnownAndInventNone)
{
  expect_only_less_known(test::h2::http_conversations());
}

TEST(GrpcHoles, MakeCallsLessKnownAndInventNone)
{
  expect_only_less_known(test::h2::call_conversations());
}

}  // namespace
}  // namespace sonde::http2
