// SPDX-License-Identifier: Apache-2.0
// What the agent may want of a socket, and what the tap then gives.
#include "tests/bpf/socket_wishes.hpp"

namespace sonde::tap_tests {
namespace {

TEST_P(SocketWishes, AHeadIsTheFirstBytesOfEachCallAndTheRestIsCovered)
{
  const auto stream =
      sent_pattern(sonde_socket_wish(SONDE_SOCKET_HEAD, 64, 0, false, 0), {1000, 50, 30000});
  EXPECT_EQ(stream.covered, 31'051U);
  EXPECT_EQ(stream.captured, 1U + 64 + 50 + 64);
  EXPECT_EQ(stream.bytes[1], pattern(1));
  EXPECT_EQ(stream.bytes[1 + 63], pattern(64));
  EXPECT_EQ(stream.bytes[1 + 64], '\0');
}

TEST_P(SocketWishes, ATailIsTheLastBytesOfEachCall)
{
  const auto stream = sent_pattern(sonde_socket_wish(SONDE_SOCKET_HEAD_AND_TAIL, 32, 16, false, 0),
                                   {1000, 40, 20, 30000});
  EXPECT_EQ(stream.covered, 31'061U);
  EXPECT_EQ(stream.captured, 1U + 48 + 40 + 20 + 48);
  EXPECT_EQ(stream.bytes.substr(31'061 - 16), pattern_text(31'061).substr(31'061 - 16));
}

TEST_P(SocketWishes, InFullIsEveryByteOfALargeCall)
{
  const auto stream = sent_pattern(sonde_socket_wish(SONDE_SOCKET_FULL, 0, 0, false, 0), {900'000});
  EXPECT_EQ(stream.captured, 900'001U);
  EXPECT_EQ(stream.bytes.substr(1), pattern_text(900'001).substr(1));
}

TEST_P(SocketWishes, SizesHaveNoBytesAndIgnoredSocketsNoRecords)
{
  const auto sizes =
      sent_pattern(sonde_socket_wish(SONDE_SOCKET_SIZES, 0, 0, false, 0), {1000, 2000});
  EXPECT_EQ(sizes.covered, 3001U);
  EXPECT_EQ(sizes.captured, 1U);
  EXPECT_EQ(sizes.calls, 3U);
  const auto ignored =
      sent_pattern(sonde_socket_wish(SONDE_SOCKET_IGNORE, 0, 0, false, 0), {1000, 2000});
  EXPECT_EQ(ignored.calls, 1U);
  EXPECT_FALSE(ignored.ended);
}

INSTANTIATE_TEST_SUITE_P(Calls, SocketWishes, kCases, case_name);

}  // namespace
}  // namespace sonde::tap_tests
