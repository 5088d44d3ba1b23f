// SPDX-License-Identifier: Apache-2.0
// The web server's text parsers, by table.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/web/parse.hpp"

namespace sonde::web {
namespace {

using testing::HasSubstr;

TEST(WebParse, SplitsATargetIntoPathAndQuery)
{
  const auto target = parse_target("/a%20b?x=1&x=2&flag&&e=%3D%26#fragment");
  ASSERT_TRUE(target);
  EXPECT_EQ(target->path, "/a b");
  EXPECT_EQ(target->query, (Query{{"e", "=&"}, {"flag", ""}, {"x", "1"}, {"x", "2"}}));
}

TEST(WebParse, KeepsAPlusInThePathAndReadsItAsABlankInTheQuery)
{
  const auto target = parse_target("/a+b?c+d=e+f");
  ASSERT_TRUE(target);
  EXPECT_EQ(target->path, "/a+b");
  EXPECT_EQ(target->query.begin()->first, "c d");
  EXPECT_EQ(target->query.begin()->second, "e f");
}

TEST(WebParse, TakesTheAbsoluteForm)
{
  EXPECT_EQ(parse_target("http://node:7663/metrics?a=b")->path, "/metrics");
  EXPECT_EQ(parse_target("HTTPS://node")->path, "/");
  EXPECT_EQ(parse_target("http://node?a=b")->query.size(), 1U);
  EXPECT_EQ(parse_target("/redirect?to=http://else/where")->path, "/redirect");
}

TEST(WebParse, RefusesTargetsThatAreNeitherForm)
{
  for (const auto* text : {"",
                           "*",
                           "metrics",
                           "ftp://node/x",
                           "node:443",
                           "?a=b",
                           "/%",
                           "/%4",
                           "/%4g",
                           "/?%=1",
                           "/?a=%x1"})
    EXPECT_FALSE(parse_target(text)) << text;
}

TEST(WebParse, ReadsWhetherGzipIsWelcome)
{
  for (const auto* yes : {"gzip",
                          "GZIP",
                          "deflate, gzip",
                          "gzip;q=0.1",
                          "gzip ; q=1.000",
                          "*",
                          "br;q=1.0, *;q=0.5",
                          "identity;q=0, gzip",
                          "x-gzip",
                          "gzip;level=9;q=0.5"})
    EXPECT_TRUE(accepts_gzip(yes)) << yes;
  for (const auto* no : {"",
                         "identity",
                         "gzip;q=0",
                         "gzip; q=0.000",
                         "*, gzip;q=0",
                         "gzip;q=0, *;q=1",
                         "*;q=0",
                         "br",
                         "gzipped",
                         "gzip;q=",
                         "gzip;q=-1",
                         "gzip;q=nan",
                         ",;,;q=1"})
    EXPECT_FALSE(accepts_gzip(no)) << no;
}

TEST(WebParse, ReadsListenAddresses)
{
  EXPECT_EQ(parse_listen_address(":7663").value(), (ListenAddress{"", 7663}));
  EXPECT_EQ(parse_listen_address("127.0.0.1:0").value(), (ListenAddress{"127.0.0.1", 0}));
  EXPECT_EQ(parse_listen_address("[::1]:65535").value(), (ListenAddress{"::1", 65535}));
  EXPECT_EQ(parse_listen_address("localhost:80").value(), (ListenAddress{"localhost", 80}));
  EXPECT_EQ(parse_listen_address("[fe80::1%eth0]:1").value(), (ListenAddress{"fe80::1%eth0", 1}));
}

TEST(WebParse, RefusesListenAddressesAndSaysWhy)
{
  const auto why = [](std::string_view text) {
    return parse_listen_address(text).error().message();
  };
  EXPECT_THAT(why("7663"), HasSubstr("no port"));
  EXPECT_THAT(why(""), HasSubstr("no port"));
  EXPECT_THAT(why(":65536"), HasSubstr("0 to 65535"));
  EXPECT_THAT(why(":"), HasSubstr("0 to 65535"));
  EXPECT_THAT(why(":http"), HasSubstr("0 to 65535"));
  EXPECT_THAT(why("::1:7663"), HasSubstr("brackets"));
  EXPECT_THAT(why("[::1:7663"), HasSubstr("does not close"));
  EXPECT_THAT(why("[]:7663"), HasSubstr("does not close"));
  EXPECT_THAT(why("[localhost]:7663"), HasSubstr("IPv6"));
  EXPECT_THAT(why("a b:7663"), HasSubstr("not a name"));
  EXPECT_THAT(why(std::string_view("a\0b:7663", 8)), HasSubstr("not a name"));
}

}  // namespace
}  // namespace sonde::web
