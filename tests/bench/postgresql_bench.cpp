// SPDX-License-Identifier: Apache-2.0
// What decoding a statement of PostgreSQL costs: a simple query, a prepared one, a row of a result.
#include <benchmark/benchmark.h>
#include <string>

#include "agent/protocols/protocol.hpp"

namespace sonde::postgresql {

extern const protocols::Protocol protocol;

namespace {

class Count : public protocols::Sink {
public:
  void exchange(const protocols::Exchange&) override { ++exchanges; }
  void malformed(std::string_view) override { std::abort(); }
  std::int64_t exchanges = 0;
};

std::string message(char type, const std::string& body)
{
  const auto size = body.size() + 4;
  std::string bytes(1, type);
  for (int shift = 24; shift >= 0; shift -= 8)
    bytes += static_cast<char>(size >> shift & 0xff);
  return bytes + body;
}

const std::string kZero(1, '\0');
const std::string kStart = std::string("\0\0\0\x13\0\3\0\0user\0app\0\0\0", 19);
const std::string kRow = message('D', std::string("\0\1\0\0\0\x02", 6) + "42");
const std::string kEnd = message('C', "SELECT 1" + kZero) + message('Z', "I");

void run(benchmark::State& state,
         const std::string& prepare,
         const std::string& ask,
         const std::string& answer)
{
  const auto decoder = protocol.decoder(true);
  Count sink;
  decoder->data(protocols::Direction::kToServer, {kStart + prepare, 1}, sink);
  decoder->data(protocols::Direction::kToClient, {message('Z', "I"), 2}, sink);
  if (!prepare.empty())
    decoder->data(protocols::Direction::kToClient, {message('1', "") + message('Z', "I"), 2}, sink);
  for (auto _ : state) {
    decoder->data(protocols::Direction::kToServer, {ask, 1}, sink);
    decoder->data(protocols::Direction::kToClient, {answer, 2}, sink);
  }
  state.SetItemsProcessed(sink.exchanges);
}

void postgresql_simple_query(benchmark::State& state)
{
  run(state,
      "",
      message('Q', "SELECT abalance FROM pgbench_accounts WHERE aid = 4711;" + kZero),
      message('T', std::string(27, 'x')) + kRow + kEnd);
}
BENCHMARK(postgresql_simple_query);

void postgresql_prepared(benchmark::State& state)
{
  run(state,
      message('P',
              "P0_1" + kZero + "SELECT abalance FROM pgbench_accounts WHERE aid = $1;" + kZero +
                  kZero + kZero) +
          message('S', ""),
      message('B',
              kZero + "P0_1" +
                  std::string("\0\0\0\0\1\0\0\0\4"
                              "4711\0\0",
                              15)) +
          message('D', "P" + kZero) + message('E', kZero + std::string(4, '\0')) + message('S', ""),
      message('2', "") + message('T', std::string(27, 'x')) + kRow + kEnd);
}
BENCHMARK(postgresql_prepared);

void postgresql_result_of_1000_rows(benchmark::State& state)
{
  std::string rows;
  for (int i = 0; i < 1000; ++i)
    rows += kRow;
  run(state, "", message('Q', "SELECT * FROM t" + kZero), rows + kEnd);
}
BENCHMARK(postgresql_result_of_1000_rows);

}  // namespace
}  // namespace sonde::postgresql
