// SPDX-License-Identifier: Apache-2.0
#include "agent/probes/go_peers.hpp"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <sys/stat.h>

#include <bpf/bpf.h>

namespace sonde {

namespace {

constexpr std::size_t kMostPeers = 1024;

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

std::uint32_t GoPeers::network_of(std::uint32_t tgid)
{
  auto& known = networks_[tgid];
  struct stat status{};
  if (known == 0 && ::stat(fmt::format("/proc/{}/ns/net", tgid).c_str(), &status) == 0)
    known = static_cast<std::uint32_t>(status.st_ino);
  return known;
}

// Once it is known it stays: the agent may learn of a connection's far end later than of its calls.
std::string_view GoPeers::service(protocols::Connections& connections,
                                  const sonde_go_remote& remote,
                                  std::string& known)
{
  sonde_go_local local{};
  if (!known.empty() || bpf_map_lookup_elem(locals_, &remote, &local) != 0)
    return known;
  protocols::Addresses ends{
      .local_port = local.port, .remote_port = remote.port, .netns = network_of(remote.tgid)};
  std::ranges::copy(local.address, ends.local.begin());
  std::ranges::copy(remote.address, ends.remote.begin());
  known = connections.service_across(ends);
  if (known.empty())
    bpf_map_delete_elem(locals_, &remote);
  return known;
}

std::string_view GoPeers::name(protocols::Connections& connections,
                               std::uint32_t tgid,
                               const char (&text)[SONDE_GO_PEER],
                               std::uint8_t length)
{
  auto& known = services_[tgid];
  if (length != SONDE_GO_PEER_ADDRESS) {
    std::string_view written(text, std::min<std::size_t>(length, sizeof text));
    if (const auto scheme = written.find(":///"); scheme != std::string_view::npos)
      written.remove_prefix(scheme + 4);
    const auto same = known.find(std::string(written));
    return same != known.end() && !same->second.empty() ? std::string_view(same->second) : written;
  }
  sonde_go_remote remote{.tgid = tgid};
  std::memcpy(remote.address, text, sizeof remote.address);
  std::memcpy(&remote.port, text + sizeof remote.address, sizeof remote.port);
  std::array<std::uint8_t, 16> address;
  std::ranges::copy(remote.address, address.begin());
  address_ = protocols::host_and_port(address, remote.port);
  if (known.size() > kMostPeers)
    known.clear();
  const auto found = service(connections, remote, known[address_]);
  return found.empty() ? std::string_view(address_) : found;
}

void GoPeers::forget(const std::unordered_set<std::uint32_t>& gone)
{
  for (const auto tgid : gone) {
    services_.erase(tgid);
    networks_.erase(tgid);
  }
}

}  // namespace sonde
