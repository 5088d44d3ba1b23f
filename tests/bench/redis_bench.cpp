// SPDX-License-Identifier: Apache-2.0
// What decoding a command of Redis costs: alone, and in a pipeline of 16.
#include <benchmark/benchmark.h>
#include <string>

#include "agent/protocols/protocol.hpp"

namespace sonde::redis {

extern const protocols::Protocol protocol;

namespace {

class Count : public protocols::Sink {
public:
  void exchange(const protocols::Exchange&) override { ++exchanges; }
  void malformed(std::string_view) override {}
  std::int64_t exchanges = 0;
};

void redis_command(benchmark::State& state)
{
  std::string requests;
  std::string replies;
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    requests += "*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000042\r\n$3\r\nxxx\r\n";
    replies += "+OK\r\n";
  }
  const auto decoder = protocol.decoder(true);
  Count sink;
  for (auto _ : state) {
    decoder->data(protocols::Direction::kToServer, {requests, 1}, sink);
    decoder->data(protocols::Direction::kToClient, {replies, 2}, sink);
  }
  state.SetItemsProcessed(sink.exchanges);
}
BENCHMARK(redis_command)->Arg(1)->Arg(16);

}  // namespace
}  // namespace sonde::redis
