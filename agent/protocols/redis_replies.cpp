// SPDX-License-Identifier: Apache-2.0
#include "agent/protocols/redis_replies.hpp"

namespace sonde::redis {

bool is_reply_type(char c)
{
  return std::string_view("+-:$*_#,(!=%~>|").contains(c);
}

Step ReplyReader::bad(std::string_view reason)
{
  reason_ = reason;
  reset();
  return Step::kBad;
}

void ReplyReader::reset()
{
  state_ = State::kType;
  depth_ = 0;
  attributes_ = false;
}

void ReplyReader::begin(std::uint64_t time_ns)
{
  first_ns_ = time_ns;
  word_.clear();
  word_ended_ = false;
  index_ = 0;
  elements_ = 0;
  number_ = 0;
  payload_ = 0;
}

Step ReplyReader::next(std::string_view& bytes, std::uint64_t time_ns)
{
  while (!bytes.empty()) {
    auto step = Step::kNeedMore;
    switch (state_) {
    case State::kType:
      step = type(bytes, time_ns);
      break;
    case State::kLine:
      step = simple_line(bytes);
      break;
    case State::kLength:
      step = length(bytes);
      break;
    case State::kBulk:
      step = bulk(bytes);
      break;
    case State::kChunkMark:
      step = chunk_mark(bytes);
      break;
    case State::kChunkLength:
      step = chunk_length(bytes);
      break;
    }
    if (step == Step::kWhole)
      last_ns_ = time_ns;
    if (step != Step::kNeedMore)
      return step;
  }
  return Step::kNeedMore;
}

Step ReplyReader::type(std::string_view& bytes, std::uint64_t time_ns)
{
  const char c = bytes.front();
  bytes.remove_prefix(1);
  if (at_boundary())
    begin(time_ns);
  element_ = c;
  if (depth_ == 0 && c != '|')
    type_ = c;
  if (depth_ > 0 && c == '.' && frames_[depth_ - 1].streamed) {
    state_ = State::kLine;
    remaining_ = 0;
  } else if (is_reply_type(c)) {
    const bool line = std::string_view("+-:_#,(").contains(c);
    state_ = line ? State::kLine : State::kLength;
    remaining_ = kLongestLine;
  } else {
    return bad("type");
  }
  saw_return_ = false;
  negative_ = false;
  digits_ = 0;
  line_.clear();
  return Step::kNeedMore;
}

bool ReplyReader::keeps() const
{
  if (word_ended_)
    return false;
  if (depth_ == 0)
    return element_ == '-' || element_ == '!';
  return depth_ == 1 && index_ == 0 && !frames_[0].attribute && (type_ == '*' || type_ == '>') &&
         std::string_view("+$").contains(element_);
}

// Of an error up to the first blank, of an element as much as fits.
void ReplyReader::keep(std::string_view bytes)
{
  const auto end = depth_ == 0 ? bytes.find(' ') : std::string_view::npos;
  word_.append(bytes.substr(0, end));
  word_ended_ = end != std::string_view::npos || word_.full();
}

Step ReplyReader::simple_line(std::string_view& bytes)
{
  if (!saw_return_) {
    const auto end = bytes.find_first_of("\r\n");
    const auto text = bytes.substr(0, end);
    if (text.size() > remaining_)
      return bad("line_size");
    remaining_ -= text.size();
    payload_ += text.size();
    if (keeps())
      keep(text);
    if (element_ == ':' && depth_ == 1)
      for (const char c : text) {
        negative_ = negative_ || c == '-';
        if (c >= '0' && c <= '9' && digits_ < (std::int64_t{1} << 40))
          digits_ = digits_ * 10 + (c - '0');
      }
    bytes.remove_prefix(text.size());
    if (bytes.empty())
      return Step::kNeedMore;
    if (bytes.front() != '\r')
      return bad("line_end");
    saw_return_ = true;
    bytes.remove_prefix(1);
    if (bytes.empty())
      return Step::kNeedMore;
  }
  if (bytes.front() != '\n')
    return bad("line_end");
  bytes.remove_prefix(1);
  if (element_ == ':' && depth_ == 1)
    number_ = negative_ ? -digits_ : digits_;
  if (element_ == '.')
    frames_[depth_ - 1] = {
        .left = 1, .streamed = false, .attribute = frames_[depth_ - 1].attribute};
  return element_done();
}

Step ReplyReader::length(std::string_view& bytes)
{
  const auto step = line_.feed(bytes);
  if (step == Step::kNeedMore)
    return step;
  if (step == Step::kBad || line_.value() < -1 || line_.value() > kLongestBulk)
    return bad("length");
  if (std::string_view("*%~>|").contains(element_))
    return aggregate();
  if (line_.streamed()) {
    state_ = State::kChunkMark;
    return Step::kNeedMore;
  }
  if (line_.value() < 0)
    return element_done();
  begin_bulk(false);
  return Step::kNeedMore;
}

Step ReplyReader::aggregate()
{
  const bool pairs = element_ == '%' || element_ == '|';
  const auto count = line_.value() > 0 ? static_cast<std::uint64_t>(line_.value()) : 0;
  const bool attribute = element_ == '|';
  if (depth_ == 0 && !attribute)
    elements_ = count;
  if (depth_ == 0)
    attributes_ = attribute;
  if (count == 0 && !line_.streamed()) {
    if (!attribute)
      return element_done();
    state_ = State::kType;
    return Step::kNeedMore;
  }
  if (depth_ == kDeepest)
    return bad("depth");
  frames_[depth_++] = {
      .left = pairs ? count * 2 : count, .streamed = line_.streamed(), .attribute = attribute};
  state_ = State::kType;
  return Step::kNeedMore;
}

void ReplyReader::begin_bulk(bool streamed)
{
  const auto length = static_cast<std::uint64_t>(line_.value());
  bulk_.begin(length);
  payload_ += length;
  streamed_ = streamed;
  state_ = State::kBulk;
}

Step ReplyReader::bulk(std::string_view& bytes)
{
  const auto step = bulk_.feed(bytes, [this](std::string_view text) {
    if (keeps())
      keep(text);
  });
  return step == Step::kBad ? bad("bulk_end") : step == Step::kWhole ? bulk_done() : step;
}

Step ReplyReader::bulk_done()
{
  if (!streamed_)
    return element_done();
  state_ = State::kChunkMark;
  return Step::kNeedMore;
}

Step ReplyReader::chunk_mark(std::string_view& bytes)
{
  if (bytes.front() != ';')
    return bad("chunk");
  bytes.remove_prefix(1);
  line_.clear();
  state_ = State::kChunkLength;
  return Step::kNeedMore;
}

Step ReplyReader::chunk_length(std::string_view& bytes)
{
  const auto step = line_.feed(bytes);
  if (step == Step::kNeedMore)
    return step;
  if (step == Step::kBad || line_.value() < 0 || line_.value() > kLongestBulk)
    return bad("length");
  if (line_.value() == 0)
    return line_.streamed() ? bad("length") : element_done();
  begin_bulk(true);
  return Step::kNeedMore;
}

// Closes every aggregate that this element was the last of. Attributes are no elements: they stand
// before one.
Step ReplyReader::element_done()
{
  state_ = State::kType;
  while (depth_ > 0) {
    if (depth_ == 1 && !frames_[0].attribute)
      ++index_;
    auto& frame = frames_[depth_ - 1];
    if (frame.streamed || --frame.left > 0)
      return Step::kNeedMore;
    --depth_;
    if (frame.attribute)
      return Step::kNeedMore;
  }
  attributes_ = false;
  return Step::kWhole;
}

Step ReplyReader::hole(std::uint64_t bytes, std::uint64_t time_ns)
{
  const bool kept = keeps() && bulk_.in_text();
  const auto step = state_ == State::kBulk && !kept ? bulk_.skip(bytes) : Step::kBad;
  if (step == Step::kBad)
    return bad("");
  if (step == Step::kNeedMore)
    return step;
  last_ns_ = time_ns;
  return bulk_done();
}

std::uint64_t ReplyReader::not_wanted() const
{
  return state_ == State::kBulk && !keeps() ? bulk_.not_wanted() : 0;
}

}  // namespace sonde::redis
