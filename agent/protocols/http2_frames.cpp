// SPDX-License-Identifier: Apache-2.0
#include "agent/protocols/http2_frames.hpp"

#include <algorithm>

namespace sonde::http2 {

namespace {

using protocols::Direction;
using protocols::Match;

constexpr std::uint32_t kPriorityBytes = 5;
constexpr std::uint32_t kPromiseBytes = 4;
// SETTINGS_MAX_FRAME_SIZE is at most 2^24-1; nobody announces more than this.
constexpr std::uint32_t kMostPlausible = 1U << 20U;
constexpr std::uint8_t kPriorityUpdate = 0x10;  // RFC 9218 section 7.1

std::uint32_t byte_at(std::string_view bytes, std::size_t at)
{
  return static_cast<unsigned char>(bytes[at]);
}

Frame frame_of(std::string_view header)
{
  return {.length = word_at(header, 0) >> 8U,
          .type = static_cast<std::uint8_t>(header[3]),
          .flags = static_cast<std::uint8_t>(header[4]),
          .stream = word_at(header, 5) & kMostStream};
}

struct Shape {
  std::uint8_t flags;  // those that are defined
  bool of_stream;
  std::uint32_t least;
  std::uint32_t most;
};

// RFC 9113 section 6.
std::optional<Shape> shape_of(std::uint8_t type)
{
  constexpr std::uint8_t kBlock = Frame::kEndHeaders | Frame::kPadded;
  constexpr std::uint32_t kAny = kMostPlausible;
  switch (type) {
  case kData:
    return Shape{Frame::kEndStream | Frame::kPadded, true, 0, kAny};
  case kHeaders:
    return Shape{kBlock | Frame::kEndStream | Frame::kHasPriority, true, 1, kAny};
  case kPriority:
    return Shape{0, true, kPriorityBytes, kPriorityBytes};
  case kRstStream:
  case kWindowUpdate:
    return Shape{0, type == kRstStream, 4, 4};
  case kSettings:
    return Shape{Frame::kAck, false, 0, kAny};
  case kPushPromise:
    return Shape{kBlock, true, kPromiseBytes + 1, kAny};
  case kPing:
    return Shape{Frame::kAck, false, 8, 8};
  case kGoAway:
    return Shape{0, false, 8, kAny};
  case kContinuation:
    return Shape{Frame::kEndHeaders, true, 0, kAny};
  case kPriorityUpdate:
    return Shape{0, false, 4, kAny};
  default:
    return std::nullopt;
  }
}

bool is_plausible(std::string_view header, Direction from, std::uint32_t most, bool in_block)
{
  const auto frame = frame_of(header);
  const auto shape = shape_of(frame.type);
  if (!shape || (frame.flags & ~shape->flags) != 0 || frame.length < shape->least ||
      frame.length > shape->most || word_at(header, 5) > most)
    return false;
  if (frame.type != kWindowUpdate && (frame.stream != 0) != shape->of_stream)
    return false;
  if (frame.type == kSettings && (frame.length % 6 != 0 || (frame.flags != 0 && frame.length > 0)))
    return false;
  if ((frame.type == kContinuation) != in_block)
    return false;
  if (frame.type == kData && frame.length == 0 && frame.flags == 0)  // says nothing
    return false;
  if (frame.type == kPushPromise && from == Direction::kToServer)
    return false;
  if (frame.type == kPriorityUpdate && from == Direction::kToClient)
    return false;
  return frame.type != kHeaders || frame.stream % 2 == 1 || from == Direction::kToClient;
}

}  // namespace

std::uint32_t word_at(std::string_view bytes, std::size_t at)
{
  return byte_at(bytes, at) << 24U | byte_at(bytes, at + 1) << 16U | byte_at(bytes, at + 2) << 8U |
         byte_at(bytes, at + 3);
}

Match begins_with_frames(std::string_view bytes, Direction from, std::uint32_t most)
{
  bool headers = false;
  bool in_block = false;
  // A connection begins with these on either side; which one is the client's its preface tells.
  bool settings = false;
  while (bytes.size() >= kHeaderBytes) {
    if (!is_plausible(bytes, from, most, in_block))
      return Match::kNo;
    const auto frame = frame_of(bytes);
    headers = headers || frame.type == kHeaders;
    settings = settings || (frame.type == kSettings && !frame.has(Frame::kAck));
    in_block = frame.holds_block() && !frame.has(Frame::kEndHeaders);
    if (bytes.size() < kHeaderBytes + frame.length)
      return headers ? Match::kYes : Match::kNeedMore;
    bytes.remove_prefix(kHeaderBytes + frame.length);
    if (bytes.empty())
      return settings && !headers ? Match::kNeedMore : Match::kYes;
  }
  return headers ? Match::kYes : Match::kNeedMore;
}

std::optional<Direction> told_direction(std::string_view bytes)
{
  // Indices of the static table (RFC 7541 appendix A): those of requests' pseudo fields, of
  // :status.
  constexpr unsigned kLastOfRequests = 7;
  constexpr unsigned kLastOfResponses = 14;
  while (bytes.size() > kHeaderBytes) {
    const auto frame = frame_of(bytes);
    const auto at = kHeaderBytes + (frame.has(Frame::kPadded) ? 1U : 0U) +
                    (frame.has(Frame::kHasPriority) ? kPriorityBytes : 0U);
    if (frame.type == kHeaders && frame.length > 0 && at < bytes.size()) {
      const auto first = byte_at(bytes, at);
      const auto index = (first & 0x80U) != 0   ? first & 0x7fU
                         : (first & 0x40U) != 0 ? first & 0x3fU
                                                : first & 0x0fU;
      const bool resizes = (first & 0xe0U) == 0x20;
      if (resizes || index == 0 || index > kLastOfResponses)
        return std::nullopt;
      return index > kLastOfRequests ? Direction::kToClient : Direction::kToServer;
    }
    bytes.remove_prefix(std::min<std::size_t>(bytes.size(), kHeaderBytes + frame.length));
  }
  return std::nullopt;
}

bool FrameReader::resume(std::string_view bytes, const std::function<bool(std::uint32_t)>& is_open)
{
  // Of libraries that are fed from memory no handshake is seen: all of theirs are joined.
  if (from_ == Direction::kToServer && highest_ == 0 && bytes.starts_with(kClientPreface)) {
    state_ = State::kPreface;
    return true;
  }
  if (bytes.size() < kHeaderBytes || begins_with_frames(bytes, from_, most_stream()) == Match::kNo)
    return false;
  // A few bytes of anything may look like the beginning of one; small ones are written whole.
  const auto first = frame_of(bytes);
  const bool asks = first.type == kHeaders && from_ == Direction::kToServer;
  const bool goes_on = (first.type == kData || first.holds_block()) && is_open(first.stream);
  if (bytes.size() < kHeaderBytes + first.length && !asks && !goes_on)
    return false;
  look_for_header();
  return true;
}

std::size_t FrameReader::resume_at_end(std::string_view bytes,
                                       const std::function<bool(std::uint32_t)>& is_open)
{
  const auto ends_with = [&](std::string_view rest) {
    bool in_block = false;
    while (rest.size() >= kHeaderBytes && is_plausible(rest, from_, most_stream(), in_block)) {
      const auto frame = frame_of(rest);
      if (rest.size() < kHeaderBytes + frame.length ||
          (frame.stream != 0 && !is_open(frame.stream)))
        return false;
      in_block = frame.holds_block() && !frame.has(Frame::kEndHeaders);
      rest.remove_prefix(kHeaderBytes + frame.length);
    }
    return rest.empty() && !in_block;
  };
  for (std::size_t at = 0; at + kHeaderBytes <= bytes.size(); ++at) {
    if (!ends_with(bytes.substr(at)))
      continue;
    look_for_header();
    return at;
  }
  return bytes.size();
}

std::uint32_t FrameReader::most_stream() const
{
  return highest_ == 0 ? kMostStream : std::min(highest_ + kMostUnseen, kMostStream);
}

void FrameReader::look_for_header()
{
  state_ = State::kHeader;
  block_ = 0;
  collected_ = 0;
}

std::optional<FrameReader::Event> FrameReader::next(Input& input)
{
  switch (state_) {
  case State::kPreface:
    return preface(input);
  case State::kHeader:
    return header(input);
  case State::kPadLength:
    return pad_length(input);
  case State::kFront:
  case State::kContent:
  case State::kPadding:
    return content(input);
  case State::kLost:
    break;
  }
  input = {};
  return std::nullopt;
}

FrameReader::Event FrameReader::stop(Event::Kind kind, std::string_view reason)
{
  state_ = State::kLost;
  return {.kind = kind, .reason = reason};
}

std::optional<FrameReader::Event> FrameReader::preface(Input& input)
{
  if (input.hole > 0)
    return stop(Event::Kind::kLost);
  const auto here = input.bytes.substr(0, kClientPreface.size() - collected_);
  if (!kClientPreface.substr(collected_).starts_with(here))
    return stop(Event::Kind::kMalformed, "preface");
  collected_ = static_cast<std::uint8_t>(collected_ + here.size());
  input.bytes.remove_prefix(here.size());
  if (collected_ < kClientPreface.size())
    return std::nullopt;
  collected_ = 0;
  state_ = State::kHeader;
  return header(input);
}

std::optional<FrameReader::Event> FrameReader::header(Input& input)
{
  if (input.size() == 0)
    return std::nullopt;
  if (input.hole > 0)
    return stop(Event::Kind::kLost);
  if (collected_ == 0)
    first_ns_ = input.time_ns;
  const auto here = input.bytes.substr(0, kHeaderBytes - collected_);
  std::ranges::copy(here, small_.begin() + collected_);
  collected_ = static_cast<std::uint8_t>(collected_ + here.size());
  input.bytes.remove_prefix(here.size());
  if (collected_ < kHeaderBytes)
    return std::nullopt;
  collected_ = 0;
  frame_ = frame_of({small_.data(), small_.size()});
  const auto reason = wrong();
  return reason.empty() ? begin() : stop(Event::Kind::kMalformed, reason);
}

// Why no peer would accept it. Types that are unknown are skipped, as by everybody (section 5.5).
std::string_view FrameReader::wrong() const
{
  if (block_ != 0 && (frame_.type != kContinuation || frame_.stream != block_))
    return "continuation";
  const auto shape = shape_of(frame_.type);
  if (!shape)
    return {};
  if (frame_.type == kContinuation && block_ == 0)
    return "continuation";
  if (frame_.type != kWindowUpdate && (frame_.stream != 0) != shape->of_stream)
    return "stream_id";
  if (frame_.type == kPriority)  // a stream error only (section 6.3)
    return {};
  const auto least = frame_.holds_block() || frame_.type == kData ? 0 : shape->least;
  const bool fixed = shape->most < kMostPlausible;
  if (frame_.length < least || (fixed && frame_.length > shape->most))
    return "frame_size";
  return frame_.type == kSettings && frame_.length % 6 != 0 ? "frame_size" : std::string_view{};
}

FrameReader::Event FrameReader::begin()
{
  const bool pads = frame_.type == kData || frame_.type == kHeaders || frame_.type == kPushPromise;
  const bool padded = pads && frame_.has(Frame::kPadded);
  highest_ = std::max(highest_, frame_.stream);
  left_ = frame_.length;
  padding_ = 0;
  front_ = frame_.type == kHeaders && frame_.has(Frame::kHasPriority) ? kPriorityBytes
           : frame_.type == kPushPromise                              ? kPromiseBytes
                                                                      : 0;
  if (frame_.holds_block())
    block_ = frame_.has(Frame::kEndHeaders) ? 0 : frame_.stream;
  if (left_ < front_ + (padded ? 1U : 0U))
    return stop(Event::Kind::kMalformed, "frame_size");
  state_ = padded ? State::kPadLength : front_ > 0 ? State::kFront : State::kContent;
  return {.kind = Event::Kind::kBegin};
}

std::optional<FrameReader::Event> FrameReader::pad_length(Input& input)
{
  if (input.size() == 0)
    return std::nullopt;
  if (input.hole > 0)
    return stop(Event::Kind::kLost);
  padding_ = static_cast<std::uint8_t>(input.bytes.front());
  input.bytes.remove_prefix(1);
  --left_;
  if (left_ < std::uint32_t{front_} + padding_)
    return stop(Event::Kind::kMalformed, "padding");
  left_ -= padding_;
  state_ = front_ > 0 ? State::kFront : State::kContent;
  return content(input);
}

std::optional<FrameReader::Event> FrameReader::content(Input& input)
{
  const auto take = [&](std::uint64_t most) {
    const auto taken = std::min<std::uint64_t>(most, input.size());
    if (input.hole > 0)
      input.hole -= taken;
    else
      input.bytes.remove_prefix(taken);
    return static_cast<std::uint32_t>(taken);
  };
  if (state_ == State::kFront) {
    const auto taken = take(front_);
    front_ = static_cast<std::uint8_t>(front_ - taken);
    left_ -= taken;
    if (front_ > 0)
      return std::nullopt;
    state_ = State::kContent;
  }
  if (state_ == State::kContent && left_ > 0) {
    const bool missing = input.hole > 0;
    const auto bytes = input.bytes.substr(0, left_);
    const auto taken = take(left_);
    left_ -= taken;
    if (collects() && collected_ < 8) {
      if (missing)
        return stop(Event::Kind::kLost);
      const auto kept = bytes.substr(0, std::size_t{8} - collected_);
      std::ranges::copy(kept, small_.begin() + collected_);
      collected_ = static_cast<std::uint8_t>(collected_ + kept.size());
    } else if (taken > 0 && (frame_.type == kData || frame_.holds_block())) {
      return Event{.kind = Event::Kind::kContent,
                   .bytes = missing ? std::string_view{} : bytes,
                   .hole = missing ? taken : 0};
    }
    if (left_ > 0)
      return std::nullopt;
  }
  state_ = State::kPadding;
  padding_ = static_cast<std::uint8_t>(padding_ - take(padding_));
  if (padding_ > 0)
    return std::nullopt;
  return end();
}

FrameReader::Event FrameReader::end()
{
  state_ = State::kHeader;
  const std::string_view kept(small_.data(), collected_);
  collected_ = 0;
  return {.kind = Event::Kind::kEnd, .bytes = kept};
}

}  // namespace sonde::http2
