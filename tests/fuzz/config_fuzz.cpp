// SPDX-License-Identifier: Apache-2.0
// Any bytes as a configuration file: reading ends, and every error is one line with its place.
#include <cstdint>
#include <cstdlib>

#include "agent/app/config_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
  using namespace sonde::app;
  const auto config = parse_config({reinterpret_cast<const char*>(data), size}, declarations());
  for (const auto& error : config.errors)
    if (error.what.empty() || error.what.find('\n') != std::string::npos)
      std::abort();
  if (config.errors.empty() && !declarations().settings(config.values, {}))
    std::abort();
  return 0;
}
