// SPDX-License-Identifier: Apache-2.0
#include "agent/protocols/postgresql_responses.hpp"

#include <algorithm>

namespace sonde::postgresql {

namespace {

constexpr std::string_view kReady("Z\0\0\0\5", 5);
constexpr std::size_t kReadySize = 6;
constexpr std::size_t kMostTag = 64;

bool is_length(char type, std::uint32_t length)
{
  switch (type) {
  case '1':
  case '2':
  case '3':
  case 'n':
  case 's':
  case 'I':
  case 'c':
    return length == 4;
  case 'Z':
    return length == 5;
  default:
    return length >= 4 && length <= kLongestMessage;
  }
}

bool is_status(char c)
{
  return c == 'I' || c == 'T' || c == 'E';
}

std::string_view checked_sqlstate(std::string_view text)
{
  const bool valid = text.size() == 5 && std::ranges::all_of(text, [](char c) {
                       return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z');
                     });
  return valid ? text : "other";
}

// Fields of an ErrorResponse: a type and a text each, the SQLSTATE among them.
std::string_view find_sqlstate(std::string_view fields)
{
  std::string_view found;
  while (fields.size() > 1) {
    const auto end = fields.find('\0');
    if (end == std::string_view::npos || end == 0)
      return {};
    if (fields.front() == 'C')
      found = fields.substr(1, end - 1);
    fields.remove_prefix(end + 1);
  }
  return fields == std::string_view("\0", 1) && !found.empty() ? checked_sqlstate(found)
                                                               : std::string_view();
}

}  // namespace

bool looks_like_response(std::string_view bytes)
{
  constexpr std::string_view kTypes = "123ACDEGHIKNRSTVWZcdnstv";
  if (bytes.empty() || !kTypes.contains(bytes.front()))
    return false;
  return bytes.size() < 5 || is_length(bytes.front(), big_endian(bytes.substr(1)));
}

ResponseReader::Step ResponseReader::next(std::string_view& bytes, std::uint64_t time_ns)
{
  while (true) {
    switch (frame_.next(bytes, time_ns)) {
    case MessageReader::Event::kNeedMore:
      return Step::kNeedMore;
    case MessageReader::Event::kHeader:
      if (header() == Step::kBad) {
        reset();
        return Step::kBad;
      }
      break;
    case MessageReader::Event::kBody:
      if (is_read())
        body(frame_.body());
      break;
    case MessageReader::Event::kEnd:
      return Step::kMessage;
    }
  }
}

ResponseReader::Step ResponseReader::header()
{
  type_ = frame_.type();
  field_ = 0;
  size_ = 0;
  if (!looks_like_response({&type_, 1}))
    reason_ = "response_type";
  else if (!is_length(type_, frame_.length()))
    reason_ = "response_length";
  else
    return Step::kNeedMore;
  return Step::kBad;
}

void ResponseReader::body(std::string_view bytes)
{
  if (type_ == 'E') {
    for (const char c : bytes)
      field(c);
    return;
  }
  const auto kept = bytes.substr(0, text_.size() - size_);
  std::ranges::copy(kept, text_.data() + size_);
  size_ += kept.size();
}

void ResponseReader::field(char c)
{
  if (field_ == 0)
    field_ = c;
  else if (c == '\0')
    field_ = 0;
  else if (field_ == 'C' && size_ < text_.size())
    text_[size_++] = c;
}

std::string_view ResponseReader::tag() const
{
  const std::string_view text(text_.data(), size_);
  return text.substr(0, text.find('\0'));
}

std::string_view ResponseReader::sqlstate() const
{
  return checked_sqlstate({text_.data(), size_});
}

ResponseReader::Step ResponseReader::hole(std::uint64_t bytes, std::uint64_t time_ns)
{
  if (is_read() || !frame_.hole(bytes)) {
    return Step::kBad;
  }
  std::string_view none;
  return next(none, time_ns);
}

std::uint64_t ResponseReader::not_wanted() const
{
  return frame_.remaining() >= kLeastSkip && !is_read() ? frame_.remaining() : 0;
}

Tail find_tail(std::string_view bytes)
{
  Tail tail;
  if (bytes.size() < kReadySize || !is_status(bytes.back()) ||
      !bytes.substr(0, bytes.size() - 1).ends_with(kReady))
    return tail;
  tail.is_end = true;
  tail.status = bytes.back();
  bytes.remove_suffix(kReadySize);
  for (std::size_t size = 5; size <= bytes.size(); ++size) {
    const auto message = bytes.substr(bytes.size() - size);
    const char type = message.front();
    if (big_endian(message.substr(1)) != size - 1)
      continue;
    const auto body = message.substr(5);
    if (type == 'C' && size <= kMostTag && body.size() > 1 && body.find('\0') == body.size() - 1 &&
        body.front() >= 'A' && body.front() <= 'Z') {
      tail.type = type;
      tail.tag = body.substr(0, body.size() - 1);
    } else if (type == 'E' && !find_sqlstate(body).empty()) {
      tail.type = type;
      tail.sqlstate = find_sqlstate(body);
    } else if (size == 5 && (type == 's' || type == 'I')) {
      tail.type = type;
    } else {
      continue;
    }
    return tail;
  }
  return tail;
}

}  // namespace sonde::postgresql
