// SPDX-License-Identifier: Apache-2.0
// node_disk_*: /proc/diskstats, with what udev and /sys/block know of each device.
#include <array>
#include <map>

#include "agent/base/file.hpp"
#include "agent/collectors/collector.hpp"
#include "agent/collectors/lines.hpp"
#include "agent/collectors/name_filter.hpp"
#include "agent/collectors/sysfs.hpp"
#include "agent/collectors/udev.hpp"

namespace sonde::collectors_diskstats {

namespace {

using metrics::Type;

constexpr double kSectorBytes = 512;  // whatever the device's own sector size
// A factor as node_exporter has it, not a division: the last digit is the same.
constexpr double kMilliseconds = 1.0 / 1000.0;

struct Column {
  metrics::Desc desc;
  double unit;
};

constexpr auto counter(std::string_view name, std::string_view help, double unit = 1)
{
  return Column{{name, Type::kCounter, help, "device"}, unit};
}

// In the order of the file; old kernels print the first 11 or 15.
constexpr Column kColumns[] = {
    counter("node_disk_reads_completed_total", "The total number of reads completed successfully."),
    counter("node_disk_reads_merged_total", "The total number of reads merged."),
    counter(
        "node_disk_read_bytes_total", "The total number of bytes read successfully.", kSectorBytes),
    counter("node_disk_read_time_seconds_total",
            "The total number of seconds spent by all reads.",
            kMilliseconds),
    counter("node_disk_writes_completed_total",
            "The total number of writes completed successfully."),
    counter("node_disk_writes_merged_total", "The number of writes merged."),
    counter("node_disk_written_bytes_total",
            "The total number of bytes written successfully.",
            kSectorBytes),
    counter("node_disk_write_time_seconds_total",
            "This is the total number of seconds spent by all writes.",
            kMilliseconds),
    {{"node_disk_io_now", Type::kGauge, "The number of I/Os currently in progress.", "device"}, 1},
    counter("node_disk_io_time_seconds_total", "Total seconds spent doing I/Os.", kMilliseconds),
    counter("node_disk_io_time_weighted_seconds_total",
            "The weighted # of seconds spent doing I/Os.",
            kMilliseconds),
    counter("node_disk_discards_completed_total",
            "The total number of discards completed successfully."),
    counter("node_disk_discards_merged_total", "The total number of discards merged."),
    counter("node_disk_discarded_sectors_total",
            "The total number of sectors discarded successfully."),
    counter("node_disk_discard_time_seconds_total",
            "This is the total number of seconds spent by all discards.",
            kMilliseconds),
    counter("node_disk_flush_requests_total",
            "The total number of flush requests completed successfully"),
    counter("node_disk_flush_requests_time_seconds_total",
            "This is the total number of seconds spent by all flush requests.",
            kMilliseconds),
};
constexpr std::size_t kLeastColumns = 11;

constexpr metrics::Desc kDiskInfo{"node_disk_info",
                                  Type::kGauge,
                                  "Info of /sys/block/<block_device>.",
                                  "device major minor path wwn model serial revision rotational"};
constexpr metrics::Desc kFilesystemInfo{"node_disk_filesystem_info",
                                        Type::kGauge,
                                        "Info about disk filesystem.",
                                        "device type usage uuid version"};
constexpr metrics::Desc kMapperInfo{"node_disk_device_mapper_info",
                                    Type::kGauge,
                                    "Info about disk device mapper.",
                                    "device name uuid vg_name lv_name lv_layer"};

struct Ata {
  std::string_view property;
  metrics::Desc desc;
};

constexpr Ata kAta[] = {
    {"ID_ATA_WRITE_CACHE",
     {"node_disk_ata_write_cache", Type::kGauge, "ATA disk has a write cache.", "device"}},
    {"ID_ATA_WRITE_CACHE_ENABLED",
     {"node_disk_ata_write_cache_enabled",
      Type::kGauge,
      "ATA disk has its write cache enabled.",
      "device"}},
    {"ID_ATA_ROTATION_RATE_RPM",
     {"node_disk_ata_rotation_rate_rpm",
      Type::kGauge,
      "ATA disk rotation rate in RPMs (0 for SSDs).",
      "device"}},
};

// All of them, in the order in which a scrape fills them.
constexpr auto kMetrics = [] {
  std::array<metrics::Desc, std::size(kColumns) + 3 + std::size(kAta)> all{};
  std::size_t next = 0;
  for (const auto& column : kColumns)
    all[next++] = column.desc;
  all[next++] = kDiskInfo;
  all[next++] = kFilesystemInfo;
  all[next++] = kMapperInfo;
  for (const auto& ata : kAta)
    all[next++] = ata.desc;
  return all;
}();
constexpr std::size_t kInfoAt = std::size(kColumns);
constexpr std::size_t kFilesystemAt = kInfoAt + 1;
constexpr std::size_t kMapperAt = kInfoAt + 2;
constexpr std::size_t kAtaAt = kInfoAt + 3;

constexpr NameFilter::Keys kDevices{.exclude = "collector.diskstats.device-exclude",
                                    .include = "collector.diskstats.device-include",
                                    .old_exclude = "collector.diskstats.ignored-devices"};
constexpr Setting kSettings[] = {
    {kDevices.exclude,
     SettingKind::kRegex,
     "^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\\d+n\\d+p)\\d+$",
     "Regexp of diskstats devices to exclude (mutually exclusive to device-include)."},
    {kDevices.include,
     SettingKind::kRegex,
     "",
     "Regexp of diskstats devices to include (mutually exclusive to device-exclude)."},
    {kDevices.old_exclude,
     SettingKind::kRegex,
     "",
     "DEPRECATED: Use collector.diskstats.device-exclude"},
};

// What is printed on the disk's label; virtio devices have only the last one.
std::string_view serial_of(const UdevProperties& properties)
{
  for (const auto* name : {"SCSI_IDENT_SERIAL", "ID_SERIAL_SHORT", "ID_SERIAL"})
    if (const auto serial = property(properties, name); !serial.empty())
      return serial;
  return {};
}

class Diskstats : public Collector {
public:
  Diskstats(const Paths& paths, NameFilter filter)
      : file_(paths.proc("diskstats")), sys_block_(paths.sys("block")), udev_(paths.udev_data),
        filter_(std::move(filter))
  {
  }

