// SPDX-License-Identifier: Apache-2.0
// What the agent may want of a socket, and what the tap then gives.
#include "tests/bpf/socket_fixture.hpp"

namespace sonde::tap_tests {
namespace {

// What the agent wants of a socket, on one that is written in known calls.
class SocketWishes : public SocketRecords {
protected:
  // A socket that is announced first and then sends these calls.
  testing::TappedStream sent(std::uint64_t wish, const std::vector<std::size_t>& calls)
  {
    tap_->wish(SONDE_SOCKET_SENT, wish);
    const auto call = GetParam().call;
    const auto sockets = run([&] {
      const auto pair = connect_pair(AF_INET, 0);
      std::thread reader([&] { receive_all(Call::kSendRecv, pair.server, 5); });
      // Its announcement must have been read before the next call asks for the verdict.
      if (::write(pair.client, "x", 1) != 1)
        _exit(8);
      ::usleep(100'000);
      std::size_t at = 1;
      for (auto size : calls) {
        std::string bytes(size, '\0');
        for (auto& byte : bytes)
          byte = pattern(at++);
        const auto n = transfer(call, pair.client, bytes.data(), size, true);
        if (n != static_cast<ssize_t>(size))
          _exit(9);
      }
      ::shutdown(pair.client, SHUT_WR);
      reader.join();
    });
    for (const auto& socket : sockets)
      if (socket.opened.role == SONDE_SOCKET_ROLE_CLIENT)
        return socket.stream[SONDE_SOCKET_SENT];
    return {};
  }
};

TEST_P(SocketWishes, AHeadIsTheFirstBytesOfEachCallAndTheRestIsCovered)
{
  const auto stream =
      sent(sonde_socket_wish(SONDE_SOCKET_HEAD, 64, 0, false, 0), {1000, 50, 30000});
  EXPECT_EQ(stream.covered, 31'051U);
  EXPECT_EQ(stream.captured, 1U + 64 + 50 + 64);
  EXPECT_EQ(stream.bytes[1], pattern(1));
  EXPECT_EQ(stream.bytes[1 + 63], pattern(64));
  EXPECT_EQ(stream.bytes[1 + 64], '\0');
}

TEST_P(SocketWishes, ATailIsTheLastBytesOfEachCall)
{
  const auto stream =
      sent(sonde_socket_wish(SONDE_SOCKET_HEAD_AND_TAIL, 32, 16, false, 0), {1000, 40, 20, 30000});
  EXPECT_EQ(stream.covered, 31'061U);
  EXPECT_EQ(stream.captured, 1U + 48 + 40 + 20 + 48);
  EXPECT_EQ(stream.bytes.substr(31'061 - 16), pattern_text(31'061).substr(31'061 - 16));
}

TEST_P(SocketWishes, InFullIsEveryByteOfALargeCall)
{
  const auto stream = sent(sonde_socket_wish(SONDE_SOCKET_FULL, 0, 0, false, 0), {200'000});
  EXPECT_EQ(stream.captured, 200'001U);
  EXPECT_EQ(stream.bytes.substr(1), pattern_text(200'001).substr(1));
}

TEST_P(SocketWishes, SizesHaveNoBytesAndIgnoredSocketsNoRecords)
{
  const auto sizes = sent(sonde_socket_wish(SONDE_SOCKET_SIZES, 0, 0, false, 0), {1000, 2000});
  EXPECT_EQ(sizes.covered, 3001U);
  EXPECT_EQ(sizes.captured, 1U);
  EXPECT_EQ(sizes.calls, 3U);
  const auto ignored = sent(sonde_socket_wish(SONDE_SOCKET_IGNORE, 0, 0, false, 0), {1000, 2000});
  EXPECT_EQ(ignored.calls, 1U);
  EXPECT_FALSE(ignored.ended);
}

INSTANTIATE_TEST_SUITE_P(Calls, SocketWishes, kCases, case_name);

}  // namespace
}  // namespace sonde::tap_tests
