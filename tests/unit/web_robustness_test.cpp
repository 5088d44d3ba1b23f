// SPDX-License-Identifier: Apache-2.0
// The web server against clients that misbehave: whatever they do, a scrape succeeds.
#include <array>
#include <atomic>
#include <chrono>
#include <deque>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <random>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <thread>

#include <gtest/gtest.h>

#include "tests/support/http_client.hpp"

#include "agent/base/clock.hpp"
#include "agent/web/server.hpp"

namespace sonde::web {
namespace {

using namespace std::chrono_literals;
using test::HttpClient;

constexpr std::size_t kHuge = std::size_t{8} << 20;
constexpr int kSmallWindow = 4096;
constexpr std::string_view kAskHuge = "GET /huge HTTP/1.1\r\nHost: node\r\n\r\n";

Limits short_limits()
{
  Limits limits;
  limits.header_timeout = 300ms;
  limits.idle_timeout = 10s;
  limits.write_timeout = 500ms;
  return limits;
}

class WebRobustness : public testing::Test {
protected:
  void start(const Limits& limits, unsigned threads = 1)
  {
    Router router;
    router.get("/metrics", [](const Request&) { return plain(200, "up 1"); });
    router.get("/huge", [](const Request&) { return plain(200, std::string(kHuge, 'x')); });
    router.get("/slow", [](const Request&) {
      std::this_thread::sleep_for(100ms);
      return plain(200, "slow");
    });
    auto started =
        Server::start({.listen = {"127.0.0.1:0"}, .threads = threads, .limits = limits}, router);
    ASSERT_TRUE(started) << started.error().message();
    server_ = std::move(*started);
    port_ = server_->endpoints().at(0).port;
  }

  void expect_scrape(const char* why)
  {
    const auto reply = HttpClient(port_).get("/metrics");
    EXPECT_EQ(reply.status, 200) << why;
    EXPECT_EQ(reply.body, "up 1\n") << why;
  }

  template <typename Condition>
  static bool soon(Condition condition)
  {
    for (int i = 0; i < 300; ++i) {
      if (condition())
        return true;
      std::this_thread::sleep_for(10ms);
    }
    return false;
  }

