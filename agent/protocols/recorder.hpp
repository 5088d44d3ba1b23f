// SPDX-License-Identifier: Apache-2.0
// Exchanges become series: one recorder, pointed at a connection for as long as a protocol records
// into it. Lives on the event loop's thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.hpp"
#include "agent/base/settings.hpp"
#include "agent/metrics/series_store.hpp"
#include "agent/protocols/protocol.hpp"
#include "agent/protocols/route_source.hpp"

namespace sonde::protocols {

// The other side of a connection, asked for only by families that name it.
class PeerSource {
public:
  virtual std::string_view peer() = 0;

protected:
  ~PeerSource() = default;
};

// What a connection has raised gauges by.
struct Raised {
  metrics::SeriesStore::Level level;
  std::int64_t by;
};
using RaisedLevels = std::vector<Raised>;

class SeriesRecorder final : public Recorder {
public:
  SeriesRecorder(metrics::SeriesStore& store, RouteSource& routes) : store_(store), routes_(routes)
  {
  }

  // What follows is `service`'s, which is `role` on a connection with `peer`.
  void point_at(Role role, const metrics::SeriesOwner& service, PeerSource& peer)
  {
    role_ = role;
    service_ = service;
    peer_ = &peer;
    route_ = {};
  }

  // Gauges move from what `raised` holds to what the protocol makes of `activity`, each in one
  // step: a scrape in between sees the one or the other.
  void move_levels(const Protocol& protocol, const Activity& activity, RaisedLevels& raised);
  void settle_levels(RaisedLevels& raised);

  // The label of a pattern that the service's router has; `path` may be empty.
  std::string_view routed(std::string_view path, std::string_view pattern);

  // The template that the protocol asked for last since point_at().
  std::string_view last_route() const { return route_; }

  Role role() const override { return role_; }
  std::string_view peer() const override { return peer_->peer(); }
  void count(const metrics::Desc& family, Values values, std::uint64_t n) override;
  void observe(const metrics::Desc& family, Values values, std::uint64_t value) override;
  void merge(const metrics::Desc& family,
             Values values,
             std::span<const std::uint64_t> buckets,
             std::uint64_t sum) override;
  void adjust(const metrics::Desc& family, Values values, std::int64_t by) override;
  std::string_view route(std::string_view method, std::string_view path) override;

private:
  metrics::SeriesStore& store_;
  RouteSource& routes_;
  Role role_ = Role::kServer;
  metrics::SeriesOwner service_;
  PeerSource* peer_ = nullptr;
  std::string_view route_;
  RaisedLevels* collecting_ = nullptr;
  RaisedLevels collected_;
};

// The settings of requests and of the connections they come from.
std::span<const Setting> request_settings();
// What the store of requests is made of, by those settings.
struct RequestBounds {
  metrics::Bounds durations;
  metrics::Bounds sizes;
};
Result<RequestBounds> request_bounds(const Settings& settings);
metrics::SeriesStore::Limits request_limits(const Settings& settings);

}  // namespace sonde::protocols
