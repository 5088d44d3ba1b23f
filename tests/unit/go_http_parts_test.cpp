// SPDX-License-Identifier: Apache-2.0
// Which probes of a Go program stay attached, by what its requests are like.
#include <gtest/gtest.h>

#include "agent/probes/go_http_parts.hpp"

namespace sonde::go_http {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr sonde_go_http_seen kPlain{.plain = 1};
constexpr sonde_go_http_seen kTls{.tls = 1};

TEST(GoHttpParts, AllIsAttachedAtFirst)
{
  const Parts parts(true, kSecond);
  for (std::size_t part = 0; part < kParts; ++part)
    EXPECT_TRUE(parts.wanted(static_cast<Part>(part)));
}

TEST(GoHttpParts, WherePlaintextIsAllOnlyTheWatchStays)
{
  Parts parts(true, 0);
  parts.saw(kPlain, 0);
  parts.saw(kPlain, 9 * kSecond);
  EXPECT_TRUE(parts.wanted(Part::kServing));
  parts.learned(9 * kSecond);
  parts.saw(kPlain, 11 * kSecond);
  EXPECT_FALSE(parts.wanted(Part::kServing));
  EXPECT_TRUE(parts.wanted(Part::kLearning));
  parts.saw(kPlain, 20 * kSecond);
  EXPECT_FALSE(parts.wanted(Part::kLearning));
  EXPECT_FALSE(parts.wanted(Part::kRouting));
  EXPECT_FALSE(parts.wanted(Part::kServeMux));
  EXPECT_TRUE(parts.wanted(Part::kWatching));
}

TEST(GoHttpParts, WithoutARequestNothingIsTakenOff)
{
  Parts parts(true, 0);
  parts.saw({}, 100 * kSecond);
  EXPECT_TRUE(parts.wanted(Part::kServing));
  EXPECT_TRUE(parts.wanted(Part::kLearning));
}

TEST(GoHttpParts, WhatTheSocketsDoNotShowStaysCounted)
{
  Parts parts(true, 0);
  parts.saw(kTls, 5 * kSecond);
  parts.saw(kPlain, 16 * kSecond);
  EXPECT_TRUE(parts.wanted(Part::kServing));
  EXPECT_FALSE(parts.wanted(Part::kServeMux));
  Parts alone(false, 0);
  alone.saw(kPlain, 11 * kSecond);
  EXPECT_TRUE(alone.wanted(Part::kServing));
  EXPECT_FALSE(alone.wanted(Part::kLearning));
}

TEST(GoHttpParts, AConnectionByTlsBringsCountingBack)
{
  Parts parts(true, 0);
  parts.saw(kPlain, 0);
  parts.saw(kPlain, 11 * kSecond);
  ASSERT_FALSE(parts.wanted(Part::kServing));
  parts.begins(SONDE_GO_HTTP_TLS, 20 * kSecond);
  EXPECT_TRUE(parts.wanted(Part::kServing));
  parts.saw(kPlain, 60 * kSecond);
  EXPECT_TRUE(parts.wanted(Part::kServing));
}

TEST(GoHttpParts, ClientsAreCountedWhereNothingOrTlsIsSent)
{
  Parts parts(true, 0);
  parts.saw(kPlain, 60 * kSecond);
  EXPECT_TRUE(parts.wanted(Part::kCalling));
  parts.saw({.client_plain = 1}, 359 * kSecond);
  EXPECT_TRUE(parts.wanted(Part::kCalling));
  parts.saw({.client_plain = 1}, 361 * kSecond);
  EXPECT_FALSE(parts.wanted(Part::kCalling));
  parts.begins(SONDE_GO_HTTP_CLIENT, 362 * kSecond);
  EXPECT_TRUE(parts.wanted(Part::kCalling));
  parts.saw({.client_plain = 1}, 900 * kSecond);
  EXPECT_TRUE(parts.wanted(Part::kCalling));
}

TEST(GoHttpParts, AnUnknownPathIsLookedIntoLessOftenWhenNothingComesOfIt)
{
  Parts parts(true, 0);
  parts.saw(kPlain, 0);
  parts.saw(kPlain, 11 * kSecond);
  ASSERT_FALSE(parts.wanted(Part::kLearning));
  parts.unknown_path(12 * kSecond);
  EXPECT_FALSE(parts.wanted(Part::kLearning));
  std::uint64_t now = 11 * kSecond;
  std::uint64_t wait = Parts::kFirstPauseNs;
  for (int i = 0; i < 10; ++i) {
    now += wait;
    parts.unknown_path(now);
    ASSERT_TRUE(parts.wanted(Part::kLearning)) << i;
    now += Parts::kQuietNs;
    parts.saw(kPlain, now);
    ASSERT_FALSE(parts.wanted(Part::kLearning)) << i;
    wait = std::min(2 * wait, Parts::kLongestPauseNs);
    parts.unknown_path(now + wait - 1);
    ASSERT_FALSE(parts.wanted(Part::kLearning)) << i;
  }
}

TEST(GoHttpParts, ThePatternOfACopiedRequestKeepsTheMuxProbed)
{
  Parts parts(true, 0);
  parts.saw(kTls, 0);
  parts.saw({.tls = 1, .serve_mux = 1}, 5 * kSecond);
  parts.saw(kTls, 25 * kSecond);
  EXPECT_TRUE(parts.wanted(Part::kServeMux));
}

TEST(GoHttpParts, RequestsWithoutAPatternHaveTheMuxLookedAtMoreAndMoreSeldom)
{
  constexpr sonde_go_http_seen kUnrouted{.tls = 1, .unrouted = 1};
  Parts parts(true, 0);
  parts.saw(kTls, 0);
  parts.saw(kTls, 11 * kSecond);
  std::uint64_t now = 20 * kSecond, wait = Parts::kFirstPauseNs;
  for (int i = 0; i < 10; ++i) {
    ASSERT_FALSE(parts.wanted(Part::kServeMux)) << i;
    parts.saw(kUnrouted, now);
    ASSERT_TRUE(parts.wanted(Part::kServeMux)) << i;
    now += Parts::kGlanceNs;
    parts.saw(kUnrouted, now);
    ASSERT_FALSE(parts.wanted(Part::kServeMux)) << i;
    parts.saw(kUnrouted, now + wait - 1);
    ASSERT_FALSE(parts.wanted(Part::kServeMux)) << i;
    now += wait;
    wait = std::min(2 * wait, Parts::kLongestPauseNs);
  }
  parts.saw(kUnrouted, now);
  parts.saw({.tls = 1, .serve_mux = 1}, now + kSecond);
  parts.saw(kTls, now + 100 * kSecond);
  EXPECT_TRUE(parts.wanted(Part::kServeMux));
}

TEST(GoHttpParts, TheTimeBeforeTheFirstRequestDoesNotCount)
{
  Parts parts(true, 0);
  parts.saw(kPlain, 100 * kSecond);
  EXPECT_TRUE(parts.wanted(Part::kServing));
  EXPECT_TRUE(parts.wanted(Part::kServeMux));
  parts.saw(kPlain, 109 * kSecond);
  EXPECT_TRUE(parts.wanted(Part::kServing));
  parts.saw(kPlain, 110 * kSecond);
  EXPECT_FALSE(parts.wanted(Part::kServing));
}

TEST(GoHttpParts, AnotherProcessOpensAllAgain)
{
  Parts parts(true, 0);
  parts.saw(kPlain, 11 * kSecond);
  parts.joined(12 * kSecond);
  EXPECT_TRUE(parts.wanted(Part::kServing));
  EXPECT_TRUE(parts.wanted(Part::kLearning));
}

}  // namespace
}  // namespace sonde::go_http
