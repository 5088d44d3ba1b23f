// SPDX-License-Identifier: Apache-2.0
// Arbitrary bytes through both directions of a PostgreSQL connection: in one piece a turn and cut
// small, which must give the same; with holes, which must do no harm.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "tests/fuzz/turns.hpp"

#include "agent/protocols/protocol.hpp"

namespace sonde::postgresql {
extern const protocols::Protocol protocol;
}

namespace {

using sonde::protocols::Exchange;

class Collect : public sonde::protocols::Sink {
public:
  // After the first bytes that cannot be, where it goes on depends on where the pieces end.
  void exchange(const Exchange& exchange) override
  {
    if (lost)
      return;
    text += exchange.operation;
    text += ' ';
    text += exchange.target;
    text += ' ';
    text += exchange.status;
    text += std::to_string(exchange.request_bytes) + '/' + std::to_string(exchange.response_bytes);
    text += static_cast<char>('0' + static_cast<int>(exchange.end));
    text += '\n';
  }
  void malformed(std::string_view reason) override
  {
    if (!lost)
      text += std::string(reason) + "!\n";
    lost = true;
  }

  std::string text;
  bool lost = false;
};

std::string run(std::string_view data, bool cut, bool holes, bool from_start)
{
  Collect sink;
  sonde::fuzz::feed_turns(sonde::postgresql::protocol, sink, data, cut, holes, from_start);
  return sink.text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
  if (size == 0)
    return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const bool from_start = (data[0] & 1) != 0;
  const auto whole = run(text, false, false, from_start);
  // An older connection is joined where a whole call makes sense.
  if (from_start && whole != run(text, true, false, from_start))
    std::abort();
  run(text, true, true, from_start);
  static_cast<void>(sonde::postgresql::protocol.recognise(sonde::fuzz::heads_of(text, from_start)));
  return 0;
}
