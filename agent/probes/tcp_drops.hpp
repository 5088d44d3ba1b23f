// SPDX-License-Identifier: Apache-2.0
// Why the kernel drops TCP packets: the reasons of the running kernel, by the names its BTF gives
// them. Read once, when the family starts.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "sonde/tcp.h"

struct btf;

namespace sonde::tcp {

struct DropReasons {
  struct Reason {
    std::uint32_t number;
    std::string label;  // rendered: reason="no_socket"
  };

  std::vector<Reason> counted;
  // What kfree_skb also says of packets that were not dropped, or of which nothing is known.
  std::array<bool, SONDE_TCP_DROP_REASONS> ignored{};
};

// `SKB_DROP_REASON_TCP_CSUM` is `tcp_csum`; empty for what is no reason (`SKB_CONSUMED`).
std::string drop_reason_name(std::string_view enumerator);

// Nothing counted when these types have no `enum skb_drop_reason` (before 5.17).
DropReasons drop_reasons(const btf* types);

}  // namespace sonde::tcp
