// SPDX-License-Identifier: Apache-2.0
#include "agent/app/tail.hpp"

#include <cstdio>
#include <fmt/format.h>

#include "agent/app/control.hpp"
#include "agent/base/text.hpp"
#include "agent/control/conversation.hpp"

namespace sonde::app {

Result<> tail(const Invocation& invocation, const Settings& settings)
{
  const control::TailRequest request{
      .protocol = invocation.subject,
      .service = invocation.service,
      .status = invocation.status,
      .limit = parse_number<std::uint64_t>(invocation.limit).value_or(0),
      .json = invocation.json,
  };
  return control::converse(settings.text("control.socket"),
                           fmt::format("{}\t{}", kTailWord, control::to_line(request)),
                           [&](char kind, std::string_view text) {
                             std::string line(text);
                             if (kind == control::kLeft)
                               line = invocation.json
                                          ? fmt::format(R"({{"left_out":{}}})", text)
                                          : fmt::format("… {} records were left out", text);
                             line += '\n';
                             // Whoever reads does so as it comes.
                             return std::fwrite(line.data(), 1, line.size(), stdout) ==
                                        line.size() &&
                                    std::fflush(stdout) == 0;
                           });
}

}  // namespace sonde::app
