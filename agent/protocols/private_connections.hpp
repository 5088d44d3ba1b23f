// SPDX-License-Identifier: Apache-2.0
// A recorder of requests for a node without the tap of sockets: a table in which there are no
// connections.
#pragma once

#include <memory>

#include "agent/protocols/connections.hpp"
#include "agent/protocols/service_routes.hpp"

namespace sonde::protocols {

class PrivateConnections {
public:
  static Result<std::unique_ptr<PrivateConnections>> create(const Host& host)
  {
    return std::make_unique<PrivateConnections>(host,
                                                SONDE_TRY(Connections::options(host.settings)));
  }
  PrivateConnections(const Host& host, Connections::Options options)
      : routes_(host.settings.texts("http.routes")),
        connections_(host.services, verdicts_, routes_, std::move(options), [](auto) {})
  {
  }

  Connections& connections() { return connections_; }

private:
  struct NoVerdicts final : Verdicts {
    void set(std::uint32_t, std::uint64_t, sonde_socket_direction, std::uint64_t) override {}
    void free(std::uint32_t, std::uint64_t) override {}
  };

  NoVerdicts verdicts_;
  ServiceRoutes routes_;
  Connections connections_;
};

}  // namespace sonde::protocols
