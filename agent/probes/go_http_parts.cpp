// SPDX-License-Identifier: Apache-2.0
#include "agent/probes/go_http_parts.hpp"

#include <algorithm>
#include <utility>

namespace sonde::go_http {

void Parts::joined(std::uint64_t now_ns)
{
  on_.fill(true);
  since_ns_ = pattern_ns_ = now_ns;
  fruitful_ = true;
  traffic_ = false;
}

void Parts::begins(std::uint32_t flags, std::uint64_t now_ns)
{
  if ((flags & SONDE_GO_HTTP_CLIENT) != 0) {
    on(Part::kCalling) = true;
    called_ = true;
    return;
  }
  covert_ = true;
  if (!on(Part::kServing)) {
    on(Part::kServing) = on(Part::kRouting) = on(Part::kServeMux) = true;
    since_ns_ = now_ns;
  }
}

void Parts::saw(const sonde_go_http_seen& seen, std::uint64_t now_ns)
{
  const bool plain = seen.plain != 0;
  covert_ = covert_ || seen.tls != 0 || seen.http2_plain != 0;
  called_ = called_ || seen.client_tls != 0;
  called_plain_ = called_plain_ || seen.client_plain != 0;
  copies_ = copies_ || seen.serve_mux != 0;
  const bool traffic = plain || seen.tls != 0 || seen.http2_plain != 0;
  if (traffic && !std::exchange(traffic_, true))
    since_ns_ = pattern_ns_ = now_ns;
  const bool settled = traffic_ && now_ns - since_ns_ >= kQuietNs;
  const bool known = traffic_ && now_ns - pattern_ns_ >= kQuietNs;
  // Without a request nothing is known, and nothing is paid for.
  if (settled && sockets_ && !covert_)
    on(Part::kServing) = false;
  if (called_plain_ && !called_ && now_ns - since_ns_ >= kCallingQuietNs)
    on(Part::kCalling) = false;
  if (on(Part::kLearning) && (known || !sockets_)) {
    on(Part::kLearning) = false;
    pause_ns_ = fruitful_ ? kFirstPauseNs : std::min(pause_ns_ * 2, kLongestPauseNs);
    learn_after_ns_ = now_ns + pause_ns_;
  }
  const bool asks = on(Part::kServing) || on(Part::kLearning);
  on(Part::kRouting) = asks;
  if (seen.unrouted != 0 && settled && now_ns >= copies_after_ns_) {
    copies_until_ns_ = now_ns + kGlanceNs;
    copies_after_ns_ = copies_until_ns_ + copies_pause_ns_;
    copies_pause_ns_ = std::min(copies_pause_ns_ * 2, kLongestPauseNs);
  }
  on(Part::kServeMux) =
      asks && (copies_ || !settled || on(Part::kLearning) || now_ns < copies_until_ns_);
}

void Parts::learned(std::uint64_t now_ns)
{
  pattern_ns_ = now_ns;
  fruitful_ = true;
}

void Parts::unknown_path(std::uint64_t now_ns)
{
  if (on(Part::kLearning) || now_ns < learn_after_ns_ || !sockets_)
    return;
  on(Part::kLearning) = on(Part::kRouting) = on(Part::kServeMux) = true;
  pattern_ns_ = now_ns;
  fruitful_ = false;
}

}  // namespace sonde::go_http
