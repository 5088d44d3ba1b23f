// SPDX-License-Identifier: Apache-2.0
#include "agent/protocols/http1_message.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "agent/base/text.hpp"
#include "agent/protocols/http1_start_line.hpp"

namespace sonde::http1 {

namespace {

constexpr std::uint32_t kMaxHead = 1U << 20;  // Go's DefaultMaxHeaderBytes, the largest in use
constexpr std::size_t kMaxLine = 4096;        // a longer line keeps its two ends
constexpr std::size_t kKeptFront = 2048;
constexpr std::size_t kKeptBack = 16;  // of a request line: " HTTP/1.1"
constexpr std::size_t kMaxTarget = 1024;
constexpr std::size_t kMaxValue = 1024;
constexpr std::uint64_t kMaxLength = std::uint64_t{1} << 62;

// RFC 9110 section 5.6.2, one look-up a byte: header names are most of a head's cost.
constexpr auto kNameCharacters = [] {
  std::array<bool, 256> table{};
  for (const char c : std::string_view("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                                       "ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    table[static_cast<unsigned char>(c)] = true;
  return table;
}();

bool is_name(std::string_view text)
{
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return kNameCharacters[static_cast<unsigned char>(c)];
  });
}

char lower(char c)
{
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 0x20) : c;
}

// `word` is in lower case.
bool equals(std::string_view text, std::string_view word)
{
  return std::ranges::equal(text, word, [](char a, char b) { return lower(a) == b; });
}

std::string_view without_blanks(std::string_view text)
{
  text.remove_prefix(std::min(text.size(), text.find_first_not_of(" \t")));
  return text.substr(0, text.find_last_not_of(" \t") + 1);
}

Upgrade upgrade_of(std::string_view value)
{
  auto found = Upgrade::kNone;
  while (!value.empty()) {
    const auto name = without_blanks(take_until(value, ','));
    if (equals(name, "websocket"))
      return Upgrade::kWebsocket;
    if (equals(name, "h2c"))
      found = Upgrade::kH2c;
    else if (!name.empty() && found == Upgrade::kNone)
      found = Upgrade::kOther;
  }
  return found;
}

}  // namespace

void Message::reset()
{
  state_ = State::kIdle;
  line_.clear();
  line_cut_ = false;
  nul_ = false;
  remaining_ = 0;
}

Message::Event Message::malformed(std::string_view reason)
{
  reason_ = reason;
  return Event::kMalformed;
}

Message::Event Message::feed(std::string_view& bytes)
{
  reason_ = {};
  while (!bytes.empty()) {
    auto event = Event::kMore;
    switch (state_) {
    case State::kIdle:
      // RFC 9112 section 2.2: empty lines before a message are nothing.
      bytes.remove_prefix(std::min(bytes.size(), bytes.find_first_not_of("\r\n")));
      if (bytes.empty())
        return Event::kMore;
      state_ = State::kStartLine;
      head_bytes_ = 0;
      body_bytes_ = 0;
      break;
    case State::kOfLength:
    case State::kUntilClose:
    case State::kChunk:
      event = pass(bytes);
      break;
    case State::kChunkEnd:
      event = end_chunk(bytes);
      break;
    case State::kStartLine:
    case State::kHeaders:
    case State::kChunkSize:
    case State::kTrailers:
      const auto line = take_line(bytes);
      if (!line)
        return reason_.empty() ? Event::kMore : Event::kMalformed;
      event = on_line(*line);
      line_.clear();
      line_cut_ = false;
    }
    if (event != Event::kMore)
      return event;
  }
  return Event::kMore;
}

Message::Event Message::pass(std::string_view& bytes)
{
  const auto skipped = skip(bytes.size());
  bytes.remove_prefix(bytes.size() - skipped.rest);
  return skipped.ended ? Event::kEnd : Event::kMore;
}

