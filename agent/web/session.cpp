// SPDX-License-Identifier: Apache-2.0
#include "agent/web/session.hpp"

#include <algorithm>
#include <utility>

#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/core/stream_traits.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>

#include "agent/web/messages.hpp"

namespace sonde::web {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;

namespace {

constexpr std::size_t kReadSize = 4096;
// What a client may still send after its last response before the socket is closed over it.
constexpr std::size_t kMostDrained = std::size_t{256} << 10;
constexpr std::chrono::seconds kDrainTime{1};

// The status to refuse with; 0 where nobody is left to read it.
unsigned refusal(const beast::error_code& error)
{
  static const beast::error_code example = http::error::bad_method;
  if (error == http::error::header_limit || error == http::error::buffer_overflow)
    return 431;
  if (error == http::error::body_limit)
    return 413;
  if (error == http::error::end_of_stream || error == http::error::partial_message)
    return 0;
  return error.category() == example.category() ? 400 : 0;
}

}  // namespace

template <typename Stream>
Session<Stream>::Session(Stream stream, Serving& serving)
    : Connection(serving.connections), stream_(std::move(stream)), serving_(serving),
      // Read on only while the header may still grow: it then holds no more than that.
      buffer_(serving.limits.header_bytes + kReadSize)
{
}

template <typename Stream>
template <typename Member>
auto Session<Stream>::then(Member member)
{
  auto self = std::static_pointer_cast<Session>(shared_from_this());
  return [self = std::move(self), member](const beast::error_code& error, std::size_t size) {
    (self.get()->*member)(error, size);
  };
}

template <typename Stream>
void Session<Stream>::start()
{
  auto& socket = beast::get_lowest_layer(stream_).socket();
  beast::error_code ignored;  // a connection that is gone already shows at the first read
  socket.set_option(asio::ip::tcp::no_delay(true), ignored);
  const auto peer = address_of(socket.remote_endpoint(ignored));
  from_loopback_ = !ignored && peer.is_loopback();
  peer_ = peer.to_string();
  auto self = std::static_pointer_cast<Session>(shared_from_this());
  asio::dispatch(stream_.get_executor(),
                 [self] { self->await_request(self->serving_.limits.header_timeout); });
}

template <typename Stream>
void Session<Stream>::close()
{
  asio::post(stream_.get_executor(),
             [self = shared_from_this(), this] { beast::get_lowest_layer(stream_).close(); });
}

template <typename Stream>
void Session<Stream>::await_request(std::chrono::milliseconds patience)
{
  enter_phase(Phase::kIdle);
  parser_.emplace();
  parser_->header_limit(static_cast<std::uint32_t>(serving_.limits.header_bytes));
  parser_->body_limit(serving_.limits.body_bytes);
  begun_ = false;
  header_bytes_ = 0;
  if (buffer_.size() > 0) {
    begin_request();
    return;
  }
  beast::get_lowest_layer(stream_).expires_after(patience);
  read_more();
}

template <typename Stream>
void Session<Stream>::read_more()
{
  stream_.async_read_some(buffer_.prepare(kReadSize), then(&Session::on_bytes));
}

template <typename Stream>
void Session<Stream>::on_bytes(ErrorCode error, std::size_t size)
{
  if (error)
    return;
  buffer_.commit(size);
  if (begun_)
    parse_header();
  else
    begin_request();
}

// The deadline is set once for the whole request, so that a byte now and then does not extend it.
template <typename Stream>
void Session<Stream>::begin_request()
{
  begun_ = true;
  enter_phase(Phase::kReading);
  beast::get_lowest_layer(stream_).expires_after(serving_.limits.header_timeout);
  parse_header();
}

// Beast's own limit counts each header line afresh; here the whole header has one.
template <typename Stream>
void Session<Stream>::parse_header()
{
  ErrorCode error;
  const auto used = parser_->put(buffer_.data(), error);
  buffer_.consume(used);
  header_bytes_ += used;
  if (error && error != http::error::need_more) {
    on_unreadable(error);
    return;
  }
  const auto unparsed = parser_->is_header_done() ? 0 : buffer_.size();
  if (header_bytes_ + unparsed > serving_.limits.header_bytes)
    on_unreadable(http::error::header_limit);
  else if (parser_->is_header_done())
    on_header();
  else
    read_more();
}

template <typename Stream>
void Session<Stream>::on_header()
{
  // Bodies are small here: a client that asks before sending one may as well not (RFC 9110
  // section 10.1.1 lets it repeat the request without Expect).
  if (parser_->get().count(http::field::expect) > 0) {
    respond(plain(417, "expectation failed"), false);
    return;
  }
  if (parser_->is_done())
    on_request({}, 0);
  else
    http::async_read(stream_, buffer_, *parser_, then(&Session::on_request));
}

template <typename Stream>
void Session<Stream>::on_request(ErrorCode error, std::size_t)
{
  if (error) {
    on_unreadable(error);
    return;
  }
  enter_phase(Phase::kHandling);
  auto request = request_of(parser_->get());
  if (!request) {
    respond(plain(400, "bad request"), false);
    return;
  }
  request->peer = peer_;
  request->from_loopback = from_loopback_;
  const bool keep_alive = parser_->keep_alive();
  respond(serving_.router.answer(*request), keep_alive);
}

template <typename Stream>
void Session<Stream>::on_unreadable(const ErrorCode& error)
{
  const auto status = refusal(error);
  if (status != 0)
    respond(plain(status, status == 400 ? "bad request" : "request too large"), false);
}

template <typename Stream>
void Session<Stream>::respond(Response response, bool keep_alive)
{
  const auto& asked = parser_->get();
  const bool head = asked.method() == http::verb::head;
  message_.emplace(message_of(std::move(response), asked));
  message_->keep_alive(keep_alive);
  serializer_.emplace(*message_);
  beast::get_lowest_layer(stream_).expires_after(serving_.limits.write_timeout);
  enter_phase(Phase::kWriting, message_->body().text.size());
  if (head)
    http::async_write_header(stream_, *serializer_, then(&Session::on_written));
  else
    http::async_write(stream_, *serializer_, then(&Session::on_written));
}

template <typename Stream>
void Session<Stream>::on_written(ErrorCode error, std::size_t)
{
  const bool keep_alive = message_->keep_alive();
  serializer_.reset();
  message_.reset();
  if (error)
    return;
  if (keep_alive) {
    await_request(serving_.limits.idle_timeout);
    return;
  }
  enter_phase(Phase::kIdle);
  beast::get_lowest_layer(stream_).expires_after(kDrainTime);
  beast::error_code ignored;
  beast::get_lowest_layer(stream_).socket().shutdown(asio::socket_base::shutdown_send, ignored);
  drain();
}

// Closing over unread bytes sends a reset, which may overtake the response (RFC 9112 section 9.6).
template <typename Stream>
void Session<Stream>::drain()
{
  buffer_.consume(buffer_.size());
  stream_.async_read_some(buffer_.prepare(kReadSize), then(&Session::on_drained));
}

template <typename Stream>
void Session<Stream>::on_drained(ErrorCode error, std::size_t size)
{
  drained_ += size;
  if (!error && drained_ < kMostDrained)
    drain();
}

template class Session<beast::tcp_stream>;

}  // namespace sonde::web
