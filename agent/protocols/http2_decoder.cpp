// SPDX-License-Identifier: Apache-2.0
#include "agent/protocols/http2_decoder.hpp"

#include <algorithm>
#include <utility>

namespace sonde::http2 {

namespace {

// Smaller ones are not worth a change of what is wanted.
constexpr std::uint64_t kWorthSkipping = 4096;
// Of the ends of calls that are captured.
constexpr std::size_t kLongestEnd = 4096;

}  // namespace

Decoder::Decoder(bool from_start)
    : sides_{Side(Direction::kToServer, from_start), Side(Direction::kToClient, from_start)}
{
}

std::size_t Decoder::data(Direction direction, const protocols::Piece& piece, Sink& sink)
{
  auto& at = side(direction);
  const auto passed = at.frames.lost() ? resume(at, piece) : 0;
  at.after_hole = false;
  if (passed < piece.bytes.size())
    follow(direction, {.bytes = piece.bytes.substr(passed), .time_ns = piece.time_ns}, sink);
  tell_messages(sink);
  return piece.bytes.size();
}

void Decoder::hole(Direction direction, std::uint64_t bytes, std::uint64_t time_ns, Sink& sink)
{
  side(direction).after_hole = true;
  if (!side(direction).frames.lost())
    follow(direction, {.hole = bytes, .time_ns = time_ns}, sink);
  tell_messages(sink);
}

// Frames begin where a call does, or end where it does: how many of the bytes pass before them.
std::size_t Decoder::resume(Side& at, const protocols::Piece& piece)
{
  const auto is_open = [this](std::uint32_t id) { return find(id) != nullptr; };
  if (piece.starts_call)
    return at.frames.resume(piece.bytes, is_open) ? 0 : piece.bytes.size();
  if (at.after_hole && piece.bytes.size() <= kLongestEnd)
    return at.frames.resume_at_end(piece.bytes, is_open);
  return piece.bytes.size();
}

void Decoder::follow(Direction direction, FrameReader::Input input, Sink& sink)
{
  auto& frames = side(direction).frames;
  while (const auto event = frames.next(input)) {
    switch (event->kind) {
    case Event::Kind::kBegin:
      begins(direction);
      break;
    case Event::Kind::kContent:
      if (frames.frame().holds_block())
        read_block(side(direction), *event, false, sink);
      else
        data_content(direction, *event);
      break;
    case Event::Kind::kEnd:
      ends(direction, *event, input.time_ns, sink);
      break;
    case Event::Kind::kMalformed:
      sink.malformed(event->reason);
      [[fallthrough]];
    case Event::Kind::kLost:
      lose(direction);
      return;
    }
  }
}

void Decoder::begins(Direction direction)
{
  auto& at = side(direction);
  const auto& frame = at.frames.frame();
  if (!frame.holds_block() || frame.type == kContinuation)
    return;
  at.fields.clear();
  at.block_ns = at.frames.first_ns();
  at.block_read = true;
  at.block_ends_stream = frame.has(Frame::kEndStream) && frame.type == kHeaders;
  at.block_counts = frame.type == kHeaders && frame.stream % 2 == 1;
}

void Decoder::read_block(Side& at, const Event& event, bool last, Sink& sink)
{
  if (event.hole > 0) {
    at.block_read = false;
    at.fields.miss();
    at.headers.lose();
  }
  if (!at.block_read)
    return;
  const auto outcome =
      at.headers.feed(event.bytes, last, [&at](std::string_view name, std::string_view value) {
        at.fields.add(name, value);
      });
  if (outcome == HeaderBlocks::Outcome::kRead)
    return;
  at.block_read = false;
  at.fields.miss();
  if (outcome == HeaderBlocks::Outcome::kMalformed)
    sink.malformed("header_block");
}

void Decoder::data_content(Direction direction, const Event& event)
{
  const auto id = side(direction).frames.frame().stream;
  auto* stream = find(id);
  if (stream == nullptr)
    return;
  const bool request = direction == Direction::kToServer;
  (request ? stream->request_bytes : stream->response_bytes) += event.bytes.size() + event.hole;
  if (stream->grpc == Maybe::kNo)
    return;
  auto& messages = request ? stream->request_messages : stream->response_messages;
  if (event.hole > 0)
    messages.skip(event.hole);
  else
    messages.feed(event.bytes);
  if (stream->untold() > 0 && (touched_.empty() || touched_.back() != id))
    touched_.push_back(id);
}

void Decoder::ends(Direction direction, const Event& event, std::uint64_t time_ns, Sink& sink)
{
  const auto& frames = side(direction).frames;
  const auto& frame = frames.frame();
  if (frame.holds_block() && frames.block_ends())
    block_ended(direction, event, time_ns, sink);
  else if (frame.type == kData && frame.has(Frame::kEndStream))
    stream_ended(direction, frame.stream, time_ns, sink);
  else if (frame.type == kRstStream)
    reset(direction, frame.stream, word_at(event.bytes, 0), time_ns, sink);
  else if (frame.type == kGoAway && direction == Direction::kToClient)
    go_away(word_at(event.bytes, 0) & kMostStream);
  else if (frame.type == kGoAway)
    client_left_ = true;
}

// Nothing is known of what passes from here on, until frames are found again.
void Decoder::lose(Direction direction)
{
  side(direction).headers.lose();
  for (auto& [id, stream] : streams_) {
    stream.unsure = true;
    stream.request_unsure = stream.request_unsure || direction == Direction::kToServer;
    count(stream);
  }
}

void Decoder::end_of_stream(Direction, std::uint64_t, Sink&) {}

void Decoder::closed(End how, std::uint64_t time_ns, Sink& sink)
{
  // The server closes its socket before a client that waits for its end: hyper 0.14's, of which
  // some last resets are never sent.
  if (client_left_)
    how = End::kClientClosed;
  std::vector<std::uint32_t> ids;
  ids.reserve(streams_.size());
  for (const auto& [id, stream] : streams_)
    ids.push_back(id);
  std::ranges::sort(ids);
  for (const auto id : ids) {
    auto& stream = streams_.at(id);
    if (stream.asked && stream.response_ended)
      emit(stream, End::kComplete, time_ns, sink);
    else if (stream.asked && !stream.unsure && !stream.may_be_answered)
      emit(stream, how, time_ns, sink);
    forget(id);
  }
}

protocols::Appetite Decoder::appetite(Direction direction) const
{
  protocols::Appetite wanted{.mode = protocols::Appetite::Mode::kFull};
  const auto& frames = side(direction).frames;
  auto left = frames.left();
  if (left < kWorthSkipping || frames.frame().type != kData)
    return wanted;
  const auto found = streams_.find(frames.frame().stream);
  if (found != streams_.end() && found->second.grpc != Maybe::kNo) {
    const auto& stream = found->second;
    const auto& messages =
        direction == Direction::kToServer ? stream.request_messages : stream.response_messages;
    if (messages.follows())
      left = std::min(left, messages.left());
  }
  if (left >= kWorthSkipping)
    wanted.skip = left;
  return wanted;
}

Stream* Decoder::find(std::uint32_t id)
{
  const auto found = streams_.find(id);
  return found == streams_.end() ? nullptr : &found->second;
}

// As find(), or a new one whose request's tap has not fired yet.
Stream* Decoder::find_answered(std::uint32_t id)
{
  auto* stream = find(id);
  if (stream != nullptr || id <= last_asked_ || streams_.size() >= kMostStreams)
    return stream;
  ++unasked_;
  return &streams_[id];
}

void Decoder::forget(std::uint32_t id)
{
  const auto found = streams_.find(id);
  if (found == streams_.end())
    return;
  in_flight_ -= found->second.counted ? 1 : 0;
  unasked_ -= found->second.asked ? 0 : 1;
  streams_.erase(found);
}

// As in flight, or no longer.
void Decoder::count(Stream& stream)
{
  const bool now = stream.asked && !stream.response_ended && !stream.unsure &&
                   !stream.may_be_answered && stream.grpc == Maybe::kNo;
  if (now != std::exchange(stream.counted, now))
    now ? ++in_flight_ : --in_flight_;
}

}  // namespace sonde::http2
