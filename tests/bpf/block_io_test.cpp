// SPDX-License-Identifier: Apache-2.0
// The block_io family against /proc/diskstats, with each way to see starts and submitters.
#include <algorithm>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include "tests/bpf/block_io_fixture.hpp"

namespace sonde {
namespace {

using testing::block_io_mode_name;
using testing::BlockIoMode;
using testing::kMega;
using testing::kOperations;
using testing::LoopDisk;
using testing::NodeFixture;
using testing::Worker;

class BlockIo : public testing::BlockIoNode, public ::testing::WithParamInterface<BlockIoMode> {
protected:
  bool begin()
  {
    disk_ = LoopDisk::create(64 * kMega);
    if (!disk_) {
      skip("no free loop device");
      return false;
    }
    const bool started = start(GetParam());
    before_ = disk_->stats();
    return started;
  }

  testing::DiskStats done() const { return disk_->stats() - before_; }
  const std::string& path() const { return disk_->path(); }

  std::unique_ptr<LoopDisk> disk_;
  testing::DiskStats before_;
};

TEST_P(BlockIo, CompletionsAndBytesOfEveryOperationEqualDiskstats)
{
  on_node([&] {
    if (!begin())
      return;
    run_as("worker", [this] {
      testing::do_io(path(), O_RDONLY | O_DIRECT, 200, 4096);
      testing::do_io(path(), O_WRONLY | O_DIRECT, 150, 16384);
      testing::do_io(path(), O_RDONLY | O_DIRECT, 10, 4 * kMega);
      const int fd = ::open(path().c_str(), O_RDWR | O_CLOEXEC);
      for (std::uint64_t i = 0; i < 5; ++i) {
        std::uint64_t range[2] = {(20 + i) * kMega, kMega};
        ::ioctl(fd, BLKDISCARD, range);
      }
      for (int i = 0; i < 7; ++i)
        ::fsync(fd);
      ::close(fd);
    });
    const auto text = node_->scrape();
    const auto kernel = done();
    EXPECT_GE(kernel.completions[0], 210U);
    EXPECT_GE(kernel.completions[1], 157U);  // the carriers of the flushes are writes
    EXPECT_GE(kernel.completions[2], 5U);
    EXPECT_GE(kernel.completions[3], 7U);
    expect_as_diskstats(text, disk_->name(), kernel);
    expect_services_are_the_node();
    for (std::size_t i = 0; i < 4; ++i) {
      EXPECT_EQ(
          of_service(text, "service_block_io_latency_seconds_count", "worker", kOperations[i]),
          static_cast<double>(kernel.completions[i]))
          << kOperations[i];
      EXPECT_EQ(of_service(text, "service_block_io_bytes_total", "worker", kOperations[i]),
                static_cast<double>(kernel.bytes[i]))
          << kOperations[i];
    }
  });
}

TEST_P(BlockIo, WritesThatNeedAFlushCountOnceWithTheirSize)
{
  on_node([&] {
    if (!begin())
      return;
    run_as("durable", [this] { testing::do_io(path(), O_WRONLY | O_DIRECT | O_DSYNC, 40, 32768); });
    const auto text = node_->scrape();
    const auto kernel = done();
    // Where the write cannot be made durable by itself, an empty one with a flush follows.
    EXPECT_GE(kernel.completions[1], 40U);
    EXPECT_EQ(kernel.bytes[1], 40U * 32768);
    expect_as_diskstats(text, disk_->name(), kernel);
    EXPECT_EQ(of_service(text, "service_block_io_latency_seconds_count", "durable", "write"),
              static_cast<double>(kernel.completions[1]));
    EXPECT_EQ(of_service(text, "service_block_io_bytes_total", "durable", "write"), 40 * 32768);
    // All of one size, though their data is done before they are.
    const auto at_most = [&](const char* le) {
      return NodeFixture::sum(text,
                              "node_disk_io_size_bytes_bucket",
                              {fmt::format("device=\"{}\"", disk_->name()),
                               R"(operation="write")",
                               fmt::format("le=\"{}\"", le)});
    };
    EXPECT_EQ(at_most("16384"), static_cast<double>(kernel.completions[1] - 40));
    EXPECT_EQ(at_most("32768"), static_cast<double>(kernel.completions[1]));
  });
}

TEST_P(BlockIo, EachRequestBelongsToTheServiceThatSubmittedIt)
{
  on_node([&] {
    if (!begin())
      return;
    Worker reader([this] { testing::do_io(path(), O_RDONLY | O_DIRECT, 3000, 4096); });
    Worker writer([this] { testing::do_io(path(), O_WRONLY | O_DIRECT, 2000, 8192); });
    node_->on_loop([&] {
      node_->fixed().place(reader.tgid(), "reader");
      node_->fixed().place(writer.tgid(), "writer");
    });
    reader.go();
    writer.go();
    reader.wait_until_done();
    writer.wait_until_done();
    const auto text = node_->scrape();
    EXPECT_EQ(of_service(text, "service_block_io_latency_seconds_count", "reader", "read"), 3000);
    EXPECT_EQ(of_service(text, "service_block_io_latency_seconds_count", "reader", "write"), 0);
    EXPECT_EQ(of_service(text, "service_block_io_latency_seconds_count", "writer", "write"), 2000);
    EXPECT_EQ(of_service(text, "service_block_io_latency_seconds_count", "writer", "read"), 0);
    EXPECT_EQ(of_service(text, "service_block_io_bytes_total", "reader", "read"), 3000 * 4096);
    EXPECT_EQ(of_service(text, "service_block_io_bytes_total", "writer", "write"), 2000 * 8192);
    expect_as_diskstats(text, disk_->name(), done());
    expect_services_are_the_node();
    EXPECT_EQ(lost("unknown_submitter"), 0U);
  });
}

TEST_P(BlockIo, ManyJobsAtOnceOnTwoDisksLoseNothing)
{
  on_node([&] {
    if (!begin())
      return;
    if (std::system("fio --version >/dev/null 2>&1") != 0)
      GTEST_SKIP() << "fio is not installed";
    const auto second = LoopDisk::create(64 * kMega);
    ASSERT_TRUE(second);
    const auto before = second->stats();
    run_as("fio", [&] {
      const auto command = fmt::format(
          "fio --minimal --output=/dev/null --direct=1 --time_based --runtime=1 --size=48m "
          "--name=a --filename={0} --ioengine=libaio --iodepth=32 --rw=randrw --bs=4k "
          "--name=b --filename={1} --ioengine=libaio --iodepth=16 --rw=randrw --bsrange=4k-256k "
          "--name=c --filename={0} --ioengine=psync --rw=write --bs=8k --fsync=16 "
          "--name=d --filename={1} --ioengine=psync --rw=randread --bs=4k "
          "--name=e --filename={1} --direct=0 --ioengine=psync --rw=randwrite --bs=4k --fsync=64",
          path(),
          second->path());
      (void)!std::system(command.c_str());
    });
    const auto text = node_->scrape();
    const auto kernel = done();
    EXPECT_GT(kernel.completions[0] + kernel.completions[1], 50U);
    expect_as_diskstats(text, disk_->name(), kernel);
    expect_as_diskstats(text, second->name(), second->stats() - before);
    expect_services_are_the_node();
    EXPECT_EQ(lost("nested_completion"), 0U);
    EXPECT_EQ(lost("unknown_start"), 0U);
  });
}

TEST_P(BlockIo, EachRequestIsInTheBucketsOfItsSizeAndItsLatency)
{
  on_node([&] {
    if (!begin())
      return;
    run_as("sizes", [this] {
      testing::do_io(path(), O_RDONLY | O_DIRECT, 10, 512);
      testing::do_io(path(), O_RDONLY | O_DIRECT, 20, 4096);
      testing::do_io(path(), O_RDONLY | O_DIRECT, 30, 4608);
      testing::do_io(path(), O_RDONLY | O_DIRECT, 5, 65536);
    });
    const auto text = node_->scrape();
    const std::vector<std::string> of_reads = {fmt::format("device=\"{}\"", disk_->name()),
                                               R"(operation="read")"};
    const auto bucket = [&](const char* family, std::string_view le) {
      auto with = of_reads;
      with.push_back(fmt::format("le=\"{}\"", le));
      return NodeFixture::sum(text, fmt::format("{}_bucket", family), with);
    };
    EXPECT_EQ(bucket("node_disk_io_size_bytes", "512"), 10);
    EXPECT_EQ(bucket("node_disk_io_size_bytes", "4096"), 30);
    EXPECT_EQ(bucket("node_disk_io_size_bytes", "8192"), 60);
    EXPECT_EQ(bucket("node_disk_io_size_bytes", "32768"), 60);
    EXPECT_EQ(bucket("node_disk_io_size_bytes", "65536"), 65);
    EXPECT_EQ(bucket("node_disk_io_size_bytes", "+Inf"), 65);

    // The sum of latencies lies between what their buckets allow at least and at most.
    double least = 0;
    double most = 0;
    double below = 0;
    double lower = 0;
    for (const auto us :
         {16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 16384, 65536, 262144, 1048576}) {
      const double upper = us / 1e6;
      std::string le;
      metrics::append_number(le, upper);
      const double in = bucket("node_disk_io_latency_seconds", le) - below;
      least += in * lower;
      most += in * upper;
      below += in;
      lower = upper;
    }
    const double sum = NodeFixture::sum(text, "node_disk_io_latency_seconds_sum", of_reads);
    EXPECT_EQ(below, 65);
    EXPECT_GE(sum, least);
    EXPECT_LE(sum, most);
    EXPECT_GT(sum, 0);
  });
}

TEST_P(BlockIo, WhatIsWrittenBackLaterBelongsToTheKernel)
{
  on_node([&] {
    if (!begin())
      return;
    place_kernel_threads();
    const auto mounted = testing::MountedDisk::create(64 * kMega);
    if (!mounted)
      GTEST_SKIP() << "no ext4 here";
    const auto before = mounted->disk().stats();
    const auto start = node_->scrape();
    run_as("buffered",
           [&] { testing::do_io(mounted->folder() + "/file", O_WRONLY | O_CREAT, 512, 16384); });
    const int root = ::open(mounted->folder().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ASSERT_EQ(::syncfs(root), 0);
    ::close(root);
    testing::sleep_ns(50'000'000);
    const auto text = node_->scrape();
    const auto written = (mounted->disk().stats() - before).bytes[1];
    const auto disk = mounted->disk().name();
    ASSERT_GE(written, 8 * kMega);
    EXPECT_EQ(of_device(text, "node_disk_io_size_bytes_sum", disk, "write") -
                  of_device(start, "node_disk_io_size_bytes_sum", disk, "write"),
              static_cast<double>(written));
    EXPECT_GE(of_service(text, "service_block_io_bytes_total", "kernel", "write") -
                  of_service(start, "service_block_io_bytes_total", "kernel", "write"),
              8.0 * kMega);
    EXPECT_EQ(of_service(text, "service_block_io_bytes_total", "buffered", "write"), 0);
    expect_services_are_the_node();
  });
}

TEST_P(BlockIo, ARequestThatCompletesInPartsCountsOnceWithAllItsBytes)
{
  on_node([&] {
    if (!begin())
      return;
    const auto beneath = testing::MountedDisk::create(32 * kMega);
    if (!beneath)
      GTEST_SKIP() << "no ext4 here";
    const auto direct = LoopDisk::create(beneath->file("disk", 4 * kMega), LoopDisk::Io::kDirect);
    ASSERT_TRUE(direct);
    const auto before = direct->stats();
    // The file beneath ends in the middle of the request: a part is read, the rest fails.
    direct->resize_file(kMega);
    run_as("short", [&] {
      const int fd = ::open(direct->path().c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC);
      const testing::AlignedBuffer buffer(131072);
      for (int i = 0; i < 3; ++i)
        (void)!::pread(fd, buffer.data(), 131072, static_cast<off_t>(kMega - 65536));
      ::close(fd);
    });
    const auto text = node_->scrape();
    const auto kernel = direct->stats() - before;
    EXPECT_EQ(kernel.completions[0], 3U);
    EXPECT_EQ(kernel.bytes[0], 3U * 131072);
    expect_as_diskstats(text, direct->name(), kernel);
    EXPECT_EQ(of_service(text, "service_block_io_latency_seconds_count", "short", "read"), 3);
    EXPECT_EQ(of_service(text, "service_block_io_bytes_total", "short", "read"), 3 * 131072);
    EXPECT_EQ(NodeFixture::sum(
                  text,
                  "node_disk_io_size_bytes_bucket",
                  {fmt::format("device=\"{}\"", direct->name()), R"(operation="read",le="65536")"}),
              0);
  });
}

INSTANTIATE_TEST_SUITE_P(Ways,
                         BlockIo,
                         ::testing::Values(BlockIoMode{"request", "start"},
                                           BlockIoMode{"request", "insert"},
                                           BlockIoMode{"issue", "start"},
                                           BlockIoMode{"issue", "insert"}),
                         block_io_mode_name);

}  // namespace
}  // namespace sonde
