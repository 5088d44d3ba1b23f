// SPDX-License-Identifier: Apache-2.0
// What the tests of the socket tap's records share: a known stream of bytes, calls that move it,
// and the records of a process that does.
#pragma once

#include <array>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <random>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/support/kernel.hpp"
#include "tests/support/node_fixture.hpp"
#include "tests/support/socket_tap.hpp"
#include "tests/support/worker.hpp"

namespace sonde::tap_tests {

using testing::NodeFixture;
using testing::SocketTap;
using testing::TappedSocket;
using testing::Worker;

inline constexpr std::size_t kStream = 200'000;

// The byte at a place of every test's streams: no two runs of it are alike.
inline char pattern(std::size_t at)
{
  return static_cast<char>((at * 2654435761U) >> 13);
}

inline std::string pattern_text(std::size_t length)
{
  std::string text(length, '\0');
  for (std::size_t i = 0; i < length; ++i)
    text[i] = pattern(i);
  return text;
}

enum class Call { kReadWrite, kSendRecv, kVectors, kMessages };

inline std::string_view name_of(Call call)
{
  static constexpr std::array<std::string_view, 4> kNames = {
      "ReadWrite", "SendRecv", "Vectors", "Messages"};
  return kNames.at(static_cast<std::size_t>(call));
}

// Runs of the buffer of uneven sizes, empty ones among them.
inline std::vector<iovec> vectors_of(char* data, std::size_t size)
{
  std::vector<iovec> vectors;
  for (std::size_t at = 0, step = 0; at < size; step = step * 3 + 1) {
    const auto length = std::min(size - at, step);
    vectors.push_back({data + at, length});
    at += length;
  }
  return vectors;
}

inline ssize_t transfer(Call call, int fd, char* data, std::size_t size, bool sends)
{
  switch (call) {
  case Call::kReadWrite:
    return sends ? ::write(fd, data, size) : ::read(fd, data, size);
  case Call::kSendRecv:
    return sends ? ::send(fd, data, size, MSG_NOSIGNAL) : ::recv(fd, data, size, 0);
  case Call::kVectors: {
    auto vectors = vectors_of(data, size);
    const auto count = static_cast<int>(vectors.size());
    return sends ? ::writev(fd, vectors.data(), count) : ::readv(fd, vectors.data(), count);
  }
  case Call::kMessages: {
    auto vectors = vectors_of(data, size);
    msghdr message{};
    message.msg_iov = vectors.data();
    message.msg_iovlen = vectors.size();
    return sends ? ::sendmsg(fd, &message, MSG_NOSIGNAL) : ::recvmsg(fd, &message, 0);
  }
  }
  return -1;
}

// Sends the first `size` bytes of the pattern in calls of random size.
inline void send_pattern(Call call, int fd, std::size_t size, unsigned seed)
{
  std::mt19937 random(seed);
  std::string buffer;
  for (std::size_t at = 0; at < size;) {
    buffer.resize(std::min<std::size_t>(size - at, 1 + random() % (random() % 8 ? 300 : 15'000)));
    for (std::size_t i = 0; i < buffer.size(); ++i)
      buffer[i] = pattern(at + i);
    const auto n = transfer(call, fd, buffer.data(), buffer.size(), true);
    if (n <= 0)
      _exit(3);
    at += static_cast<std::size_t>(n);
  }
}

inline void receive_all(Call call, int fd, unsigned seed)
{
  std::mt19937 random(seed);
  std::string buffer(15'000, '\0');
  for (;;) {
    const auto want = 1 + random() % (random() % 8 ? 500 : buffer.size());
    const auto n = transfer(call, fd, buffer.data(), want, false);
    if (n == 0)
      return;
    if (n < 0)
      _exit(4);
  }
}

struct Pair {
  int client;
  int server;
};

inline Pair connect_pair(int family, int protocol)
{
  const int listener = ::socket(family, SOCK_STREAM, protocol);
  sockaddr_storage address{};
  socklen_t size = sizeof(sockaddr_in6);
  if (family == AF_INET) {
    reinterpret_cast<sockaddr_in*>(&address)->sin_family = AF_INET;
    reinterpret_cast<sockaddr_in*>(&address)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    size = sizeof(sockaddr_in);
  } else {
    reinterpret_cast<sockaddr_in6*>(&address)->sin6_family = AF_INET6;
    reinterpret_cast<sockaddr_in6*>(&address)->sin6_addr = in6addr_loopback;
  }
  if (listener < 0 || ::bind(listener, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::listen(listener, 16) != 0 ||
      ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    _exit(5);
  Pair pair{};
  pair.client = ::socket(family, SOCK_STREAM, protocol);
  if (::connect(pair.client, reinterpret_cast<sockaddr*>(&address), size) != 0)
    _exit(6);
  pair.server = ::accept(listener, nullptr, nullptr);
  ::close(listener);
  return pair;
}

inline Pair connect_unix()
{
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
    _exit(7);
  return {ends[0], ends[1]};
}

// Both sides send the pattern to each other at once, each with its own calls, then close.
inline void converse(Pair pair, Call call, std::size_t size, unsigned seed)
{
  std::thread server([&] {
    std::thread sender([&] { send_pattern(call, pair.server, size / 2, seed + 1); });
    receive_all(call, pair.server, seed + 2);
    sender.join();
    ::shutdown(pair.server, SHUT_WR);
  });
  std::thread sender([&] {
    send_pattern(call, pair.client, size, seed + 3);
    ::shutdown(pair.client, SHUT_WR);
  });
  receive_all(call, pair.client, seed + 4);
  sender.join();
  server.join();
  ::close(pair.client);
  ::close(pair.server);
}

struct Case {
  const char* source;
  Call call;
};

class SocketRecords : public ::testing::TestWithParam<Case> {
protected:
  void SetUp() override
  {
    if (const auto why = testing::why_no_tap(GetParam().source); !why.empty())
      GTEST_SKIP() << why;
    auto& known = taps()[GetParam().source];
    if (known.tap == nullptr) {
      known.node = std::make_unique<NodeFixture>();
      auto started = SocketTap::start(*known.node, GetParam().source);
      ASSERT_TRUE(started) << started.error().message();
      known.tap = *std::move(started);
    }
    known.tap->begin_anew();
    node_ = known.node.get();
    tap_ = known.tap.get();
  }
  static void TearDownTestSuite() { taps().clear(); }

  // Runs it in a process of its own; all sockets that process used.
  std::vector<TappedSocket> run(const std::function<void()>& work)
  {
    Worker worker(work);
    node_->fixed().place(worker.tgid(), "talker");
    worker.go();
    worker.wait_until_done();
    const auto tgid = worker.tgid();
    worker.finish();
    return tap_->sockets_of(tgid);
  }

  void expect_whole(const TappedSocket& socket, std::size_t sent, std::size_t received)
  {
    const std::array<std::size_t, 2> sizes = {sent, received};
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      const auto& stream = socket.stream[i];
      EXPECT_EQ(stream.covered, sizes[i]) << "direction " << i;
      EXPECT_EQ(stream.captured, sizes[i]) << "direction " << i;
      EXPECT_EQ(stream.overlaps, 0U) << "direction " << i;
      EXPECT_TRUE(stream.bytes == pattern_text(sizes[i])) << "direction " << i;
    }
    EXPECT_TRUE(socket.opened.from_start);
    EXPECT_TRUE(socket.stream[SONDE_SOCKET_RECEIVED].ended);
  }

  NodeFixture* node_ = nullptr;
  SocketTap* tap_ = nullptr;

private:
  // One of each source for all tests of a suite: to load it takes longer than any of them.
  struct Tapped {
    std::unique_ptr<NodeFixture> node;
    std::unique_ptr<SocketTap> tap;
  };
  static std::map<std::string, Tapped>& taps()
  {
    static std::map<std::string, Tapped> taps;
    return taps;
  }
};

// Every call by each source, and a few of them for what the call does not change.
inline const auto kAllCases = ::testing::Values(Case{"tracepoints", Call::kReadWrite},
                                                Case{"tracepoints", Call::kSendRecv},
                                                Case{"tracepoints", Call::kVectors},
                                                Case{"tracepoints", Call::kMessages},
                                                Case{"twice", Call::kReadWrite},
                                                Case{"twice", Call::kMessages},
                                                Case{"functions", Call::kReadWrite},
                                                Case{"functions", Call::kSendRecv},
                                                Case{"functions", Call::kVectors},
                                                Case{"functions", Call::kMessages});
inline const auto kCases = ::testing::Values(Case{"tracepoints", Call::kReadWrite},
                                             Case{"tracepoints", Call::kMessages},
                                             Case{"twice", Call::kSendRecv},
                                             Case{"functions", Call::kVectors});

inline std::string case_name(const ::testing::TestParamInfo<Case>& chosen)
{
  return std::string(chosen.param.source) + std::string(name_of(chosen.param.call));
}

}  // namespace sonde::tap_tests
