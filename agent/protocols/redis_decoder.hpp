// SPDX-License-Identifier: Apache-2.0
// One connection of Redis: commands are paired with replies by their order.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "agent/protocols/decoder.hpp"
#include "agent/protocols/redis_pending.hpp"
#include "agent/protocols/redis_replies.hpp"
#include "agent/protocols/redis_requests.hpp"

namespace sonde::redis {

class RedisDecoder : public protocols::Decoder {
public:
  using Direction = protocols::Direction;
  using Exchange = protocols::Exchange;
  using Sink = protocols::Sink;

  explicit RedisDecoder(bool from_start) : requests_found_(from_start), replies_found_(from_start)
  {
  }

  std::size_t data(Direction direction, const protocols::Piece& piece, Sink& sink) override;
  void hole(Direction direction, std::uint64_t bytes, std::uint64_t time_ns, Sink& sink) override;
  void end_of_stream(Direction, std::uint64_t, Sink&) override {}
  void closed(Exchange::End how, std::uint64_t time_ns, Sink& sink) override;
  bool expects_response() const override { return !pending_.empty(); }
  protocols::Appetite appetite(Direction direction) const override;
  protocols::Activity activity() const override;
  std::string_view successor() const override { return successor_; }

private:
  // After bytes of unknown content: commands are looked for again once a reply to what was not
  // seen has passed, and believed once commands and replies have been even.
  enum class Trust : std::uint8_t { kFull, kLost, kProbation };
  enum class ReplyMode : std::uint8_t { kOn, kOff, kSkipNext };

  std::size_t commands(const protocols::Piece& piece, Sink& sink);
  std::size_t replies(const protocols::Piece& piece, Sink& sink);
  bool may_begin(std::string_view bytes) const;
  bool even() const { return pending_.empty() && replies_found_ && replies_.at_boundary(); }
  void on_command(Sink& sink);
  bool is_answered();
  void on_reply(Sink& sink);
  bool is_unasked_message() const;
  void on_confirmation(const Command& kind, Sink& sink);
  void on_answer(Sink& sink);
  void emit(const PendingCommand& command, const Exchange& answer, Sink& sink) const;
  bool take_over(const protocols::Piece& piece, Sink& sink);
  void lose_requests();
  void lose_replies();
  void forget_reply();
  bool is_subscriber() const
  {
    return subscriptions_[0] + subscriptions_[1] + subscriptions_[2] > 0 || messages_seen_;
  }

  CommandReader requests_;
  ReplyReader replies_;
  PendingCommands pending_;
  Trust trust_ = Trust::kFull;
  ReplyMode reply_mode_ = ReplyMode::kOn;
  bool requests_found_;  // the reader is at a place it knows
  bool replies_found_;
  bool reply_passed_ = false;  // since trust was lost, or in probation
  bool resp3_ = false;
  bool messages_seen_ = false;       // of subscriptions that are older than the observation
  bool subscriptions_lost_ = false;  // their number may be another
  std::array<std::uint32_t, 3> subscriptions_{};  // by Channels
  std::uint64_t confirmed_first_ns_ = 0;  // of the first confirmation for the oldest command
  std::uint64_t confirmed_bytes_ = 0;
  std::string_view successor_;
};

}  // namespace sonde::redis
