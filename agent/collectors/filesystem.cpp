// SPDX-License-Identifier: Apache-2.0
#include "agent/collectors/filesystem.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <set>
#include <tuple>

#include "agent/base/text.hpp"

namespace sonde::collectors_filesystem {

namespace {

using metrics::Type;

constexpr std::string_view kLabels = "device mountpoint fstype device_error";
constexpr metrics::Desc kMetrics[] = {
    {"node_filesystem_device_error",
     Type::kGauge,
     "Whether an error occurred while getting statistics for the given device.",
     kLabels},
    {"node_filesystem_readonly", Type::kGauge, "Filesystem read-only status.", kLabels},
    {"node_filesystem_size_bytes", Type::kGauge, "Filesystem size in bytes.", kLabels},
    {"node_filesystem_free_bytes", Type::kGauge, "Filesystem free space in bytes.", kLabels},
    {"node_filesystem_avail_bytes",
     Type::kGauge,
     "Filesystem space available to non-root users in bytes.",
     kLabels},
    {"node_filesystem_files", Type::kGauge, "Filesystem total file nodes.", kLabels},
    {"node_filesystem_files_free", Type::kGauge, "Filesystem total free file nodes.", kLabels},
    {"node_filesystem_purgeable_bytes",
     Type::kGauge,
     "Filesystem space available including purgeable space (MacOS specific).",
     kLabels},
    {"node_filesystem_mount_info",
     Type::kGauge,
     "Filesystem mount information.",
     "device major minor mountpoint"},
};
constexpr std::size_t kDeviceError = 0;
constexpr std::size_t kReadonly = 1;
constexpr std::size_t kFirstValue = 2;
constexpr std::size_t kMountInfo = 8;

constexpr NameFilter::Keys kPoints{.exclude = "collector.filesystem.mount-points-exclude",
                                   .include = "collector.filesystem.mount-points-include",
                                   .old_exclude = "collector.filesystem.ignored-mount-points"};
constexpr NameFilter::Keys kTypes{.exclude = "collector.filesystem.fs-types-exclude",
                                  .include = "collector.filesystem.fs-types-include",
                                  .old_exclude = "collector.filesystem.ignored-fs-types"};
constexpr std::string_view kTimeout = "collector.filesystem.mount-timeout";
constexpr std::string_view kWorkers = "collector.filesystem.stat-workers";
constexpr Setting kSettings[] = {
    {kPoints.exclude,
     SettingKind::kRegex,
     "^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)",
     "Regexp of mount points to exclude for filesystem collector. (mutually exclusive to "
     "mount-points-include)"},
    {kPoints.include,
     SettingKind::kRegex,
     "",
     "Regexp of mount points to include for filesystem collector. (mutually exclusive to "
     "mount-points-exclude)"},
    {kPoints.old_exclude,
     SettingKind::kRegex,
     "",
     "DEPRECATED: Use collector.filesystem.mount-points-exclude"},
    {kTypes.exclude,
     SettingKind::kRegex,
     "^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|fusectl|hugetlbfs|iso9660|"
     "mqueue|nsfs|overlay|proc|procfs|pstore|rpc_pipefs|securityfs|selinuxfs|squashfs|erofs|sysfs|"
     "tracefs)$",
     "Regexp of filesystem types to exclude for filesystem collector. (mutually exclusive to "
     "fs-types-include)"},
    {kTypes.include,
     SettingKind::kRegex,
     "",
     "Regexp of filesystem types to include for filesystem collector. (mutually exclusive to "
     "fs-types-exclude)"},
    {kTypes.old_exclude,
     SettingKind::kRegex,
     "",
     "DEPRECATED: Use collector.filesystem.fs-types-exclude"},
    {kTimeout,
     SettingKind::kDuration,
     "5s",
     "how long to wait for a mount to respond before marking it as stale"},
    {kWorkers, SettingKind::kInteger, "4", "how many stat calls to process simultaneously"},
};

// As Go words an errno: "permission denied" where the C library begins with a capital.
std::string error_text(const MountStatistics::Answer& answer)
{
  if (answer.timed_out)
    return "mountpoint timeout";
  if (answer.error == 0)
    return {};
  auto text = std::error_code(answer.error, std::generic_category()).message();
  if (text.size() > 1 && std::islower(static_cast<unsigned char>(text[1])))
    text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  return text;
}

std::array<double, 6> values_of(const struct statfs& values)
{
  const auto block = static_cast<double>(values.f_bsize);
  return {static_cast<double>(values.f_blocks) * block,
          static_cast<double>(values.f_bfree) * block,
          static_cast<double>(values.f_bavail) * block,
          static_cast<double>(values.f_files),
          static_cast<double>(values.f_ffree),
          0};
}

}  // namespace

Filesystem::Filesystem(const Paths& paths,
                       Filters filters,
                       MountStatistics::Limits limits,
                       MountStatistics::Ask ask)
    : rootfs_(paths.rootfs.string()), filters_(std::move(filters)),
      of_init_(paths.proc("1/mountinfo")), own_(paths.proc("self/mountinfo")),
      statistics_(limits, std::move(ask))
{
  while (rootfs_.ends_with('/'))
    rootfs_.pop_back();
}

// Process 1's mounts; Sonde's own where hidepid hides process 1. The same text as before is not
// taken apart again.
Result<> Filesystem::read_mounts()
{
  const auto of_init = of_init_.read();
  const auto text = of_init ? *of_init : SONDE_TRY(own_.read());
  if (text == text_)
    return {};
  text_ = text;
  shown_.clear();
  questions_.clear();
  auto taken = take_mounts(of_init ? of_init_.path() : own_.path());
  if (!taken)
    text_.clear();
  return taken;
}

Result<> Filesystem::take_mounts(const std::filesystem::path& path)
{
  auto mounts = SONDE_TRY(parse_mounts(text_, path));
  const auto hanging = hanging_points(mounts);
  // A file system mounted twice at one place is shown once.
  std::set<std::tuple<std::string_view, std::string, std::string_view>> seen;
  for (const auto& mount : mounts) {
    auto point = shown_point(mount.point);
    if (filters_.points.ignored(point) || filters_.types.ignored(mount.type) ||
        !seen.emplace(mount.device, point, mount.type).second)
      continue;
    questions_.push_back({.path = rootfs_ + point,
                          .may_hang = std::ranges::any_of(hanging, [&](std::string_view other) {
                            return leads_to(other, mount.point);
                          })});
    shown_.push_back({.mount = mount, .point = std::move(point)});
  }
  return {};
}

std::string Filesystem::shown_point(const std::string& point) const
{
  if (rootfs_.empty() || !point.starts_with(rootfs_))
    return point;
  const auto stripped = point.substr(rootfs_.size());
  if (stripped.empty())
    return "/";
  return stripped.starts_with('/') ? stripped : point;
}

void Filesystem::add_mount(std::span<const Families::Family> families,
                           const Shown& shown,
                           const MountStatistics::Answer& answer)
{
  const auto error = error_text(answer);
  const auto add = [&](std::size_t family, double value) {
    families[family].sample({{"device", shown.mount.device},
                             {"mountpoint", shown.point},
                             {"fstype", shown.mount.type},
                             {"device_error", error}},
                            value);
  };
  add(kDeviceError, error.empty() ? 0 : 1);
  add(kReadonly, shown.mount.readonly && !answer.timed_out ? 1 : 0);
  if (!error.empty())
    return;
  const auto values = values_of(answer.values);
  for (std::size_t i = 0; i < values.size(); ++i)
    add(kFirstValue + i, values[i]);
  families[kMountInfo].sample({{"device", shown.mount.device},
                               {"major", std::to_string(shown.mount.major)},
                               {"minor", std::to_string(shown.mount.minor)},
                               {"mountpoint", shown.point}},
                              1);
}

Result<> Filesystem::collect(Families& out)
{
  SONDE_TRY(read_mounts());
  const auto answers = SONDE_TRY(statistics_.ask(questions_));
  const auto families = out.add(kMetrics);
  for (std::size_t i = 0; i < shown_.size(); ++i)
    add_mount(families, shown_[i], answers[i]);
  return {};
}

extern const CollectorInfo info{
    .name = "filesystem",
    .enabled = true,
    .create = [](const Paths& paths,
                 const Settings& settings,
                 Sources&) -> Result<std::unique_ptr<Collector>> {
      auto points = SONDE_TRY(NameFilter::create(settings, kPoints));
      auto types = SONDE_TRY(NameFilter::create(settings, kTypes));
      const auto workers = std::max<std::int64_t>(settings.integer(kWorkers), 1);
      return std::make_unique<Filesystem>(
          paths,
          Filesystem::Filters{std::move(points), std::move(types)},
          MountStatistics::Limits{settings.duration(kTimeout), static_cast<std::size_t>(workers)});
    },
    .metrics = kMetrics,
    .settings = kSettings,
};

}  // namespace sonde::collectors_filesystem
