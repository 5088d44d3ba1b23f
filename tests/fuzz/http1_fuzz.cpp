// SPDX-License-Identifier: Apache-2.0
// Arbitrary pieces, holes and ends through the HTTP/1.x decoder. The first byte of the input says
// how the rest is cut; without holes and malformed bytes, the cut must not matter.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "agent/protocols/protocol.hpp"

namespace sonde::http1 {
extern const protocols::Protocol protocol;
}

namespace {

using sonde::protocols::Direction;
using sonde::protocols::Exchange;

class Collect : public sonde::protocols::Sink {
public:
  void exchange(const Exchange& exchange) override
  {
    if (exchange.response_last_ns != 0 && exchange.response_last_ns < exchange.request_first_ns)
      std::abort();
    lines.push_back(std::string(exchange.operation) + ' ' + std::string(exchange.target) + ' ' +
                    std::string(exchange.status) + ' ' + std::to_string(exchange.request_bytes) +
                    ' ' + std::to_string(exchange.response_bytes) + ' ' +
                    std::to_string(static_cast<int>(exchange.end)));
  }
  void malformed(std::string_view reason) override
  {
    if (reason.empty())
      std::abort();
    ++malformed_count;
  }

  std::vector<std::string> lines;
  int malformed_count = 0;
};

// Turns are separated by a byte 0xff, whose successor says whose turn it is and whether it is a
// hole.
struct Turn {
  Direction direction = Direction::kToServer;
  std::uint64_t hole = 0;
  std::string_view bytes;
};

std::vector<Turn> turns_of(std::string_view input)
{
  std::vector<Turn> turns;
  Turn next;
  while (!input.empty()) {
    const auto end = std::min(input.find('\xff'), input.size());
    next.bytes = input.substr(0, end);
    turns.push_back(next);
    input.remove_prefix(std::min(input.size(), end + 1));
    if (input.empty())
      break;
    const auto kind = static_cast<unsigned char>(input.front());
    input.remove_prefix(1);
    next.direction = (kind & 1) != 0 ? Direction::kToClient : Direction::kToServer;
    next.hole = (kind & 2) != 0 ? std::uint64_t{1} << (kind >> 2) : 0;
  }
  return turns;
}

Collect run(const std::vector<Turn>& turns, std::size_t cut, bool from_start)
{
  const auto decoder = sonde::http1::protocol.decoder(from_start);
  Collect sink;
  std::uint64_t time_ns = 1;
  for (const auto& [direction, hole, bytes] : turns) {
    time_ns += 100;
    if (hole != 0 && decoder->successor().empty())
      decoder->hole(direction, hole, time_ns, sink);
    for (std::size_t at = 0; at < bytes.size(); at += cut) {
      const auto piece = bytes.substr(at, cut);
      if (!decoder->successor().empty())
        break;
      const auto taken = decoder->data(direction, {piece, time_ns, at == 0 && hole == 0}, sink);
      if (taken > piece.size() || (taken < piece.size() && decoder->successor().empty()))
        std::abort();
      if (decoder->activity().in_flight > 1024)
        std::abort();
      static_cast<void>(decoder->appetite(direction));
    }
  }
  decoder->end_of_stream(Direction::kToClient, time_ns, sink);
  decoder->closed(Exchange::End::kClientClosed, time_ns, sink);
  if (decoder->activity().in_flight != 0)
    std::abort();
  return sink;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
  if (size < 2)
    return 0;
  const std::string_view input(reinterpret_cast<const char*>(data + 1), size - 1);
  const std::size_t cut = 1 + data[0] % 32;
  const bool from_start = data[0] < 0xc0;
  const auto turns = turns_of(input);
  const auto whole = run(turns, input.size(), from_start);
  const auto cut_up = run(turns, cut, from_start);
  const bool holes = std::ranges::any_of(turns, [](const Turn& turn) { return turn.hole != 0; });
  if (from_start && !holes && whole.malformed_count == 0 &&
      (whole.lines != cut_up.lines || cut_up.malformed_count != 0))
    std::abort();
  const sonde::protocols::Heads heads = {input, turns.back().bytes, from_start};
  static_cast<void>(sonde::http1::protocol.recognise(heads));
  return 0;
}
