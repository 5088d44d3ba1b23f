// SPDX-License-Identifier: Apache-2.0
#include "agent/control/tails.hpp"

namespace sonde::control {

void Tails::show(const protocols::Observed& seen, std::uint64_t now_ns, std::uint64_t wall_ns)
{
  const auto ended = seen.exchange.response_last_ns;
  const auto when = ended != 0 && ended < now_ns ? wall_ns - (now_ns - ended) : wall_ns;
  for (auto& tail : tails_) {
    const auto limit = tail.request.limit;
    if ((limit != 0 && tail.lines >= limit) || !matches(tail.request, seen))
      continue;
    const auto line = tail.request.json ? tail_json(seen, when) : tail_text(seen, when);
    if (tail.client->line(line) && ++tail.lines == limit)
      tail.client->done();
  }
}

void Tails::end(std::string_view why)
{
  for (const auto& tail : tails_)
    tail.client->refuse(why);
}

}  // namespace sonde::control
