// SPDX-License-Identifier: Apache-2.0
#include "tests/support/conversation.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>

namespace sonde::test {

namespace {

using protocols::Appetite;
using protocols::Direction;
using protocols::Exchange;

class Collect : public protocols::Sink {
public:
  void exchange(const Exchange& exchange) override
  {
    static constexpr std::array kEnds = {"", " client_closed", " server_closed", " reset"};
    auto line = fmt::format("{} {} {}", exchange.operation, exchange.target, exchange.status);
    if (exchange.sizes_known)
      line += fmt::format(" {}/{}", exchange.request_bytes, exchange.response_bytes);
    if (exchange.within != nullptr)
      line.insert(0, fmt::format("{} ", exchange.within->name));
    outcome.exchanges.push_back(line + kEnds.at(static_cast<std::size_t>(exchange.end)));
    progress(exchange);
  }
  void progress(const Exchange& exchange) override
  {
    if (exchange.request_messages + exchange.response_messages == 0)
      return;
    auto& [requests, responses] = outcome.messages[std::string(exchange.target)];
    requests += exchange.request_messages;
    responses += exchange.response_messages;
  }
  void malformed(std::string_view reason) override { outcome.malformed.emplace_back(reason); }

  Outcome outcome;
};

// Feeds one decoder as a connection does: a response without a request waits for it, positions
// and times are counted.
class Feed {
public:
  Feed(const protocols::Protocol& protocol, bool from_start)
      : decoder_(protocol.decoder(from_start))
  {
  }

  void data(Direction direction, std::string_view bytes, bool starts_call)
  {
    if (bytes.empty())
      return;
    if (!decoder_->successor().empty()) {
      sink_.outcome.not_taken += bytes.size();
      return;
    }
    const auto taken = decoder_->data(direction, {bytes, ++time_ns_, starts_call}, sink_);
    sink_.outcome.not_taken += bytes.size() - taken;
  }

  void hole(Direction direction, std::uint64_t bytes)
  {
    if (bytes > 0 && decoder_->successor().empty())
      decoder_->hole(direction, bytes, ++time_ns_, sink_);
  }

  Appetite appetite(Direction direction) const { return decoder_->appetite(direction); }

  Outcome finish()
  {
    sink_.outcome.successor = decoder_->successor();
    if (sink_.outcome.successor.empty()) {
      decoder_->end_of_stream(Direction::kToClient, ++time_ns_, sink_);
      decoder_->end_of_stream(Direction::kToServer, ++time_ns_, sink_);
      decoder_->closed(Exchange::End::kServerClosed, ++time_ns_, sink_);
    }
    return sink_.outcome;
  }

private:
  std::unique_ptr<protocols::Decoder> decoder_;
  Collect sink_;
  std::uint64_t time_ns_ = 1000;
};

}  // namespace

Outcome
replay(const protocols::Protocol& protocol, const Conversation& conversation, bool from_start)
{
  Feed feed(protocol, from_start);
  for (const auto& turn : conversation)
    feed.data(turn.direction, turn.bytes, true);
  return feed.finish();
}

Conversation split_anywhere(const Conversation& conversation, std::mt19937& random)
{
  Conversation split;
  for (const auto& turn : conversation) {
    std::string_view rest = turn.bytes;
    while (!rest.empty()) {
      const auto most = random() % 4 == 0 ? rest.size() : std::min<std::size_t>(rest.size(), 40);
      const auto take = 1 + random() % most;
      split.push_back({turn.direction, std::string(rest.substr(0, take))});
      rest.remove_prefix(take);
    }
  }
  return split;
}

Conversation in_single_bytes(const Conversation& conversation)
{
  Conversation split;
  for (const auto& turn : conversation)
    for (const char byte : turn.bytes)
      split.push_back({turn.direction, std::string(1, byte)});
  return split;
}

Outcome replay_with_hole(const protocols::Protocol& protocol,
                         const Conversation& conversation,
                         std::mt19937& random)
{
  const auto direction = random() % 2 == 0 ? Direction::kToServer : Direction::kToClient;
  std::size_t total = 0;
  for (const auto& turn : conversation)
    total += turn.direction == direction ? turn.bytes.size() : 0;
  if (total == 0)
    return replay(protocol, conversation);
  const std::size_t begin = random() % total;
  const std::size_t end = std::min(total, begin + 1 + random() % (random() % 3 == 0 ? total : 20));

  Feed feed(protocol, true);
  std::size_t position = 0;
  for (const auto& turn : conversation) {
    const std::string_view bytes = turn.bytes;
    if (turn.direction != direction) {
      feed.data(turn.direction, bytes, true);
      continue;
    }
    const auto from = std::clamp(begin, position, position + bytes.size()) - position;
    const auto to = std::clamp(end, position, position + bytes.size()) - position;
    feed.data(direction, bytes.substr(0, from), true);
    feed.hole(direction, to - from);
    feed.data(direction, bytes.substr(to), from == to && from == 0);
    position += bytes.size();
  }
  return feed.finish();
}

Outcome replay_by_appetite(const protocols::Protocol& protocol, const Conversation& conversation)
{
  Feed feed(protocol, true);
  for (const auto& turn : conversation) {
    std::string_view bytes = turn.bytes;
    const auto wanted = feed.appetite(turn.direction);
    const auto skip = std::min<std::uint64_t>(wanted.skip, bytes.size());
    feed.hole(turn.direction, skip);
    bytes.remove_prefix(skip);
    std::size_t head = bytes.size();
    std::size_t tail = 0;
    if (wanted.mode == Appetite::Mode::kNothing) {
      head = 0;
    } else if (wanted.mode != Appetite::Mode::kFull && wanted.limit > 0) {
      head = std::min<std::size_t>(head, wanted.limit);
      if (wanted.mode == Appetite::Mode::kHeadAndTail)
        tail = std::min<std::size_t>(wanted.tail, bytes.size() - head);
    }
    feed.data(turn.direction, bytes.substr(0, head), skip == 0);
    feed.hole(turn.direction, bytes.size() - head - tail);
    feed.data(turn.direction, bytes.substr(bytes.size() - tail), false);
  }
  return feed.finish();
}

bool is_subsequence(const std::vector<std::string>& fewer, const std::vector<std::string>& all)
{
  auto at = all.begin();
  for (const auto& one : fewer) {
    at = std::find(at, all.end(), one);
    if (at == all.end())
      return false;
    ++at;
  }
  return true;
}

}  // namespace sonde::test
