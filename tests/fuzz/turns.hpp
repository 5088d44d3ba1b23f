// SPDX-License-Identifier: Apache-2.0
// A fuzzer's input as a conversation: bytes of 0xff change the direction, pieces that begin with
// 0xfe are holes where holes are on.
#pragma once

#include <algorithm>
#include <string_view>

#include "agent/protocols/protocol.hpp"

namespace sonde::fuzz {

// Each turn in one piece, or `cut` small; then a reset.
inline void feed_turns(const protocols::Protocol& protocol,
                       protocols::Sink& sink,
                       std::string_view data,
                       bool cut,
                       bool holes,
                       bool from_start)
{
  const auto decoder = protocol.decoder(from_start);
  auto direction = protocols::Direction::kToServer;
  while (!data.empty() && decoder->successor().empty()) {
    const auto turn = data.substr(0, data.find('\xff'));
    data.remove_prefix(std::min(data.size(), turn.size() + 1));
    bool first = true;
    for (std::size_t at = 0; at < turn.size() && decoder->successor().empty();) {
      const auto size = cut ? 1 + (at * 7) % 5 : turn.size();
      const auto piece = turn.substr(at, size);
      if (holes && piece.front() == '\xfe')
        decoder->hole(direction, piece.size(), 1, sink);
      else
        decoder->data(direction, {piece, 1, first}, sink);
      first = false;
      at += piece.size();
    }
    static_cast<void>(decoder->appetite(direction));
    direction = opposite(direction);
  }
  decoder->closed(protocols::Exchange::End::kReset, 2, sink);
}

// The input's first turn as what the client said, the rest as what the server said.
inline protocols::Heads heads_of(std::string_view text, bool from_start)
{
  const auto end = text.find('\xff');
  return {text.substr(0, end), text.substr(end + 1), from_start};
}

}  // namespace sonde::fuzz
