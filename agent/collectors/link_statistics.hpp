// SPDX-License-Identifier: Apache-2.0
// Counters of network devices: from the kernel by rtnetlink, or from the text of /proc/net/dev.
// Owned by the netdev collector.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.hpp"
#include "agent/base/unique_fd.hpp"

namespace sonde {

// The members of struct rtnl_link_stats64 (linux/if_link.h) up to nohandler, in its order.
enum class LinkCounter : std::uint8_t {
  kRxPackets,
  kTxPackets,
  kRxBytes,
  kTxBytes,
  kRxErrors,
  kTxErrors,
  kRxDropped,
  kTxDropped,
  kMulticast,
  kCollisions,
  kRxLengthErrors,
  kRxOverErrors,
  kRxCrcErrors,
  kRxFrameErrors,
  kRxFifoErrors,
  kRxMissedErrors,
  kTxAbortedErrors,
  kTxCarrierErrors,
  kTxFifoErrors,
  kTxHeartbeatErrors,
  kTxWindowErrors,
  kRxCompressed,
  kTxCompressed,
  kRxNohandler,
};
inline constexpr std::size_t kLinkCounters = 24;

struct LinkStatistics {
  std::string name;
  std::array<std::uint64_t, kLinkCounters> counters{};

  std::uint64_t operator[](LinkCounter counter) const
  {
    return counters[static_cast<std::size_t>(counter)];
  }
};

// A datagram of answers to RTM_GETLINK. `sequence`: of the question; others' answers are skipped.
// Says whether it held the end of the dump.
Result<bool> parse_links(std::span<const std::byte> datagram,
                         std::uint32_t sequence,
                         std::vector<LinkStatistics>& links);

// A line of /proc/net/dev: 8 columns received, 8 sent.
struct DeviceLine {
  std::string_view name;  // points into the text
  std::array<std::uint64_t, 16> columns{};
};
Result<std::vector<DeviceLine>> parse_devices(std::string_view text,
                                              const std::filesystem::path& path);

// A route socket in Sonde's own network namespace, kept open.
class LinkSocket {
public:
  Result<std::vector<LinkStatistics>> read();

private:
  Result<std::vector<LinkStatistics>> dump();

  UniqueFd fd_;
  std::uint32_t sequence_ = 0;
  std::vector<std::byte> buffer_;
};

}  // namespace sonde
