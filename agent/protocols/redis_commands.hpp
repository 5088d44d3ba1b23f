// SPDX-License-Identifier: Apache-2.0
// The names of Redis' commands, and which of them are answered in a way of their own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sonde::redis {

inline constexpr std::size_t kLongestName = 24;

enum class Answer : std::uint8_t {
  kOne,          // one reply
  kClient,       // CLIENT, whose REPLY switches replies off and on
  kSubscribe,    // one confirmation per channel
  kUnsubscribe,  // the same, or as many as there are subscriptions
  kHello,        // its reply's type tells the version of the protocol
  kReset,        // puts the connection back to its beginning
  kTakeover,     // from its answer on, the connection carries something else
};

// What subscriptions are counted by: channels, patterns, shard channels.
enum class Channels : std::uint8_t { kPlain, kPattern, kShard };

struct Command {
  std::string_view name;
  Answer answer = Answer::kOne;
  Channels channels = Channels::kPlain;
};

using CommandId = std::uint16_t;

// By name in upper case; an unknown one is `other`.
CommandId command_id(std::string_view upper_case_name);
const Command& command(CommandId id);
bool is_known(CommandId id);

}  // namespace sonde::redis
