// SPDX-License-Identifier: Apache-2.0
// From header blocks, ends and resets to exchanges.
#include <algorithm>
#include <fmt/format.h>

#include "agent/protocols/grpc_counted.hpp"
#include "agent/protocols/http2_decoder.hpp"

namespace sonde::http2 {

namespace {

// RFC 9113 section 7.
constexpr std::uint32_t kNoError = 0;
constexpr std::uint32_t kRefusedStream = 7;
constexpr std::uint32_t kCancel = 8;
constexpr std::uint32_t kEnhanceYourCalm = 11;
constexpr std::uint32_t kInadequateSecurity = 12;

// "HTTP to gRPC Status Code Mapping", for what did not come from a gRPC server.
grpc::Code code_of_status(std::uint16_t status)
{
  switch (status) {
  case 400:
    return grpc::kInternal;
  case 401:
    return grpc::kUnauthenticated;
  case 403:
    return grpc::kPermissionDenied;
  case 404:
    return grpc::kUnimplemented;
  case 429:
  case 502:
  case 503:
  case 504:
    return grpc::kUnavailable;
  default:
    return grpc::kUnknown;
  }
}

// "gRPC over HTTP2", Errors. Who cancels when its time is up says no more than CANCEL; the clock
// runs from a little before the head is written.
grpc::Code code_of_reset(std::uint32_t error, const Stream& stream, std::uint64_t time_ns)
{
  constexpr std::uint64_t kEarly = 2'000'000;
  switch (error) {
  case kCancel: {
    const auto took_ns = time_ns - std::min(time_ns, stream.request_first_ns);
    const bool late = stream.timeout_ns > 0 &&
                      took_ns + std::max(kEarly, stream.timeout_ns / 64) >= stream.timeout_ns;
    return late ? grpc::kDeadlineExceeded : grpc::kCanceled;
  }
  case kEnhanceYourCalm:
    return grpc::kResourceExhausted;
  case kInadequateSecurity:
    return grpc::kPermissionDenied;
  default:
    return grpc::kInternal;
  }
}

bool is_tunnel(const Stream& stream)
{
  return stream.asked && stream.method == "CONNECT" && stream.status / 100 == 2;
}

std::string_view call_status(const Stream& stream)
{
  if (stream.code)
    return grpc::code_name(*stream.code);
  if (stream.code_unknown || stream.status == 0)
    return "other";
  return grpc::code_name(code_of_status(stream.status));
}

std::string_view status_text(std::uint16_t status, fmt::basic_memory_buffer<char, 8>& buffer)
{
  if (status == 0)
    return "unknown";
  fmt::format_to(std::back_inserter(buffer), "{}", status);
  return {buffer.data(), buffer.size()};
}

}  // namespace

void Decoder::block_ended(Direction direction,
                          const Event& event,
                          std::uint64_t time_ns,
                          Sink& sink)
{
  auto& at = side(direction);
  const auto id = at.frames.frame().stream;
  read_block(at, event, true, sink);
  if (!at.block_counts)
    return;
  if (direction == Direction::kToServer)
    request_head(id, time_ns, sink);
  else
    response_head(id, time_ns, sink);
  if (at.block_ends_stream)
    stream_ended(direction, id, time_ns, sink);
}

// Or trailers, which say nothing.
void Decoder::request_head(std::uint32_t id, std::uint64_t time_ns, Sink& sink)
{
  auto& at = side(Direction::kToServer);
  auto* stream = find(id);
  const bool asks = id > last_asked_;
  if (asks) {
    last_asked_ = id;
    // Answers without a request: to what was asked before the connection was joined, or upgraded.
    if (unasked_ > 0)
      unasked_ -= std::erase_if(
          streams_, [id](const auto& one) { return one.first < id && !one.second.asked; });
  }
  if ((stream != nullptr && stream->asked) || !asks || id > go_away_)
    return;
  if (stream == nullptr) {
    if (streams_.size() >= kMostStreams) {
      sink.malformed("streams");
      return;
    }
    stream = &streams_[id];
  } else {
    --unasked_;
  }
  stream->asked = true;
  stream->method = at.fields.method();
  std::swap(stream->path, at.fields.path());
  stream->request_first_ns = at.block_ns;
  stream->request_last_ns = time_ns;
  stream->timeout_ns = at.fields.timeout_ns();
  stream->grpc = at.fields.is_grpc();
  // Perhaps trailers of a request that was not seen.
  stream->unsure = stream->method == "unknown" && stream->path.empty();
  stream->may_be_answered = !stream->answered && side(Direction::kToClient).frames.lost();
  count(*stream);
  catch_up(id, sink);
}

// Of the answer, what was seen before its request.
void Decoder::catch_up(std::uint32_t id, Sink& sink)
{
  auto& stream = streams_.at(id);
  if (stream.reset_error)
    reset(Direction::kToClient, id, *stream.reset_error, stream.response_last_ns, sink);
  else if (is_tunnel(stream))
    tunnels(id, stream.response_first_ns, sink);
  else if (stream.response_ended && !side(Direction::kToServer).block_ends_stream)
    stream_ended(Direction::kToClient, id, stream.response_last_ns, sink);
}

// What passes from here on is another protocol's.
void Decoder::tunnels(std::uint32_t id, std::uint64_t time_ns, Sink& sink)
{
  auto& stream = streams_.at(id);
  stream.unsure = true;
  emit(stream, End::kComplete, time_ns, sink);
  forget(id);
}

void Decoder::response_head(std::uint32_t id, std::uint64_t time_ns, Sink& sink)
{
  auto& at = side(Direction::kToClient);
  const auto& fields = at.fields;
  auto* stream = find_answered(id);
  if (stream == nullptr)
    return;
  if (fields.status() >= 100 && fields.status() < 200)
    return;
  if (at.block_ends_stream) {
    stream->code = fields.code(stream->response_messages.count() > 0);
    stream->code_unknown = fields.may_have_code();
  }
  const bool better = stream->status == 0 && fields.status() != 0;
  if ((stream->answered && !better) || (fields.status() == 0 && !fields.may_have_status()))
    return;
  // Trailers, perhaps, of an answer whose head was not seen.
  const bool may_be_late = stream->unsure || stream->may_be_answered;
  if (fields.status() == 0 && may_be_late && at.block_ends_stream)
    return;
  stream->answered = true;
  stream->may_be_answered = false;
  stream->status = fields.status();
  stream->response_first_ns = at.block_ns;
  if (stream->grpc == Maybe::kUnknown && fields.is_grpc() != Maybe::kUnknown)
    stream->grpc = fields.is_grpc();
  count(*stream);
  if (is_tunnel(*stream))
    tunnels(id, time_ns, sink);
}

void Decoder::stream_ended(Direction direction, std::uint32_t id, std::uint64_t time_ns, Sink& sink)
{
  auto* stream = find(id);
  if (stream == nullptr)
    return;
  if (direction == Direction::kToServer) {
    stream->request_ended = true;
    stream->request_last_ns = time_ns;
  } else {
    stream->response_ended = true;
    stream->response_last_ns = time_ns;
    count(*stream);
  }
  const bool over = stream->request_ended || stream->request_unsure || stream->is_call();
  if (!stream->asked || !stream->response_ended || !over)
    return;
  emit(*stream, End::kComplete, time_ns, sink);
  forget(id);
}

void Decoder::reset(
    Direction by, std::uint32_t id, std::uint32_t error, std::uint64_t time_ns, Sink& sink)
{
  auto* stream = by == Direction::kToClient ? find_answered(id) : find(id);
  if (stream == nullptr)
    return;
  if (!stream->asked && by == Direction::kToClient) {
    stream->reset_error = error;
    stream->response_last_ns = time_ns;
    return;
  }
  // Servers say so after a whole answer (RFC 9113 section 8.1).
  const bool answered_unseen = by == Direction::kToClient && error == kNoError &&
                               (stream->unsure || stream->may_be_answered);
  if (stream->asked && (stream->response_ended || answered_unseen)) {
    stream->code_unknown = stream->code_unknown || answered_unseen;
    emit(*stream, End::kComplete, time_ns, sink);
  } else if (stream->asked && stream->is_call()) {
    // What was refused was not looked at, and is tried again.
    if (error != kRefusedStream) {
      stream->code = code_of_reset(error, *stream, time_ns);
      emit(*stream, End::kComplete, time_ns, sink);
    }
  } else if (stream->asked) {
    const auto how = by == Direction::kToServer ? End::kClientClosed : End::kServerClosed;
    emit(*stream, how, time_ns, sink);
  }
  forget(id);
}

// Streams beyond are not looked at, and are tried again elsewhere.
void Decoder::go_away(std::uint32_t last)
{
  go_away_ = std::min(go_away_, last);
  std::vector<std::uint32_t> beyond;
  for (const auto& [id, stream] : streams_)
    if (id > go_away_ && !stream.answered)
      beyond.push_back(id);
  for (const auto id : beyond)
    forget(id);
}

void Decoder::emit(Stream& stream, End how, std::uint64_t time_ns, Sink& sink)
{
  const bool call = stream.is_call();
  fmt::basic_memory_buffer<char, 8> status;
  protocols::Exchange exchange{
      .operation = stream.method,
      .target = stream.path,
      .status = status_text(stream.status, status),
      .end = how,
      .request_first_ns = stream.request_first_ns,
      .request_last_ns = stream.request_last_ns,
      .response_first_ns = stream.response_first_ns,
      .response_last_ns = stream.response_ended ? stream.response_last_ns : time_ns,
      .request_bytes = stream.request_bytes,
      .response_bytes = stream.response_bytes,
      .sizes_known = !stream.unsure && !stream.may_be_answered,
  };
  if (call) {
    exchange.within = &grpc::protocol;
    exchange.request_messages = stream.request_messages.untold();
    exchange.response_messages = stream.response_messages.untold();
    exchange.status = how == End::kComplete ? call_status(stream) : std::string_view{};
  }
  sink.exchange(exchange);
}

void Decoder::tell_messages(Sink& sink)
{
  for (const auto id : touched_) {
    auto* stream = find(id);
    if (stream == nullptr || !stream->asked || stream->grpc != Maybe::kYes || stream->untold() == 0)
      continue;
    sink.progress({.operation = stream->method,
                   .target = stream->path,
                   .request_messages = stream->request_messages.tell(),
                   .response_messages = stream->response_messages.tell(),
                   .within = &grpc::protocol});
  }
  touched_.clear();
}

}  // namespace sonde::http2
