// SPDX-License-Identifier: Apache-2.0
// The socket family from the tap to the metrics: requests that were sent are requests that are
// counted, by each way to see them.
#include <array>
#include <fmt/format.h>
#include <poll.h>
#include <thread>

#include <gtest/gtest.h>

#include "tests/bpf/socket_fixture.hpp"
#include "tests/support/forked_server.hpp"

namespace sonde::tap_tests {
namespace {

// Answers `GET /N` with N bytes and `POST` with 204 (its body is read); a path of /missing is 404.
// One thread a connection; ends with the listener's process.
// `polls`: waits for input in poll(2), as servers with an event loop do, not in read(2).
void serve_connection(int fd, bool polls)
{
  std::string input;
  std::array<char, 4096> buffer{};
  for (;;) {
    auto end = input.find("\r\n\r\n");
    while (end == std::string::npos) {
      pollfd readable{.fd = fd, .events = POLLIN, .revents = 0};
      if (polls && ::poll(&readable, 1, -1) != 1)
        _exit(19);
      const auto n = ::read(fd, buffer.data(), buffer.size());
      if (n <= 0) {
        ::close(fd);
        return;
      }
      input.append(buffer.data(), static_cast<std::size_t>(n));
      end = input.find("\r\n\r\n");
    }
    const bool post = input.starts_with("POST");
    const bool missing = input.starts_with("GET /missing");
    const auto number = static_cast<std::size_t>(std::atol(input.c_str() + (post ? 6 : 5)));
    input.erase(0, end + 4);
    while (post && input.size() < number) {
      const auto n = ::read(fd, buffer.data(), buffer.size());
      if (n <= 0)
        _exit(20);
      input.append(buffer.data(), static_cast<std::size_t>(n));
    }
    if (post)
      input.erase(0, number);
    std::string answer;
    if (post)
      answer = "HTTP/1.1 204 No Content\r\n\r\n";
    else if (missing)
      answer = "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone";
    else
      answer = fmt::format(
          "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", number, std::string(number, 'b'));
    for (std::size_t at = 0; at < answer.size();) {
      const auto n = ::send(fd, answer.data() + at, answer.size() - at, MSG_NOSIGNAL);
      if (n <= 0)
        _exit(21);
      at += static_cast<std::size_t>(n);
    }
  }
}

class WebServer : public testing::ForkedServer {
public:
  explicit WebServer(bool polls = false)
      : ForkedServer([polls](int fd) { serve_connection(fd, polls); })
  {
  }
};

void write_all(int fd, const std::string& bytes)
{
  for (std::size_t at = 0; at < bytes.size();) {
    const auto n = ::write(fd, bytes.data() + at, bytes.size() - at);
    if (n <= 0)
      _exit(24);
    at += static_cast<std::size_t>(n);
  }
}

// Reads one response; what lies beyond it stays in `input`.
void read_response(int fd, std::string& input)
{
  std::array<char, 8192> buffer{};
  const auto more = [&] {
    const auto n = ::read(fd, buffer.data(), buffer.size());
    if (n <= 0)
      _exit(25);
    input.append(buffer.data(), static_cast<std::size_t>(n));
  };
  while (!input.contains("\r\n\r\n"))
    more();
  const auto head = input.find("\r\n\r\n") + 4;
  const auto length = input.find("Content-Length: ");
  const std::size_t body =
      length < head ? static_cast<std::size_t>(std::atol(input.c_str() + length + 16)) : 0;
  while (input.size() < head + body)
    more();
  input.erase(0, head + body);
}

// The i-th of a client's requests.
std::string request(std::size_t i)
{
  switch (i % 4) {
  case 0:
    return "GET /10?token=secret HTTP/1.1\r\nHost: a\r\n\r\n";
  case 1:
    return "GET /70000 HTTP/1.1\r\nHost: a\r\n\r\n";
  case 2:
    return "GET /missing HTTP/1.1\r\nHost: a\r\n\r\n";
  default:
    return "POST /3000 HTTP/1.1\r\nHost: a\r\nContent-Length: 3000\r\n\r\n" +
           std::string(3000, 'q');
  }
}

struct Load {
  std::size_t threads;
  std::size_t requests;    // of each thread, a multiple of 4
  std::size_t pipeline;    // requests in one write
  std::size_t connection;  // requests on one connection
};

void put_load(const WebServer& server, const Load& load)
{
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < load.threads; ++t)
    threads.emplace_back([&] {
      int fd = -1;
      std::string input;
      for (std::size_t i = 0; i < load.requests; i += load.pipeline) {
        if (i % load.connection == 0) {
          ::close(fd);
          fd = server.connect();
        }
        std::string requests;
        for (std::size_t j = 0; j < load.pipeline; ++j)
          requests += request(i + j);
        write_all(fd, requests);
        for (std::size_t j = 0; j < load.pipeline; ++j)
          read_response(fd, input);
      }
      ::close(fd);
    });
  for (auto& thread : threads)
    thread.join();
}

class Socket : public ::testing::TestWithParam<const char*> {
protected:
  void SetUp() override
  {
    if (const auto why = testing::why_no_tap(GetParam()); !why.empty())
      GTEST_SKIP() << why;
    node_.set("socket.source", GetParam());
  }

  void start()
  {
    const auto probe = node_.start("socket");
    ASSERT_TRUE(probe) << probe.error().message();
    probe_ = *probe;
  }

  double requests(const std::string& text,
                  const std::string& method,
                  const std::string& path,
                  const std::string& status)
  {
    return NodeFixture::sum(text,
                            "http_requests_total",
                            {R"(service="web")",
                             fmt::format("method=\"{}\"", method),
                             fmt::format("path=\"{}\"", path),
                             fmt::format("status=\"{}\"", status)});
  }

