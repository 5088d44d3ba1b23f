// SPDX-License-Identifier: Apache-2.0
// What an exchange costs between the ring and the series, with a protocol that does next to
// nothing.
#include <array>
#include <benchmark/benchmark.h>
#include <cstdlib>
#include <deque>
#include <malloc.h>
#include <new>
#include <string>
#include <vector>

#include "tests/support/http2_text.hpp"
#include "tests/support/socket_records.hpp"

#include "agent/metrics/series_store.hpp"

namespace {

std::size_t allocations = 0;

}  // namespace

// Counts what the measured part allocates. Out of line: the compiler would see malloc() on the one
// side only.
[[gnu::noinline]] void* operator new(std::size_t size)
{
  ++allocations;
  if (void* memory = std::malloc(size); memory != nullptr)
    return memory;
  std::abort();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept
{
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept
{
  std::free(memory);
}

namespace {

using namespace sonde;

constexpr metrics::Desc kRequests{
    "requests_total", metrics::Type::kCounter, "", "service method path status"};
constexpr metrics::Desc kDuration{
    "duration_seconds", metrics::Type::kHistogram, "", "service method path"};
constexpr metrics::SeriesOwner kOwner{.slot = 5, .generation = 1, .labels = R"(service="api")"};

metrics::SeriesStore& store_of(std::size_t sets)
{
  auto options = test::Tap::options_of_tests();
  static std::deque<metrics::SeriesStore> stores;
  return stores.emplace_back(metrics::SeriesStore::Limits{.sets = sets * 2,
                                                          .histogram_sets = sets * 2,
                                                          .lines = 1'000'000},
                             std::move(options.bounds.durations),
                             std::move(options.bounds.sizes));
}

std::vector<std::string> paths()
{
  std::vector<std::string> out;
  for (int i = 0; i < 400; ++i)
    out.push_back("/api/v1/customers/:id/orders/" + std::to_string(i));
  return out;
}

void series_count(benchmark::State& state)
{
  auto& store = store_of(400);
  const auto all = paths();
  std::size_t i = 0;
  for (auto _ : state) {
    const std::array<std::string_view, 3> values = {"GET", all[i++ % all.size()], "200"};
    store.count(kRequests, kOwner, values, 1);
  }
}
BENCHMARK(series_count);

void series_observe(benchmark::State& state)
{
  auto& store = store_of(400);
  const auto all = paths();
  std::size_t i = 0;
  for (auto _ : state) {
    const std::array<std::string_view, 2> values = {"GET", all[i++ % all.size()]};
    store.observe(kDuration, kOwner, values, i * 1000);
  }
}
BENCHMARK(series_observe);

void series_folded(benchmark::State& state)
{
  auto& store = store_of(100);
  std::size_t i = 0;
  std::string path = "/0000000000";
  for (auto _ : state) {
    ++i;
    for (std::size_t digit = 0; digit < 8; ++digit)
      path[digit + 1] = static_cast<char>('a' + (i >> (4 * digit) & 15U));
    const std::array<std::string_view, 3> values = {"GET", path, "200"};
    store.count(kRequests, kOwner, values, 1);
  }
}
BENCHMARK(series_folded);

void series_render(benchmark::State& state)
{
  auto& store = store_of(400);
  for (const auto& path : paths()) {
    const std::array<std::string_view, 2> values = {"GET", path};
    store.observe(kDuration, kOwner, values, 1000);
  }
  for (auto _ : state) {
    metrics::Exposition out;
    store.render(out);
    benchmark::DoNotOptimize(out);
  }
}
BENCHMARK(series_render)->Unit(benchmark::kMicrosecond);

// One request and its response on one of many connections: two records, one exchange.
void exchange(benchmark::State& state)
{
  test::Tap tap;
  tap.services.set(5, 1, "api");
  tap.services.put(10, 5);
  std::deque<test::Socket> sockets;
  for (std::uint64_t id = 1; id <= static_cast<std::uint64_t>(state.range(0)); ++id) {
    sockets.emplace_back(id, SONDE_SOCKET_ROLE_SERVER, 10);
    tap.open(sockets.back());
    tap.received(sockets.back(), "Q /a\n");
    tap.sent(sockets.back(), "A /a\n");
  }
  std::size_t i = 0;
  const auto before = allocations;
  for (auto _ : state) {
    auto& socket = sockets[i++ % sockets.size()];
    tap.received(socket, "Q /a\n");
    tap.sent(socket, "A /a\n");
  }
  state.counters["allocations"] = benchmark::Counter(static_cast<double>(allocations - before),
                                                     benchmark::Counter::kAvgIterations);
}
BENCHMARK(exchange)->Arg(1)->Arg(1000)->Arg(50'000);

// The same through the decoder alone.
void decoder_alone(benchmark::State& state)
{
  class Nowhere : public protocols::Sink {
  public:
    void exchange(const protocols::Exchange& exchange) override
    {
      benchmark::DoNotOptimize(&exchange);
    }
    void malformed(std::string_view) override {}
  } sink;
  const auto decoder = test::line_protocol.decoder(true);
  for (auto _ : state) {
    decoder->data(protocols::Direction::kToServer, {"Q /a\n", 1}, sink);
    decoder->data(protocols::Direction::kToClient, {"A /a\n", 2}, sink);
  }
}
BENCHMARK(decoder_alone);

void ignored_record(benchmark::State& state)
{
  test::Tap tap;
  test::Socket socket(1, SONDE_SOCKET_ROLE_SERVER, 10);
  tap.open(socket);
  tap.received(socket, "nothing of ours");
  tap.sent(socket, "indeed not");
  for (auto _ : state)
    tap.received(socket, "x");
}
BENCHMARK(ignored_record);

void open_and_close(benchmark::State& state)
{
  test::Tap tap;
  std::uint64_t id = 0;
  for (auto _ : state) {
    test::Socket socket(++id, SONDE_SOCKET_ROLE_SERVER, 10);
    tap.open(socket);
    tap.received(socket, "Q /a\n");
    tap.sent(socket, "A /a\n");
    tap.close(socket);
  }
  state.counters["bytes_ignored"] = static_cast<double>(protocols::Connections::bytes_ignored());
  state.counters["bytes_decoded"] = static_cast<double>(protocols::Connections::bytes_decoded());
}
BENCHMARK(open_and_close);

// Heap of a connection that has had one exchange and waits for the next, its decoder included.
void idle_memory(benchmark::State& state, std::string_view request, std::string_view response)
{
  constexpr std::size_t kConnections = 10'000;
  for (auto _ : state) {
    test::Tap tap(test::Tap::options_of_tests(), protocols::protocols());
    const auto before = mallinfo2().uordblks;
    for (std::uint64_t id = 1; id <= kConnections; ++id) {
      test::Socket socket(id, SONDE_SOCKET_ROLE_SERVER, 10);
      tap.open(socket);
      tap.received(socket, request);
      tap.sent(socket, response);
    }
    const auto of_verdicts = kConnections * 96;  // a node of the test's own map
    state.counters["bytes"] = static_cast<double>(mallinfo2().uordblks - before - of_verdicts) /
                              static_cast<double>(kConnections);
  }
}
BENCHMARK_CAPTURE(idle_memory,
                  http1,
                  "GET /items HTTP/1.1\r\nHost: a\r\n\r\n",
                  "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    ->Iterations(1);
BENCHMARK_CAPTURE(
    idle_memory,
    http2,
    test::h2::client_start() +
        test::h2::Writer().headers(1, test::h2::request("GET", "/items"), test::h2::kEndStream),
    test::h2::server_start() +
        test::h2::Writer().headers(1, test::h2::response("200"), test::h2::kEndStream))
    ->Iterations(1);
BENCHMARK_CAPTURE(idle_memory, redis, "*1\r\n$4\r\nPING\r\n", "+PONG\r\n")->Iterations(1);

}  // namespace
