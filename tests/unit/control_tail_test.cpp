// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/socket_records.hpp"

#include "agent/base/text.hpp"
#include "agent/control/explanation.hpp"
#include "agent/control/fields.hpp"
#include "agent/control/tail.hpp"

namespace sonde::control {
namespace {

using protocols::Exchange;
using protocols::Observed;
using protocols::Role;
using ::testing::HasSubstr;
using ::testing::Not;

const protocols::Protocol* protocol_named(std::string_view name)
{
  for (const auto* protocol : protocols::protocols())
    if (protocol->name == name)
      return protocol;
  return nullptr;
}

struct Seen {
  Service service{.slot = 9, .generation = 1, .name = "shop api", .labels = ""};
  Exchange exchange{.operation = "GET",
                    .target = "/users/hunter2",
                    .status = "503",
                    .request_first_ns = 1'000'000,
                    .response_last_ns = 3'500'000,
                    .request_bytes = 3,
                    .response_bytes = 512};
  std::string_view protocol = "http1";
  Role role = Role::kServer;
  std::string_view peer;
  std::string_view route = "/users/{id}";

  Observed observed() const
  {
    return {*protocol_named(protocol), role, service, peer, route, exchange};
  }
};

constexpr std::uint64_t kWall = 1'795'668'329'123'456'789;

TEST(Tail, ALineHasTheTemplateAndNeverThePath)
{
  const Seen seen;
  EXPECT_EQ(
      tail_text(seen.observed(), kWall),
      utc_text(kWall).substr(11, 12) +
          " http1      server shop api         -                     GET      /users/{id} 503 "
          "2.50ms 3/512");
  EXPECT_EQ(tail_json(seen.observed(), kWall),
            R"({"time":")" + utc_text(kWall) +
                R"(","protocol":"http1","role":"server","service":"shop api","peer":"",)"
                R"("operation":"GET","target":"/users/{id}","status":"503","seconds":0.002500000,)"
                R"("request_bytes":3,"response_bytes":512})");
}

TEST(Tail, ATargetIsShownOnlyWhereItIsAName)
{
  Seen seen;
  seen.route = {};
  EXPECT_THAT(tail_text(seen.observed(), kWall), Not(HasSubstr("hunter2")));
  seen.protocol = "redis";
  EXPECT_THAT(tail_text(seen.observed(), kWall), Not(HasSubstr("hunter2")));
  EXPECT_THAT(tail_json(seen.observed(), kWall), Not(HasSubstr("hunter2")));
  seen.protocol = "postgresql";
  seen.exchange.target = "orders";
  EXPECT_THAT(tail_text(seen.observed(), kWall), HasSubstr(" orders "));
}

TEST(Tail, WhatWasBrokenOffSaysByWhom)
{
  Seen seen;
  seen.exchange.end = Exchange::End::kClientClosed;
  seen.exchange.status = {};
  seen.exchange.response_last_ns = 0;
  seen.exchange.sizes_known = false;
  EXPECT_THAT(tail_text(seen.observed(), kWall), HasSubstr(" client_closed - -"));
  EXPECT_THAT(tail_json(seen.observed(), kWall), HasSubstr(R"("aborted":"client_closed"})"));
}

TEST(Tail, NothingThatATerminalObeysIsInALine)
{
  Seen seen;
  seen.service.name = "a\x1b[31m\nb\xc2\x9b"
                      "c\xff";
  EXPECT_THAT(tail_text(seen.observed(), kWall), HasSubstr("a [31m b  c\xef\xbf\xbd"));
  EXPECT_THAT(tail_text(seen.observed(), kWall), Not(HasSubstr("\n")));
}

TEST(Tail, FiltersByProtocolServiceAndStatus)
{
  Seen seen;
  EXPECT_TRUE(matches({}, seen.observed()));
  EXPECT_TRUE(matches({.protocol = "http"}, seen.observed()));
  EXPECT_TRUE(matches({.protocol = "http1"}, seen.observed()));
  EXPECT_FALSE(matches({.protocol = "sql"}, seen.observed()));
  EXPECT_TRUE(matches({.service = "shop api"}, seen.observed()));
  EXPECT_FALSE(matches({.service = "shop"}, seen.observed()));
  EXPECT_TRUE(matches({.status = "5xx"}, seen.observed()));
  EXPECT_TRUE(matches({.status = "503"}, seen.observed()));
  EXPECT_FALSE(matches({.status = "4xx"}, seen.observed()));
  EXPECT_FALSE(matches({.status = "50"}, seen.observed()));
  seen.exchange.status = "53100";  // a SQLSTATE is no class of 5xx
  EXPECT_FALSE(matches({.status = "5xx"}, seen.observed()));
}

TEST(Tail, ARequestComesBackAsItWas)
{
  const TailRequest request{
      .protocol = "sql", .service = "shop api", .status = "5xx", .limit = 7, .json = true};
  EXPECT_EQ(read_tail(to_line(request)).value(), request);
  EXPECT_EQ(read_tail(to_line({})).value(), TailRequest{});
  EXPECT_FALSE(read_tail(""));
  EXPECT_FALSE(read_tail("a\tb\tc\tmany\ttext"));
  EXPECT_FALSE(read_tail("a\tb\tc\t1\ttext\tmore"));
  EXPECT_TRUE(accept(request, protocols::protocols()));
  const auto unknown = accept({.protocol = "gopher"}, protocols::protocols());
  ASSERT_FALSE(unknown);
  EXPECT_THAT(unknown.error().message(), HasSubstr("\"gopher\" is none of http, http1"));
}

TEST(Explanation, ComesBackAsItWas)
{
  Explanation sent{.attached = true,
                   .processes = {{.tgid = 7, .service = "a\tb", .named_by = "its container"}},
                   .connections = {{.tgid = 7,
                                    .pair = ~std::uint64_t{0},
                                    .role = "server",
                                    .protocol = "ignored",
                                    .reason = "encrypted",
                                    .captured = "nothing/nothing",
                                    .exchanges = 4,
                                    .lost_bytes = 5}},
                   .more_connections = 6};
  Explanation read;
  for (const auto& line : to_lines(sent))
    EXPECT_TRUE(read_line(line, read)) << line;
  EXPECT_FALSE(read_line("weather\tfine", read));
  EXPECT_TRUE(read.attached);
  EXPECT_EQ(read.processes.at(0).service, "a b");
  EXPECT_EQ(read.processes.at(0).named_by, "its container");
  EXPECT_EQ(read.connections.at(0).pair, ~std::uint64_t{0});
  EXPECT_EQ(read.connections.at(0).reason, "encrypted");
  EXPECT_EQ(read.connections.at(0).lost_bytes, 5U);
  EXPECT_EQ(read.more_connections, 6U);
  EXPECT_EQ(to_lines(read), to_lines(sent));
}

}  // namespace
}  // namespace sonde::control
