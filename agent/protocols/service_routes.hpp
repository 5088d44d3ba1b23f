// SPDX-License-Identifier: Apache-2.0
// Route templates of every service: configured ones, those of its own router where a probe knows
// them, else what is learned from its paths. Lives on the event loop's thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "sonde/abi.h"

#include "agent/protocols/recorder.hpp"
#include "agent/protocols/router_patterns.hpp"
#include "agent/protocols/routes.hpp"

namespace sonde::protocols {

class ServiceRoutes : public RouteSource {
public:
  // `patterns`: configured templates, for all services.
  explicit ServiceRoutes(std::vector<std::string> patterns) : patterns_(std::move(patterns)) {}

  std::string_view route(const metrics::SeriesOwner& service,
                         std::string_view method,
                         std::string_view path) override;
  std::string_view routed(const metrics::SeriesOwner& service,
                          std::string_view path,
                          std::string_view pattern) override;

  void expect(const metrics::SeriesOwner& service) override { router_of(service); }
  bool
  learn(const metrics::SeriesOwner& service, PatternStyle style, std::string_view pattern) override;
  void unrouted(const metrics::SeriesOwner& service,
                std::string_view method,
                std::string_view path) override;
  void ask(std::weak_ptr<PatternSource> source) override { source_ = std::move(source); }

private:
  // What a slot's service has learned; another service in the slot begins anew.
  struct Entry {
    std::uint16_t generation = 0;
    std::unique_ptr<Routes> routes;
    std::unique_ptr<RouterPatterns> router;
  };

  Entry& entry_of(const metrics::SeriesOwner& service);
  RouterPatterns& router_of(const metrics::SeriesOwner& service);

  std::vector<std::string> patterns_;
  std::weak_ptr<PatternSource> source_;
  std::string label_;
  std::array<Entry, SONDE_SLOTS> entries_;
};

}  // namespace sonde::protocols
