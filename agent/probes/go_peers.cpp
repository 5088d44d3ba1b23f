// SPDX-License-Identifier: Apache-2.0
#include "agent/probes/go_peers.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include <bpf/bpf.h>

#include "agent/base/clock.hpp"

namespace sonde {

namespace {

constexpr std::size_t kMostPeers = 1024;
constexpr std::uint64_t kMayShowUpNs = 2'000'000'000;

}  // namespace

sonde_go_conn go_conn_of(const elf::GoBinary& binary)
{
  constexpr std::uint16_t kNone = 0xffff;
  const auto type = [&](std::string_view name) {
    const auto found = binary.type(name);
    return found && found->pointer != 0 ? static_cast<std::uint16_t>(found->pointer & 0xfff)
                                        : kNone;
  };
  const auto local = binary.field_offset("net.netFD", "laddr");
  const auto remote = binary.field_offset("net.netFD", "raddr");
  if (!local || !remote)
    return {.tcp_conn = kNone, .tcp_address = kNone, .local = 0, .remote = 0};
  return {.tcp_conn = type("net.TCPConn"),
          .tcp_address = type("net.TCPAddr"),
          .local = static_cast<std::uint16_t>(*local),
          .remote = static_cast<std::uint16_t>(*remote)};
}

// Once it is known it stays.
bool GoPeers::find(protocols::Connections& connections, const sonde_go_remote& remote, Peer& peer)
{
  sonde_go_local local{};
  if (!peer.service.empty())
    return true;
  if (bpf_map_lookup_elem(locals_, &remote, &local) != 0)
    return false;
  protocols::Addresses ends{
      .local_port = local.port, .remote_port = remote.port, .netns = local.netns};
  std::ranges::copy(local.address, ends.local.begin());
  std::ranges::copy(remote.address, ends.remote.begin());
  peer.service = connections.service_across(ends);
  return !peer.service.empty();
}

std::optional<std::string_view> GoPeers::name(protocols::Connections& connections,
                                              std::uint32_t tgid,
                                              const char (&text)[SONDE_GO_PEER],
                                              std::uint8_t length,
                                              bool gone)
{
  auto& known = peers_[tgid];
  if (length != SONDE_GO_PEER_ADDRESS) {
    std::string_view written(text, std::min<std::size_t>(length, sizeof text));
    if (const auto scheme = written.find(":///"); scheme != std::string_view::npos)
      written.remove_prefix(scheme + 4);
    const auto same = known.find(std::string(written));
    return same != known.end() && !same->second.service.empty()
               ? std::string_view(same->second.service)
               : written;
  }
  sonde_go_remote remote{.tgid = tgid};
  std::memcpy(remote.address, text, sizeof remote.address);
  std::memcpy(&remote.port, text + sizeof remote.address, sizeof remote.port);
  std::array<std::uint8_t, 16> address;
  std::ranges::copy(remote.address, address.begin());
  address_ = protocols::host_and_port(address, remote.port);
  if (known.size() > kMostPeers)
    known.clear();
  auto& peer = known[address_];
  if (find(connections, remote, peer))
    return peer.service;
  const auto now = monotonic_ns();
  if (peer.since_ns == 0)
    peer.since_ns = now;
  if (!gone && now - peer.since_ns < kMayShowUpNs)
    return std::nullopt;
  bpf_map_delete_elem(locals_, &remote);
  return address_;
}

void GoPeers::forget(const std::unordered_set<std::uint32_t>& gone)
{
  for (const auto tgid : gone)
    peers_.erase(tgid);
}

}  // namespace sonde
