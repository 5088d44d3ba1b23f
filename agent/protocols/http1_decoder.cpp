// SPDX-License-Identifier: Apache-2.0
// The requests' side of the decoder, and what the connection has in common.
#include "agent/protocols/http1_decoder.hpp"

#include <algorithm>
#include <utility>

#include "agent/protocols/http1_start_line.hpp"

namespace sonde::http1 {

namespace {

using protocols::Appetite;
using protocols::Direction;
using protocols::Exchange;
using protocols::Match;
using protocols::Piece;
using protocols::Sink;

// After missed requests: a server that had another request to answer would have written within
// microseconds. A client known to pipeline is believed only after a long silence.
constexpr std::uint64_t kQuietNs = 10'000;
constexpr std::uint64_t kQuietPipelinedNs = 1'000'000'000;
constexpr std::uint32_t kEnoughAlternations = 2;

constexpr std::uint32_t kEnoughApart = 8;

constexpr std::uint32_t kResponseHead = 4096;
// Of a call that may hold several: a server answers what it has read at once in one, 16 KiB or less
// where it writes by buffers.
constexpr std::uint32_t kResponses = 16384;
constexpr std::uint32_t kMostResponses = 65536;
constexpr std::uint32_t kResponseTail = 64;  // the last chunk with a trailer or two

}  // namespace

Decoder::Decoder(bool from_start)
    : requesting_(from_start ? Requesting::kFollowed : Requesting::kLost),
      responding_(from_start ? Responding::kFollowed : Responding::kUnasked), paired_(from_start),
      answered_(!from_start), response_unsure_(!from_start)
{
}

std::size_t Decoder::data(Direction direction, const Piece& piece, Sink& sink)
{
  if (!successor_.empty())
    return 0;
  if (direction == Direction::kToClient)
    return from_server(piece, sink);
  from_client(piece, sink);
  return piece.bytes.size();
}

void Decoder::hole(Direction direction, std::uint64_t bytes, std::uint64_t time_ns, Sink& sink)
{
  if (bytes == 0 || !successor_.empty())
    return;
  if (direction == Direction::kToServer)
    request_hole(bytes, time_ns, sink);
  else
    response_hole(bytes, time_ns, sink);
}

void Decoder::end_of_stream(Direction direction, std::uint64_t /*time_ns*/, Sink& sink)
{
  if (direction != Direction::kToClient || open_.empty() || !response_.until_close())
    return;
  complete(last_response_ns_, sink);
  response_.reset();
}

void Decoder::closed(Exchange::End how, std::uint64_t time_ns, Sink& sink)
{
  if (how == Exchange::End::kComplete)
    how = Exchange::End::kServerClosed;
  if (how == Exchange::End::kServerClosed)
    end_of_stream(Direction::kToClient, time_ns, sink);
  if (responding_ != Responding::kEndUnknown)
    for (std::size_t i = 0; i < open_.size(); ++i) {
      const bool answered = i == 0 && response_.has_start_line();
      if (answered || !open_.at(i).head_cut)
        emit(open_.at(i), how, answered, sink);
    }
  open_.clear();
  emit_early(true, 0, sink);
}

protocols::Activity Decoder::activity() const
{
  return {.in_flight = static_cast<std::uint32_t>(open_.size())};
}

void Decoder::from_client(const Piece& piece, Sink& sink)
{
  if (awaits_upgrade_) {
    swallowed_ = true;
    return;
  }
  if (requesting_ != Requesting::kFollowed && !look_for_request(piece))
    return;
  auto bytes = piece.bytes;
  while (!bytes.empty()) {
    const bool was_idle = request_.idle();
    const auto event = request_.feed(bytes);
    if (was_idle && !request_.idle())
      begin_ = {.time_ns = piece.time_ns, .answered = answered_};
    switch (event) {
    case Message::Event::kMore:
      break;
    case Message::Event::kHead:
      request_head(piece.time_ns, sink);
      break;
    case Message::Event::kEnd:
      request_end(piece.time_ns, sink);
      break;
    case Message::Event::kMalformed:
      request_malformed(sink);
      return;
    }
    if (awaits_upgrade_) {
      swallowed_ = !bytes.empty();
      return;
    }
    if (requesting_ != Requesting::kFollowed && !tentative_)
      return;
  }
}

// Whether the piece is to be read though it may not be a request.
bool Decoder::look_for_request(const Piece& piece)
{
  if (tentative_) {
    // Not where the method's beginning came in a call of its own.
    if (piece.starts_call && !request_.has_start_line() && begins_known_request(piece.bytes))
      request_.reset();
    return true;
  }
  if (!piece.starts_call || begins_request(piece.bytes) == Match::kNo)
    return false;
  if (requesting_ == Requesting::kEndUnknown && !open_.empty()) {
    if (responding_ != Responding::kEndUnknown)
      return false;  // more of the body
    lose_pairing(true);
  }
  tentative_ = true;
  request_.reset();
  return true;
}

void Decoder::request_malformed(Sink& sink)
{
  const bool in_head = request_.in_head();
  if (tentative_ || !paired_) {  // perhaps it never was a request
    tentative_ = false;
    request_.reset();
    requesting_ = paired_ ? requesting_ : Requesting::kLost;
    return;
  }
  emit_early(false, 0, sink);
  request_.reset();
  sink.malformed(request_.reason());
  requests_missed_ = false;
  if (open_.empty()) {
    lose_pairing(false);
    requesting_ = Requesting::kLost;
    return;
  }
  // Those before it are answered in order; a broken body's own request will be, too.
  pipelined_ = pipelined_ || in_head;
  if (reads_back())
    open_.back().sizes_known = false;
  reading_last_ = false;
  requesting_ = Requesting::kEndUnknown;
}

void Decoder::request_head(std::uint64_t time_ns, Sink& sink)
{
  // The rest of a method whose beginning was lost is no registered one.
  if (tentative_ && request_.head().method == "other") {
    tentative_ = false;
    request_.reset();
    return;
  }
  reading_last_ = open_request(sink);
  const bool tunnel = request_.head().method == "CONNECT";
  const bool upgrade = request_.head().upgrade != Upgrade::kNone;
  tentative_ = false;
  requesting_ = Requesting::kFollowed;
  if (request_.head().coding == Head::Coding::kChunked && !tunnel) {
    request_.body(Message::Body::kChunked);
  } else if (request_.head().content_length.value_or(0) > 0 && !tunnel) {
    request_.body(Message::Body::kOfLength);
  } else {
    request_.finish();
    request_end(time_ns, sink);
    if (!paired_ && (tunnel || upgrade))
      requesting_ = Requesting::kLost;
  }
}

void Decoder::request_end(std::uint64_t time_ns, Sink& sink)
{
  emit_early(true, time_ns, sink);
  if (reads_back()) {
    auto& request = open_.back();
    request.ended = true;
    request.last_ns = time_ns;
    request.bytes = request_.body_bytes();
    awaits_upgrade_ = request.upgrade != Upgrade::kNone || request.is_connect();
  }
  reading_last_ = false;
}

// True when nothing speaks for a response that is still to come for an earlier request.
bool Decoder::found_idle() const
{
  const auto quiet = begin_.time_ns - std::min(begin_.time_ns, last_response_ns_);
  if (pipelined_)
    return quiet >= kQuietPipelinedNs;
  return !requests_missed_ || alternations_ >= kEnoughAlternations || quiet >= kQuietNs;
}

// Whether the next response is the new request's.
bool Decoder::accepts_request()
{
  if (begin_.answered && open_.empty())
    ++alternations_;
  if (paired_ && requesting_ == Requesting::kFollowed)
    return responding_ != Responding::kEndUnknown || open_.size() < 2;
  if (paired_)
    return open_.empty() && found_idle();
  pipelined_ = pipelined_ || !begin_.answered;
  return begin_.answered && found_idle();
}

// Whether the request whose head request_ has read is the new open_.back().
bool Decoder::open_request(Sink& sink)
{
  // Its response's tap has fired first.
  if (paired_ && open_.empty() && responding_ == Responding::kUnasked &&
      begin_.time_ns < last_response_ns_)
    return false;
  if (!accepts_request()) {
    if (paired_)
      lose_pairing(true);
    answered_ = false;
    return false;
  }
  auto& head = request_.head();
  auto* request = open_.push(head.target.size());
  if (request == nullptr) {
    sink.malformed("pipeline_too_deep");
    lose_pairing(false);
    return false;
  }
  response_unsure_ = response_unsure_ || !paired_ || requesting_ != Requesting::kFollowed;
  paired_ = true;
  requests_missed_ = false;
  answered_ = false;
  if (open_.size() == 1) {
    responding_ = Responding::kFollowed;
    response_.reset();
    response_first_ns_ = 0;
  } else if (responding_ != Responding::kEndUnknown) {
    pipelined_ = true;
  }
  request->method = head.method;
  std::swap(request->target, head.target);
  request->upgrade = head.upgrade;
  request->head_cut = false;
  request->ended = false;
  request->sizes_known = true;
  request->first_ns = begin_.time_ns;
  request->last_ns = 0;
  request->bytes = 0;
  return true;
}

void Decoder::request_hole(std::uint64_t bytes, std::uint64_t time_ns, Sink& sink)
{
  if (awaits_upgrade_) {
    swallowed_ = true;
    return;
  }
  if (requesting_ != Requesting::kFollowed) {
    tentative_ = false;
    request_.reset();
    requests_missed_ = true;
    if (open_.empty())
      lose_pairing(false);
    return;
  }
  const auto skipped = request_.skip(bytes);
  if (skipped.ended)
    request_end(time_ns, sink);
  if (skipped.rest == 0)
    return;
  if (awaits_upgrade_) {
    swallowed_ = true;
    return;
  }
  emit_early(false, 0, sink);
  requests_missed_ = true;
  if (request_.in_head() && request_.has_start_line()) {
    // Method and path are known, whether it has a body is not.
    request_.head().upgrade = Upgrade::kNone;
    if (open_request(sink)) {
      open_.back().head_cut = true;
      open_.back().sizes_known = false;
    }
    requests_missed_ = true;
  } else if (request_.idle() || request_.in_head()) {
    if (open_.empty())
      lose_pairing(false);
    else
      pipelined_ = true;
  } else if (reads_back()) {
    open_.back().sizes_known = false;
  }
  reading_last_ = false;
  request_.reset();
  requesting_ = paired_ ? Requesting::kEndUnknown : Requesting::kLost;
}

void Decoder::lose_pairing(bool answered)
{
  if (swallowed_) {
    requesting_ = Requesting::kLost;
    request_.reset();
  }
  open_.clear();
  response_.reset();
  responding_ = Responding::kUnasked;
  paired_ = false;
  answered_ = answered;
  reading_last_ = false;
  awaits_upgrade_ = false;
  swallowed_ = false;
}

Appetite Decoder::appetite(Direction direction) const
{
  using Mode = Appetite::Mode;
  const bool to_server = direction == Direction::kToServer;
  const auto& message = to_server ? request_ : response_;
  Appetite between = {.mode = Mode::kHead, .per_turn = true, .chunks = true};
  if (!to_server)
    between = {.mode = Mode::kHeadAndTail,
               .limit = long_heads_             ? kMostResponses
                        : apart_ < kEnoughApart ? kResponses
                                                : kResponseHead,
               .tail = kResponseTail,
               .per_turn = true,
               .chunks = true};
  // Answers that were each written in calls of their own will hardly be written together later.
  const bool apart = !to_server && !together_ && apart_ >= kEnoughApart;
  if (pipelined_)
    between = apart ? Appetite{.mode = Mode::kHeadAndTail,
                               .limit = kMostResponses,
                               .tail = kResponseTail,
                               .of_sender = true,
                               .chunks = true}
                    : Appetite{.chunks = true};
  const bool followed = to_server ? requesting_ == Requesting::kFollowed || tentative_
                                  : responding_ == Responding::kFollowed;
  if (!followed || (to_server && awaits_upgrade_))
    return between;
  if (message.until_close())
    return {.mode = Mode::kNothing};
  if (message.in_head())
    return {.chunks = true};
  if (message.chunked())
    return {.chunks = true, .skip = message.remaining()};
  between.skip = message.remaining();
  return between;
}

}  // namespace sonde::http1
