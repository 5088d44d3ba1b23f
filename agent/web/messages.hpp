// SPDX-License-Identifier: Apache-2.0
// Between Beast's messages and the server's own Request and Response.
#pragma once

#include <optional>

#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>

#include "agent/web/body.hpp"
#include "agent/web/message.hpp"

namespace sonde::web {

using Asked = boost::beast::http::request<boost::beast::http::string_body>;

// Without the peer. Nothing where the target cannot be read or HTTP/1.1 came without Host.
std::optional<Request> request_of(const Asked& asked);

// Length or chunks, coding, date and the security headers; keep-alive is left to the caller.
boost::beast::http::response<Body> message_of(Response response, const Asked& asked);

// The peer's address, IPv4 also where a dual-stack socket shows it as ::ffff:127.0.0.1.
boost::asio::ip::address address_of(const boost::asio::ip::tcp::endpoint& endpoint);

}  // namespace sonde::web
