// SPDX-License-Identifier: Apache-2.0
// Which pattern of a router a path was routed by, as the routers themselves decide.
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "agent/protocols/router_patterns.hpp"
#include "agent/protocols/service_routes.hpp"

namespace sonde::protocols {
namespace {

RouterPatterns patterns_of(PatternStyle style, const std::vector<std::string>& texts)
{
  RouterPatterns patterns;
  for (const auto& text : texts)
    patterns.add(style, text);
  return patterns;
}

TEST(RouterPatterns, ServeMuxTakesTheMostSpecificPattern)
{
  const auto patterns = patterns_of(PatternStyle::kServeMux,
                                    {"/",
                                     "GET /users/{id}",
                                     "POST /users/{id}",
                                     "/users/me",
                                     "GET /users/{id}/orders/{order}",
                                     "/static/",
                                     "/files/{path...}",
                                     "/exact/{$}",
                                     "example.com/host/{x}"});
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"GET /users/7", "/users/{id}"},
      {"HEAD /users/7", "/users/{id}"},
      {"DELETE /users/7", "/"},
      {"GET /users/me", "/users/me"},
      {"GET /users/7/orders/3", "/users/{id}/orders/{order}"},
      {"GET /users/7/orders", "/"},
      {"GET /users/", "/"},
      {"GET /static/", "/static/"},
      {"GET /static/a/b.css", "/static/"},
      {"GET /static", "/"},
      {"GET /files/a/b", "/files/{path...}"},
      {"GET /exact/", "/exact/{$}"},
      {"GET /exact/more", "/"},
      {"GET /host/1?query=/users/7", "/host/{x}"},
      {"GET /", "/"},
  };
  for (const auto& [request, label] : cases) {
    const auto blank = request.find(' ');
    EXPECT_EQ(patterns.match(request.substr(0, blank), request.substr(blank + 1)), label)
        << request;
  }
  EXPECT_EQ(patterns.match("GET", "no-slash"), "");
}

TEST(RouterPatterns, AnExactPatternOfServeMuxHasNothingBelowIt)
{
  const auto patterns = patterns_of(PatternStyle::kServeMux, {"/a", "GET /b/{x}"});
  EXPECT_EQ(patterns.match("GET", "/a"), "/a");
  EXPECT_EQ(patterns.match("GET", "/a/"), "");
  EXPECT_EQ(patterns.match("GET", "/b/"), "");
  EXPECT_EQ(patterns.match("PUT", "/b/1"), "");
}

TEST(RouterPatterns, OtherRoutersHaveTheirOwnSigns)
{
  const auto colons =
      patterns_of(PatternStyle::kColons, {"/users/:id", "/users/new", "/files/*path", "/slash/"});
  EXPECT_EQ(colons.match("GET", "/users/5"), "/users/:id");
  EXPECT_EQ(colons.match("GET", "/users/new"), "/users/new");
  EXPECT_EQ(colons.match("GET", "/files/a/b"), "/files/*path");
  EXPECT_EQ(colons.match("GET", "/slash/"), "/slash/");
  EXPECT_EQ(colons.match("GET", "/slash/x"), "");

  const auto braces = patterns_of(
      PatternStyle::kBraces,
      {"/users/{id:[0-9]+}", "/v{n}/api", "/a/{x:b/c}/d", "/assets/*", "/rest/{path:.*}"});
  EXPECT_EQ(braces.match("GET", "/users/5"), "/users/{id:[0-9]+}");
  EXPECT_EQ(braces.match("GET", "/v2/api"), "/v{n}/api");
  EXPECT_EQ(braces.match("GET", "/w2/api"), "");
  EXPECT_EQ(braces.match("GET", "/assets/x/y"), "/assets/*");
  EXPECT_EQ(braces.match("GET", "/rest/x/y"), "/rest/{path:.*}");

  const auto prefixes = patterns_of(PatternStyle::kPrefixes, {"/static/", "/users/{id}"});
  EXPECT_EQ(prefixes.match("GET", "/static/a/b.css"), "/static/");
  EXPECT_EQ(prefixes.match("GET", "/static"), "");
  EXPECT_EQ(prefixes.match("GET", "/users/5"), "/users/{id}");
  EXPECT_EQ(prefixes.match("GET", "/users/5/orders"), "/users/{id}");
}

TEST(RouterPatterns, WhatAnotherHandlerHadIsNoPatterns)
{
  auto patterns = patterns_of(PatternStyle::kServeMux, {"/"});
  patterns.except("GET", "/healthz");
  EXPECT_EQ(patterns.match("GET", "/healthz"), "");
  EXPECT_EQ(patterns.match("POST", "/healthz"), "/");
  EXPECT_EQ(patterns.match("GET", "/other"), "/");
}

TEST(RouterPatterns, NeitherPatternsNorExceptionsGrowWithoutBound)
{
  RouterPatterns patterns;
  for (std::size_t i = 0; i < 2 * RouterPatterns::kMost; ++i)
    patterns.add(PatternStyle::kServeMux, "/p" + std::to_string(i));
  EXPECT_EQ(patterns.size(), RouterPatterns::kMost);
  EXPECT_FALSE(patterns.add(PatternStyle::kServeMux, "GET nothing"));
  const std::string deep(4096, '/');
  EXPECT_FALSE(patterns.add(PatternStyle::kServeMux, deep));
  EXPECT_EQ(patterns.match("GET", deep), "");
}

struct Answers : PatternSource {
  bool look_again(const metrics::SeriesOwner& service, bool) override
  {
    ++asked;
    return routes->learn(service, PatternStyle::kServeMux, "GET /late/{id}");
  }
  ServiceRoutes* routes = nullptr;
  int asked = 0;
};

TEST(ServiceRoutes, ASourceIsAskedOnceAPathOfAServiceWithARouterIsUnknown)
{
  ServiceRoutes routes({"/configured/{x}"});
  const auto source = std::make_shared<Answers>();
  source->routes = &routes;
  routes.ask(source);
  const metrics::SeriesOwner with{.slot = 5, .generation = 1};
  const metrics::SeriesOwner without{.slot = 6, .generation = 1};
  EXPECT_EQ(routes.route(without, "GET", "/late/7"), "/late/{id}");
  EXPECT_EQ(source->asked, 0);
  routes.expect(with);
  EXPECT_EQ(routes.route(with, "GET", "/late/seven"), "/late/{id}");
  EXPECT_EQ(source->asked, 1);
  EXPECT_EQ(routes.route(with, "GET", "/late/eight"), "/late/{id}");
  EXPECT_EQ(routes.route(with, "GET", "/configured/a"), "/configured/{x}");
  EXPECT_EQ(source->asked, 1);
  EXPECT_EQ(routes.routed(with, "/x", "GET example.com/x/{y}"), "/x/{y}");
  // Another service in the slot has none of it.
  EXPECT_EQ(routes.route({.slot = 5, .generation = 2}, "GET", "/late/nine"), "/late/nine");
}

}  // namespace
}  // namespace sonde::protocols
