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
  // What takes whatever nothing else does says nothing of a path: its own pattern may be to come.
  const auto find = [&] {
    auto found = entry.router->find(method, path);
    return found.label == "/" && path != "/" ? RouterPatterns::Match{} : found;
  };
  auto found = find();
  if (found.label.empty() || found.below)
    if (const auto source = source_.lock();
        source && source->look_again(service, found.label.empty()))
      found = find();
  return found.label.empty() ? entry.routes->of(path) : found.label;
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
