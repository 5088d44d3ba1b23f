// SPDX-License-Identifier: Apache-2.0
// Which probes of one Go program are worth their hits at the moment: each costs a request 0.6 to
// 1.3 us. Where the sockets show what is served, only the patterns are wanted, and those only until
// they are known. Pure.
#pragma once

#include <array>
#include <cstdint>

#include "sonde/go_http.h"

#include "agent/probes/go_http_plan.hpp"

namespace sonde::go_http {

class Parts {
public:
  // How long nothing new must have come before a part is taken off.
  static constexpr std::uint64_t kQuietNs = 10'000'000'000;
  // The same for what is sent, of which the first by TLS would pass unseen: nothing that is sent
  // has its end so late that the probes are back by then, as what is served has.
  static constexpr std::uint64_t kCallingQuietNs = 300'000'000'000;
  // Between two times that patterns are looked for because of an unknown path, at first and at
  // most.
  static constexpr std::uint64_t kFirstPauseNs = 5'000'000'000;
  static constexpr std::uint64_t kLongestPauseNs = 600'000'000'000;

  // How long requests without a pattern have the mux looked at, in case that it knows theirs.
  static constexpr std::uint64_t kGlanceNs = 2'000'000'000;

  // `sockets`: plaintext is read there, so that it need not be counted here.
  Parts(bool sockets, std::uint64_t now_ns) : sockets_(sockets) { joined(now_ns); }

  // Another process runs the program: all is open again.
  void joined(std::uint64_t now_ns);
  // A connection has begun: SONDE_GO_HTTP_TLS and so on.
  void begins(std::uint32_t flags, std::uint64_t now_ns);
  // What requests were like since the last time.
  void saw(const sonde_go_http_seen& seen, std::uint64_t now_ns);
  // A pattern that was not known has come.
  void learned(std::uint64_t now_ns);
  // A path has come that no pattern matches.
  void unknown_path(std::uint64_t now_ns);

  bool wanted(Part part) const { return on_.at(static_cast<std::size_t>(part)); }

private:
  bool& on(Part part) { return on_.at(static_cast<std::size_t>(part)); }

  bool sockets_;
  std::array<bool, kParts> on_{};
  std::uint64_t since_ns_ = 0;    // the first request since the last process joined
  std::uint64_t pattern_ns_ = 0;  // the last new pattern, or the learning began
  std::uint64_t learn_after_ns_ = 0;
  std::uint64_t pause_ns_ = kFirstPauseNs;
  bool fruitful_ = true;  // the present learning
  bool covert_ = false;   // TLS or HTTP/2 was served
  bool called_ = false;   // requests were sent by TLS
  bool called_plain_ = false;
  bool copies_ = false;  // only the mux's copy has the pattern
  std::uint64_t copies_until_ns_ = 0;
  std::uint64_t copies_after_ns_ = 0;
  std::uint64_t copies_pause_ns_ = kFirstPauseNs;
  bool traffic_ = false;
};

}  // namespace sonde::go_http
