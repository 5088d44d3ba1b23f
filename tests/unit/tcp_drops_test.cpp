// SPDX-License-Identifier: Apache-2.0
// Names of drop reasons from type information, without a kernel.
#include <algorithm>
#include <memory>

#include <bpf/btf.h>
#include <gtest/gtest.h>

#include "agent/probes/tcp_drops.hpp"

namespace sonde::tcp {
namespace {

using Types = std::unique_ptr<btf, void (*)(btf*)>;

Types types_with(std::initializer_list<std::pair<const char*, int>> values)
{
  Types types(btf__new_empty(), btf__free);
  btf__add_enum(types.get(), "skb_drop_reason", 4);
  for (const auto& [name, value] : values)
    btf__add_enum_value(types.get(), name, value);
  return types;
}

TEST(TcpDrops, AReasonIsItsEnumeratorInLowerCaseWithoutThePrefix)
{
  EXPECT_EQ(drop_reason_name("SKB_DROP_REASON_TCP_CSUM"), "tcp_csum");
  EXPECT_EQ(drop_reason_name("SKB_DROP_REASON_IP_RPFILTER"), "ip_rpfilter");
}

TEST(TcpDrops, ConsumedUnspecifiedAndTheMarksOfTheEnumerationAreNoReasons)
{
  for (const auto* name : {"SKB_NOT_DROPPED_YET",
                           "SKB_CONSUMED",
                           "SKB_DROP_REASON_NOT_SPECIFIED",
                           "SKB_DROP_REASON_MAX",
                           "SKB_DROP_REASON_SUBSYS_MASK"})
    EXPECT_EQ(drop_reason_name(name), "") << name;
}

TEST(TcpDrops, NumbersAreTheRunningKernelsAndOnlyReasonsAreCounted)
{
  const auto types = types_with({{"SKB_CONSUMED", 1},
                                 {"SKB_DROP_REASON_NOT_SPECIFIED", 2},
                                 {"SKB_DROP_REASON_NO_SOCKET", 3},
                                 {"SKB_DROP_REASON_TCP_CSUM", 7},
                                 {"SKB_DROP_REASON_MAX", 8}});
  const auto reasons = drop_reasons(types.get());
  ASSERT_EQ(reasons.counted.size(), 2);
  EXPECT_EQ(reasons.counted[0].number, 3);
  EXPECT_EQ(reasons.counted[0].label, R"(reason="no_socket")");
  EXPECT_EQ(reasons.counted[1].number, 7);
  EXPECT_EQ(std::ranges::count(reasons.ignored, false), 2);
  EXPECT_FALSE(reasons.ignored[3]);
}

TEST(TcpDrops, ANumberBeyondTheRowIsLeftOut)
{
  const auto types = types_with({{"SKB_DROP_REASON_FAR", 70000}});
  EXPECT_TRUE(drop_reasons(types.get()).counted.empty());
}

TEST(TcpDrops, WithoutTypesOrWithoutTheEnumerationThereAreNone)
{
  EXPECT_TRUE(drop_reasons(nullptr).counted.empty());
  const Types empty(btf__new_empty(), btf__free);
  EXPECT_TRUE(drop_reasons(empty.get()).counted.empty());
  EXPECT_FALSE(std::ranges::count(drop_reasons(empty.get()).ignored, false));
}

}  // namespace
}  // namespace sonde::tcp
