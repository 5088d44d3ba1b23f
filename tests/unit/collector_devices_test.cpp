// SPDX-License-Identifier: Apache-2.0
// CPUs, disks and network devices.
#include <arpa/inet.h>
#include <cstring>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/collector_tree.hpp"

#include "agent/collectors/addresses.hpp"
#include "agent/collectors/link_statistics.hpp"
#include "agent/collectors/sysfs.hpp"

namespace sonde {

namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(Cpu, counters_never_step_back_but_a_cpu_that_was_off_line_starts_anew)
{
  const testing::CollectorTree tree;
  tree.write("proc/stat", "cpu0 1000 0 0 5000 300 0 0 0\ncpu1 1 0 0 2\n");
  auto collectors = testing::one_collector("cpu", tree.paths());
  EXPECT_THAT(testing::samples(*collectors),
              HasSubstr("node_cpu_seconds_total{cpu=\"1\",mode=\"idle\"} 0.02\n"));

  tree.write("proc/stat", "cpu0 1001 0 0 4900 299 0 0 0\n");
  auto text = testing::samples(*collectors);
  EXPECT_THAT(text, HasSubstr("{cpu=\"0\",mode=\"user\"} 10.01\n"));
  EXPECT_THAT(text, HasSubstr("{cpu=\"0\",mode=\"idle\"} 50\n"));
  EXPECT_THAT(text, HasSubstr("{cpu=\"0\",mode=\"iowait\"} 3\n"));
  EXPECT_THAT(text, Not(HasSubstr("cpu=\"1\"")));

  tree.write("proc/stat", "cpu0 7 0 0 4700 5 0 0 0\n");
  text = testing::samples(*collectors);
  EXPECT_THAT(text, HasSubstr("{cpu=\"0\",mode=\"user\"} 0.07\n"));
  EXPECT_THAT(text, HasSubstr("{cpu=\"0\",mode=\"idle\"} 47\n"));
}

TEST(Cpu, guests_can_be_left_out)
{
  const testing::CollectorTree tree;
  tree.write("proc/stat", "cpu0 1000 0 0 5000 300 0 0 0 40 2\n");
  auto with = testing::one_collector("cpu", tree.paths());
  EXPECT_THAT(testing::samples(*with),
              HasSubstr("node_cpu_guest_seconds_total{cpu=\"0\",mode=\"user\"} 0.4\n"));
  auto without = testing::one_collector("cpu", tree.paths(), {{"collector.cpu.guest", "false"}});
  EXPECT_THAT(testing::samples(*without), Not(HasSubstr("guest")));
}

TEST(Cpu, a_cpu_taken_off_line_is_noticed)
{
  const testing::CollectorTree tree;
  tree.write("proc/stat", "cpu0 1 0 0 5\n");
  tree.write("sys/devices/system/cpu/present", "0-1\n");
  tree.write("sys/devices/system/cpu/online", "0-1\n");
  tree.write("sys/devices/system/cpu/cpu0/online", "1\n");
  tree.write("sys/devices/system/cpu/cpu1/online", "1\n");
  tree.write("sys/devices/system/cpu/cpu1/topology/physical_package_id", "0\n");
  tree.write("sys/devices/system/cpu/cpu1/topology/core_id", "1\n");
  tree.write("sys/devices/system/cpu/cpu1/thermal_throttle/core_throttle_count", "3\n");
  auto collectors = testing::one_collector("cpu", tree.paths());
  auto text = testing::samples(*collectors);
  EXPECT_THAT(text, HasSubstr("node_cpu_online{cpu=\"1\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("node_cpu_core_throttles_total{package=\"0\",core=\"1\"} 3\n"));

  tree.write("sys/devices/system/cpu/online", "0\n");
  tree.remove("sys/devices/system/cpu/cpu1/topology");
  text = testing::samples(*collectors);
  EXPECT_THAT(text, HasSubstr("node_cpu_online{cpu=\"1\"} 0\n"));
  EXPECT_THAT(text, Not(HasSubstr("throttles")));
}

TEST(Cpu, a_list_of_cpus_is_numbers_and_ranges)
{
  EXPECT_THAT(*parse_cpu_list("0-2,5\n", "x"), ElementsAre(0, 1, 2, 5));
  EXPECT_THAT(*parse_cpu_list("\n", "x"), ElementsAre());
  for (const auto* malformed : {"1-", "-1", "a", "3-1", "1-2-3", "0-70000", "0-4294967295"})
    EXPECT_FALSE(parse_cpu_list(malformed, "x")) << malformed;
}

TEST(Cpu, arm64_s_features_are_flags)
{
  const testing::CollectorTree tree;
  tree.write("proc/stat", "cpu0 1 0 0 5\n");
  tree.write("proc/cpuinfo",
             "processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd aes\nCPU part\t: 0xd0c\n");
  auto collectors =
      testing::one_collector("cpu", tree.paths(), {{"collector.cpu.info.flags-include", "a"}});
  const auto text = testing::samples(*collectors);
  EXPECT_THAT(text, HasSubstr("node_cpu_flag_info{flag=\"asimd\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("node_cpu_info{package=\"\",core=\"\",cpu=\"0\""));
}

TEST(Diskstats, short_lines_have_fewer_families_and_partitions_are_left_out)
{
  const testing::CollectorTree tree;
  tree.write("proc/diskstats",
             "8 0 sda 1 2 3 4 5 6 7 8 9 10 11\n8 1 sda1 1 2 3 4 5 6 7 8 9 10 11\n"
             "8 16 sdb 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15\n8 17 old 1 2 3 4\n");
  auto collectors = testing::one_collector("diskstats", tree.paths());
  const auto text = testing::samples(*collectors);
  EXPECT_THAT(text, HasSubstr("node_disk_read_bytes_total{device=\"sda\"} 1536\n"));
  EXPECT_THAT(text, HasSubstr("node_disk_io_time_weighted_seconds_total{device=\"sda\"} 0.011\n"));
  EXPECT_THAT(text, HasSubstr("node_disk_discarded_sectors_total{device=\"sdb\"} 14\n"));
  EXPECT_THAT(text, Not(HasSubstr("discarded_sectors_total{device=\"sda\"}")));
  EXPECT_THAT(text, Not(HasSubstr("flush")));
  EXPECT_THAT(text, Not(HasSubstr("sda1")));
  EXPECT_THAT(text, Not(HasSubstr("\"old\"")));
}

TEST(Diskstats, udev_s_new_data_is_read)
{
  const testing::CollectorTree tree;
  tree.write("proc/diskstats", "8 0 sda 1 2 3 4 5 6 7 8 9 10 11\n");
  auto collectors = testing::one_collector("diskstats", tree.paths());
  EXPECT_THAT(testing::samples(*collectors), HasSubstr("serial=\"\""));
  tree.write("udev/b8:0", "E:ID_SERIAL=one\n");
  EXPECT_THAT(testing::samples(*collectors), HasSubstr("serial=\"one\""));
  tree.remove("udev/b8:0");
  tree.write("udev/b8:0", "E:ID_SERIAL_SHORT=two\nE:ID_SERIAL=one\n");
  EXPECT_THAT(testing::samples(*collectors), HasSubstr("serial=\"two\""));
  tree.remove("udev/b8:0");
  tree.write("udev/b8:0", "E:ID_SERIAL_SHORT=two\nE:SCSI_IDENT_SERIAL=three\n");
  EXPECT_THAT(testing::samples(*collectors), HasSubstr("serial=\"three\""));
}

TEST(Diskstats, a_malformed_line_is_named)
{
  const testing::CollectorTree tree;
  tree.write("proc/diskstats", "8 0 sda 1 2 3 4 5 6 7 8 9 10 11\n8 16 sdb 1 2 x\n");
  EXPECT_EQ(testing::error_of("diskstats", tree.paths()),
            tree.path("proc/diskstats") + ":2: \"x\" is not a number");
}

constexpr std::string_view kHeadings = "Inter-|   Receive  |  Transmit\n face |bytes |bytes\n";

TEST(Netdev, proc_net_dev_of_process_1_is_read_where_the_namespace_is_another)
{
  const testing::CollectorTree tree;
  tree.write("proc/1/net/dev",
             std::string(kHeadings) + "eth0:1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n"
                                      "  eth0:1: 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n");
  auto collectors = testing::one_collector("netdev", tree.paths());
  const auto text = testing::samples(*collectors);
  EXPECT_THAT(text, HasSubstr("node_network_receive_drop_total{device=\"eth0\"} 4\n"));
  EXPECT_THAT(text, HasSubstr("node_network_transmit_colls_total{device=\"eth0\"} 14\n"));
  EXPECT_THAT(text, HasSubstr("node_network_receive_bytes_total{device=\"eth0:1\"} 1\n"));
  EXPECT_THAT(text, Not(HasSubstr("nohandler")));

  auto detailed = testing::one_collector(
      "netdev", tree.paths(), {{"collector.netdev.enable-detailed-metrics", "true"}});
  EXPECT_THAT(testing::samples(*detailed),
              HasSubstr("node_network_receive_dropped_total{device=\"eth0\"} 4\n"));
}

TEST(Netdev, devices_are_filtered_and_labelled_with_their_alias)
{
  const testing::CollectorTree tree;
  tree.write("proc/net/dev",
             std::string(kHeadings) + "eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n"
                                      "veth1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n");
  tree.write("sys/class/net/eth0/ifalias", "uplink\n");
  auto collectors = testing::one_collector(
      "netdev",
      tree.paths(),
      {{"collector.netdev.device-exclude", "^veth"}, {"collector.netdev.label-ifalias", "true"}});
  const auto text = testing::samples(*collectors);
  EXPECT_THAT(
      text, HasSubstr("node_network_receive_bytes_total{device=\"eth0\",ifalias=\"uplink\"} 1\n"));
  EXPECT_THAT(text, Not(HasSubstr("veth1")));
}

TEST(Netdev, a_malformed_line_is_named)
{
  const testing::CollectorTree tree;
  tree.write("proc/net/dev", std::string(kHeadings) + "eth0: 1 2 3\n");
  EXPECT_EQ(testing::error_of("netdev", tree.paths()),
            tree.path("proc/net/dev") + ":3: a number is missing");
}

TEST(Netdev, the_kernel_tells_of_the_loopback_device)
{
  LinkSocket socket;
  for (int scrape = 0; scrape < 3; ++scrape) {
    const auto links = socket.read();
    ASSERT_TRUE(links) << links.error().message();
    const auto lo = std::ranges::find(*links, "lo", &LinkStatistics::name);
    ASSERT_NE(lo, links->end());
    EXPECT_EQ((*lo)[LinkCounter::kRxBytes], (*lo)[LinkCounter::kTxBytes]);
  }
}

// A message with one attribute.
std::vector<std::byte> message(std::uint16_t type, std::uint32_t sequence, std::uint16_t length)
{
  struct {
    nlmsghdr header;
    ifinfomsg link;
    rtattr attribute;
    char name[8];
  } raw{};
  raw.header = {.nlmsg_len = sizeof(raw),
                .nlmsg_type = type,
                .nlmsg_flags = 0,
                .nlmsg_seq = sequence,
                .nlmsg_pid = 0};
  raw.attribute = {.rta_len = length, .rta_type = IFLA_IFNAME};
  std::vector<std::byte> bytes(sizeof(raw));
  std::memcpy(bytes.data(), &raw, sizeof(raw));
  return bytes;
}

TEST(Netdev, a_malformed_answer_of_the_kernel_is_refused)
{
  std::vector<LinkStatistics> links;
  EXPECT_FALSE(parse_links(message(RTM_NEWLINK, 1, 200), 1, links));
  EXPECT_FALSE(parse_links(message(RTM_NEWLINK, 1, 3), 1, links));
  EXPECT_FALSE(*parse_links(message(RTM_NEWLINK, 2, 200), 1, links)) << "another's answer";
  EXPECT_TRUE(*parse_links(message(NLMSG_DONE, 1, 12), 1, links));
  auto cut = message(RTM_NEWLINK, 1, 12);
  cut.resize(cut.size() - 4);
  EXPECT_FALSE(parse_links(cut, 1, links));
  EXPECT_TRUE(links.empty());
}

TEST(Netdev, scopes_are_go_s)
{
  const auto scope = [](const char* text) {
    sockaddr_storage storage{};
    if (std::strchr(text, ':')) {
      storage.ss_family = AF_INET6;
      ::inet_pton(AF_INET6, text, &reinterpret_cast<sockaddr_in6*>(&storage)->sin6_addr);
    } else {
      storage.ss_family = AF_INET;
      ::inet_pton(AF_INET, text, &reinterpret_cast<sockaddr_in*>(&storage)->sin_addr);
    }
    return scope_of(reinterpret_cast<const sockaddr*>(&storage));
  };
  EXPECT_EQ(scope("127.0.0.1"), "link-local");
  EXPECT_EQ(scope("169.254.1.1"), "link-local");
  EXPECT_EQ(scope("192.168.1.1"), "global");
  EXPECT_EQ(scope("0.0.0.0"), "");
  EXPECT_EQ(scope("::1"), "link-local");
  EXPECT_EQ(scope("fe80::1"), "link-local");
  EXPECT_EQ(scope("2001:db8::1"), "global");
}

}  // namespace

}  // namespace sonde
