// SPDX-License-Identifier: Apache-2.0
// Route templates: values in paths, configured patterns, and names that turn out to be slugs.
#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "agent/base/text.hpp"
#include "agent/protocols/routes.hpp"

namespace sonde::protocols {
namespace {

TEST(Routes, ValuesInPathsBecomePlaceholders)
{
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"/", "/"},
      {"", ""},
      {"*", "*"},
      {"no-slash", "other"},
      {"/users", "/users"},
      {"/users/17", "/users/{id}"},
      {"/users/17/orders/-4", "/users/{id}/orders/{id}"},
      {"/price/12.50", "/price/{id}"},
      {"/users/user-123", "/users/{id}"},
      {"/users/item42/x", "/users/{id}/x"},
      {"/o/0af76519-16cd-43dd-8448-eb211c80319c", "/o/{uuid}"},
      {"/o/0AF76519-16CD-43DD-8448-EB211C80319C", "/o/{uuid}"},
      {"/o/0af7651916cd43dd8448eb211c80319c", "/o/{hash}"},
      {"/commit/deadbee1", "/commit/{hash}"},
      {"/commit/12345678", "/commit/{id}"},
      {"/facade", "/facade"},
      {"/deadbeef", "/deadbeef"},
      {"/log/2026-11-26", "/log/{date}"},
      {"/log/2026-11", "/log/{date}"},
      {"/log/2026-11-26T04:00:00Z", "/log/{date}"},
      {"/log/20261126T040000Z", "/log/{date}"},
      {"/log/2026", "/log/{id}"},
      {"/api/v1/x", "/api/v1/x"},
      {"/apis/apps/v1beta2/pods", "/apis/apps/v1beta2/pods"},
      {"/v12/x", "/v12/x"},
      {"/pkg/v1.22.3", "/pkg/{version}"},
      {"/pkg/1.2.3", "/pkg/{version}"},
      {"/oauth2/token", "/oauth2/token"},
      {"/i18n/sha256", "/i18n/sha256"},
      {"/t/eyJhbGciOiJIUzI1NiIsInR5cCI6", "/t/{token}"},
      {"/t/" + std::string(60, 'a'), "/t/{token}"},
      {"/m/jane.doe@example.org", "/m/{email}"},
      {"/m/jane%40example.org", "/m/{email}"},
      {"/@jane", "/@jane"},
      {"/static/app.3f2a9c1b.js", "/static/{file}.js"},
      {"/static/img-0042.png", "/static/{file}.png"},
      {"/hls/3/playlist.m3u8", "/hls/{id}/playlist.m3u8"},
      {"/hls/3/00017.m4s", "/hls/{id}/{file}.m4s"},
      {"/static/app.js", "/static/app.js"},
      {"/static/jquery-3.6.0.min.js", "/static/{file}.js"},
      {"/.well-known/acme", "/.well-known/acme"},
      {"/a//b///c/", "/a/b/c"},
      {"/a/./b/../c", "/a/c"},
      {"/../../etc/passwd", "/etc/passwd"},
      {"/a/index.jsp;jsessionid=0A1B2C", "/a/index.jsp"},
      {"/a;v=1/b", "/a/b"},
      {"/a?b=/c", "/a"},
      {"/a#b", "/a"},
      {"/q/hello%20world", "/q/hello%20world"},
      {"/q/%zz", "/q/{token}"},
      {"/q/%", "/q/{token}"},
      {"/q/%00", "/q/{token}"},
      {"/q/%2e%2e%2f", "/q/{token}"},
      {"/q/\xff\xfe", "/q/{token}"},
      {"/q/%ff", "/q/{token}"},
      {"/q/{id}", "/q/{token}"},
      {"/q/a\"b", "/q/{token}"},
      {"/%C3%BCber-uns", "/%C3%BCber-uns"},
      {"/\xc3\xbc", "/\xc3\xbc"},
  };
  for (const auto& [path, expected] : cases)
    EXPECT_EQ(Routes().of(path), expected) << path;
}

