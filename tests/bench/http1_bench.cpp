// SPDX-License-Identifier: Apache-2.0
// What a request with its response costs the HTTP/1.x decoder.
#include <benchmark/benchmark.h>
#include <memory>
#include <string>

#include "agent/protocols/protocol.hpp"

namespace sonde::http1 {
extern const protocols::Protocol protocol;

namespace {

using protocols::Direction;

class Count : public protocols::Sink {
public:
  void exchange(const protocols::Exchange& exchange) override { bytes += exchange.response_bytes; }
  void malformed(std::string_view /*reason*/) override { ++malformed_count; }

  std::uint64_t bytes = 0;
  std::uint64_t malformed_count = 0;
};

void feed(benchmark::State& state, const std::string& request, const std::string& response)
{
  const auto decoder = protocol.decoder(true);
  Count sink;
  std::uint64_t time_ns = 0;
  for (auto _ : state) {
    decoder->data(Direction::kToServer, {request, ++time_ns}, sink);
    decoder->data(Direction::kToClient, {response, ++time_ns}, sink);
  }
  if (sink.bytes == 0 || sink.malformed_count != 0)
    state.SkipWithError("not decoded");
  state.SetBytesProcessed(state.iterations() *
                          static_cast<std::int64_t>(request.size() + response.size()));
}

// As wrk and Go's net/http have it.
void http1_small(benchmark::State& state)
{
  feed(state,
       "GET /api/v1/orders/17 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n",
       "HTTP/1.1 200 OK\r\nDate: Thu, 26 Nov 2026 03:00:00 GMT\r\nContent-Length: 12\r\n"
       "Content-Type: text/plain; charset=utf-8\r\n\r\nhello, world");
}
BENCHMARK(http1_small);

// As a browser behind a proxy has it.
void http1_browser(benchmark::State& state)
{
  feed(state,
       "POST /api/v1/orders?expand=items HTTP/1.1\r\nHost: shop.example.org\r\n"
       "X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\nContent-Length: 60\r\n"
       "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
       "Accept: application/json, text/plain, */*\r\nAccept-Language: en-US,en;q=0.5\r\n"
       "Accept-Encoding: gzip, deflate, br\r\nContent-Type: application/json\r\n"
       "Origin: https://shop.example.org\r\nReferer: https://shop.example.org/basket\r\n"
       "Cookie: session=" +
           std::string(300, 's') +
           "\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n" +
           std::string(60, 'b'),
       "HTTP/1.1 201 Created\r\nServer: nginx\r\nDate: Thu, 26 Nov 2026 03:00:00 GMT\r\n"
       "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n"
       "Vary: Accept-Encoding\r\nCache-Control: no-store\r\n"
       "Strict-Transport-Security: max-age=31536000\r\n\r\n190\r\n" +
           std::string(400, 'r') + "\r\n0\r\n\r\n");
}
BENCHMARK(http1_browser);

}  // namespace
}  // namespace sonde::http1
