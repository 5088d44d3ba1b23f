// SPDX-License-Identifier: Apache-2.0
// Any lines of a control socket's client as a request to tail, and of the agent as an explanation:
// what was understood can be written and is understood again.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "agent/control/explanation.hpp"
#include "agent/control/fields.hpp"
#include "agent/control/tail.hpp"

namespace control = sonde::control;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
  std::string_view text(reinterpret_cast<const char*>(data), size);
  control::Explanation explanation;
  while (!text.empty()) {
    const auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    static_cast<void>(control::split_fields(line, 4));
    static_cast<void>(control::read_line(line, explanation));
    if (const auto request = control::read_tail(line)) {
      // What a terminal would obey is blank in the line.
      const auto written = control::read_tail(control::to_line(*request));
      if (!written || written->limit != request->limit || written->json != request->json ||
          control::read_tail(control::to_line(*written)).value() != *written)
        std::abort();
      static_cast<void>(control::accept(*request, sonde::protocols::protocols()));
    }
  }
  // The heads of an explanation are lines of their own, as many as there are.
  control::Explanation copy;
  for (const auto& line : control::to_lines(explanation))
    if (!control::read_line(line, copy))
      std::abort();
  if (copy.connections.size() != explanation.connections.size() ||
      copy.processes.size() != explanation.processes.size())
    std::abort();
  return 0;
}
