// SPDX-License-Identifier: Apache-2.0
// Settings of the block_io family, slow requests, and requests that were under way at start.
#include <mutex>

#include "tests/bpf/block_io_fixture.hpp"

#include "agent/base/clock.hpp"

namespace sonde {
namespace {

using testing::block_io_mode_name;
using testing::BlockIoMode;
using testing::kMega;
using testing::LoopDisk;
using testing::NodeFixture;
using testing::Worker;

constexpr auto kCount = "service_block_io_latency_seconds_count";
constexpr auto kSum = "service_block_io_latency_seconds_sum";

// A disk whose requests stand still while the file system beneath it is frozen.
class StallingDisk {
public:
  static std::unique_ptr<StallingDisk> create()
  {
    std::unique_ptr<StallingDisk> stalling(new StallingDisk);
    stalling->beneath_ = testing::MountedDisk::create(64 * kMega);
    if (!stalling->beneath_)
      return nullptr;
    stalling->disk_ = LoopDisk::create(stalling->beneath_->file("disk", 16 * kMega));
    return stalling->disk_ ? std::move(stalling) : nullptr;
  }

  const LoopDisk& disk() const { return *disk_; }
  void stall() { beneath_->freeze(); }
  void go_on() { beneath_->thaw(); }

private:
  StallingDisk() = default;

