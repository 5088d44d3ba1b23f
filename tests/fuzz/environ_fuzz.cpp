// SPDX-License-Identifier: Apache-2.0
// Any bytes as an environment or a command line.
#include <cstddef>
#include <cstdint>

#include "agent/proc/inspect.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto name = sonde::proc::find_variable(text, sonde::proc::kNameVariable);
  if (name && (name->empty() || name->size() > size))
    __builtin_trap();
  sonde::proc::Traits traits;
  traits.arguments = sonde::proc::split_arguments(text);
  for (const std::string_view exe : {"python3", "java", "node", "deno", "sh", "tool"}) {
    traits.exe_name = exe;
    (void)sonde::proc::application_name(traits);
  }
  return 0;
}
