// SPDX-License-Identifier: Apache-2.0
// What the table keeps of a connection that is not ignored.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "agent/protocols/connections.hpp"

namespace sonde::protocols {

// Of one thread that writes.
inline void add(std::atomic<std::uint64_t>& to, std::uint64_t n)
{
  to.store(to.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
}

struct Connections::Live final : PeerSource {
  // So many in a row, and the connection is not looked at any more.
  static constexpr std::uint32_t kEnoughClaimed = 16;

  Live(Connections& owner, std::uint32_t place, const sonde_socket_opened& opened)
      : connection(owner, place, opened), table(owner), addresses(Addresses::of(opened)),
        peer_id(opened.peer), is_unix(opened.transport == SONDE_SOCKET_UNIX)
  {
  }

  // Of TLS: what its socket is, once that is known.
  void link(const sonde_socket_opened& opened)
  {
    addresses = Addresses::of(opened);
    peer_name.clear();
    peer_known = false;
  }

  // The name of the other end's service, once that has shown up and has one.
  std::string_view peer() override
  {
    if (peer_known)
      return peer_name;
    const auto* service = is_unix ? table.service_at(table.by_id_.find(peer_id))
                                  : table.service_of_pair(addresses.swapped().key());
    if (service != nullptr) {
      peer_name = service->name;
      peer_known = true;
    } else if (peer_name.empty()) {
      peer_name =
          is_unix ? std::string("unix") : host_and_port(addresses.remote, addresses.remote_port);
    }
    return peer_name;
  }

  Connection connection;
  Connections& table;
  Addresses addresses;
  std::uint64_t peer_id;
  std::string peer_name;
  RaisedLevels raised;
  std::uint64_t exchanges = 0;
  std::uint32_t claimed = 0;  // exchanges in a row that a richer source counts
  std::uint64_t lost_bytes = 0;
  bool is_unix;
  bool peer_known = false;
  bool listed = false;  // among those that wait
};

}  // namespace sonde::protocols
