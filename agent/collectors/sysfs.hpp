// SPDX-License-Identifier: Apache-2.0
// Small reads of sysfs that several collectors share.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/file.hpp"
#include "agent/base/result.hpp"

namespace sonde {

// Entries named `prefix` and a number (cpu0, cpu12), by number; empty when the folder is missing.
std::vector<std::string> numbered_entries(const std::filesystem::path& folder,
                                          std::string_view prefix);

// The number that is all the file says; nothing when it cannot be read or is something else.
std::optional<std::uint64_t> read_number(ReusedFile& file);
std::optional<std::uint64_t> read_number(const std::filesystem::path& path);

// "0-3,7" as numbers below 65,536; an empty text is an empty list. `path` names it in errors.
Result<std::vector<std::uint32_t>> parse_cpu_list(std::string_view text,
                                                  const std::filesystem::path& path);

}  // namespace sonde
