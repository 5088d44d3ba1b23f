// SPDX-License-Identifier: Apache-2.0
// Conversations of HTTP/2 and gRPC as real clients and servers have them.
#pragma once

#include <vector>

#include "tests/support/http2_text.hpp"

namespace sonde::test::h2 {

// Of the days of priorities: requests in one burst, answers interleaved.
Conversation browser();
// Uploads, trailers, heads in several frames, interim answers, tables that change their size.
Conversation uploads();
// Pushes, resets, tunnels, the end of a connection.
Conversation unusual();
// Each is answered before its request has ended, or at once.
Conversation quickly_answered();
std::vector<Conversation> http_conversations();

// Head, message and end in frames of their own.
Conversation unary_calls();
// Messages of both directions, over the borders of frames and several in one, compressed ones too.
Conversation streaming_calls();
// Calls beside requests that are none.
Conversation calls_and_requests();
std::vector<Conversation> call_conversations();

}  // namespace sonde::test::h2
