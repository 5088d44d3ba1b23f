// SPDX-License-Identifier: Apache-2.0
// The collectors of one small procfs file: what they print and what they say of malformed text.
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/collector_tree.hpp"

namespace sonde {

namespace {

using ::testing::HasSubstr;

struct Malformed {
  std::string_view collector;
  std::string_view file;
  std::string_view text;
  std::string_view error;  // behind the file's name
};

constexpr Malformed kMalformed[] = {
    {"loadavg", "proc/loadavg", "0.1 0.2", ":1: a number is missing"},
    {"loadavg", "proc/loadavg", "", ":0: a number is missing"},
    {"meminfo", "proc/meminfo", "MemTotal: 1 kB\nMemFree: x kB\n", ":2: \"x\" is not a number"},
    {"meminfo", "proc/meminfo", "MemTotal: 1 MB\n", ":1: unknown unit \"MB\""},
    {"meminfo", "proc/meminfo", "MemTotal 1 kB\n", ":1: a name and a colon are missing"},
    {"vmstat", "proc/vmstat", "pgpgin 1\npgpgout\n", ":2: a number is missing"},
    {"filefd", "proc/sys/fs/file-nr", "1344\t0\n", ":1: a number is missing"},
    {"stat", "proc/stat", "ctxt -1\n", ":1: \"-1\" is not a number"},
    {"stat", "proc/stat", "softirq 1 2 3\n", ":1: a number is missing"},
    {"cpu", "proc/stat", "cpu 1\ncpux 1\n", ":2: \"x\" is not a number"},
    {"cpu", "proc/stat", "cpu0 1 2 3 nice\n", ":1: \"nice\" is not a number"},
    {"schedstat", "proc/schedstat", "cpu0 0 0 0 0 0 0 1 2\n", ":1: a number is missing"},
    {"netstat", "proc/net/netstat", "TcpExt: A B\nTcpExt: 1\n", ":2: a number is missing"},
    {"netstat",
     "proc/net/netstat",
     "TcpExt: A\nTcpExt: 1 2\n",
     ":2: more values than names of TcpExt:"},
    {"netstat", "proc/net/netstat", "TcpExt: A\nIpExt: 1\n", ":2: no values for TcpExt:"},
    {"netstat", "proc/net/netstat", "TcpExt: A\n", ":1: no values for TcpExt:"},
    {"sockstat", "proc/net/sockstat", "TCP: inuse many\n", ":1: \"many\" is not a number"},
    {"sockstat", "proc/net/sockstat", "TCP: inuse\n", ":1: a number is missing"},
    {"pressure", "proc/pressure/cpu", "some avg10=0.00\n", ":1: total= is missing"},
    {"pressure", "proc/pressure/io", "some total=1\nfull total=x\n", ":2: \"x\" is not a number"},
};

TEST(CollectorErrors, malformed_text_is_named_by_file_and_line)
{
  for (const auto& malformed : kMalformed) {
    const testing::CollectorTree tree;
    tree.write(malformed.file, malformed.text);
    EXPECT_EQ(testing::error_of(malformed.collector, tree.paths()),
              tree.path(malformed.file) + std::string(malformed.error))
        << malformed.text;
  }
}

TEST(CollectorErrors, a_missing_file_is_named)
{
  const testing::CollectorTree tree;
  constexpr std::pair<std::string_view, std::string_view> kFiles[] = {
      {"loadavg", "proc/loadavg"},
      {"meminfo", "proc/meminfo"},
      {"vmstat", "proc/vmstat"},
      {"filefd", "proc/sys/fs/file-nr"},
      {"stat", "proc/stat"},
      {"cpu", "proc/stat"},
      {"netstat", "proc/net/netstat"},
  };
  for (const auto& [collector, file] : kFiles)
    EXPECT_EQ(testing::error_of(collector, tree.paths()),
              "open " + tree.path(file) + ": No such file or directory");
}

TEST(Meminfo, kilobytes_become_bytes_and_plain_numbers_stay)
{
  const testing::CollectorTree tree;
  tree.write("proc/meminfo",
             "MemTotal:       16374848 kB\nActive(anon):  12 kB\nHugePages_Total:       3\n");
  auto collectors = testing::one_collector("meminfo", tree.paths());
  EXPECT_EQ(testing::samples(*collectors),
            "node_memory_Active_anon_bytes 12288\nnode_memory_HugePages_Total 3\n"
            "node_memory_MemTotal_bytes 16767844352\n");
}

TEST(Vmstat, only_the_fields_asked_for_are_shown)
{
  const testing::CollectorTree tree;
  tree.write("proc/vmstat", "nr_free_pages 7\npgpgin 5\noom_kill 1\npgmajfault 2\n");
  auto collectors = testing::one_collector("vmstat", tree.paths());
  EXPECT_EQ(testing::samples(*collectors),
            "node_vmstat_oom_kill 1\nnode_vmstat_pgmajfault 2\nnode_vmstat_pgpgin 5\n");
  auto chosen =
      testing::one_collector("vmstat", tree.paths(), {{"collector.vmstat.fields", "free"}});
  EXPECT_EQ(testing::samples(*chosen), "node_vmstat_nr_free_pages 7\n");
}

TEST(Vmstat, lines_may_change_their_places)
{
  const testing::CollectorTree tree;
  tree.write("proc/vmstat", "nr_free_pages 7\npgpgin 5\n");
  auto collectors = testing::one_collector("vmstat", tree.paths());
  EXPECT_EQ(testing::samples(*collectors), "node_vmstat_pgpgin 5\n");
  tree.write("proc/vmstat", "pgpgin 6\nnr_free_pages 7\n");
  EXPECT_EQ(testing::samples(*collectors), "node_vmstat_pgpgin 6\n");
}

TEST(Netstat, names_and_values_are_paired_and_ipv6_may_be_missing)
{
  const testing::CollectorTree tree;
  tree.write("proc/net/netstat",
             "TcpExt: SyncookiesSent ListenDrops PAWSActive\nTcpExt: 4 5 6\n"
             "IpExt: InOctets\nIpExt: 18446744073709551615\n");
  tree.write("proc/net/snmp", "Tcp: MaxConn CurrEstab\nTcp: -1 9\n");
  auto collectors = testing::one_collector("netstat", tree.paths());
  EXPECT_EQ(testing::samples(*collectors),
            "node_netstat_IpExt_InOctets 18446744073709551616\n"
            "node_netstat_TcpExt_ListenDrops 5\nnode_netstat_TcpExt_SyncookiesSent 4\n"
            "node_netstat_Tcp_CurrEstab 9\n");
  EXPECT_THAT(testing::scrape(*collectors),
              HasSubstr("HELP node_netstat_Tcp_CurrEstab Statistic TcpCurrEstab.\n"));

  tree.write("proc/net/snmp6", "Ip6InOctets   \t460\nIcmp6InErrors 0\nIp6Unknown 1\n");
  EXPECT_THAT(testing::samples(*collectors), HasSubstr("node_netstat_Ip6_InOctets 460\n"));
}

TEST(Sockstat, memory_in_pages_is_given_in_bytes_too)
{
  const testing::CollectorTree tree;
  tree.write(
      "proc/net/sockstat",
      "sockets: used 229\nTCP: inuse 4 orphan 0 tw 1 alloc 17 mem 2\nFRAG: inuse 0 memory 7\n");
  auto collectors = testing::one_collector("sockstat", tree.paths());
  EXPECT_EQ(
      testing::samples(*collectors),
      "node_sockstat_FRAG_inuse 0\nnode_sockstat_FRAG_memory 7\nnode_sockstat_TCP_alloc 17\n"
      "node_sockstat_TCP_inuse 4\nnode_sockstat_TCP_mem 2\nnode_sockstat_TCP_mem_bytes " +
          std::to_string(2 * ::sysconf(_SC_PAGESIZE)) +
          "\nnode_sockstat_TCP_orphan 0\nnode_sockstat_TCP_tw 1\nnode_sockstat_sockets_used 229\n");
}

TEST(Sockstat, without_both_files_there_is_nothing_to_say)
{
  const testing::CollectorTree tree;
  EXPECT_EQ(testing::error_of("sockstat", tree.paths()), "");
}

TEST(Net, the_node_s_namespace_is_that_of_process_1)
{
  const testing::CollectorTree tree;
  tree.write("proc/net/sockstat", "sockets: used 1\n");
  tree.write("proc/1/net/sockstat", "sockets: used 2\n");
  auto collectors = testing::one_collector("sockstat", tree.paths());
  EXPECT_EQ(testing::samples(*collectors), "node_sockstat_sockets_used 2\n");
}

// The last digit is node_exporter's, which divides twice.
TEST(Pressure, microseconds_become_seconds_and_irq_has_no_waiting)
{
  const testing::CollectorTree tree;
  tree.write("proc/pressure/cpu",
             "some avg10=0.00 avg60=0.00 avg300=0.00 total=14036781\n"
             "full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n");
  tree.write("proc/pressure/irq", "full avg10=0.00 avg60=0.00 avg300=0.00 total=8494\n");
  auto collectors = testing::one_collector("pressure", tree.paths());
  EXPECT_EQ(testing::samples(*collectors),
            "node_pressure_cpu_waiting_seconds_total 14.036781000000001\n"
            "node_pressure_irq_stalled_seconds_total 0.008494\n");
}

TEST(Pressure, a_kernel_without_it_is_no_success_but_no_complaint)
{
  const testing::CollectorTree tree;
  auto collectors = testing::one_collector("pressure", tree.paths());
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(testing::scrape(*collectors),
            "# HELP node_scrape_collector_success node_exporter: Whether a collector succeeded.\n"
            "# TYPE node_scrape_collector_success gauge\n"
            "node_scrape_collector_success{collector=\"pressure\"} 0\n");
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

TEST(Stat, softirqs_come_on_request)
{
  const testing::CollectorTree tree;
  tree.write("proc/stat",
             "cpu  1 2 3 4\nintr 8885917 17 0\nctxt 38014093\nbtime 1418183276\nprocesses 26442\n"
             "procs_running 2\nprocs_blocked 1\nsoftirq 55 1 2 3 4 5 6 7 8 9 10\n");
  auto collectors = testing::one_collector("stat", tree.paths());
  EXPECT_EQ(testing::samples(*collectors),
            "node_boot_time_seconds 1418183276\nnode_context_switches_total 38014093\n"
            "node_forks_total 26442\nnode_intr_total 8885917\nnode_procs_blocked 1\n"
            "node_procs_running 2\n");
  auto with = testing::one_collector("stat", tree.paths(), {{"collector.stat.softirq", "true"}});
  EXPECT_THAT(testing::samples(*with), HasSubstr("node_softirqs_total{vector=\"rcu\"} 10\n"));
}

TEST(CollectorErrors, a_failure_is_logged_once)
{
  const testing::CollectorTree tree;
  tree.write("proc/loadavg", "high\n");
  auto collectors = testing::one_collector("loadavg", tree.paths());
  ::testing::internal::CaptureStderr();
  testing::scrape(*collectors);
  testing::scrape(*collectors);
  const auto log = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(log, HasSubstr("loadavg:1: "));
  EXPECT_EQ(log.find("loadavg:1: "), log.rfind("loadavg:1: "));
}

}  // namespace

}  // namespace sonde
