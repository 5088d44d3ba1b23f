// SPDX-License-Identifier: Apache-2.0
#include "agent/protocols/redis_decoder.hpp"

#include <algorithm>

namespace sonde::redis {

namespace {

constexpr std::size_t kMostUnproven = 16 << 10;

// "subscribe" and its like, as replies and pushes call them; null for anything else.
const Command* confirmation(std::string_view word)
{
  if (!word.ends_with("subscribe"))
    return nullptr;
  Word<kLongestName> name;
  name.append_upper(word);
  const auto& found = command(command_id(name.view()));
  return found.answer == Answer::kSubscribe || found.answer == Answer::kUnsubscribe ? &found
                                                                                    : nullptr;
}

bool is_message(std::string_view word, std::uint64_t elements)
{
  return ((word == "message" || word == "smessage") && elements == 3) ||
         (word == "pmessage" && elements == 4);
}

}  // namespace

std::size_t RedisDecoder::data(Direction direction, const protocols::Piece& piece, Sink& sink)
{
  if (!successor_.empty())
    return 0;
  return direction == Direction::kToServer ? commands(piece, sink) : replies(piece, sink);
}

// An inline command is too much like anything to be found in the middle of a stream.
bool RedisDecoder::may_begin(std::string_view bytes) const
{
  if (!bytes.starts_with('*'))
    return false;
  return trust_ == Trust::kFull || (reply_passed_ && even());
}

std::size_t RedisDecoder::commands(const protocols::Piece& piece, Sink& sink)
{
  auto bytes = piece.bytes;
  if (!requests_found_) {
    if (!piece.starts_call || !may_begin(bytes)) {
      if (piece.starts_call && pending_.empty() && !replies_.at_boundary())
        forget_reply();
      return piece.bytes.size();
    }
    requests_found_ = true;
    requests_.reset();
    if (trust_ == Trust::kLost)
      trust_ = Trust::kProbation;
    reply_passed_ = false;
  } else if (trust_ == Trust::kProbation && piece.starts_call && requests_.at_boundary() &&
             reply_passed_ && even()) {
    trust_ = Trust::kFull;
  } else if (trust_ == Trust::kProbation && pending_.size() > kMostUnproven) {
    lose_replies();
    return piece.bytes.size();
  }
  while (!bytes.empty() && successor_.empty()) {
    const auto step = requests_.next(bytes, piece.time_ns);
    if (step == Step::kNeedMore)
      break;
    if (step == Step::kWhole) {
      on_command(sink);
    } else {
      if (trust_ == Trust::kFull)
        sink.malformed(requests_.reason());
      lose_requests();
    }
    if (!requests_found_)
      return piece.bytes.size();
  }
  return piece.bytes.size() - bytes.size();
}

// Whether the command gets a reply; takes notice of CLIENT REPLY.
bool RedisDecoder::is_answered()
{
  const auto& info = command(requests_.id());
  const bool skipped = reply_mode_ != ReplyMode::kOn;
  if (reply_mode_ == ReplyMode::kSkipNext)
    reply_mode_ = ReplyMode::kOn;
  if (info.answer == Answer::kReset) {
    reply_mode_ = ReplyMode::kOn;
    return true;
  }
  if (info.answer != Answer::kClient || requests_.arguments() != 3 || requests_.word(1) != "REPLY")
    return !skipped;
  const auto mode = requests_.word(2);
  if (mode == "ON") {
    reply_mode_ = ReplyMode::kOn;
    return true;
  }
  if (mode == "OFF") {
    reply_mode_ = ReplyMode::kOff;
    return false;
  }
  if (mode == "SKIP") {
    if (!skipped)
      reply_mode_ = ReplyMode::kSkipNext;
    return false;
  }
  return !skipped;
}

void RedisDecoder::on_command(Sink& sink)
{
  const auto& info = command(requests_.id());
  PendingCommand command{.first_ns = requests_.first_ns(),
                         .last_ns = requests_.last_ns(),
                         .bytes = requests_.bytes(),
                         .replies = 1,
                         .id = requests_.id()};
  if (info.answer == Answer::kSubscribe || info.answer == Answer::kUnsubscribe)
    command.replies = static_cast<std::uint32_t>(requests_.arguments() - 1);
  if (!is_answered()) {
    emit(command, {}, sink);
    return;
  }
  if (!pending_.push(command)) {
    sink.malformed("backlog");
    pending_.clear();
    lose_replies();
  }
}

std::size_t RedisDecoder::replies(const protocols::Piece& piece, Sink& sink)
{
  auto bytes = piece.bytes;
  if (!replies_found_) {
    const bool awaited = requests_found_ || trust_ == Trust::kLost;
    if (!awaited || !piece.starts_call || bytes.empty() || !is_reply_type(bytes.front()))
      return piece.bytes.size();
    replies_found_ = true;
    replies_.reset();
  }
  while (!bytes.empty()) {
    if (replies_.at_boundary() && bytes.front() != '-' && take_over(piece, sink))
      break;
    const auto step = replies_.next(bytes, piece.time_ns);
    if (step == Step::kNeedMore)
      break;
    if (step == Step::kWhole) {
      on_reply(sink);
    } else {
      if (trust_ == Trust::kFull)
        sink.malformed(replies_.reason());
      lose_replies();
    }
    if (!replies_found_)
      return piece.bytes.size();
  }
  return piece.bytes.size() - bytes.size();
}

// MONITOR, SYNC, PSYNC: what follows is no reply to anything.
bool RedisDecoder::take_over(const protocols::Piece& piece, Sink& sink)
{
  if (pending_.empty() || command(pending_.front().id).answer != Answer::kTakeover)
    return false;
  emit(pending_.front(),
       {.response_first_ns = piece.time_ns, .response_last_ns = piece.time_ns},
       sink);
  pending_.clear();
  successor_ = "opaque";
  return true;
}

void RedisDecoder::on_reply(Sink& sink)
{
  if (replies_.type() == '>') {
    resp3_ = true;
    if (const auto* kind = confirmation(replies_.word()))
      on_confirmation(*kind, sink);
    return;
  }
  resp3_ = resp3_ || std::string_view("%~_#,(=").contains(replies_.type());
  if (replies_.type() == '*' && !resp3_) {
    const auto* kind = confirmation(replies_.word());
    const bool asked = !pending_.empty() && command(pending_.front().id).answer != Answer::kOne;
    if (kind != nullptr && (asked || is_subscriber() || pending_.empty())) {
      on_confirmation(*kind, sink);
      return;
    }
    if (is_unasked_message()) {
      messages_seen_ = true;
      reply_passed_ = true;
      return;
    }
  }
  on_answer(sink);
}

bool RedisDecoder::is_unasked_message() const
{
  return is_message(replies_.word(), replies_.elements()) && (is_subscriber() || pending_.empty());
}

// The number of subscriptions tells whether this one was new, and how many replies an UNSUBSCRIBE
// without arguments has.
void RedisDecoder::on_confirmation(const Command& kind, Sink& sink)
{
  const auto shard = static_cast<std::size_t>(Channels::kShard);
  const auto which = static_cast<std::size_t>(kind.channels);
  const auto total = which == shard ? subscriptions_[shard] : subscriptions_[0] + subscriptions_[1];
  const bool mine = !pending_.empty() && &command(pending_.front().id) == &kind;
  const bool all = mine && pending_.front().replies == 0;
  if (all)
    pending_.front().replies = std::max(1U, subscriptions_[which]);
  const bool countable = !all || !subscriptions_lost_;
  if (kind.answer == Answer::kSubscribe && replies_.number() > total)
    ++subscriptions_[which];
  if (kind.answer == Answer::kUnsubscribe && replies_.number() < total && subscriptions_[which] > 0)
    --subscriptions_[which];
  if (replies_.number() == 0) {
    messages_seen_ = subscriptions_lost_ = false;
    which == shard ? subscriptions_[shard] = 0 : subscriptions_[0] = subscriptions_[1] = 0;
  }
  reply_passed_ = true;
  if (!mine)
    return;
  if (!countable) {
    pending_.pop();
    return;
  }
  if (confirmed_first_ns_ == 0)
    confirmed_first_ns_ = replies_.first_ns();
  confirmed_bytes_ += replies_.bytes();
  if (--pending_.front().replies > 0)
    return;
  emit(pending_.front(),
       {.response_first_ns = confirmed_first_ns_,
        .response_last_ns = replies_.last_ns(),
        .response_bytes = confirmed_bytes_},
       sink);
  confirmed_first_ns_ = confirmed_bytes_ = 0;
  pending_.pop();
}

void RedisDecoder::on_answer(Sink& sink)
{
  reply_passed_ = true;
  if (pending_.empty()) {
    if (trust_ == Trust::kFull)
      sink.malformed("unasked_reply");
    if (trust_ != Trust::kLost)
      lose_requests();
    reply_passed_ = true;
    return;
  }
  const auto& info = command(pending_.front().id);
  if (info.answer == Answer::kHello && (replies_.type() == '%' || replies_.type() == '*'))
    resp3_ = replies_.type() == '%';
  if (info.answer == Answer::kReset && replies_.type() == '+') {
    resp3_ = messages_seen_ = subscriptions_lost_ = false;
    subscriptions_ = {};
  }
  emit(pending_.front(),
       {.status = replies_.is_error() ? replies_.word() : std::string_view(),
        .response_first_ns = confirmed_first_ns_ != 0 ? confirmed_first_ns_ : replies_.first_ns(),
        .response_last_ns = replies_.last_ns(),
        .response_bytes = replies_.bytes() + confirmed_bytes_},
       sink);
  confirmed_first_ns_ = confirmed_bytes_ = 0;
  pending_.pop();
}

void RedisDecoder::emit(const PendingCommand& command, const Exchange& answer, Sink& sink) const
{
  if (trust_ == Trust::kProbation)
    return;
  auto exchange = answer;
  exchange.operation = redis::command(command.id).name;
  exchange.request_first_ns = command.first_ns;
  exchange.request_last_ns = command.last_ns;
  exchange.request_bytes = command.bytes;
  sink.exchange(exchange);
}

void RedisDecoder::hole(Direction direction, std::uint64_t bytes, std::uint64_t time_ns, Sink& sink)
{
  const bool to_server = direction == Direction::kToServer;
  if (!successor_.empty() || !(to_server ? requests_found_ : replies_found_))
    return;
  const auto step = to_server ? requests_.hole(bytes, time_ns) : replies_.hole(bytes, time_ns);
  if (step == Step::kBad)
    to_server ? lose_requests() : lose_replies();
  else if (step == Step::kWhole)
    to_server ? on_command(sink) : on_reply(sink);
}

// Commands that were read before keep their place: their replies come first.
void RedisDecoder::lose_requests()
{
  subscriptions_lost_ = true;
  if (trust_ == Trust::kProbation) {
    pending_.clear();
    confirmed_first_ns_ = confirmed_bytes_ = 0;
  }
  trust_ = Trust::kLost;
  requests_.reset();
  requests_found_ = false;
  reply_passed_ = false;
  reply_mode_ = ReplyMode::kOn;
}

void RedisDecoder::lose_replies()
{
  pending_.clear();
  confirmed_first_ns_ = confirmed_bytes_ = 0;
  lose_requests();
  forget_reply();
}

// What is being read may be no reply at all but the middle of one.
void RedisDecoder::forget_reply()
{
  replies_.reset();
  replies_found_ = false;
}

void RedisDecoder::closed(Exchange::End how, std::uint64_t, Sink& sink)
{
  for (; !pending_.empty(); pending_.pop())
    emit(pending_.front(), {.end = how}, sink);
}

protocols::Appetite RedisDecoder::appetite(Direction direction) const
{
  const bool to_server = direction == Direction::kToServer;
  return {.mode = protocols::Appetite::Mode::kFull,
          .skip = to_server ? requests_.not_wanted() : replies_.not_wanted()};
}

protocols::Activity RedisDecoder::activity() const
{
  return {.in_flight = static_cast<std::uint32_t>(pending_.size())};
}

}  // namespace sonde::redis