Message::Skipped Message::skip(std::uint64_t bytes)
{
  if (state_ == State::kUntilClose) {
    body_bytes_ += bytes;
    return {.rest = 0, .ended = false};
  }
  if (state_ != State::kOfLength && state_ != State::kChunk)
    return {.rest = bytes, .ended = false};
  const auto taken = std::min(bytes, remaining_);
  body_bytes_ += taken;
  remaining_ -= taken;
  if (remaining_ > 0)
    return {.rest = 0, .ended = false};
  const bool ended = state_ == State::kOfLength;
  state_ = ended ? State::kIdle : State::kChunkEnd;
  carriage_return_ = false;
  return {.rest = bytes - taken, .ended = ended};
}

Message::Event Message::end_chunk(std::string_view& bytes)
{
  const char c = bytes.front();
  bytes.remove_prefix(1);
  if (c == '\r' && !carriage_return_)
    carriage_return_ = true;
  else if (c == '\n')
    state_ = State::kChunkSize;
  else
    return malformed("bad_chunk_end");
  return Event::kMore;
}

void Message::body(Body body)
{
  switch (body) {
  case Body::kOfLength:
    state_ = State::kOfLength;
    remaining_ = head_.content_length.value_or(0);
    break;
  case Body::kChunked:
    state_ = State::kChunkSize;
    head_bytes_ = 0;
    break;
  case Body::kUntilClose:
    state_ = State::kUntilClose;
    break;
  }
}

// What is kept depends on the line alone, not on the pieces it came in.
void Message::keep(std::string_view part)
{
  line_ += part.substr(0, kMaxLine);
  if (part.size() > kMaxLine) {
    line_ += part.substr(std::max(kMaxLine, part.size() - kKeptBack));
    line_cut_ = line_cut_ || line_.size() > kKeptFront + kKeptBack;
  }
  if (line_.size() > kMaxLine || (line_cut_ && line_.size() > kKeptFront + kKeptBack)) {
    line_.erase(kKeptFront, line_.size() - kKeptFront - kKeptBack);
    line_cut_ = true;
  }
}

std::optional<std::string_view> Message::take_line(std::string_view& bytes)
{
  const auto end = bytes.find('\n');
  const bool complete = end != std::string_view::npos;
  const auto part = bytes.substr(0, end);
  bytes.remove_prefix(part.size() + (complete ? 1 : 0));
  if (part.size() > kMaxHead - std::min(kMaxHead, head_bytes_)) {
    malformed("head_too_large");
    return std::nullopt;
  }
  head_bytes_ += static_cast<std::uint32_t>(part.size() + 1);
  nul_ = nul_ || part.find('\0') != std::string_view::npos;
  const bool whole = complete && line_.empty() && part.size() <= kMaxLine;
  if (!whole)
    keep(part);
  if (!complete)
    return std::nullopt;
  if (nul_) {
    malformed("nul_byte");
    return std::nullopt;
  }
  auto line = whole ? part : std::string_view(line_);
  if (line.ends_with('\r'))
    line.remove_suffix(1);
  return line;
}

Message::Event Message::on_line(std::string_view line)
{
  switch (state_) {
  case State::kStartLine:
    return start_line(line);
  case State::kHeaders:
    return header_line(line);
  case State::kChunkSize:
    return chunk_size(line);
  default:  // a trailer
    if (!line.empty())
      return Event::kMore;
    state_ = State::kIdle;
    return Event::kEnd;
  }
}

Message::Event Message::start_line(std::string_view line)
{
  head_.coding = Head::Coding::kNone;
  head_.upgrade = Upgrade::kNone;
  head_.content_length.reset();
  field_ = Field::kNone;
  any_field_ = false;
  if (kind_ == Kind::kRequest) {
    const auto request = parse_request_line(line);
    if (!request)
      return malformed("bad_request_line");
    head_.method = bounded_method(request->method);
    head_.target = path_of(*request).substr(0, kMaxTarget);
    head_.minor = request->minor;
  } else {
    const auto response = parse_status_line(line);
    if (!response)
      return malformed("bad_status_line");
    head_.status = response->status;
    head_.minor = response->minor;
  }
  state_ = State::kHeaders;
  return Event::kMore;
}

