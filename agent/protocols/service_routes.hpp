// SPDX-License-Identifier: Apache-2.0
// Route templates of every service: each learns its own. Lives on the event loop's thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "sonde/abi.h"

#include "agent/protocols/recorder.hpp"
#include "agent/protocols/routes.hpp"

namespace sonde::protocols {

class ServiceRoutes : public RouteSource {
public:
  // `patterns`: configured templates, for all services.
  explicit ServiceRoutes(std::vector<std::string> patterns) : patterns_(std::move(patterns)) {}

  std::string_view route(const metrics::SeriesOwner& service, std::string_view path) override
  {
    auto& entry = entries_.at(service.slot % SONDE_SLOTS);
    if (!entry.routes || entry.generation != service.generation) {
      entry.routes = std::make_unique<Routes>(patterns_);
      entry.generation = service.generation;
    }
    return entry.routes->of(path);
  }

private:
  // What a slot's service has learned; another service in the slot begins anew.
  struct Entry {
    std::uint16_t generation = 0;
    std::unique_ptr<Routes> routes;
  };

  std::vector<std::string> patterns_;
  std::array<Entry, SONDE_SLOTS> entries_;
};

}  // namespace sonde::protocols
