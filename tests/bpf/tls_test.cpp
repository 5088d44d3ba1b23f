// SPDX-License-Identifier: Apache-2.0
// Requests within TLS, from the library's functions to the metrics: what was sent is counted, once,
// at both ends, each of which knows the other.
#include <fmt/format.h>
#include <thread>

#include <gtest/gtest.h>

#include "tests/bpf/tls_fixture.hpp"
#include "tests/support/forked_server.hpp"
#include "tests/support/tls_pair.hpp"
#include "tests/support/worker.hpp"

namespace sonde::testing {
namespace {

enum class Waits { kOutside, kWithin };

// Answers `GET /N` with N bytes; ends when the client does. Waits for requests outside the library
// or within its read.
void serve(int fd, TlsWay way, Waits waits)
{
  TlsEnd end(fd, true, way);
  std::string input;
  if (!end.handshake())
    return;
  for (;;) {
    while (!input.contains("\r\n\r\n"))
      if ((waits == Waits::kOutside && !end.wait()) || !end.read(input))
        return;
    const auto size = static_cast<std::size_t>(std::atol(input.c_str() + 5));
    input.erase(0, input.find("\r\n\r\n") + 4);
    // A size of 1 stands for an answer that ends with the connection.
    const auto head = size == 1
                          ? std::string("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
                          : fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", size);
    if (!end.write(head + std::string(size, 'b')) || size == 1)
      return;
  }
}

class Server : public ForkedServer {
public:
  explicit Server(TlsWay way, Waits waits = Waits::kOutside)
      : ForkedServer([way, waits](int fd) { serve(fd, way, waits); })
  {
  }
};

void ask(TlsEnd& end, std::size_t size)
{
  std::string answer;
  if (!end.write(fmt::format("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", size)))
    _exit(3);
  while (!answer.contains("\r\n\r\n") || answer.size() - answer.find("\r\n\r\n") - 4 < size)
    if (!end.read(answer))
      _exit(4);
  if (size == 1 && end.read(answer))
    _exit(5);
}

class Tls : public TlsNode, public ::testing::WithParamInterface<TlsWay> {
protected:
  static constexpr std::size_t kThreads = 8;
  static constexpr std::size_t kRequests = 40;  // of each thread

  void expect_of_older_connections(const Server& server);

  void SetUp() override
  {
    TlsNode::SetUp();
    if (!IsSkipped() && !bpf::return_probes_are_safe())
      GTEST_SKIP() << "return probes are not safe here";
    tls_context();
  }
};

TEST_P(Tls, RequestsAreCountedOnceAtBothEnds)
{
  const Server server(GetParam());
  Worker client([&] {
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < kThreads; ++t)
      threads.emplace_back([&] {
        for (std::size_t i = 0; i < kRequests; i += 4) {
          TlsEnd end(server.connect(), false, GetParam());
          if (!end.handshake())
            _exit(6);
          ask(end, 10);
          ask(end, 30'000);
          ask(end, 5000);
          ask(end, 1);
        }
      });
    for (auto& thread : threads)
      thread.join();
  });
  start(server.tgid(), client.tgid());
  if (IsSkipped() || HasFatalFailure())
    return;
  client.go();
  client.wait_until_done();
  expect(kThreads * kRequests);
  client.finish();
}

// The client has its connections, and a request has passed on each, before anybody looks.
void Tls::expect_of_older_connections(const Server& server)
{
  std::array<int, 2> opened{};
  ASSERT_EQ(::pipe(opened.data()), 0);
  std::array<int, 2> resumed{};
  ASSERT_EQ(::pipe(resumed.data()), 0);
  Worker client([&] {
    std::vector<std::unique_ptr<TlsEnd>> ends;
    for (std::size_t t = 0; t < kThreads; ++t) {
      ends.push_back(std::make_unique<TlsEnd>(server.connect(), false, GetParam()));
      if (!ends.back()->handshake())
        _exit(6);
      ask(*ends.back(), 10);
    }
    char byte = 0;
    if (::write(opened[1], &byte, 1) != 1 || ::read(resumed[0], &byte, 1) != 1)
      _exit(7);
    for (std::size_t i = 0; i < kRequests; ++i)
      for (auto& end : ends) {
        // The agent has looked at the socket's bytes before the library has the first of them.
        end->rest(std::chrono::milliseconds(i == 0 ? 20 : 0));
        ask(*end, 100 + i * 300);
      }
  });
  client.go();
  char byte = 0;
  ASSERT_EQ(::read(opened[0], &byte, 1), 1);
  start(server.tgid(), client.tgid());
  ASSERT_EQ(::write(resumed[1], &byte, 1), 1);
  client.wait_until_done();
  if (!IsSkipped() && !HasFatalFailure())
    expect(kThreads * kRequests);
  client.finish();
  for (const int fd : {opened[0], opened[1], resumed[0], resumed[1]})
    ::close(fd);
}

TEST_P(Tls, RequestsOnConnectionsThatAreOlderAreCountedFromThenOn)
{
  expect_of_older_connections(Server(GetParam()));
}

class TlsWaiting : public Tls {};

TEST_P(TlsWaiting, RequestsForWhichAServerWaitsWithinTheLibraryAreCountedFromThenOn)
{
  expect_of_older_connections(Server(GetParam(), Waits::kWithin));
}

std::string name_of(const ::testing::TestParamInfo<TlsWay>& way)
{
  switch (way.param) {
  case TlsWay::kSocket:
    return "Socket";
  case TlsWay::kSocketExtended:
    return "SocketExtended";
  case TlsWay::kMemory:
    break;
  }
  return "Memory";
}

INSTANTIATE_TEST_SUITE_P(Ways,
                         Tls,
                         ::testing::Values(TlsWay::kSocket,
                                           TlsWay::kSocketExtended,
                                           TlsWay::kMemory),
                         name_of);
// What is fed from memory never waits.
INSTANTIATE_TEST_SUITE_P(Ways,
                         TlsWaiting,
                         ::testing::Values(TlsWay::kSocket, TlsWay::kSocketExtended),
                         name_of);

}  // namespace
}  // namespace sonde::testing
