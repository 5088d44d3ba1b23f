// SPDX-License-Identifier: Apache-2.0
// What a node with as many services as there are slots shows, and what its kernel maps cost.
#include <algorithm>
#include <fmt/format.h>

#include <gtest/gtest.h>

#include "tests/support/kernel.hpp"
#include "tests/support/node_fixture.hpp"

#include "agent/bpf/features.hpp"
#include "agent/bpf/skeleton.hpp"
#include "agent/bpf/uprobes.hpp"

namespace sonde::testing {
namespace {

constexpr std::size_t kServices = SONDE_SLOTS - SONDE_SLOT_DYNAMIC;
// Prometheus setups refuse a whole scrape beyond their sample limit; series.max by default.
constexpr std::int64_t kLines = 40'000;
// Collectors and Sonde itself, on a large node.
constexpr std::int64_t kOtherLines = 2'000;
constexpr std::size_t kMiB = 1 << 20;

TEST(FullNode, ShowsEveryServiceUnderTheCapOfSeries)
{
  NodeFixture node;
  for (std::size_t i = 0; i < kServices; ++i)
    node.on_loop([&] { node.fixed().slot_named(fmt::format("service-{}", i)); });
  std::size_t started = 0;
  for (const auto* family : families())
    started += node.start(family->name) ? 1 : 0;
  EXPECT_GE(started, 3U);
  const auto text = node.scrape();
  std::int64_t lines = 0;
  for (std::size_t at = 0; at < text.size(); at = text.find('\n', at) + 1)
    lines += text[at] != '#' ? 1 : 0;
  EXPECT_LT(lines, kLines - kOtherLines);
  EXPECT_GT(lines, static_cast<std::int64_t>(kServices) * 50);
}

TEST(FullNode, KeepsItsMapsWithinSixteenMebibytesAndOneForEachCpu)
{
  NodeFixture node;
  node.set("socket.ring-bytes", "4Mi");  // what is chosen where pid_max is that large
  std::size_t bytes = 0;
  for (const auto* family : families()) {
    const bool needs_tap = family->name == "socket" || family->name == "tls";
    const bool needs_uprobes = family->name == "rust" || family->name == "tls" ||
                               family->name == "go_http" || family->name == "go_grpc";
    const bool cannot =
        (needs_tap && !why_no_tap("tracepoints").empty() && !why_no_tap("functions").empty()) ||
        (needs_uprobes && !bpf::choose_uprobes());
    EXPECT_EQ(node.start(family->name).has_value(), !cannot) << family->name;
  }
  // Before 6.4 the kernel says of a map that grows what it would be when full.
  const bool says_what_is_used = bpf::Features::kernel().has_function("htab_map_mem_usage");
  for (const auto& map : node.hooks().maps())
    bytes += map.bytes > 0 || !says_what_is_used ? map.bytes : bpf::charged_bytes(map.fd);
  bytes += node.maps().bytes();
  // The table of processes grows with pid_max: two bytes for each.
  constexpr std::size_t kLargestPidMax = 4'194'304;
  bytes += 2 * (kLargestPidMax - std::min<std::size_t>(node.maps().pid_max(), kLargestPidMax));
  // What families of uprobes know of connections, requests and calls came later, and has two
  // and a half mebibytes of its own, half of one for requests that the agent has to see singly.
  EXPECT_LE(bytes, 16 * kMiB + 5 * kMiB / 2 + node.maps().cpus() * kMiB);
}

}  // namespace
}  // namespace sonde::testing
