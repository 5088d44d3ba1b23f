// SPDX-License-Identifier: Apache-2.0
// Why nothing is decoded of a connection: the words of `sonde explain` and of
// sonde_uninstrumented_processes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sonde::protocols {

// The later one says more: of a process's connections it gives the process's reason.
enum class Unseen : std::uint8_t {
  kNothing,        // it is decoded
  kClaimed,        // a richer source counts what passes
  kOwn,            // the agent's own
  kNoTraffic,      // no byte has passed since it is known
  kUndecided,      // some have, and no protocol has said yes or no
  kHandedOver,     // by an upgrade or a tunnel to what nobody looks at
  kNotRecognised,  // by any protocol
  kMalformed,      // more of it was rubbish than exchanges
  kUnreadable,     // bytes pass where the tap cannot see them
  kEncrypted,      // TLS, or an encryption of the protocol's own
};

inline constexpr std::array<std::string_view, 10> kUnseenWords = {"",
                                                                  "counted_by_probes",
                                                                  "own_process",
                                                                  "no_traffic_yet",
                                                                  "undecided",
                                                                  "handed_over",
                                                                  "not_recognised",
                                                                  "malformed",
                                                                  "io_uring_or_unreadable",
                                                                  "encrypted"};

constexpr std::string_view word_of(Unseen reason)
{
  return kUnseenWords.at(static_cast<std::size_t>(reason));
}

// Whether its process is seen.
constexpr bool is_seen(Unseen reason)
{
  return reason == Unseen::kNothing || reason == Unseen::kClaimed;
}

}  // namespace sonde::protocols
