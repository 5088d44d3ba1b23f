// SPDX-License-Identifier: Apache-2.0
// node_network_{receive,transmit}_*: counters of the node's network devices, by rtnetlink where
// Sonde is in the node's network namespace, else from /proc/1/net/dev.
#include <map>
#include <optional>
#include <sys/stat.h>

#include "agent/base/file.hpp"
#include "agent/base/text.hpp"
#include "agent/collectors/addresses.hpp"
#include "agent/collectors/collector.hpp"
#include "agent/collectors/link_statistics.hpp"
#include "agent/collectors/name_filter.hpp"

namespace sonde::collectors_netdev {

namespace {

using metrics::Type;

constexpr metrics::Desc kMetrics[] = {
    {"node_network_<statistic>_total",
     Type::kCounter,
     "Network device statistic <statistic>.",
     "device"},
    {"node_network_address_info",
     Type::kGauge,
     "node network address by device",
     "device address netmask scope"},
};
constexpr const metrics::Desc& kAddresses = kMetrics[1];

constexpr NameFilter::Keys kDevices{.exclude = "collector.netdev.device-exclude",
                                    .include = "collector.netdev.device-include",
                                    .old_exclude = "collector.netdev.device-blacklist",
                                    .old_include = "collector.netdev.device-whitelist"};
constexpr std::string_view kNetlink = "collector.netdev.netlink";
constexpr std::string_view kAddressInfo = "collector.netdev.address-info";
constexpr std::string_view kDetailed = "collector.netdev.enable-detailed-metrics";
constexpr std::string_view kAlias = "collector.netdev.label-ifalias";
constexpr Setting kSettings[] = {
    {kDevices.exclude,
     SettingKind::kRegex,
     "",
     "Regexp of net devices to exclude (mutually exclusive to device-include)."},
    {kDevices.include,
     SettingKind::kRegex,
     "",
     "Regexp of net devices to include (mutually exclusive to device-exclude)."},
    {kDevices.old_exclude,
     SettingKind::kRegex,
     "",
     "DEPRECATED: Use collector.netdev.device-exclude"},
    {kDevices.old_include,
     SettingKind::kRegex,
     "",
     "DEPRECATED: Use collector.netdev.device-include"},
    {kNetlink, SettingKind::kBool, "true", "Use netlink to gather stats instead of /proc/net/dev."},
    {kAddressInfo, SettingKind::kBool, "false", "Collect address-info for every device"},
    {kDetailed,
     SettingKind::kBool,
     "false",
     "Use (incompatible) metric names that provide more detailed stats on Linux"},
    {kAlias, SettingKind::kBool, "false", "Add ifAlias label"},
};

using C = LinkCounter;

// A statistic is the sum of counters: /proc/net/dev adds some of them up (net/core/net-procfs.c).
struct Statistic {
  std::string_view name;
  std::initializer_list<LinkCounter> counters;
};

constexpr Statistic kSummed[] = {
    {"receive_bytes", {C::kRxBytes}},
    {"receive_packets", {C::kRxPackets}},
    {"receive_errs", {C::kRxErrors}},
    {"receive_drop", {C::kRxDropped, C::kRxMissedErrors}},
    {"receive_fifo", {C::kRxFifoErrors}},
    {"receive_frame", {C::kRxFrameErrors, C::kRxLengthErrors, C::kRxOverErrors, C::kRxCrcErrors}},
    {"receive_compressed", {C::kRxCompressed}},
    {"receive_multicast", {C::kMulticast}},
    {"receive_nohandler", {C::kRxNohandler}},
    {"transmit_bytes", {C::kTxBytes}},
    {"transmit_packets", {C::kTxPackets}},
    {"transmit_errs", {C::kTxErrors}},
    {"transmit_drop", {C::kTxDropped}},
    {"transmit_fifo", {C::kTxFifoErrors}},
    {"transmit_colls", {C::kCollisions}},
    {"transmit_carrier",
     {C::kTxCarrierErrors, C::kTxAbortedErrors, C::kTxHeartbeatErrors, C::kTxWindowErrors}},
    {"transmit_compressed", {C::kTxCompressed}},
};

constexpr std::string_view kDetailedNames[kLinkCounters] = {"receive_packets",
                                                            "transmit_packets",
                                                            "receive_bytes",
                                                            "transmit_bytes",
                                                            "receive_errors",
                                                            "transmit_errors",
                                                            "receive_dropped",
                                                            "transmit_dropped",
                                                            "multicast",
                                                            "collisions",
                                                            "receive_length_errors",
                                                            "receive_over_errors",
                                                            "receive_crc_errors",
                                                            "receive_frame_errors",
                                                            "receive_fifo_errors",
                                                            "receive_missed_errors",
                                                            "transmit_aborted_errors",
                                                            "transmit_carrier_errors",
                                                            "transmit_fifo_errors",
                                                            "transmit_heartbeat_errors",
                                                            "transmit_window_errors",
                                                            "receive_compressed",
                                                            "transmit_compressed",
                                                            "receive_nohandler"};

// The columns of /proc/net/dev, which has no nohandler.
struct ColumnName {
  std::string_view name;
  std::string_view detailed;
};
constexpr ColumnName kColumnNames[] = {
    {"receive_bytes", "receive_bytes"},
    {"receive_packets", "receive_packets"},
    {"receive_errs", "receive_errors"},
    {"receive_drop", "receive_dropped"},
    {"receive_fifo", "receive_fifo"},
    {"receive_frame", "receive_frame"},
    {"receive_compressed", "receive_compressed"},
    {"receive_multicast", "receive_multicast"},
    {"transmit_bytes", "transmit_bytes"},
    {"transmit_packets", "transmit_packets"},
    {"transmit_errs", "transmit_errors"},
    {"transmit_drop", "transmit_dropped"},
    {"transmit_fifo", "transmit_fifo"},
    {"transmit_colls", "transmit_colls"},
    {"transmit_carrier", "transmit_carrier"},
    {"transmit_compressed", "transmit_compressed"},
};

std::optional<ino_t> inode_of(const std::filesystem::path& path)
{
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0)
    return std::nullopt;
  return status.st_ino;
}

// Whether the network namespace of `net_dev` is Sonde's own. Without the right to see the
// namespaces' links, the files tell: each namespace has its own inodes under /proc/net.
bool in_own_namespace(const Paths& paths, const std::filesystem::path& net_dev)
{
  std::error_code error;
  const auto own = std::filesystem::read_symlink("/proc/self/ns/net", error);
  const auto of_init = std::filesystem::read_symlink(paths.proc("1/ns/net"), error);
  if (!error && !own.empty())
    return own == of_init;
  const auto own_inode = inode_of("/proc/self/net/dev");
  return own_inode && own_inode == inode_of(net_dev);
}

class Netdev : public Collector {
public:
  Netdev(const Paths& paths, const Settings& settings, NameFilter filter)
      : filter_(std::move(filter)), file_(paths.net("dev")), class_net_(paths.sys("class/net")),
        own_namespace_(in_own_namespace(paths, file_.path())),
        netlink_(own_namespace_ && settings.flag(kNetlink)), detailed_(settings.flag(kDetailed)),
        addresses_(settings.flag(kAddressInfo)), alias_(settings.flag(kAlias))
  {
  }

