// SPDX-License-Identifier: Apache-2.0
// Those who watch exchanges go by. On the event loop's thread.
#pragma once

#include <cstdint>
#include <list>

#include "agent/control/server.hpp"
#include "agent/control/tail.hpp"

namespace sonde::control {

class Tails {
public:
  bool empty() const { return tails_.empty(); }
  void add(const TailRequest& request, Client& client) { tails_.push_back({request, &client, 0}); }
  void remove(const Client& client)
  {
    tails_.remove_if([&](const Tail& tail) { return tail.client == &client; });
  }
  // `now_ns` of the monotonic clock is `wall_ns` of the day's.
  void show(const protocols::Observed& seen, std::uint64_t now_ns, std::uint64_t wall_ns);
  // Nothing more will come.
  void end(std::string_view why);

private:
  struct Tail {
    TailRequest request;
    Client* client;
    std::uint64_t lines;
  };

  std::list<Tail> tails_;
};

}  // namespace sonde::control