  Result<> collect(Families& out) override
  {
    const auto families = out.add(kMetrics);
    return fill(families);
  }

private:
  struct Device {
    bool ignored;
    bool seen = true;
    ReusedFile rotational;
  };

  Result<> fill(std::span<const Families::Family> families)
  {
    for (auto& [name, device] : devices_)
      device.seen = false;
    Lines lines(SONDE_TRY(file_.read()), file_.path());
    while (lines.next()) {
      const auto major = SONDE_TRY(lines.number<std::uint32_t>());
      const auto minor = SONDE_TRY(lines.number<std::uint32_t>());
      const auto name = lines.word();
      if (name.empty())
        return lines.malformed("a device is missing");
      auto& device = device_named(name);
      if (!device.ignored)
        SONDE_TRY(add_device(families, lines, major, minor, name, device));
    }
    udev_.forget_gone();
    std::erase_if(devices_, [](const auto& device) { return !device.second.seen; });
    return {};
  }

  // The filter is asked once per device, not once per scrape.
  Device& device_named(std::string_view name)
  {
    auto found = devices_.find(name);
    if (found == devices_.end())
      found = devices_
                  .emplace(std::string(name),
                           Device{.ignored = filter_.ignored(name),
                                  .rotational = ReusedFile(sys_block_ / name / "queue/rotational",
                                                           ReusedFile::End::kAtShortRead)})
                  .first;
    found->second.seen = true;
    return found->second;
  }

  Result<> add_device(std::span<const Families::Family> families,
                      Lines& lines,
                      std::uint32_t major,
                      std::uint32_t minor,
                      std::string_view name,
                      Device& device)
  {
    std::array<std::uint64_t, std::size(kColumns)> values{};
    std::size_t columns = 0;
    while (columns < values.size() && !trim(lines.rest()).empty())
      values[columns++] = SONDE_TRY(lines.number<std::uint64_t>());
    if (columns < kLeastColumns)  // a partition on kernels before 2.6.25
      return {};
    for (std::size_t i = 0; i < columns; ++i)
      families[i].sample({{"device", name}}, static_cast<double>(values[i]) * kColumns[i].unit);
    add_properties(families, udev_.of_block_device(major, minor), major, minor, name, device);
    return {};
  }

  static void add_properties(std::span<const Families::Family> families,
                             const UdevProperties& udev,
                             std::uint32_t major,
                             std::uint32_t minor,
                             std::string_view name,
                             Device& device)
  {
    const auto of = [&](std::string_view key) { return property(udev, key); };
    families[kInfoAt].sample({{"device", name},
                              {"major", std::to_string(major)},
                              {"minor", std::to_string(minor)},
                              {"path", of("ID_PATH")},
                              {"wwn", of("ID_WWN")},
                              {"model", of("ID_MODEL")},
                              {"serial", serial_of(udev)},
                              {"revision", of("ID_REVISION")},
                              {"rotational", read_number(device.rotational) == 1U ? "1" : "0"}},
                             1);
    if (const auto type = of("ID_FS_TYPE"); !type.empty())
      families[kFilesystemAt].sample({{"device", name},
                                      {"type", type},
                                      {"usage", of("ID_FS_USAGE")},
                                      {"uuid", of("ID_FS_UUID")},
                                      {"version", of("ID_FS_VERSION")}},
                                     1);
    if (const auto mapper = of("DM_NAME"); !mapper.empty())
      families[kMapperAt].sample({{"device", name},
                                  {"name", mapper},
                                  {"uuid", of("DM_UUID")},
                                  {"vg_name", of("DM_VG_NAME")},
                                  {"lv_name", of("DM_LV_NAME")},
                                  {"lv_layer", of("DM_LV_LAYER")}},
                                 1);
    if (of("ID_ATA").empty())
      return;
    for (std::size_t i = 0; i < std::size(kAta); ++i)
      if (const auto value = parse_number<double>(of(kAta[i].property)))
        families[kAtaAt + i].sample({{"device", name}}, *value);
  }

  ReusedFile file_;
  std::filesystem::path sys_block_;
  UdevData udev_;
  NameFilter filter_;
  std::map<std::string, Device, std::less<>> devices_;
};

}  // namespace

extern const CollectorInfo info{
    .name = "diskstats",
    .enabled = true,
    .create = [](const Paths& paths,
                 const Settings& settings,
                 Sources&) -> Result<std::unique_ptr<Collector>> {
      return std::make_unique<Diskstats>(paths, SONDE_TRY(NameFilter::create(settings, kDevices)));
    },
    .metrics = kMetrics,
    .settings = kSettings,
};

}  // namespace sonde::collectors_diskstats
