// SPDX-License-Identifier: Apache-2.0
// Files that more than one collector needs: each is read once a scrape. Owned by NodeCollectors,
// used under its lock.
#pragma once

#include <optional>

#include "agent/base/file.hpp"
#include "agent/collectors/collector.hpp"

namespace sonde {

class Sources {
public:
  explicit Sources(const Paths& paths) : stat_(paths.proc("stat"), ReusedFile::End::kAtShortRead) {}

  void begin_scrape() { stat_text_.reset(); }

  // /proc/stat: the kernel sums it over all CPUs and interrupts, on a big node for milliseconds.
  // Valid until the next scrape begins.
  Result<std::string_view> stat()
  {
    if (!stat_text_)
      stat_text_ = SONDE_TRY(stat_.read());
    return *stat_text_;
  }
  const std::filesystem::path& stat_path() const { return stat_.path(); }

private:
  ReusedFile stat_;
  std::optional<std::string_view> stat_text_;
};

}  // namespace sonde
