// SPDX-License-Identifier: Apache-2.0
// Where the labels of paths come from, and how what a router knows gets there. On the event loop's
// thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "agent/metrics/series_store.hpp"

namespace sonde::protocols {

// How a router writes its patterns.
enum class PatternStyle : std::uint8_t {
  kServeMux,  // net/http: [METHOD ][HOST]/a/{b}/{rest...}; a slash at the end is all below it, {$}
              // is none of it
  kPrefixes,  // gorilla's PathPrefix: /a/{b}, and all that begins like it
  kBraces,    // chi, gorilla: /a/{b}/{c:[0-9]+}, a * at the end is all below
  kColons,    // gin, echo: /a/:b/*rest
};

// A probe that learns patterns within processes.
class PatternSource {
public:
  virtual ~PatternSource() = default;
  // A path of the service has come that none of its known patterns matches (`unknown`), or one of
  // all that lies below a place, where a pattern of its own may be to come. What the source was
  // told in the meantime it is to pass on now; true when that was anything.
  virtual bool look_again(const metrics::SeriesOwner& service, bool unknown) = 0;
};

// Route templates of each service, bounded.
class RouteSource {
public:
  virtual ~RouteSource() = default;

  // Of a request as it was on the wire. Valid until the next call, as all of them.
  virtual std::string_view
  route(const metrics::SeriesOwner& service, std::string_view method, std::string_view path) = 0;
  // Of a request whose router's pattern is known; `path` may be empty.
  virtual std::string_view
  routed(const metrics::SeriesOwner& service, std::string_view path, std::string_view pattern) = 0;

  // Patterns of this service may be to come.
  virtual void expect(const metrics::SeriesOwner& service) = 0;
  // What a router of the service has; false when it was known.
  virtual bool
  learn(const metrics::SeriesOwner& service, PatternStyle style, std::string_view pattern) = 0;
  // A request for which the service's routers had no pattern.
  virtual void
  unrouted(const metrics::SeriesOwner& service, std::string_view method, std::string_view path) = 0;
  // Who is asked about unknown paths of services of which it has said something, as long as it
  // lives.
  virtual void ask(std::weak_ptr<PatternSource> source) = 0;
};

}  // namespace sonde::protocols
