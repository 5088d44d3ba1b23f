// SPDX-License-Identifier: Apache-2.0
// node_filesystem_*: the node's mounts. In a header so that statfs(2) can be given from outside.
#pragma once

#include "agent/base/file.hpp"
#include "agent/collectors/collector.hpp"
#include "agent/collectors/mount_statistics.hpp"
#include "agent/collectors/mounts.hpp"
#include "agent/collectors/name_filter.hpp"

namespace sonde::collectors_filesystem {

class Filesystem : public Collector {
public:
  struct Filters {
    NameFilter points;
    NameFilter types;
  };

  Filesystem(const Paths& paths,
             Filters filters,
             MountStatistics::Limits limits,
             MountStatistics::Ask ask = MountStatistics::statfs_of);

  Result<> collect(Families& out) override;

private:
  struct Shown {
    Mount mount;
    std::string point;
  };

  Result<> read_mounts();
  Result<> take_mounts(const std::filesystem::path& path);
  static void add_mount(std::span<const Families::Family> families,
                        const Shown& shown,
                        const MountStatistics::Answer& answer);
  std::string shown_point(const std::string& point) const;

  std::string rootfs_;  // without a slash at the end; empty for "/"
  Filters filters_;
  ReusedFile of_init_;
  ReusedFile own_;
  std::string text_;  // that the following were made from and point into
  std::vector<Shown> shown_;
  std::vector<MountStatistics::Question> questions_;  // one for each
  MountStatistics statistics_;
};

}  // namespace sonde::collectors_filesystem
