// SPDX-License-Identifier: Apache-2.0
#include "agent/protocols/redis_requests.hpp"

namespace sonde::redis {

namespace {

constexpr std::int64_t kMostArguments = 1 << 20;  // as the server itself bounds them

bool is_letter(char c)
{
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool is_blank(char c)
{
  return c == ' ' || c == '\t';
}

}  // namespace

Step CommandReader::bad(std::string_view reason)
{
  reason_ = reason;
  reset();
  return Step::kBad;
}

void CommandReader::begin(State state, std::uint64_t time_ns)
{
  state_ = state;
  is_client_ = false;
  id_ = 0;
  index_ = 0;
  arguments_ = 0;
  payload_ = 0;
  first_ns_ = time_ns;
  for (auto& word : words_)
    word.clear();
  line_.clear();
}

Step CommandReader::next(std::string_view& bytes, std::uint64_t time_ns)
{
  while (!bytes.empty()) {
    auto step = Step::kNeedMore;
    switch (state_) {
    case State::kStart:
      step = start(bytes, time_ns);
      break;
    case State::kCount:
      step = count(bytes);
      break;
    case State::kMark:
      if (bytes.front() != '$')
        return bad("bulk_type");
      bytes.remove_prefix(1);
      line_.clear();
      state_ = State::kLength;
      break;
    case State::kLength:
      step = length(bytes);
      break;
    case State::kBulk:
      step = bulk(bytes);
      break;
    case State::kInline:
      step = inline_command(bytes);
      break;
    }
    if (step == Step::kWhole)
      last_ns_ = time_ns;
    if (step != Step::kNeedMore)
      return step;
  }
  return Step::kNeedMore;
}

Step CommandReader::start(std::string_view& bytes, std::uint64_t time_ns)
{
  const char c = bytes.front();
  if (c == '*') {
    bytes.remove_prefix(1);
    begin(State::kCount, time_ns);
  } else if (is_letter(c)) {
    begin(State::kInline, time_ns);
    in_word_ = false;
    quote_ = 0;
    remaining_ = kLongestLine;
  } else if (c == '\r' || c == '\n' || is_blank(c)) {
    bytes.remove_prefix(1);  // an empty line is no command
  } else {
    return bad("command_start");
  }
  return Step::kNeedMore;
}

Step CommandReader::count(std::string_view& bytes)
{
  const auto step = line_.feed(bytes);
  if (step == Step::kNeedMore)
    return step;
  if (step == Step::kBad || line_.streamed() || line_.value() > kMostArguments)
    return bad("arguments");
  if (line_.value() <= 0) {
    state_ = State::kStart;  // ignored by the server, without a reply
    return Step::kNeedMore;
  }
  arguments_ = static_cast<std::uint64_t>(line_.value());
  state_ = State::kMark;
  return Step::kNeedMore;
}

Step CommandReader::length(std::string_view& bytes)
{
  const auto step = line_.feed(bytes);
  if (step == Step::kNeedMore)
    return step;
  if (step == Step::kBad || line_.streamed() || line_.value() < 0 || line_.value() > kLongestBulk)
    return bad("length");
  const auto length = static_cast<std::uint64_t>(line_.value());
  payload_ += length;
  bulk_.begin(length);
  state_ = State::kBulk;
  return Step::kNeedMore;
}

Step CommandReader::bulk(std::string_view& bytes)
{
  const auto step = bulk_.feed(bytes, [this](std::string_view text) {
    if (keeps(index_))
      words_[index_].append_upper(text);
  });
  return step == Step::kBad ? bad("bulk_end") : step == Step::kWhole ? argument_done() : step;
}

void CommandReader::name_known()
{
  id_ = command_id(words_[0].view());
  is_client_ = command(id_).answer == Answer::kClient;
}

Step CommandReader::argument_done()
{
  if (index_ == 0)
    name_known();
  ++index_;
  state_ = index_ == arguments_ ? State::kStart : State::kMark;
  return index_ == arguments_ ? Step::kWhole : Step::kNeedMore;
}

// Words are split as the server does, but for escapes inside quotation marks, which can only hide
// where a quoted argument ends.
Step CommandReader::inline_command(std::string_view& bytes)
{
  while (!bytes.empty()) {
    const char c = bytes.front();
    bytes.remove_prefix(1);
    const bool ends = c == '\n';
    if (ends || (quote_ == 0 && (is_blank(c) || c == '\r'))) {
      if (in_word_ && arguments_ == 1)
        name_known();
      in_word_ = false;
      if (ends) {
        state_ = State::kStart;
        return Step::kWhole;
      }
    } else {
      if (!in_word_)
        ++arguments_;
      in_word_ = true;
      if (quote_ == 0 && (c == '"' || c == '\''))
        quote_ = c;
      else if (c == quote_)
        quote_ = 0;
      else if (keeps(arguments_ - 1))
        words_[arguments_ - 1].append_upper({&c, 1});
    }
    payload_ += c != '\r';
    if (--remaining_ == 0)
      return bad("inline_size");
  }
  return Step::kNeedMore;
}

Step CommandReader::hole(std::uint64_t bytes, std::uint64_t time_ns)
{
  const bool kept = keeps(index_) && !words_[index_].full() && bulk_.in_text();
  const auto step = state_ == State::kBulk && !kept ? bulk_.skip(bytes) : Step::kBad;
  if (step == Step::kBad)
    return bad("");
  if (step == Step::kNeedMore)
    return step;
  last_ns_ = time_ns;
  return argument_done();
}

std::uint64_t CommandReader::not_wanted() const
{
  return state_ == State::kBulk && !keeps(index_) ? bulk_.not_wanted() : 0;
}

}  // namespace sonde::redis
