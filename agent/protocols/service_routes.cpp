// SPDX-License-Identifier: Apache-2.0
#include "agent/protocols/service_routes.hpp"

namespace sonde::protocols {

ServiceRoutes::Entry& ServiceRoutes::entry_of(const metrics::SeriesOwner& service)
{
  auto& entry = entries_.at(service.slot % SONDE_SLOTS);
  if (!entry.routes || entry.generation != service.generation) {
    entry.routes = std::make_unique<Routes>(patterns_);
    entry.router.reset();
    entry.generation = service.generation;
  }
  return entry;
}

RouterPatterns& ServiceRoutes::router_of(const metrics::SeriesOwner& service)
{
  auto& entry = entry_of(service);
  if (!entry.router)
    entry.router = std::make_unique<RouterPatterns>();
  return *entry.router;
}

std::string_view ServiceRoutes::route(const metrics::SeriesOwner& service,
                                      std::string_view method,
                                      std::string_view path)
{
  auto& entry = entry_of(service);
  if (!entry.router)
    return entry.routes->of(path);
  if (const auto configured = entry.routes->configured(path); !configured.empty())
    return configured;
  auto pattern = entry.router->match(method, path);
  if (pattern.empty())
    if (const auto source = source_.lock(); source && source->look_again(service))
      pattern = entry.router->match(method, path);
  return pattern.empty() ? entry.routes->of(path) : pattern;
}

std::string_view ServiceRoutes::routed(const metrics::SeriesOwner& service,
                                       std::string_view path,
                                       std::string_view pattern)
{
  auto& entry = entry_of(service);
  if (!path.empty())
    if (const auto configured = entry.routes->configured(path); !configured.empty())
      return configured;
  label_ = path_of_pattern(pattern);
  return label_.empty() ? entry.routes->of(path) : std::string_view(label_);
}

bool ServiceRoutes::learn(const metrics::SeriesOwner& service,
                          PatternStyle style,
                          std::string_view pattern)
{
  return router_of(service).add(style, pattern);
}

void ServiceRoutes::unrouted(const metrics::SeriesOwner& service,
                             std::string_view method,
                             std::string_view path)
{
  router_of(service).except(method, path);
}

}  // namespace sonde::protocols
