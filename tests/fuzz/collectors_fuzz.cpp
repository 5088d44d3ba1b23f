// SPDX-License-Identifier: Apache-2.0
// Every reader of a node collector: the first byte chooses the file, the rest is what it says.
#include <cstdint>
#include <cstdlib>
#include <fcntl.h>
#include <string_view>
#include <unistd.h>
#include <vector>

#include "agent/base/unique_fd.hpp"
#include "agent/collectors/filesystem.hpp"
#include "agent/collectors/link_statistics.hpp"
#include "agent/collectors/registry.hpp"
#include "agent/metrics/exposition.hpp"

namespace {

using namespace sonde;

struct Read {
  const char* file;
  const char* collector;
};

constexpr Read kReads[] = {
    {"proc/loadavg", "loadavg"},
    {"proc/meminfo", "meminfo"},
    {"proc/vmstat", "vmstat"},
    {"proc/stat", "stat"},
    {"proc/stat", "cpu"},
    {"proc/cpuinfo", "cpu"},
    {"proc/schedstat", "schedstat"},
    {"proc/net/netstat", "netstat"},
    {"proc/net/snmp6", "netstat"},
    {"proc/net/sockstat", "sockstat"},
    {"proc/net/dev", "netdev"},
    {"proc/pressure/cpu", "pressure"},
    {"proc/sys/fs/file-nr", "filefd"},
    {"proc/diskstats", "diskstats"},
    {"udev/b8:0", "diskstats"},
    {"proc/1/mountinfo", "filesystem"},
    {"sys/devices/system/cpu/online", "cpu"},
    {"sys/devices/system/clocksource/clocksource0/available_clocksource", "time"},
};

// A tree in memory and all collectors on it.
class Node {
public:
  Node()
  {
    std::string name = "/dev/shm/sonde-fuzz-XXXXXX";
    if (!::mkdtemp(name.data()))
      std::abort();
    root_ = name;
    for (const auto& read : kReads) {
      std::filesystem::create_directories((root_ / read.file).parent_path());
      write(read.file, "");
    }
    write("proc/net/netstat", "TcpExt: ListenDrops\nTcpExt: 1\n");
    write("proc/net/snmp", "Tcp: CurrEstab\nTcp: 1\n");
    write("proc/diskstats", "8 0 sda 1 2 3 4 5 6 7 8 9 10 11\n");
    write("proc/stat", "cpu0 1 2 3 4\n");

    std::vector<std::span<const Setting>> tables;
    std::vector<std::string> keys;
    std::vector<Setting> switches;
    keys.reserve(collectors().size());
    for (const auto* info : collectors()) {
      keys.push_back("collector." + std::string(info->name));
      switches.push_back({keys.back(), SettingKind::kBool, "true", ""});
      tables.push_back(info->settings);
    }
    tables.emplace_back(switches);
    auto settings = Settings::defaults(tables).value();
    for (const auto table : tables)
      for (const auto& setting : table)
        if (setting.key == "collector.cpu.info" || setting.key == "collector.stat.softirq")
          settings.set(setting, true, true);
    collectors_ = NodeCollectors::create({.procfs = root_ / "proc",
                                          .sysfs = root_ / "sys",
                                          .rootfs = root_ / "rootfs",
                                          .udev_data = root_ / "udev"},
                                         settings)
                      .value();
  }
  ~Node() { std::filesystem::remove_all(root_); }

  void write(std::string_view file, std::string_view text) const
  {
    const auto path = root_ / file;
    const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
      std::abort();
  }

  void scrape(const std::string& collector) const
  {
    Families families;
    collectors_->collect(families, {collector});
    metrics::Exposition exposition;
    families.write(exposition);
    exposition.body();
  }

private:
  std::filesystem::path root_;
  std::unique_ptr<NodeCollectors> collectors_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
  static const Node node;
  if (size == 0)
    return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto choice = data[0] % (std::size(kReads) + 1);
  if (choice == std::size(kReads)) {
    std::vector<LinkStatistics> links;
    (void)parse_links(std::as_bytes(std::span(text)), 1, links);
    return 0;
  }
  // Mounts that a malformed text names are parsed, never asked.
  if (std::string_view(kReads[choice].collector) == "filesystem") {
    (void)parse_mounts(text, "mountinfo");
    return 0;
  }
  node.write(kReads[choice].file, text);
  node.scrape(kReads[choice].collector);
  return 0;
}
