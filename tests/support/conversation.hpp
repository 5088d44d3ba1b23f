// SPDX-License-Identifier: Apache-2.0
// A conversation between a client and a server, fed to a decoder as it is, in other splits, and
// with holes: whatever a protocol's tests have in common.
#pragma once

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "agent/protocols/protocol.hpp"

namespace sonde::test {

struct Turn {
  protocols::Direction direction;
  std::string bytes;  // of one write
};

using Conversation = std::vector<Turn>;

inline Turn client(std::string bytes)
{
  return {protocols::Direction::kToServer, std::move(bytes)};
}
inline Turn server(std::string bytes)
{
  return {protocols::Direction::kToClient, std::move(bytes)};
}

// What came out, one line each: "GET /a?… 200 0/12" (operation target status request/response
// bytes), "… aborted server_closed", in order; times are left out. One that is another protocol's
// than the connection's begins with its name.
struct Outcome {
  std::vector<std::string> exchanges;
  std::vector<std::string> malformed;
  std::size_t not_taken = 0;  // bytes left to a successor
  std::string successor;
  // By target: of requests and of responses. When they are told depends on how the bytes are cut.
  std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> messages = {};

  bool operator==(const Outcome&) const = default;
};

// Each turn in one piece, then the ends of both streams and the close.
Outcome replay(const protocols::Protocol& protocol,
               const Conversation& conversation,
               bool from_start = true);

// The same bytes cut anywhere, several times a turn; the order between the directions stays.
Conversation split_anywhere(const Conversation& conversation, std::mt19937& random);
Conversation in_single_bytes(const Conversation& conversation);

// Replays with a hole of random place and length in one direction.
Outcome replay_with_hole(const protocols::Protocol& protocol,
                         const Conversation& conversation,
                         std::mt19937& random);

// As the tap captures once the agent's verdict stands: skipped bytes come as holes, kHead and
// kHeadAndTail leave out the middle of each turn.
Outcome replay_by_appetite(const protocols::Protocol& protocol, const Conversation& conversation);

// True when each exchange of `fewer` is one of `all`, in the same order.
bool is_subsequence(const std::vector<std::string>& fewer, const std::vector<std::string>& all);

}  // namespace sonde::test
