// SPDX-License-Identifier: Apache-2.0
// The responses' side of the decoder, and the exchanges that come out.
#include <array>
#include <utility>

#include "agent/base/text.hpp"
#include "agent/protocols/http1_decoder.hpp"
#include "agent/protocols/http1_start_line.hpp"

namespace sonde::http1 {

namespace {

using protocols::Exchange;
using protocols::Match;
using protocols::Piece;
using protocols::Sink;

// In no longer one the tap finds the beginning of a chunked body.
constexpr std::uint32_t kLongHead = 1900;

// The line end behind the last chunk, perhaps with trailers before it.
bool ends_trailers(std::string_view rest)
{
  while (!rest.empty() && rest != "\r\n") {
    const auto line = take_line(rest);
    if (!line.ends_with('\r') || line.find(':') == std::string_view::npos)
      return false;
  }
  return !rest.empty();
}

// Whether a chunked body whose framing is lost ends with this piece.
bool ends_chunked(const Piece& piece, bool after_hole)
{
  constexpr std::string_view kLast = "\r\n0\r\n";
  if (!piece.bytes.ends_with("\r\n\r\n"))
    return false;
  if (piece.starts_call && piece.bytes.starts_with(kLast.substr(2)))
    return ends_trailers(piece.bytes.substr(kLast.size() - 2));
  const auto last = piece.bytes.rfind(kLast);
  if (last == std::string_view::npos || !ends_trailers(piece.bytes.substr(last + kLast.size())))
    return false;
  if (!piece.starts_call)
    return after_hole;  // the tail of a call
  auto rest = piece.bytes;
  const auto line = take_line(rest);
  return line.ends_with('\r') && parse_hex(line.substr(0, line.size() - 1)).has_value();
}

class Digits {
public:
  explicit Digits(unsigned status)
      : digits_{static_cast<char>('0' + (status / 100)),
                static_cast<char>('0' + (status / 10 % 10)),
                static_cast<char>('0' + (status % 10))}
  {
  }
  std::string_view text() const { return {digits_.data(), digits_.size()}; }

private:
  std::array<char, 3> digits_;
};

std::string_view successor_of(Upgrade upgrade)
{
  switch (upgrade) {
  case Upgrade::kWebsocket:
    return "websocket";
  case Upgrade::kH2c:
    return "unknown";
  default:
    return "opaque";
  }
}

}  // namespace

std::size_t Decoder::from_server(const Piece& piece, Sink& sink)
{
  std::string_view rest;
  if (open_.empty())
    unasked(piece);
  else if (responding_ == Responding::kFollowed || next_response_begins(piece, sink))
    rest = follow_response(piece, sink);
  last_response_ns_ = piece.time_ns;
  after_hole_ = false;
  return piece.bytes.size() - rest.size();
}

void Decoder::unasked(const Piece& piece)
{
  // An interim response says nothing about the request being over.
  if (!piece.starts_call || !piece.bytes.starts_with("HTTP/1.1 1"))
    answered_ = true;
  if (paired_)
    responding_ = Responding::kUnasked;
}

// Returns what a successor is to read.
std::string_view Decoder::follow_response(const Piece& piece, Sink& sink)
{
  auto bytes = piece.bytes;
  bool interim = false;  // came before, in this piece, of the same request
  while (!bytes.empty() && !open_.empty()) {
    const bool was_idle = response_.idle();
    const bool at_call = piece.starts_call && bytes.size() == piece.bytes.size();
    const auto event = response_.feed(bytes);
    if (was_idle && !response_.idle()) {
      response_first_ns_ = piece.time_ns;
      together_ = together_ || !at_call;
      apart_ += at_call ? 1 : 0;
      if (response_unsure_ && !at_call && !interim) {
        pipelined_ = true;
        lose_pairing(true);
        return {};
      }
    }
    switch (event) {
    case Message::Event::kMore:
      break;
    case Message::Event::kHead:
      response_head(piece.time_ns, sink);
      if (!successor_.empty())
        return bytes;
      interim = response_.head().status < 200;
      break;
    case Message::Event::kEnd:
      complete(piece.time_ns, sink);
      break;
    case Message::Event::kMalformed:
      response_malformed(sink);
      return {};
    }
  }
  if (!bytes.empty())
    unasked({.bytes = bytes, .time_ns = piece.time_ns, .starts_call = false});
  return {};
}

void Decoder::response_head(std::uint64_t time_ns, Sink& sink)
{
  const auto& head = response_.head();
  auto& request = open_.front();
  const bool tunnel = request.is_connect() && head.status / 100 == 2;
  if (head.status == 101 || tunnel) {
    const auto upgrade = head.upgrade != Upgrade::kNone ? head.upgrade : request.upgrade;
    complete(time_ns, sink);
    open_.clear();
    successor_ = tunnel ? "opaque" : successor_of(upgrade);
    return;
  }
  if (head.status < 200) {  // interim: the response is still to come
    response_.finish();
    response_first_ns_ = 0;
    return;
  }
  response_unsure_ = false;
  long_heads_ = long_heads_ || response_.head_bytes() > kLongHead;
  const bool bare = request.method == "HEAD" || head.status == 204 || head.status == 304;
  if (!bare && head.coding == Head::Coding::kChunked) {
    response_.body(Message::Body::kChunked);
  } else if (!bare && (head.coding == Head::Coding::kOther || !head.content_length)) {
    response_.body(Message::Body::kUntilClose);
  } else if (!bare && *head.content_length > 0) {
    response_.body(Message::Body::kOfLength);
  } else {
    response_.finish();
    complete(time_ns, sink);
  }
}

void Decoder::response_malformed(Sink& sink)
{
  if (response_unsure_ && !response_.has_start_line()) {
    // Not malformed, but the rest of an earlier response: its client does not wait for responses.
    pipelined_ = true;
    lose_pairing(true);
    return;
  }
  sink.malformed(response_.reason());
  if (response_.chunked())
    response_framing_lost();
  else
    lose_pairing(true);
}

void Decoder::response_framing_lost()
{
  responding_ = Responding::kEndUnknown;
  open_at_loss_ = open_.size();
}

// Takes the end of a response whose framing is lost from what the piece looks like. True when the
// piece begins the next response.
bool Decoder::next_response_begins(const Piece& piece, Sink& sink)
{
  const bool asked_next = open_.size() > open_at_loss_;
  // A client that waits for its answers would not have asked before this one's end.
  const auto begins = begins_response(piece.bytes);
  const bool next =
      piece.starts_call && begins != Match::kNo && (begins == Match::kYes || !pipelined_);
  if (asked_next ? !next : !ends_chunked(piece, after_hole_)) {
    if (asked_next)
      lose_pairing(true);  // whose bytes these are is in doubt
    return false;
  }
  complete(asked_next ? last_response_ns_ : piece.time_ns, sink);
  response_.reset();
  // Of requests that were open together, the hole may have held the responses.
  if (!open_.empty() && (pipelined_ || !asked_next || open_.size() != 1))
    lose_pairing(true);
  if (open_.empty())
    return false;
  responding_ = Responding::kFollowed;
  response_unsure_ = true;
  return true;
}

void Decoder::response_hole(std::uint64_t bytes, std::uint64_t time_ns, Sink& sink)
{
  after_hole_ = true;
  auto rest = bytes;  // that fell on framing
  if (!open_.empty() && responding_ == Responding::kFollowed) {
    const auto skipped = response_.skip(bytes);
    rest = skipped.rest;
    if (skipped.ended)
      complete(time_ns, sink);
  }
  last_response_ns_ = time_ns;
  if (rest == 0)
    return;
  long_heads_ = long_heads_ || (!open_.empty() && response_.in_head());
  if (open_.empty()) {
    answered_ = true;
    responding_ = Responding::kUnasked;
  } else if (responding_ == Responding::kEndUnknown) {
    if (open_.size() > open_at_loss_)
      lose_pairing(true);
  } else {
    const auto status = response_.head().status;
    const bool hands_over = status < 200 || (open_.front().is_connect() && status / 100 == 2);
    if (response_.has_start_line() && !(response_.in_head() && hands_over))
      response_framing_lost();
    else
      lose_pairing(true);
  }
}

void Decoder::complete(std::uint64_t last_ns, Sink& sink)
{
  auto& request = open_.front();
  last_response_ns_ = last_ns;
  if (is_early())
    early_ = std::make_unique<Early>(Early{.request = request,
                                           .status = response_.head().status,
                                           .first_ns = response_first_ns_,
                                           .last_ns = last_ns,
                                           .bytes = response_.body_bytes()});
  else
    emit(request, Exchange::End::kComplete, true, sink);
  answered_ = true;
  response_first_ns_ = 0;
  const bool last = open_.size() == 1;
  open_.pop();
  if (!last)
    return;
  reading_last_ = false;
  if (awaits_upgrade_ && swallowed_)
    lose_pairing(true);
  awaits_upgrade_ = false;
}

// Whether the response that is complete came before the end of its request's body, whose size will
// be known when it has passed or the connection ends.
bool Decoder::is_early() const
{
  return reads_back() && open_.size() == 1 && requesting_ == Requesting::kFollowed &&
         responding_ == Responding::kFollowed && response_.head().status >= 200;
}

void Decoder::emit_early(bool sizes_known, std::uint64_t time_ns, Sink& sink)
{
  if (early_ == nullptr)
    return;
  const auto early = std::move(early_);
  const auto& request = early->request;
  sink.exchange({.operation = request.method,
                 .target = request.target,
                 .status = Digits(early->status).text(),
                 .request_first_ns = request.first_ns,
                 .request_last_ns = time_ns,
                 .response_first_ns = early->first_ns,
                 .response_last_ns = early->last_ns,
                 .request_bytes = request_.body_bytes(),
                 .response_bytes = early->bytes,
                 .sizes_known = sizes_known});
}

void Decoder::emit(Request& request, Exchange::End end, bool answered, Sink& sink)
{
  const bool complete = end == Exchange::End::kComplete;
  const auto status = answered ? response_.head().status : 0;
  const bool final = status >= 200 || status == 101;
  const Digits digits(status);
  const bool upgraded = status == 101 || (request.is_connect() && status / 100 == 2);
  const bool being_read = reading_last_ && &request == &open_.back();
  sink.exchange({
      .operation = request.method,
      .target = request.target,
      .status = final ? digits.text() : std::string_view(),
      .end = end,
      .request_first_ns = request.first_ns,
      .request_last_ns = request.last_ns,
      .response_first_ns = answered && final ? response_first_ns_ : 0,
      .response_last_ns = complete ? last_response_ns_ : 0,
      .request_bytes = being_read ? request_.body_bytes() : request.bytes,
      .response_bytes = answered && final ? response_.body_bytes() : 0,
      .sizes_known = request.sizes_known && responding_ == Responding::kFollowed && !upgraded &&
                     (request.ended || !complete),
  });
}

}  // namespace sonde::http1
