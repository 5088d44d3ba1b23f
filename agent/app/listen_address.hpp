// SPDX-License-Identifier: Apache-2.0
// `:7663`, `127.0.0.1:7663`, `[::1]:7663`: where the web server listens.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "agent/base/result.hpp"

namespace sonde::app {

struct ListenAddress {
  std::string host;  // an address without brackets, or a name; empty: all addresses
  std::uint16_t port = 0;
};

Result<ListenAddress> parse_listen_address(std::string_view text);

// Binds and listens on the address for a moment: an error says why a server could not.
Result<> try_to_listen(const ListenAddress& address);

}  // namespace sonde::app
