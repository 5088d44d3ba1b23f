// SPDX-License-Identifier: Apache-2.0
// The first line of an HTTP/1.x message (RFC 9112 sections 3 and 4): what it says, and whether
// bytes could begin with one.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "agent/protocols/protocol.hpp"

namespace sonde::http1 {

struct RequestLine {
  std::string_view method;
  std::string_view target;
  std::uint8_t minor;
};

struct StatusLine {
  std::uint16_t status;
  std::uint8_t minor;
};

// Of a line without its line end.
std::optional<RequestLine> parse_request_line(std::string_view line);
std::optional<StatusLine> parse_status_line(std::string_view line);

// Whether `bytes` begin with a request's first line, empty lines before it allowed: kYes needs all
// of it up to the line end. Of a status line the part before the reason is enough.
protocols::Match begins_request(std::string_view bytes);
protocols::Match begins_response(std::string_view bytes);
// With a whole first line, and a method of the registry.
bool begins_known_request(std::string_view bytes);

// The method as a bounded word: one of the registered, else `other`.
std::string_view bounded_method(std::string_view method);

// The path without query and fragment of an origin or absolute form, `*`, or empty for CONNECT's
// authority.
std::string_view path_of(const RequestLine& line);

}  // namespace sonde::http1