  std::unique_ptr<testing::MountedDisk> beneath_;
  std::unique_ptr<LoopDisk> disk_;
};

class BlockIoSettings : public testing::BlockIoNode {
protected:
  void expect_refused(std::string_view key, std::string_view value, std::string_view why)
  {
    NodeFixture node;
    node.set(key, value);
    const auto started = node.start("block_io");
    ASSERT_FALSE(started);
    EXPECT_NE(started.error().message().find(why), std::string::npos) << started.error().message();
  }
};

TEST_F(BlockIoSettings, WhatMakesNoSenseIsRefusedWithItsName)
{
  on_node([&] {
    expect_refused("block_io.in_flight", "4", "block_io.in_flight");
    expect_refused("block_io.latency_bounds", "2us 1us", "block_io.latency_bounds");
    expect_refused("block_io.size_bounds", "4Ki 4Ki", "block_io.size_bounds");
    expect_refused("block_io.size_bounds", "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16", "at most 15");
  });
}

TEST_F(BlockIoSettings, GivenBoundsAreCountedExactly)
{
  on_node([&] {
    const auto disk = LoopDisk::create(16 * kMega);
    if (!disk)
      GTEST_SKIP() << "no free loop device";
    node_->set("block_io.latency_bounds", "1ns 100s");
    node_->set("block_io.size_bounds", "4095 4096 4097");
    if (!start())
      return;
    run_as("worker", [&] { testing::do_io(disk->path(), O_RDONLY | O_DIRECT, 25, 4096); });
    const auto text = node_->scrape();
    const auto size = [&](const char* le) {
      return NodeFixture::sum(text,
                              "node_disk_io_size_bytes_bucket",
                              {fmt::format("device=\"{}\"", disk->name()),
                               R"(operation="read")",
                               fmt::format("le=\"{}\"", le)});
    };
    EXPECT_EQ(size("4095"), 0);
    EXPECT_EQ(size("4096"), 25);
    EXPECT_EQ(size("+Inf"), 25);
    const auto latency = [&](const char* le) {
      return NodeFixture::sum(
          text,
          "service_block_io_latency_seconds_bucket",
          {R"(service="worker",operation="read")", fmt::format("le=\"{}\"", le)});
    };
    EXPECT_EQ(latency("1e-09"), 0);
    EXPECT_EQ(latency("100"), 25);
  });
}

TEST_F(BlockIoSettings, ReadsAndWritesOfAServiceExistBeforeItsFirstRequest)
{
  on_node([&] {
    if (!start())
      return;
    node_->on_loop([&] { node_->fixed().slot_named("idle"); });
    const auto text = node_->scrape();
    for (const auto* op : {"read", "write"}) {
      EXPECT_EQ(NodeFixture::value(
                    text, fmt::format(R"({}{{service="idle",operation="{}"}})", kCount, op)),
                0);
      EXPECT_EQ(
          NodeFixture::value(
              text,
              fmt::format(R"(service_block_io_bytes_total{{service="idle",operation="{}"}})", op)),
          0);
    }
    EXPECT_EQ(text.find(R"(service="idle",operation="flush")"), std::string::npos);
  });
}

TEST_F(BlockIoSettings, ATableThatIsTooSmallLosesSubmittersButNoRequest)
{
  on_node([&] {
    const auto disk = LoopDisk::create(64 * kMega);
    if (!disk || std::system("fio --version >/dev/null 2>&1") != 0)
      GTEST_SKIP() << "no free loop device, or no fio";
    node_->set("block_io.in_flight", "16");
    if (!start())
      return;
    const auto before = disk->stats();
    run_as("many", [&] {
      (void)!std::system(
          fmt::format(
              "fio --minimal --output=/dev/null --name=a --filename={} --direct=1 --size=32m "
              "--ioengine=libaio --iodepth=128 --iodepth_batch_submit=128 --rw=randread "
              "--bs=4k --io_size=16m",
              disk->path())
              .c_str());
    });
    const auto text = node_->scrape();
    expect_as_diskstats(text, disk->name(), disk->stats() - before);
    expect_services_are_the_node();
    EXPECT_GT(lost("unknown_submitter"), 0U);
    EXPECT_GE(NodeFixture::sum(text, kCount, {R"(service="other")"}),
              static_cast<double>(lost("unknown_submitter")));
  });
}

TEST_F(BlockIoSettings, ASlowRequestIsAnOutlierOfItsSubmitterAndInTheBucketOfItsLatency)
{
  on_node([&] {
    const auto stalling = StallingDisk::create();
    if (!stalling)
      GTEST_SKIP() << "no ext4 here";
    std::mutex mutex;
    std::vector<sonde_outlier> outliers;
    node_->on_loop([&] {
      node_->facts().on_outlier([&](const sonde_outlier& outlier) {
        const std::scoped_lock lock(mutex);
        outliers.push_back(outlier);
      });
    });
    node_->set("block_io.outlier", "250ms");
    if (!start())
      return;
    Worker worker([&] { testing::do_io(stalling->disk().path(), O_WRONLY | O_DIRECT, 1, 8192); });
    node_->on_loop([&] { node_->fixed().place(worker.tgid(), "slow"); });
    stalling->stall();
    const auto begin = monotonic_ns();
    worker.go();
    testing::sleep_ns(400'000'000);
    stalling->go_on();
    worker.wait_until_done();
    const auto text = node_->scrape();
    const double took = NodeFixture::sum(text, kSum, {R"(service="slow",operation="write")"});
    EXPECT_GE(took, 0.3);
    EXPECT_LE(took, seconds(monotonic_ns() - begin));
    const auto bucket = [&](const char* le) {
      return NodeFixture::sum(
          text,
          "service_block_io_latency_seconds_bucket",
          {R"(service="slow",operation="write")", fmt::format("le=\"{}\"", le)});
    };
    EXPECT_EQ(bucket("0.262144"), 0);
    EXPECT_EQ(bucket("1.048576"), 1);
    EXPECT_TRUE(NodeFixture::eventually([&] {
      const std::scoped_lock lock(mutex);
      return std::ranges::any_of(outliers, [&](const auto& outlier) {
        return outlier.tgid == worker.tgid() && outlier.what == 1 && outlier.detail[1] == 8192 &&
               outlier.value >= 300'000'000;
      });
    }));
  });
}

class BlockIoAtStart : public BlockIoSettings, public ::testing::WithParamInterface<BlockIoMode> {};

TEST_P(BlockIoAtStart, ARequestUnderWayCountsForOtherAndNothingElseIsLost)
{
  on_node([&] {
    const auto stalling = StallingDisk::create();
    if (!stalling)
      GTEST_SKIP() << "no ext4 here";
    const auto& disk = stalling->disk();
    const auto before = disk.stats();
    Worker worker([&] { testing::do_io(disk.path(), O_WRONLY | O_DIRECT, 1, 8192); });
    node_->on_loop([&] { node_->fixed().place(worker.tgid(), "early"); });
    stalling->stall();
    const auto begin = monotonic_ns();
    worker.go();
    testing::sleep_ns(200'000'000);
    if (!start(GetParam()))
      return stalling->go_on();
    stalling->go_on();
    worker.wait_until_done();
    run_as("later", [&] { testing::do_io(disk.path(), O_WRONLY | O_DIRECT, 30, 8192); });
    const auto text = node_->scrape();
    const auto kernel = disk.stats() - before;
    EXPECT_EQ(kernel.completions[1], 31U);
    EXPECT_EQ(of_device(text, "node_disk_io_size_bytes_count", disk.name(), "write"), 31);
    EXPECT_EQ(of_device(text, "node_disk_io_size_bytes_sum", disk.name(), "write"), 31 * 8192);
    EXPECT_EQ(of_service(text, kCount, "later", "write"), 30);
    EXPECT_EQ(of_service(text, kCount, "early", "write"), 0);
    EXPECT_GE(lost("unknown_submitter"), 1U);
    expect_services_are_the_node();
    if (std::string_view(GetParam().source) == "issue") {
      EXPECT_GE(lost("unknown_start"), 1U);
      return;
    }
    EXPECT_EQ(lost("unknown_start"), 0U);
    const double slowest = NodeFixture::sum(text, kSum, {R"(service="other",operation="write")"});
    EXPECT_GE(slowest, 0.15);
    EXPECT_LE(slowest, 2 * seconds(monotonic_ns() - begin));
  });
}

INSTANTIATE_TEST_SUITE_P(Ways,
                         BlockIoAtStart,
                         ::testing::Values(BlockIoMode{"request", "start"},
                                           BlockIoMode{"request", "insert"},
                                           BlockIoMode{"issue", "insert"}),
                         block_io_mode_name);

}  // namespace
}  // namespace sonde
