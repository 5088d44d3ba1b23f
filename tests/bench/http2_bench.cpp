// SPDX-License-Identifier: Apache-2.0
// What a request of HTTP/2 and a call of gRPC cost the decoder, with tables of headers that are
// warm.
#include <benchmark/benchmark.h>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "tests/support/http2_text.hpp"

namespace sonde::http2 {
extern const protocols::Protocol protocol;

namespace {

using namespace test::h2;
using protocols::Direction;

class Count : public protocols::Sink {
public:
  void exchange(const protocols::Exchange&) override { ++exchanges; }
  void malformed(std::string_view) override { ++malformed_count; }

  std::int64_t exchanges = 0;
  std::int64_t malformed_count = 0;
};

// Frames of one stream, which is another one each time.
class Frames {
public:
  explicit Frames(std::string bytes) : bytes_(std::move(bytes))
  {
    for (std::size_t at = 0; at < bytes_.size(); at += 9 + length(at))
      ids_.push_back(at + 5);
  }
  std::string_view of(std::uint32_t stream)
  {
    for (const auto at : ids_)
      bytes_.replace(at, 4, big_endian(stream));
    return bytes_;
  }

private:
  std::size_t length(std::size_t at) const
  {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(bytes_[at + i]); };
    return static_cast<std::size_t>(byte(0) << 16U | byte(1) << 8U | byte(2));
  }

  std::string bytes_;
  std::vector<std::size_t> ids_;
};

// A request and its response, as often as the state says; `open` streams are open beside it.
class Exchanges {
public:
  Exchanges() { ask(client_start()); }

  void open(std::uint32_t streams)
  {
    for (; streams > 0; --streams, next_ += 2)
      ask(asks.headers(next_, call("/etcdserverpb.Watch/Watch")));
  }
  // Fills the tables, then gives what is the same from then on.
  template <typename Make>
  void run(benchmark::State& state, Make make)
  {
    auto [request, response] = make(*this);
    ask(Frames(request).of(next_));
    answer(Frames(response).of(next_));
    std::tie(request, response) = make(*this);
    Frames asked(request);
    Frames answered(response);
    for (auto _ : state) {
      next_ += 2;
      ask(asked.of(next_));
      answer(answered.of(next_));
    }
    if (sink_.exchanges != state.iterations() + 1 || sink_.malformed_count != 0)
      state.SkipWithError("not decoded");
    state.SetBytesProcessed(state.iterations() *
                            static_cast<std::int64_t>(request.size() + response.size()));
  }

  Writer asks;
  Writer answers;

private:
  void ask(std::string_view bytes)
  {
    decoder_->data(Direction::kToServer, {bytes, ++time_ns_}, sink_);
  }
  void answer(std::string_view bytes)
  {
    decoder_->data(Direction::kToClient, {bytes, ++time_ns_}, sink_);
  }

  std::unique_ptr<protocols::Decoder> decoder_ = protocol.decoder(true);
  Count sink_;
  std::uint64_t time_ns_ = 0;
  std::uint32_t next_ = 1;
};

// As h2load and Go's net/http have it.
void http2_small(benchmark::State& state)
{
  Exchanges().run(state, [](Exchanges& at) {
    const auto head = at.answers.headers(1, response("200", {{"content-length", "12"}}));
    return std::pair(at.asks.headers(1, request("GET", "/api/v1/orders/17"), kEndStream),
                     head + data(1, "hello, world", kEndStream));
  });
}
BENCHMARK(http2_small);

std::pair<std::string, std::string> unary(Exchanges& at)
{
  const auto asked = at.asks.headers(1, call("/demo.v1.Greeter/Say", {{"grpc-timeout", "10S"}}));
  const auto head = at.answers.headers(1, call_response());
  return {asked + data(1, message("hello"), kEndStream),
          head + data(1, message("hello back")) +
              at.answers.headers(1, call_trailers("0"), kEndStream)};
}

void http2_grpc_unary(benchmark::State& state)
{
  Exchanges().run(state, unary);
}
BENCHMARK(http2_grpc_unary);

// As those of etcd, beside watches.
void http2_grpc_beside(benchmark::State& state)
{
  Exchanges at;
  at.open(static_cast<std::uint32_t>(state.range(0)));
  at.run(state, unary);
}
BENCHMARK(http2_grpc_beside)->Arg(1'000);

}  // namespace
}  // namespace sonde::http2