  // All of a load, on both sides, to the request and the byte.
  void expect_counted(const Load& load, std::size_t times = 1)
  {
    const auto each = static_cast<double>(load.threads * load.requests * times) / 4;
    std::string text;
    EXPECT_TRUE(NodeFixture::eventually([&] {
      text = node_.scrape();
      return NodeFixture::sum(text, "http_requests_total", {R"(service="web")"}) >= 4 * each &&
             NodeFixture::sum(text, "http_client_requests_total", {R"(service="caller")"}) >=
                 4 * each;
    }));
    EXPECT_EQ(NodeFixture::sum(text, "http_requests_total", {R"(service="web")"}), 4 * each);
    EXPECT_EQ(NodeFixture::sum(text,
                               "http_requests_total",
                               {R"(service="web")", R"(method="GET")", R"(status="200")"}),
              2 * each);
    EXPECT_EQ(requests(text, "GET", "/missing", "404"), each);
    EXPECT_EQ(
        NodeFixture::sum(text, "http_requests_total", {R"(service="web")", R"(method="POST")"}),
        each);
    EXPECT_EQ(NodeFixture::sum(text, "http_request_size_bytes_sum", {R"(service="web")"}),
              3000 * each);
    EXPECT_EQ(NodeFixture::sum(text, "http_response_size_bytes_sum", {R"(service="web")"}),
              (10 + 70000 + 4) * each);
    EXPECT_EQ(NodeFixture::sum(text, "http_requests_in_flight", {R"(service="web")"}), 0);
    EXPECT_EQ(NodeFixture::sum(text, "http_requests_aborted_total"), 0);
    for (const auto* status : {"200", "404", "204"})
      EXPECT_EQ(NodeFixture::sum(
                    text,
                    "http_client_requests_total",
                    {R"(service="caller")", R"(peer="web")", fmt::format("status=\"{}\"", status)}),
                std::string_view(status) == "200" ? 2 * each : each)
          << status;
    EXPECT_FALSE(text.contains("secret"));
    for (const auto& loss : probe_->losses())
      EXPECT_EQ(loss.count, 0U) << loss.reason;
  }

  NodeFixture node_;
  Probe* probe_ = nullptr;
};

TEST_P(Socket, EveryRequestOfManyKeptConnectionsIsCountedOnBothSides)
{
  start();
  const WebServer server;
  node_.on_loop([&] { node_.fixed().place(server.tgid(), "web"); });
  const Load load{.threads = 8, .requests = 400, .pipeline = 1, .connection = 400};
  Worker caller([&] { put_load(server, load); });
  node_.on_loop([&] { node_.fixed().place(caller.tgid(), "caller"); });
  caller.go();
  caller.wait_until_done();
  expect_counted(load);
}

TEST_P(Socket, EveryRequestOfAPipelineIsCountedOnBothSides)
{
  start();
  const WebServer server;
  node_.on_loop([&] { node_.fixed().place(server.tgid(), "web"); });
  const Load load{.threads = 4, .requests = 800, .pipeline = 8, .connection = 80};
  Worker caller([&] { put_load(server, load); });
  node_.on_loop([&] { node_.fixed().place(caller.tgid(), "caller"); });
  caller.go();
  caller.wait_until_done();
  expect_counted(load);
}

TEST_P(Socket, EveryRequestOfShortConnectionsIsCountedThoughTheCallerExitsAtOnce)
{
  start();
  const WebServer server;
  node_.on_loop([&] { node_.fixed().place(server.tgid(), "web"); });
  const Load load{.threads = 4, .requests = 100, .pipeline = 1, .connection = 1};
  Worker caller([&] { put_load(server, load); });
  node_.on_loop([&] { node_.fixed().place(caller.tgid(), "caller"); });
  caller.go();
  caller.wait_until_done();
  caller.finish();
  expect_counted(load);
}

// A receive that was already waiting when the ends of functions were attached is not seen.
TEST_P(Socket, ConnectionsOlderThanTheTapAreCountedFromTheirNextRequestOn)
{
  const WebServer server(/*polls=*/std::string_view(GetParam()) == "functions");
  constexpr Load kLoad{.threads = 1, .requests = 200, .pipeline = 1, .connection = 200};
  int steps[2];
  int rounds[2];
  ASSERT_EQ(::pipe(steps), 0);
  ASSERT_EQ(::pipe(rounds), 0);
  Worker caller([&] {
    std::vector<int> fds;
    std::vector<std::string> inputs(8);
    for (int i = 0; i < 8; ++i)
      fds.push_back(server.connect());
    const auto round = [&] {
      for (std::size_t i = 0; i < kLoad.requests; ++i)
        for (std::size_t c = 0; c < fds.size(); ++c) {
          write_all(fds[c], request(i));
          read_response(fds[c], inputs[c]);
        }
    };
    round();
    char byte = 0;
    if (::write(rounds[1], "d", 1) != 1 || ::read(steps[0], &byte, 1) != 1)
      _exit(26);
    round();
  });
  caller.go();
  char done = 0;
  ASSERT_EQ(::read(rounds[0], &done, 1), 1);
  start();
  node_.on_loop([&] {
    node_.fixed().place(server.tgid(), "web");
    node_.fixed().place(caller.tgid(), "caller");
  });
  ASSERT_EQ(::write(steps[1], "g", 1), 1);
  caller.wait_until_done();
  expect_counted(kLoad, 8);
  for (const int fd : {steps[0], steps[1], rounds[0], rounds[1]})
    ::close(fd);
}

INSTANTIATE_TEST_SUITE_P(Sources,
                         Socket,
                         ::testing::Values("tracepoints", "twice", "functions"),
                         [](const auto& chosen) { return std::string(chosen.param); });

}  // namespace
}  // namespace sonde::tap_tests
