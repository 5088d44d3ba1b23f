// SPDX-License-Identifier: Apache-2.0
// The texts a client or the command line hands to the web server: request targets, Accept-Encoding,
// listen addresses. Pure functions over untrusted bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "agent/base/result.hpp"
#include "agent/web/message.hpp"

namespace sonde::web {

struct Target {
  std::string path;
  Query query;
};

// A request target in origin form (/metrics?collect[]=cpu) or absolute form (RFC 9112 section
// 3.2); nothing when it is neither or holds a broken escape.
std::optional<Target> parse_target(std::string_view target);

// Whether gzip is welcome (RFC 9110 section 12.5.3): named, or covered by `*`, with a weight above
// zero. An absent header asks for no coding.
bool accepts_gzip(std::string_view accept_encoding);

struct ListenAddress {
  std::string host;  // empty: every address of the node; IPv6 without its brackets
  std::uint16_t port = 0;

  bool operator==(const ListenAddress&) const = default;
};

// ":7663", "127.0.0.1:7663", "[::1]:7663", "localhost:7663"; port 0 lets the kernel choose.
Result<ListenAddress> parse_listen_address(std::string_view text);

}  // namespace sonde::web
