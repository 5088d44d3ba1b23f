// SPDX-License-Identifier: Apache-2.0
// Mounts: what is shown, what is left out, and file systems that hang.
#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/collector_tree.hpp"

#include "agent/collectors/filesystem.hpp"
#include "agent/metrics/exposition.hpp"

namespace sonde {

namespace {

using collectors_filesystem::Filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;
using namespace std::chrono_literals;

// A file server that answers when it is told to.
class Server {
public:
  ~Server() { answer(); }

  MountStatistics::Ask ask()
  {
    return [this](const char* path, struct statfs& out) {
      const std::string_view asked(path);
      if (asked.ends_with("/gone"))
        return ENOENT;
      std::unique_lock lock(mutex_);
      ++calls_;
      if (asked.ends_with("/hangs"))
        changed_.wait(lock, [this] { return answering_; });
      out.f_bsize = 4096;
      out.f_blocks = 100;
      out.f_bfree = 60;
      out.f_bavail = 50;
      out.f_files = 30;
      out.f_ffree = 20;
      ++returned_;
      changed_.notify_all();
      return 0;
    };
  }

  void answer()
  {
    std::unique_lock lock(mutex_);
    answering_ = true;
    changed_.notify_all();
    changed_.wait_for(lock, 5s, [this] { return returned_ == calls_; });
  }
  int calls()
  {
    const std::lock_guard lock(mutex_);
    return calls_;
  }

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool answering_ = false;
  int calls_ = 0;
  int returned_ = 0;
};

Filesystem::Filters filters(testing::GivenSettings given = {})
{
  const auto settings = testing::collector_settings(given);
  return {NameFilter::create(settings,
                             {.exclude = "collector.filesystem.mount-points-exclude",
                              .include = "collector.filesystem.mount-points-include"})
              .value(),
          NameFilter::create(settings,
                             {.exclude = "collector.filesystem.fs-types-exclude",
                              .include = "collector.filesystem.fs-types-include"})
              .value()};
}

std::string print(Collector& collector)
{
  Families families;
  const auto result = collector.collect(families);
  EXPECT_TRUE(result) << result.error().message();
  metrics::Exposition exposition;
  families.write(exposition);
  return exposition.body();
}

constexpr std::string_view kMounts = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"
                                     "2 1 0:9 / /hangs rw - nfs server:/x rw\n"
                                     "3 1 8:2 / /also rw - ext4 /dev/sda2 rw\n"
                                     "4 1 8:3 / /gone ro - ext4 /dev/sda3 rw\n";

TEST(Filesystem, a_mount_that_hangs_does_not_hang_the_scrape)
{
  const testing::CollectorTree tree;
  tree.write("proc/1/mountinfo", kMounts);
  Server server;
  Filesystem collector(tree.paths(), filters(), {.timeout = 300ms, .workers = 4}, server.ask());

  const auto begin = std::chrono::steady_clock::now();
  const auto first = print(collector);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 3s);
  EXPECT_THAT(first,
              HasSubstr("node_filesystem_device_error{device=\"server:/x\",mountpoint=\"/hangs\","
                        "fstype=\"nfs\",device_error=\"mountpoint timeout\"} 1\n"));
  EXPECT_THAT(first,
              HasSubstr("node_filesystem_size_bytes{device=\"/dev/sda2\",mountpoint=\"/also\","
                        "fstype=\"ext4\",device_error=\"\"} 409600\n"));
  EXPECT_THAT(first,
              HasSubstr("node_filesystem_device_error{device=\"/dev/sda3\",mountpoint=\"/gone\","
                        "fstype=\"ext4\",device_error=\"no such file or directory\"} 1\n"));
  EXPECT_THAT(first, Not(HasSubstr("size_bytes{device=\"server:/x\"")));

  // It is not asked again while it hangs.
  const auto calls = server.calls();
  EXPECT_THAT(print(collector), HasSubstr("mountpoint timeout"));
  EXPECT_EQ(server.calls(), calls + 2);