  std::unique_ptr<Server> server_;
  std::uint16_t port_ = 0;
};

TEST_F(WebRobustness, EndsRequestsThatNeverBecomeWhole)
{
  start(short_limits());
  std::deque<HttpClient> halves;
  for (int i = 0; i < 50; ++i) {
    halves.emplace_back(port_);
    halves.back().send("GET /metrics HTTP/1.1\r\nHost: no");
  }
  expect_scrape("beside fifty half-sent requests");
  for (const auto& half : halves)
    EXPECT_TRUE(half.closed_within(2s));
  EXPECT_TRUE(soon([&] { return server_->connections() <= 1; }));
}

TEST_F(WebRobustness, DoesNotExtendTheDeadlineForAByteNowAndThen)
{
  start(short_limits());
  const HttpClient client(port_);
  const auto begin = std::chrono::steady_clock::now();
  client.send("GET /metrics HTTP/1.1\r\nX: ");
  for (int i = 0; i < 100 && !client.closed_within(20ms); ++i)
    client.send("x");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 3s);
}

TEST_F(WebRobustness, ClosesAConnectionThatNeverSendsAByte)
{
  start(short_limits());
  EXPECT_TRUE(HttpClient(port_).closed_within(2s));
}

TEST_F(WebRobustness, ServesOthersWhileSlowReadersHoldTheirResponses)
{
  start(short_limits(), 1);
  std::deque<HttpClient> readers;
  for (int i = 0; i < 5; ++i) {
    readers.emplace_back(port_, "127.0.0.1", kSmallWindow);
    readers.back().send(kAskHuge);
  }
  expect_scrape("with one web thread and five readers that do not read");
  EXPECT_TRUE(soon([&] { return server_->connections() <= 1; })) << "the write deadline ends them";
}

TEST_F(WebRobustness, GivesUpTheOldestReaderWhenResponsesTakeTooMuchMemory)
{
  auto limits = short_limits();
  limits.write_timeout = 10s;
  limits.response_bytes = 2 * kHuge + kHuge / 2;
  start(limits);
  std::deque<HttpClient> readers;
  for (int i = 0; i < 6; ++i) {
    readers.emplace_back(port_, "127.0.0.1", kSmallWindow);
    readers.back().send(kAskHuge);
    EXPECT_TRUE(soon([&] {
      return server_->connections() + server_->evictions() == static_cast<std::size_t>(i) + 1;
    }));
  }
  EXPECT_TRUE(soon([&] { return server_->evictions() == 4; })) << server_->evictions();
  EXPECT_EQ(server_->connections(), 2U);
  EXPECT_EQ(readers.back().receive().body.size(), kHuge + 1);
  expect_scrape("after readers were given up");
}

TEST_F(WebRobustness, RefusesHeadersAndBodiesThatAreTooLarge)
{
  start(Limits{});
  const std::string large(20000, 'h');
  EXPECT_EQ(HttpClient(port_).get("/metrics", "X: " + large + "\r\n").status, 431);
  EXPECT_EQ(HttpClient(port_).get("/" + large).status, 431);
  std::string many;
  for (int i = 0; i < 3000; ++i)
    many += "A: b\r\n";
  EXPECT_EQ(HttpClient(port_).get("/metrics", many).status, 431);
  EXPECT_EQ(HttpClient(port_)
                .ask("POST /metrics HTTP/1.1\r\nHost: node\r\nContent-Length: 1000000\r\n\r\n")
                .status,
            413);
  std::string chunks = "POST /metrics HTTP/1.1\r\nHost: node\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 10; ++i)
    chunks += "4000\r\n" + std::string(0x4000, 'b') + "\r\n";
  EXPECT_EQ(HttpClient(port_).ask(chunks).status, 413);
  EXPECT_EQ(HttpClient(port_).get("/metrics", "X: " + std::string(15000, 'h') + "\r\n").status, 200)
      << "just below the limit";
}

TEST_F(WebRobustness, KeepsHundredsOfIdleConnectionsAndServesAll)
{
  start(Limits{}, 2);
  std::deque<HttpClient> idle;
  for (int i = 0; i < 300; ++i)
    ASSERT_TRUE(idle.emplace_back(port_).connected());
  expect_scrape("beside 300 idle connections");
  for (auto& client : idle)
    EXPECT_EQ(client.get("/metrics").status, 200);
  EXPECT_EQ(server_->evictions(), 0U);
}

TEST_F(WebRobustness, ClosesTheOldestIdleConnectionWhenThereAreTooMany)
{
  auto limits = Limits{};
  limits.connections = 64;
  start(limits, 2);
  std::deque<HttpClient> clients;
  for (int i = 0; i < 200; ++i) {
    clients.emplace_back(port_);
    ASSERT_EQ(clients.back().get("/metrics").status, 200) << i;
  }
  EXPECT_TRUE(soon([&] { return server_->evictions() == 136; })) << server_->evictions();
  EXPECT_EQ(server_->connections(), 64U);
  // Two web threads: a neighbour may be idle again a moment earlier.
  for (std::size_t i = 0; i < 130; ++i)
    EXPECT_TRUE(clients[i].closed_within(1s)) << i;
  for (std::size_t i = 142; i < clients.size(); ++i)
    EXPECT_EQ(clients[i].get("/metrics").status, 200) << i;
}

TEST_F(WebRobustness, NeverClosesAConnectionWhoseHandlerRuns)
{
  auto limits = Limits{};
  limits.connections = 2;
  start(limits, 2);
  HttpClient slow(port_);
  slow.send("GET /slow HTTP/1.1\r\nHost: node\r\n\r\n");
  std::this_thread::sleep_for(30ms);
  std::deque<HttpClient> others;
  for (int i = 0; i < 20; ++i)
    others.emplace_back(port_);
  EXPECT_EQ(slow.receive().body, "slow\n");
}

TEST_F(WebRobustness, AnswersPipelinedRequestsInOrder)
{
  start(Limits{}, 2);
  HttpClient client(port_);
  std::string requests;
  for (int i = 0; i < 500; ++i)
    requests += i % 2 == 0 ? "GET /metrics HTTP/1.1\r\nHost: node\r\n\r\n"
                           : "GET /none HTTP/1.1\r\nHost: node\r\n\r\n";
  std::thread sender([&] { client.send(requests); });
  for (int i = 0; i < 500; ++i)
    ASSERT_EQ(client.receive().status, i % 2 == 0 ? 200 : 404) << i;
  sender.join();
}

TEST_F(WebRobustness, RefusesGarbageAndLivesOn)
{
  start(short_limits());
  EXPECT_EQ(HttpClient(port_).ask("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").status, 400);
  EXPECT_EQ(HttpClient(port_).ask("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").status, 400);
  EXPECT_EQ(HttpClient(port_).ask("GET / HTTP/1.1\r\nbad header\r\n\r\n").status, 400);
  EXPECT_EQ(
      HttpClient(port_).ask("POST / HTTP/1.1\r\nHost: n\r\nContent-Length: -1\r\n\r\n").status,
      400);
  std::mt19937 random(7663);
  for (int round = 0; round < 200; ++round) {
    std::string bytes(random() % 3000 + 1, '\0');
    for (auto& byte : bytes)
      byte = static_cast<char>(random());
    const HttpClient client(port_);
    client.send(bytes);
    EXPECT_TRUE(client.closed_within(3s)) << round;
  }
  expect_scrape("after garbage");
}

TEST_F(WebRobustness, SurvivesImmediateResets)
{
  start(Limits{}, 2);
  for (int i = 0; i < 300; ++i) {
    HttpClient client(port_);
    if (i % 3 != 0)
      client.send(i % 30 == 1 ? kAskHuge
                              : kAskHuge.substr(0, static_cast<std::size_t>(i) % kAskHuge.size()));
    client.reset();
  }
  expect_scrape("after resets");
  EXPECT_TRUE(soon([&] { return server_->connections() <= 1; }));
}

TEST_F(WebRobustness, ServesManyClientsAtOnce)
{
  start(Limits{}, 2);
  std::atomic<int> good = 0;
  {
    std::deque<std::jthread> threads;
    for (int t = 0; t < 8; ++t)
      threads.emplace_back([&, t] {
        HttpClient client(port_);
        for (int i = 0; i < 50; ++i)
          good += client
                      .get(t % 4 == 0 && i % 10 == 0 ? "/huge" : "/metrics",
                           i % 2 == 0 ? "Accept-Encoding: gzip\r\n" : "")
                      .status == 200;
      });
  }
  EXPECT_EQ(good, 400);
}

// Takes every descriptor the process may still open.
std::deque<UniqueFd> all_descriptors()
{
  std::deque<UniqueFd> taken;
  for (;;) {
    UniqueFd fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (!fd)
      return taken;
    taken.push_back(std::move(fd));
  }
}

class FewDescriptors {
public:
  FewDescriptors()
  {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit few{.rlim_cur = 256, .rlim_max = before_.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &few);
  }
  FewDescriptors(const FewDescriptors&) = delete;
  FewDescriptors& operator=(const FewDescriptors&) = delete;
  ~FewDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

private:
  rlimit before_{};
};

TEST_F(WebRobustness, WaitsWithoutSpinningWhileThereIsNoDescriptor)
{
  const FewDescriptors few;
  start(Limits{});
  auto taken = all_descriptors();
  taken.pop_back();
  HttpClient client(port_);
  ASSERT_TRUE(client.connected());
  client.send("GET /metrics HTTP/1.1\r\nHost: node\r\n\r\n");
  const auto cpu = read_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
  std::this_thread::sleep_for(400ms);
  EXPECT_LT(read_clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu, 40'000'000U);
  taken.clear();
  EXPECT_EQ(client.receive().status, 200);
}

TEST_F(WebRobustness, ClosesAnIdleConnectionWhenItsDescriptorIsNeeded)
{
  const FewDescriptors few;
  start(Limits{});
  HttpClient idle(port_);
  EXPECT_EQ(idle.get("/metrics").status, 200);
  auto taken = all_descriptors();
  taken.pop_back();
  expect_scrape("with the descriptor of an idle connection");
  EXPECT_TRUE(idle.closed_within(1s));
}

TEST_F(WebRobustness, EndsQuicklyWhateverIsOpen)
{
  start(Limits{}, 2);
  std::deque<HttpClient> clients;
  for (int i = 0; i < 90; ++i) {
    clients.emplace_back(port_, "127.0.0.1", kSmallWindow);
    if (i % 3 == 1)
      clients.back().send("GET /met");
    if (i % 30 == 2)
      clients.back().send(kAskHuge);
  }
  EXPECT_TRUE(soon([&] { return server_->connections() == 90; }));
  // A few milliseconds; the bound leaves room for a machine that is busy with something else.
  const auto begin = std::chrono::steady_clock::now();
  server_.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 2s);
  for (const auto& client : clients)
    EXPECT_TRUE(client.closed_within(1s));
}

TEST_F(WebRobustness, StartsAndStopsManyTimes)
{
  for (int i = 0; i < 50; ++i) {
    start(Limits{}, 2);
    const HttpClient client(port_);
    client.send("GET /metrics HTTP/1.1\r\nHost: node\r\n\r\n");
    server_.reset();
  }
}

// A node booted without IPv6: its sockets do not exist.
void forbid_ipv6()
{
  std::array filter = {
      sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_socket, 0, 3),
      sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args)),
      sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 0, 1),
      sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAFNOSUPPORT),
      sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{.len = filter.size(), .filter = filter.data()};
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

TEST(WebListenDeathTest, FallsBackToIpv4WhereTheNodeHasNoIpv6)
{
  const auto serve = [] {
    forbid_ipv6();
    Router router;
    router.get("/", [](const Request& request) { return plain(200, request.peer); });
    const auto server = Server::start({.listen = {":0"}, .limits = {}}, router).value();
    const auto& endpoint = server->endpoints().at(0);
    std::_Exit(endpoint.address == "0.0.0.0" &&
                       HttpClient(endpoint.port).get("/").body == "127.0.0.1\n"
                   ? 0
                   : 2);
  };
  EXPECT_EXIT(serve(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace sonde::web
