// SPDX-License-Identifier: Apache-2.0
// What must hold of every decoder, whatever its protocol: how bytes are cut does not matter, and
// bytes that are missing never make an exchange that was not there.
#pragma once

#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/conversation.hpp"

namespace sonde::test {

inline void expect_the_same_however_cut(const protocols::Protocol& protocol,
                                        const std::vector<Conversation>& conversations)
{
  std::mt19937 random(7663);
  for (const auto& conversation : conversations) {
    const auto whole = replay(protocol, conversation);
    EXPECT_EQ(replay(protocol, in_single_bytes(conversation)), whole);
    EXPECT_EQ(replay_by_appetite(protocol, conversation), whole);
    for (int i = 0; i < 300; ++i)
      ASSERT_EQ(replay(protocol, split_anywhere(conversation, random)), whole);
  }
}

// Each conversation with `holes` holes, one at a time; more than half of the exchanges must be left.
inline void expect_nothing_invented(const protocols::Protocol& protocol,
                                    const std::vector<Conversation>& conversations,
                                    int holes)
{
  std::mt19937 random(7663);
  std::size_t kept = 0;
  std::size_t possible = 0;
  for (const auto& conversation : conversations) {
    const auto whole = replay(protocol, conversation).exchanges;
    for (int i = 0; i < holes; ++i) {
      const auto holed = replay_with_hole(protocol, conversation, random).exchanges;
      ASSERT_TRUE(is_subsequence(holed, whole))
          << ::testing::PrintToString(holed) << " of " << ::testing::PrintToString(whole);
      kept += holed.size();
      possible += whole.size();
    }
  }
  EXPECT_GT(kept * 2, possible);
}

}  // namespace sonde::test