  server.answer();
  for (int i = 0; i < 100 && print(collector).find("mountpoint timeout") != std::string::npos; ++i)
    std::this_thread::sleep_for(20ms);
  EXPECT_THAT(print(collector), HasSubstr("size_bytes{device=\"server:/x\""));
}

TEST(Filesystem, many_hanging_mounts_do_not_keep_the_healthy_one_away)
{
  const testing::CollectorTree tree;
  std::string mounts;
  for (int i = 0; i < 20; ++i)
    mounts += "9 1 0:" + std::to_string(i) + " / /" + std::to_string(i) + "/hangs rw - nfs s rw\n";
  tree.write("proc/1/mountinfo", mounts + "3 1 8:2 / /also rw - ext4 /dev/sda2 rw\n");
  Server server;
  Filesystem collector(tree.paths(), filters(), {.timeout = 400ms, .workers = 4}, server.ask());
  std::string text;
  for (int scrape = 0; scrape < 10 && text.find("size_bytes{") == std::string::npos; ++scrape)
    text = print(collector);
  EXPECT_THAT(text, HasSubstr("node_filesystem_size_bytes{device=\"/dev/sda2\""));
}

TEST(Filesystem, a_local_mount_below_one_that_may_hang_may_hang_too)
{
  const testing::CollectorTree tree;
  tree.write("proc/1/mountinfo",
             "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"
             "2 1 0:9 / /net rw - nfs server:/x rw\n"
             "3 2 8:3 / /net/hangs rw - ext4 /dev/sda3 rw\n");
  Server server;
  Filesystem collector(tree.paths(), filters(), {.timeout = 300ms, .workers = 4}, server.ask());
  const auto text = print(collector);
  EXPECT_THAT(text, HasSubstr("node_filesystem_size_bytes{device=\"/dev/sda1\""));
  EXPECT_THAT(text,
              HasSubstr("mountpoint=\"/net/hangs\",fstype=\"ext4\",device_error=\"mountpoint "
                        "timeout\"} 1\n"));
}

TEST(Filesystem, only_mounts_that_may_hang_are_asked_by_another_thread)
{
  const testing::CollectorTree tree;
  tree.write("proc/1/mountinfo",
             "1 0 8:1 / / rw - ext4 a rw\n2 1 0:9 / /network rw - nfs b rw\n"
             "3 1 8:3 / /networks rw - ext4 c rw\n4 2 0:7 / /network/memory rw - tmpfs d rw\n");
  std::mutex mutex;
  std::map<std::string, bool> asked_here;
  const auto asker = std::this_thread::get_id();
  Filesystem collector(tree.paths(), filters(), {}, [&](const char* path, struct statfs&) {
    const std::lock_guard lock(mutex);
    asked_here[path] = std::this_thread::get_id() == asker;
    return 0;
  });
  print(collector);
  const auto root = tree.path("rootfs");
  EXPECT_THAT(asked_here,
              ElementsAre(Pair(root + "/", true),
                          Pair(root + "/network", false),
                          Pair(root + "/network/memory", false),
                          Pair(root + "/networks", true)));
}

TEST(Filesystem, default_excludes_are_node_exporter_s)
{
  const testing::CollectorTree tree;
  tree.write("proc/1/mountinfo",
             "1 0 0:1 / /proc rw - proc proc rw\n"
             "2 0 0:2 / /dev/shm rw - tmpfs tmpfs rw\n"
             "3 0 0:3 / /devices rw - tmpfs tmpfs rw\n"
             "4 0 0:4 / /var/lib/docker/x rw - ext4 a rw\n"
             "5 0 0:5 / /x rw - overlay overlay rw\n");
  Server server;
  Filesystem collector(tree.paths(), filters(), {}, server.ask());
  const auto text = print(collector);
  EXPECT_THAT(text, HasSubstr("mountpoint=\"/devices\""));
  for (const auto* hidden : {"/proc", "/dev/shm", "/var/lib/docker/x", "/x"})
    EXPECT_THAT(text, Not(HasSubstr("mountpoint=\"" + std::string(hidden) + "\"")));
}

TEST(Filesystem, paths_are_unescaped_and_the_root_is_stripped)
{
  const testing::CollectorTree tree;
  const auto root = tree.paths().rootfs.string();
  tree.write("proc/self/mountinfo",
             "1 0 8:1 / " + root + " rw - ext4 /dev/a rw\n1 0 8:1 / " + root +
                 "/my\\040\\134disk rw,relatime shared:1 - ext4 /dev/b rw\n");
  Server server;
  Filesystem collector(tree.paths(), filters(), {}, server.ask());
  const auto text = print(collector);
  EXPECT_THAT(
      text,
      HasSubstr("mount_info{device=\"/dev/a\",major=\"8\",minor=\"1\",mountpoint=\"/\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("mountpoint=\"/my \\\\disk\""));
}

TEST(Filesystem, read_only_is_the_mount_s_the_file_system_s_or_the_kernel_s_after_an_error)
{
  const auto mounts = parse_mounts("1 0 8:1 / /a ro,x - ext4 d rw\n1 0 8:1 / /b rw - ext4 d ro\n"
                                   "1 0 8:1 / /c rw - ext4 d rw,emergency_ro\n"
                                   "1 0 8:1 / /d rw - ext4 d rw,errors=remount-ro\n",
                                   "x");
  ASSERT_TRUE(mounts);
  EXPECT_TRUE((*mounts)[0].readonly);
  EXPECT_TRUE((*mounts)[1].readonly);
  EXPECT_TRUE((*mounts)[2].readonly);
  EXPECT_FALSE((*mounts)[3].readonly);
}

TEST(Filesystem, a_malformed_line_is_named)
{
  const testing::CollectorTree tree;
  tree.write("proc/1/mountinfo", "1 0 8:1 / / rw - ext4 d rw\n1 0 8:1 / /x rw ext4 d rw\n");
  EXPECT_EQ(testing::error_of("filesystem", tree.paths()),
            tree.path("proc/1/mountinfo") + ":2: fields are missing");
  tree.write("proc/1/mountinfo", "1 0 8 / / rw - ext4 d rw\n");
  EXPECT_EQ(testing::error_of("filesystem", tree.paths()),
            tree.path("proc/1/mountinfo") + ":1: a number is missing");
}

TEST(Filesystem, include_and_exclude_together_are_refused)
{
  const testing::CollectorTree tree;
  const auto made = NodeCollectors::create(
      tree.paths(),
      testing::collector_settings({{"collector.filesystem.fs-types-exclude", "a"},
                                   {"collector.filesystem.fs-types-include", "b"}}));
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().message(),
            "collector filesystem: --collector.filesystem.fs-types-exclude and "
            "--collector.filesystem.fs-types-include are mutually exclusive");
}

TEST(NameFilter, an_include_replaces_the_default_exclude)
{
  const auto filter = filters({{"collector.filesystem.fs-types-include", "^proc$"}});
  EXPECT_FALSE(filter.types.ignored("proc"));
  EXPECT_TRUE(filter.types.ignored("ext4"));
}

TEST(NameFilter, the_deprecated_spelling_still_works_but_not_beside_the_new_one)
{
  const testing::CollectorTree tree;
  tree.write("proc/1/mountinfo", "1 0 8:1 / /a rw - ext4 d rw\n");
  auto collectors = testing::one_collector(
      "filesystem", tree.paths(), {{"collector.filesystem.ignored-mount-points", "^/a$"}});
  EXPECT_EQ(testing::samples(*collectors), "");
  EXPECT_THAT(testing::error_of("filesystem",
                                tree.paths(),
                                {{"collector.filesystem.ignored-mount-points", "a"},
                                 {"collector.filesystem.mount-points-exclude", "a"}}),
              HasSubstr("mutually exclusive"));
}

}  // namespace

}  // namespace sonde