Message::Field Message::field_of(std::string_view name)
{
  switch (name.size()) {
  case 7:
    return equals(name, "upgrade") ? Field::kUpgrade : Field::kNone;
  case 14:
    return equals(name, "content-length") ? Field::kContentLength : Field::kNone;
  case 17:
    return equals(name, "transfer-encoding") ? Field::kTransferEncoding : Field::kNone;
  default:
    return Field::kNone;
  }
}

Message::Event Message::header_line(std::string_view line)
{
  if (line.empty())
    return field_end() ? head_end() : Event::kMalformed;
  if (line.front() == ' ' || line.front() == '\t') {
    if (!any_field_)
      return malformed("bad_header");
    if (field_ != Field::kNone)
      value_.append(" ").append(without_blanks(line));
    return value_.size() > kMaxValue ? malformed("header_too_long") : Event::kMore;
  }
  if (!field_end())
    return Event::kMalformed;
  const auto colon = line.find(':');
  // A blank before the colon is how a field is hidden from one of two readers (RFC 9112 5.1).
  if (colon == std::string_view::npos || !is_name(line.substr(0, colon)))
    return malformed("bad_header");
  any_field_ = true;
  field_ = field_of(line.substr(0, colon));
  if (field_ == Field::kNone)
    return Event::kMore;
  value_ = without_blanks(line.substr(colon + 1));
  return line_cut_ || value_.size() > kMaxValue ? malformed("header_too_long") : Event::kMore;
}

// Takes the value that is complete now that another line begins.
bool Message::field_end()
{
  const auto field = std::exchange(field_, Field::kNone);
  switch (field) {
  case Field::kContentLength:
    return content_length(value_);
  case Field::kTransferEncoding:
    return transfer_encoding(value_);
  case Field::kUpgrade:
    head_.upgrade = upgrade_of(value_);
    return true;
  case Field::kNone:
    break;
  }
  return true;
}

// A list of equal lengths is one length (RFC 9110 section 8.6).
bool Message::content_length(std::string_view value)
{
  do {
    const auto length = parse_number<std::uint64_t>(without_blanks(take_until(value, ',')));
    if (!length || *length > kMaxLength) {
      malformed("bad_content_length");
      return false;
    }
    if (head_.content_length && *head_.content_length != *length) {
      malformed("content_length_conflict");
      return false;
    }
    head_.content_length = length;
  } while (!value.empty());
  return true;
}

bool Message::transfer_encoding(std::string_view value)
{
  bool any = false;
  while (!value.empty()) {
    const auto coding = without_blanks(take_until(value, ','));
    if (coding.empty())
      continue;
    any = true;
    if (head_.coding == Head::Coding::kChunked) {  // must come last, and once
      malformed("bad_transfer_encoding");
      return false;
    }
    head_.coding = equals(coding, "chunked") ? Head::Coding::kChunked : Head::Coding::kOther;
  }
  if (!any)
    malformed("bad_transfer_encoding");
  return any;
}

Message::Event Message::head_end()
{
  if (head_.coding != Head::Coding::kNone && head_.content_length)
    return malformed("length_and_chunked");
  // RFC 9112 section 6.1: the end of such a request cannot be known.
  if (kind_ == Kind::kRequest && (head_.coding == Head::Coding::kOther ||
                                  (head_.coding == Head::Coding::kChunked && head_.minor == 0)))
    return malformed("bad_transfer_encoding");
  return Event::kHead;
}

Message::Event Message::chunk_size(std::string_view line)
{
  const auto digits = without_blanks(line.substr(0, line.find(';')));
  const auto size = digits.size() <= 15 ? parse_hex(digits) : std::nullopt;
  if (!size || line.front() == ' ' || line.front() == '\t')
    return malformed("bad_chunk_size");
  head_bytes_ = 0;
  remaining_ = *size;
  state_ = *size == 0 ? State::kTrailers : State::kChunk;
  return Event::kMore;
}

}  // namespace sonde::http1
