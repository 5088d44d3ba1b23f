// SPDX-License-Identifier: Apache-2.0
// /proc/cpuinfo, as x86 and arm64 print it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

#include "agent/base/result.hpp"

namespace sonde {

// Points into the text.
struct CpuInfo {
  std::uint32_t processor = 0;
  double mhz = 0;
  std::string_view vendor;
  std::string_view family;
  std::string_view model;
  std::string_view model_name;
  std::string_view microcode;
  std::string_view stepping;
  std::string_view cache_size;
  std::string_view package;
  std::string_view core;
  std::string_view flags;  // separated by blanks
  std::string_view bugs;
};

Result<std::vector<CpuInfo>> parse_cpu_info(std::string_view text,
                                            const std::filesystem::path& path);

}  // namespace sonde