  Result<> collect(Families& out) override
  {
    SONDE_TRY(netlink_ ? collect_links(out) : collect_file(out));
    return addresses_ ? collect_addresses(out) : Result<>{};
  }

private:
  bool ignored(std::string_view device)
  {
    // The filter is asked once per device. A node where devices come and go is not remembered for
    // ever.
    if (const auto known = ignored_.find(device); known != ignored_.end())
      return known->second;
    if (ignored_.size() >= 4096)
      ignored_.clear();
    return ignored_.emplace(std::string(device), filter_.ignored(device)).first->second;
  }

  void add(Families::Family family, std::string_view device, std::uint64_t count) const
  {
    const auto value = static_cast<double>(count);
    std::error_code error;
    if (!alias_ || !std::filesystem::is_directory(class_net_ / device, error)) {
      family.sample({{"device", device}}, value);
      return;
    }
    const auto text = read_file(class_net_ / device / "ifalias", 4096);
    family.sample({{"device", device}, {"ifalias", text ? trim(*text) : std::string_view()}},
                  value);
  }

  static Families::Family add_statistic(Families& out, std::string_view name)
  {
    return out.add({"node_network_", name, "_total"},
                   Type::kCounter,
                   {"Network device statistic ", name, "."});
  }

  Result<> collect_links(Families& out)
  {
    auto links = SONDE_TRY(socket_.read());
    std::erase_if(links, [this](const auto& link) { return ignored(link.name); });
    if (detailed_) {
      for (std::size_t i = 0; i < kLinkCounters; ++i) {
        const auto family = add_statistic(out, kDetailedNames[i]);
        for (const auto& link : links)
          add(family, link.name, link.counters[i]);
      }
      return {};
    }
    for (const auto& [name, counters] : kSummed) {
      const auto family = add_statistic(out, name);
      for (const auto& link : links) {
        std::uint64_t sum = 0;
        for (const auto counter : counters)
          sum += link[counter];
        add(family, link.name, sum);
      }
    }
    return {};
  }

  Result<> collect_file(Families& out)
  {
    const auto text = SONDE_TRY(file_.read());
    auto devices = SONDE_TRY(parse_devices(text, file_.path()));
    std::erase_if(devices, [this](const auto& device) { return ignored(device.name); });
    for (std::size_t i = 0; i < std::size(kColumnNames); ++i) {
      const auto family =
          add_statistic(out, detailed_ ? kColumnNames[i].detailed : kColumnNames[i].name);
      for (const auto& device : devices)
        add(family, device.name, device.columns[i]);
    }
    return {};
  }

  Result<> collect_addresses(Families& out)
  {
    if (!own_namespace_)
      return fail("--collector.netdev.address-info needs the node's network namespace");
    auto family = out.add(kAddresses);
    for (const auto& [device, address, netmask, scope] : SONDE_TRY(device_addresses()))
      if (!ignored(device))
        family.sample(
            {{"device", device}, {"address", address}, {"netmask", netmask}, {"scope", scope}}, 1);
    return {};
  }

  NameFilter filter_;
  std::map<std::string, bool, std::less<>> ignored_;
  ReusedFile file_;
  LinkSocket socket_;
  std::filesystem::path class_net_;
  bool own_namespace_;
  bool netlink_;
  bool detailed_;
  bool addresses_;
  bool alias_;
};

}  // namespace

extern const CollectorInfo info{
    .name = "netdev",
    .enabled = true,
    .create = [](const Paths& paths,
                 const Settings& settings,
                 Sources&) -> Result<std::unique_ptr<Collector>> {
      return std::make_unique<Netdev>(
          paths, settings, SONDE_TRY(NameFilter::create(settings, kDevices)));
    },
    .metrics = kMetrics,
    .settings = kSettings,
};

}  // namespace sonde::collectors_netdev
