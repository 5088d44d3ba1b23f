// SPDX-License-Identifier: Apache-2.0
// Any bytes as /proc/PID/stat, /proc/net/tcp and links of descriptors.
#include <cstddef>
#include <cstdint>

#include "agent/proc/inspect.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)sonde::proc::parse_stat(text);
  std::unordered_set<std::uint64_t> inodes;
  sonde::proc::add_listening(text, inodes);
  (void)sonde::proc::socket_inode(text);
  return 0;
}
