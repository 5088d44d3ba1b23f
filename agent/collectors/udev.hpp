// SPDX-License-Identifier: Apache-2.0
// The properties that udev keeps of block devices, read again only when udev has written them
// anew. Owned by the diskstats collector.
#pragma once

#include <cstdint>
#include <ctime>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <utility>

namespace sonde {

using UdevProperties = std::map<std::string, std::string, std::less<>>;

// The lines "E:NAME=value" of a udev database entry; all others are left out.
UdevProperties parse_udev(std::string_view text);

// Empty when there is no such property.
std::string_view property(const UdevProperties& properties, std::string_view name);

class UdevData {
public:
  explicit UdevData(std::filesystem::path folder) : folder_(std::move(folder)) {}

  // Empty when udev does not know the device. Valid until the next call for the same device.
  const UdevProperties& of_block_device(std::uint32_t major, std::uint32_t minor);

  // Forgets devices not asked for since the last call.
  void forget_gone();

private:
  struct Entry {
    std::filesystem::path path;
    std::uint64_t inode = 0;
    std::timespec changed{};
    bool asked = false;
    UdevProperties properties;
  };

  std::filesystem::path folder_;
  std::map<std::pair<std::uint32_t, std::uint32_t>, Entry> entries_;
};

}  // namespace sonde