TEST(Routes, TemplatesAreShortAndValidWhateverComes)
{
  Routes routes;
  std::mt19937 random(7663);
  for (int i = 0; i < 200'000; ++i) {
    std::string path = "/";
    for (auto n = random() % 200; n > 0; --n)
      path += random() % 4 == 0 ? '/' : static_cast<char>(random());
    const auto route = std::string(routes.of(path));
    ASSERT_LE(route.size(), 128U);
    ASSERT_FALSE(route.empty());
    ASSERT_EQ(valid_utf8(route), route);
    ASSERT_LE(routes.templates(), 300U);
  }
  EXPECT_EQ(routes.of("/" + std::string(100'000, 'x')), "/{token}");
  std::string deep;
  for (int i = 0; i < 100; ++i)
    deep += "/d";
  EXPECT_TRUE(Routes().of(deep).ends_with("/d/{rest}"));
  EXPECT_TRUE(Routes()
                  .of("/" + std::string(40, 'a') + "/" + std::string(40, 'b') + "/" +
                      std::string(40, 'c') + "/d")
                  .ends_with("/{rest}"));
}

TEST(Routes, ConfiguredPatternsComeFirst)
{
  const std::vector<std::string> patterns = {
      "/users/me", "/users/{name}", "/static/*", "/files/{path...}", "/shop/{a}/{b}/"};
  Routes routes(patterns);
  EXPECT_EQ(routes.of("/users/me"), "/users/me");
  EXPECT_EQ(routes.of("/users/alice?x=1"), "/users/{name}");
  EXPECT_EQ(routes.of("/users/17"), "/users/{name}");
  EXPECT_EQ(routes.of("/users/17/orders"), "/users/{id}/orders");
  EXPECT_EQ(routes.of("/static"), "/static/*");
  EXPECT_EQ(routes.of("/static/a/b/c.js"), "/static/*");
  EXPECT_EQ(routes.of("/files/x"), "/files/{path...}");
  EXPECT_EQ(routes.of("/shop/x/y"), "/shop/{a}/{b}/");
  EXPECT_EQ(routes.of("/shop/x"), "/shop/x");
}

// 200 routes of one service and slugs without digits, at the same place or at different ones.
class Slugs : public testing::TestWithParam<const char*> {
protected:
  static constexpr int kFixed = 200;

  std::string slug() { return GetParam() + letters(random_()) + "-" + letters(random_()); }
  static std::string fixed(int i) { return "/route-" + letters(static_cast<std::uint64_t>(i)); }

  void visit_fixed(int rounds)
  {
    for (int round = 0; round < rounds; ++round)
      for (int i = 0; i < kFixed; ++i)
        routes_.of(fixed(i));
  }
  void visit_slugs(int count)
  {
    for (int i = 0; i < count; ++i)
      seen_.emplace(routes_.of(slug()));
  }
  void expect_apart_and_folded()
  {
    for (int i = 0; i < kFixed; ++i)
      EXPECT_EQ(routes_.of(fixed(i)), fixed(i));
    const auto folded = std::string(GetParam()) + "{slug}";
    for (int i = 0; i < 1000; ++i)
      EXPECT_EQ(routes_.of(slug()), folded);
    EXPECT_LE(routes_.templates(), 300U);
    // Those that came before the fold had templates of their own.
    EXPECT_LE(seen_.size(), 260U);
    EXPECT_FALSE(seen_.contains("other"));
  }

  static std::string letters(std::uint64_t value)
  {
    std::string out;
    do {
      out += static_cast<char>('a' + value % 26);
      value /= 26;
    } while (value > 0);
    return out;
  }

  Routes routes_;
  std::mt19937 random_{7663};
  std::set<std::string> seen_;
};

TEST_P(Slugs, RoutesThatCameFirstStay)
{
  visit_fixed(2);
  visit_slugs(1'000'000);
  expect_apart_and_folded();
}

TEST_P(Slugs, RoutesThatComeAfterAMillionSlugsAreFound)
{
  visit_slugs(1'000'000);
  visit_fixed(3);
  expect_apart_and_folded();
}

TEST_P(Slugs, RoutesAmongSlugsAreFound)
{
  for (int i = 0; i < 1'000'000; ++i) {
    visit_slugs(1);
    if (i % 10 == 0)
      routes_.of(fixed(i / 10 % kFixed));
  }
  expect_apart_and_folded();
}

TEST_P(Slugs, SlugsInShuffledBatchesFoldToo)
{
  std::vector<int> order(2'000);
  for (int i = 0; i < 2'000; ++i)
    order[static_cast<std::size_t>(i)] = i % kFixed;
  std::ranges::shuffle(order, random_);
  for (const int i : order) {
    visit_slugs(static_cast<int>(random_() % 1000));
    for (int n = 0; n < 8; ++n)
      routes_.of(fixed((i + n) % kFixed));
  }
  visit_fixed(5);
  expect_apart_and_folded();
}

INSTANTIATE_TEST_SUITE_P(Places, Slugs, testing::Values("/", "/articles/"));

TEST(Routes, TwoHundredRoutesSeenOnceEachAreNotFolded)
{
  Routes routes;
  for (char a = 'a'; a <= 'j'; ++a)
    for (char b = 'a'; b <= 't'; ++b) {
      const auto path = std::string("/") + a + b;
      EXPECT_EQ(routes.of(path), path);
    }
  EXPECT_EQ(routes.of("/aa"), "/aa");
}

TEST(Routes, SlugsElsewhereDoNotFoldRoutesSeenOnce)
{
  Routes routes;
  std::vector<std::string> fixed;
  for (char a = 'a'; a <= 'j'; ++a)
    for (char b = 'a'; b <= 't'; ++b)
      fixed.push_back(std::string("/") + a + b);
  for (const auto& path : fixed)
    routes.of(path);
  for (char a = 'a'; a <= 'z'; ++a)
    for (char b = 'a'; b <= 'z'; ++b)
      for (char c = 'a'; c <= 'z'; ++c)
        EXPECT_NE(routes.of(std::string("/articles/") + a + b + c), "other");
  EXPECT_EQ(routes.of("/articles/the-last"), "/articles/{slug}");
  for (const auto& path : fixed)
    EXPECT_EQ(routes.of(path), path);
}

TEST(Routes, SlugsThatComeBackAreStillSlugs)
{
  Routes routes;
  std::set<std::string> seen;
  std::mt19937 random(1);
  for (int i = 0; i < 1'000'000; ++i) {
    std::string slug = "/p/";
    for (auto n = random() % 10'000 + 1; n > 0; n /= 10)
      slug += static_cast<char>('a' + n % 10);
    seen.emplace(routes.of(slug));
  }
  EXPECT_LE(seen.size(), 1'200U);
  EXPECT_LE(routes.templates(), 300U);
  EXPECT_FALSE(seen.contains("other"));
}

TEST(Routes, WhatFollowsASlugKeepsItsNames)
{
  Routes routes;
  std::string name = "aaaaaa";
  for (int i = 0; i < 5'000; ++i) {
    for (const auto* page : {"profile", "posts", "settings"})
      routes.of("/" + name + "/" + page);
    for (auto& c : name) {
      c = c == 'z' ? 'a' : static_cast<char>(c + 1);
      if (c != 'a')
        break;
    }
  }
  EXPECT_EQ(routes.of("/somebody/posts"), "/{slug}/posts");
  EXPECT_EQ(routes.of("/somebody/settings"), "/{slug}/settings");
  EXPECT_LE(routes.templates(), 300U);
}

TEST(Routes, WhereThereIsNoRoomItIsOther)
{
  Routes routes({}, {.templates = 3, .literals = 256, .nodes = 100});
  EXPECT_EQ(routes.of("/a"), "/a");
  EXPECT_EQ(routes.of("/b"), "/b");
  EXPECT_EQ(routes.of("/c"), "/c");
  EXPECT_EQ(routes.of("/d"), "other");
  EXPECT_EQ(routes.of("/a"), "/a");
  EXPECT_EQ(routes.templates(), 3U);
}

}  // namespace
}  // namespace sonde::protocols
