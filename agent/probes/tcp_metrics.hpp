// SPDX-License-Identifier: Apache-2.0
// The tcp family's metrics: what each is, and how one scrape writes them from the kernel's rows.
#pragma once

#include <functional>
#include <optional>

#include "sonde/tcp.h"

#include "agent/metrics/bounds.hpp"
#include "agent/metrics/desc.hpp"
#include "agent/probes/probe.hpp"
#include "agent/probes/tcp_drops.hpp"

namespace sonde::tcp {

// In the order of the index in tcp_metrics.cpp.
inline constexpr metrics::Desc kMetrics[] = {
    {"node_tcp_connect_latency_seconds",
     metrics::Type::kHistogram,
     "Time from a connect's first SYN to the answer, of connects that succeeded; all services, "
     "expired ones included. Source: inet_sock_set_state."},
    {"service_tcp_connect_latency_seconds",
     metrics::Type::kHistogram,
     "Time from a connect's first SYN to the answer, of connects of the service that succeeded. "
     "Source: inet_sock_set_state.",
     "service"},
    {"node_tcp_rtt_seconds",
     metrics::Type::kHistogram,
     "The kernel's smoothed round-trip time of connections of this node, as "
     "service_tcp_rtt_seconds."},
    {"service_tcp_rtt_seconds",
     metrics::Type::kHistogram,
     "The kernel's smoothed round-trip time (srtt) of the service's connections: at a scrape, for "
     "each that had something acknowledged, at most once in 15 s, and once at close if it has "
     "changed since. Both ends of a connection within the node count.",
     "service"},
    {"service_tcp_connections_opened_total",
     metrics::Type::kCounter,
     "Connections whose handshake completed. A server's count once somebody reads from or closes "
     "them, at the latest at the next scrape; connections older than Sonde do not. Each MPTCP "
     "subflow is a connection.",
     "service role"},
    {"service_tcp_connections_closed_total",
     metrics::Type::kCounter,
     "Connections that ended: fin (orderly), reset (sent or received), timeout (the peer no longer "
     "answers). Source: inet_sock_set_state; an orderly close ends with the last "
     "acknowledgement.",
     "service role reason"},
    {"service_tcp_connect_failures_total",
     metrics::Type::kCounter,
     "Connects that the network refused, did not answer or found no way for. A connect given up "
     "by the program itself, or refused locally before a SYN was sent, is none of them.",
     "service reason"},
    {"service_tcp_connections",
     metrics::Type::kGauge,
     "TCP sockets of the service by the kernel's state, listening ones as role server; counted at "
     "each scrape over all network namespaces. time_wait and syn_recv have no owner and are "
     "left out.",
     "service role state"},
    {"service_tcp_retransmits_total",
     metrics::Type::kCounter,
     "Segments sent again, SYNs included, as TCP_INFO's total_retrans; open connections as of "
     "this scrape.",
     "service"},
    {"service_tcp_sent_bytes_total",
     metrics::Type::kCounter,
     "Payload bytes that the peer acknowledged (bytes_acked without SYN and FIN); open connections "
     "as of this scrape. Bytes of connections older than Sonde count from its start.",
     "service"},
    {"service_tcp_received_bytes_total",
     metrics::Type::kCounter,
     "Payload bytes received in order (bytes_received without FIN), read by the program or not; "
     "open connections as of this scrape.",
     "service"},
    {"service_tcp_resets_total",
     metrics::Type::kCounter,
     "RST segments of the service's sockets, its listening ones included. A refused connect is a "
     "connect failure and not in here. Source: tcp_send_reset, tcp_receive_reset.",
     "service direction"},
    {"node_tcp_drops_total",
     metrics::Type::kCounter,
     "TCP packets the kernel dropped, by its own reason (enum skb_drop_reason of this kernel, "
     "5.17 and newer; drops without a stated reason are not counted). Source: kfree_skb.",
     "reason"},
};

// What one scrape has to say. The functions answer for a service, or with nothing when its slot has
// changed hands; without `live` there is no gauge, without `drops` no drop reasons.
struct Figures {
  const metrics::Bounds& bounds;
  sonde_tcp_row node;
  std::function<std::optional<sonde_tcp_row>(const Service&)> row;
  std::function<const volatile sonde_tcp_live&(const Service&)> live;
  const DropReasons* reasons = nullptr;
  sonde_tcp_drops drops{};
};

void expose(Scrape& scrape, const Figures& figures);

}  // namespace sonde::tcp
