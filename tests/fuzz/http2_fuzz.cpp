// SPDX-License-Identifier: Apache-2.0
// Arbitrary frames, pieces and holes through the decoder of HTTP/2 and gRPC. The first byte of the
// input says how it begins; then each piece has three bytes: whose it is and whether it is a hole,
// and its length. Without holes and malformed bytes, how pieces are cut must not matter.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/protocols/protocol.hpp"

namespace sonde::http2 {
extern const protocols::Protocol protocol;
}

namespace {

using sonde::protocols::Direction;
using sonde::protocols::Exchange;

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr std::size_t kMostStreams = 4096;

class Collect : public sonde::protocols::Sink {
public:
  void exchange(const Exchange& exchange) override
  {
    if (exchange.request_first_ns == 0 || exchange.response_last_ns == 0)
      std::abort();
    const std::string_view within = exchange.within == nullptr ? "" : exchange.within->name;
    std::string line(within);
    for (const auto text : {exchange.operation, exchange.target, exchange.status})
      line += ' ' + std::string(text);
    for (const auto number : {exchange.request_bytes,
                              exchange.response_bytes,
                              std::uint64_t{exchange.sizes_known},
                              static_cast<std::uint64_t>(exchange.end)})
      line += ' ' + std::to_string(number);
    lines.push_back(line);
    count(exchange);
  }
  void progress(const Exchange& exchange) override
  {
    if (exchange.within == nullptr || exchange.request_messages + exchange.response_messages == 0)
      std::abort();
    count(exchange);
  }
  void malformed(std::string_view reason) override
  {
    if (reason.empty())
      std::abort();
    ++malformed_count;
  }

  std::vector<std::string> lines;
  std::map<std::string, std::pair<std::uint64_t, std::uint64_t>, std::less<>> messages;
  int malformed_count = 0;

private:
  void count(const Exchange& exchange)
  {
    if (exchange.request_messages + exchange.response_messages == 0)
      return;
    auto& [requests, responses] = messages[std::string(exchange.target)];
    requests += exchange.request_messages;
    responses += exchange.response_messages;
  }
};

struct Piece {
  Direction direction = Direction::kToServer;
  std::uint64_t hole = 0;
  std::string_view bytes;
};

std::vector<Piece> pieces_of(std::string_view input)
{
  std::vector<Piece> pieces;
  while (input.size() > 3) {
    const auto byte = [&input](std::size_t at) { return static_cast<unsigned char>(input[at]); };
    const auto length = static_cast<std::size_t>(byte(1) << 8U | byte(2));
    Piece piece{.direction = (byte(0) & 1) != 0 ? Direction::kToClient : Direction::kToServer};
    const bool hole = (byte(0) & 2) != 0;
    input.remove_prefix(3);
    if (hole) {
      piece.hole = length + 1;
    } else {
      piece.bytes = input.substr(0, length);
      input.remove_prefix(piece.bytes.size());
    }
    pieces.push_back(piece);
  }
  return pieces;
}

Collect run(const std::vector<Piece>& pieces, std::size_t cut, bool from_start, bool by_appetite)
{
  const auto decoder = sonde::http2::protocol.decoder(from_start);
  Collect sink;
  std::uint64_t time_ns = 1;
  if (from_start)
    decoder->data(Direction::kToServer, {kPreface, time_ns}, sink);
  for (const auto& [direction, hole, bytes] : pieces) {
    time_ns += 1'000'000;
    if (hole > 0)
      decoder->hole(direction, hole, time_ns, sink);
    for (std::size_t at = 0; at < bytes.size();) {
      const auto skip = by_appetite ? decoder->appetite(direction).skip : 0;
      const auto piece = bytes.substr(at, skip > 0 ? skip : cut);
      if (skip > 0)
        decoder->hole(direction, piece.size(), time_ns, sink);
      else if (decoder->data(direction, {piece, time_ns, at == 0}, sink) != piece.size())
        std::abort();
      at += piece.size();
      if (decoder->activity().in_flight > kMostStreams)
        std::abort();
    }
  }
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
  const auto pieces = pieces_of(input);
  const auto whole = run(pieces, input.size(), from_start, false);
  const auto cut_up = run(pieces, cut, from_start, false);
  const auto skipped = run(pieces, input.size(), from_start, true);
  const bool holes =
      std::ranges::any_of(pieces, [](const Piece& piece) { return piece.hole != 0; });
  if (from_start && !holes && whole.malformed_count == 0)
    for (const auto* other : {&cut_up, &skipped})
      if (whole.lines != other->lines || whole.messages != other->messages ||
          other->malformed_count != 0)
        std::abort();
  if (!pieces.empty())
    static_cast<void>(
        sonde::http2::protocol.recognise({pieces.front().bytes, pieces.back().bytes, from_start}));
  return 0;
}
