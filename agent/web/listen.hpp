// SPDX-License-Identifier: Apache-2.0
// From a listen address to sockets that accept connections.
#pragma once

#include <string_view>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "agent/base/result.hpp"

namespace sonde::web {

// One socket for an address, dual-stack for an empty host; several for a name that has several
// addresses. Resolving a name may block.
Result<std::vector<boost::asio::ip::tcp::acceptor>> listen_on(boost::asio::io_context& io,
                                                              std::string_view text);

}  // namespace sonde::web
