// SPDX-License-Identifier: Apache-2.0
// Arbitrary bytes through the web server's text parsers.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "agent/web/page.hpp"
#include "agent/web/parse.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto target = sonde::web::parse_target(text); target && !target->path.starts_with('/'))
    std::abort();
  static_cast<void>(sonde::web::accepts_gzip(text));
  static_cast<void>(sonde::web::parse_listen_address(text));
  if (sonde::web::html_escaped(text).find_first_of("<>\"'") != std::string::npos)
    std::abort();
  return 0;
}
