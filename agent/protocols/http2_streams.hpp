// SPDX-License-Identifier: Apache-2.0
// The open streams of one HTTP/2 connection: a request each, with what has come of its response.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>

#include "agent/protocols/grpc_messages.hpp"
#include "agent/protocols/http2_fields.hpp"

namespace sonde::http2 {

struct Stream {
  std::string path;
  std::string_view method = "unknown";
  std::uint64_t request_first_ns = 0;
  std::uint64_t request_last_ns = 0;
  std::uint64_t response_first_ns = 0;
  std::uint64_t response_last_ns = 0;
  std::uint64_t request_bytes = 0;
  std::uint64_t response_bytes = 0;
  std::uint64_t timeout_ns = 0;
  grpc::Messages request_messages;
  grpc::Messages response_messages;
  std::uint16_t status = 0;
  std::optional<std::uint8_t> code;
  std::optional<std::uint32_t> reset_error;  // the server's, seen before the request
  Maybe grpc = Maybe::kUnknown;
  bool asked = false;     // the request's head was seen
  bool answered = false;  // the final response's head, too
  bool code_unknown = false;
  bool request_ended = false;
  bool response_ended = false;
  bool unsure = false;           // either end may have passed unseen
  bool may_be_answered = false;  // unseen, for it was asked while the other direction was lost
  bool request_unsure = false;
  bool counted = false;  // as in flight

  // Where the content type is not known, what is sent must have the form of calls.
  bool is_call() const
  {
    if (grpc != Maybe::kUnknown)
      return grpc == Maybe::kYes;
    const auto slash = path.rfind('/');
    const bool named = path.empty() || (slash != std::string::npos && slash > 0);
    return named && (method == "POST" || method == "unknown") && request_messages.count() > 0 &&
           request_messages.follows() && response_messages.follows();
  }
  std::uint64_t untold() const { return request_messages.untold() + response_messages.untold(); }
};

using Streams = std::unordered_map<std::uint32_t, Stream>;

}  // namespace sonde::http2
