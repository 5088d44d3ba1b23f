// SPDX-License-Identifier: Apache-2.0
#include "agent/protocols/postgresql_requests.hpp"

namespace sonde::postgresql {

namespace {

constexpr std::uint32_t kCancelCode = 80877102;
constexpr std::uint32_t kSslCode = 80877103;
constexpr std::uint32_t kGssCode = 80877104;
constexpr std::uint32_t kMostStartup = 10'000;  // as the server bounds it

bool is_length(char type, std::uint32_t length)
{
  switch (type) {
  case 'S':
  case 'H':
  case 'X':
  case 'c':
    return length == 4;
  case 'Q':
  case 'f':
    return length >= 5 && length <= kLongestMessage;
  case 'P':
  case 'B':
    return length >= 8 && length <= kLongestMessage;
  case 'D':
  case 'C':
    return length >= 6 && length <= kLongestMessage;
  case 'E':
    return length >= 9 && length <= kLongestMessage;
  case 'F':
    return length >= 12 && length <= kLongestMessage;
  case 'd':
  case 'p':
    return length >= 4 && length <= kLongestMessage;
  default:
    return false;
  }
}

}  // namespace

bool looks_like_requests(std::string_view bytes)
{
  constexpr std::string_view kFirst = "QPBEDCSHFX";
  constexpr std::string_view kLong = "QPBd";
  if (bytes.empty() || !kFirst.contains(bytes.front()))
    return false;
  while (!bytes.empty()) {
    if (bytes.size() < 5)
      return false;
    const char type = bytes.front();
    const auto length = big_endian(bytes.substr(1));
    if (!is_length(type, length))
      return false;
    if (bytes.size() < 1 + std::size_t{length})
      return kLong.contains(type);
    bytes.remove_prefix(1 + std::size_t{length});
  }
  return true;  // without a Sync too: a pipeline may be written in many calls
}

void RequestReader::reset()
{
  frame_.reset();
}

RequestReader::Step RequestReader::next(std::string_view& bytes, std::uint64_t time_ns)
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
      body(frame_.body());
      break;
    case MessageReader::Event::kEnd:
      return message_done(time_ns);
    }
  }
}

RequestReader::Step RequestReader::header()
{
  kind_ = 0;
  kind_read_ = true;
  cut_ = text_ended_ = names_lost_ = false;
  names_read_ = names_wanted_ = 0;
  keys_ = {};
  statements_.clear();
  if (frame_.is_startup())
    return start();
  type_ = frame_.type();
  if (!is_length(type_, frame_.length())) {
    reason_ =
        std::string_view("QPBEDCSHFXdcfp").contains(type_) ? "request_length" : "request_type";
    return Step::kBad;
  }
  switch (type_) {
  case 'P':
  case 'E':
    names_wanted_ = 1;
    break;
  case 'B':
    names_wanted_ = 2;
    break;
  case 'D':
  case 'C':
    names_wanted_ = 2;
    names_read_ = 1;
    kind_read_ = false;
    break;
  default:
    break;
  }
  if (has_text())
    scanner_.reset();
  return Step::kNeedMore;
}

RequestReader::Step RequestReader::start()
{
  const auto code = frame_.code();
  const bool fixed = code == kSslCode || code == kGssCode;
  type_ = code == kCancelCode ? kCancel : kStartup;
  if (fixed)
    type_ = kEncryption;
  const bool known = type_ != kStartup || code >> 16 == 3;
  if (known &&
      (fixed ? frame_.length() == 8 : frame_.length() > 8 && frame_.length() <= kMostStartup))
    return Step::kNeedMore;
  reason_ = "startup";
  return Step::kBad;
}

bool RequestReader::is_read() const
{
  return !kind_read_ || names_read_ < names_wanted_ || (has_text() && !text_ended_ && !cut_);
}

void RequestReader::body(std::string_view bytes)
{
  if (!kind_read_ && !bytes.empty()) {
    kind_ = bytes.front();
    kind_read_ = true;
    bytes.remove_prefix(1);
  }
  while (names_read_ < names_wanted_ && !bytes.empty())
    bytes = name(bytes);
  if (has_text() && !text_ended_ && !bytes.empty())
    text(bytes);
}

std::string_view RequestReader::name(std::string_view bytes)
{
  const auto end = bytes.find('\0');
  auto& key = keys_[names_read_];
  key = add_to_key(key, bytes.substr(0, end));
  if (end == std::string_view::npos)
    return {};
  ++names_read_;
  return bytes.substr(end + 1);
}

// Only the first statement of a Parse counts: the server takes no second.
void RequestReader::text(std::string_view bytes)
{
  const auto end = bytes.find('\0');
  auto rest = bytes.substr(0, end);
  if (!cut_) {
    while (scanner_.next(rest)) {
      if (statements_.size() == kMostStatements) {
        text_ended_ = true;
        return;
      }
      statements_.push_back(cache_.get(scanner_.verb(), scanner_.table()));
    }
  }
  const bool enough = type_ == 'P' && (scanner_.is_settled() || !statements_.empty());
  if (enough || end != std::string_view::npos)
    text_done();
}

void RequestReader::text_done()
{
  text_ended_ = true;
  if (cut_ || (type_ == 'P' && !statements_.empty()))
    return;
  if (scanner_.finish())
    statements_.push_back(cache_.get(scanner_.verb(), scanner_.table()));
}

RequestReader::Step RequestReader::message_done(std::uint64_t time_ns)
{
  last_ns_ = time_ns;
  names_lost_ = names_lost_ || names_read_ < names_wanted_;
  if (has_text() && !text_ended_ && !cut_)
    text_done();
  if (type_ == kStartup || type_ == kCancel)
    frame_.reset();
  return Step::kMessage;
}

RequestReader::Step RequestReader::hole(std::uint64_t bytes, std::uint64_t time_ns)
{
  if (!frame_.hole(bytes)) {
    reset();
    return Step::kBad;
  }
  if (is_read()) {
    names_lost_ = names_lost_ || names_read_ < names_wanted_;
    if (has_text() && !text_ended_) {
      if (scanner_.is_settled())
        statements_.push_back(cache_.get(scanner_.verb(), scanner_.table()));
      cut_ = true;
    }
  }
  std::string_view none;
  return next(none, time_ns);
}

std::uint64_t RequestReader::not_wanted() const
{
  return frame_.remaining() >= kLeastSkip && !is_read() ? frame_.remaining() : 0;
}

}  // namespace sonde::postgresql
