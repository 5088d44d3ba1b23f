// SPDX-License-Identifier: Apache-2.0
// What Go's linker says of a program: its version and the modules it was built from. Also tells in
// microseconds that a file is no Go program.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/elf/elf_file.hpp"

namespace sonde::elf {

struct GoVersion {
  unsigned major = 0;
  unsigned minor = 0;
  unsigned patch = 0;

  auto operator<=>(const GoVersion&) const = default;
};

// "go1.26.8", "go1.27rc1", "devel go1.28-4d2f8a1 ..."; nothing where there is no number.
std::optional<GoVersion> parse_go_version(std::string_view text);

struct GoModule {
  std::string path;
  std::string version;  // "(devel)" and empty included; of a replaced module the replacement's
};

struct GoBuild {
  std::string version_text;  // "go1.26.8"; what client_golang's go_info has
  GoVersion version;
  std::string command;  // the main package's path
  GoModule main;        // the main module
  std::vector<GoModule> dependencies;
  std::vector<std::pair<std::string, std::string>>
      settings;  // "CGO_ENABLED" = "0", "vcs.revision" = …

  // Nothing: no Go program, or one without build information. Linkers before Go 1.18 give the
  // version alone.
  static std::optional<GoBuild> read(const ElfFile& file);
  const GoModule* dependency(std::string_view path) const;
};

}  // namespace sonde::elf
