// SPDX-License-Identifier: Apache-2.0
// One client's connection: its requests one after the other, each read, answered and written under
// a deadline. Owned by its pending operations; all but close() runs on the connection's thread.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/serializer.hpp>
#include <boost/beast/http/string_body.hpp>

#include "agent/web/body.hpp"
#include "agent/web/connections.hpp"
#include "agent/web/router.hpp"
#include "agent/web/server.hpp"

namespace sonde::web {

// What all connections of a server share; it outlives them.
struct Serving {
  Limits limits;
  Router router;
  Connections connections{limits.connections, limits.response_bytes};
};

// `Stream` is what bytes go through: beast::tcp_stream, or a layer over one.
template <typename Stream>
class Session final : public Connection {
public:
  Session(Stream stream, Serving& serving);

  void start();
  void close() override;

private:
  using ErrorCode = boost::beast::error_code;
  using Parser = boost::beast::http::request_parser<boost::beast::http::string_body>;
  using Message = boost::beast::http::response<Body>;
  using Serializer = boost::beast::http::response_serializer<Body>;

  // A member function as completion handler; it keeps the session alive until it has run.
  template <typename Member>
  auto then(Member member);

  void await_request(std::chrono::milliseconds patience);
  void read_more();
  void on_bytes(ErrorCode error, std::size_t size);
  void begin_request();
  void parse_header();
  void on_header();
  void on_request(ErrorCode error, std::size_t);
  void on_unreadable(const ErrorCode& error);
  void respond(Response response, bool keep_alive);
  void on_written(ErrorCode error, std::size_t);
  void drain();
  void on_drained(ErrorCode error, std::size_t size);

  Stream stream_;
  Serving& serving_;
  std::string peer_;
  bool from_loopback_ = false;
  boost::beast::flat_buffer buffer_;  // may hold the beginning of the next, pipelined request
  std::optional<Parser> parser_;
  bool begun_ = false;  // a byte of the request has come
  std::size_t header_bytes_ = 0;
  std::optional<Message> message_;
  std::optional<Serializer> serializer_;
  std::size_t drained_ = 0;
};

extern template class Session<boost::beast::tcp_stream>;

}  // namespace sonde::web
