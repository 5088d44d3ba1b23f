// SPDX-License-Identifier: Apache-2.0
// What the tests of block_io share: a node with the family, and processes that do I/O.
#pragma once

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fcntl.h>
#include <fmt/format.h>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <unistd.h>

#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include "tests/support/loop_disk.hpp"
#include "tests/support/node_fixture.hpp"
#include "tests/support/worker.hpp"

#include "agent/bpf/features.hpp"
#include "agent/metrics/exposition.hpp"
#include "agent/proc/procfs.hpp"

namespace sonde::testing {

inline constexpr std::array<const char*, 4> kOperations = {"read", "write", "discard", "flush"};
inline constexpr std::uint64_t kMega = 1U << 20;

// Where latency begins and where submitters are seen.
struct BlockIoMode {
  const char* source;
  const char* submission;

  friend void PrintTo(const BlockIoMode& mode, std::ostream* out)
  {
    *out << mode.source << " " << mode.submission;
  }
};

inline std::string block_io_mode_name(const ::testing::TestParamInfo<BlockIoMode>& mode)
{
  return fmt::format("{}_{}", mode.param.source, mode.param.submission);
}

// Memory that O_DIRECT can use.
class AlignedBuffer {
public:
  explicit AlignedBuffer(std::size_t bytes)
      : bytes_(static_cast<char*>(std::aligned_alloc(4096, bytes)))
  {
    std::fill_n(bytes_, bytes, 'x');
  }
  ~AlignedBuffer() { std::free(bytes_); }
  AlignedBuffer(const AlignedBuffer&) = delete;
  AlignedBuffer& operator=(const AlignedBuffer&) = delete;

  char* data() const { return bytes_; }

private:
  char* bytes_;
};

// `count` reads or writes of one size, one after the other, over the first 16 MiB.
inline void do_io(const std::string& path, int flags, int count, std::size_t size)
{
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC);
  const AlignedBuffer buffer(size);
  for (int i = 0; fd >= 0 && i < count; ++i) {
    const auto offset = static_cast<off_t>(static_cast<std::size_t>(i) * size % (16 * kMega));
    const auto done = (flags & O_ACCMODE) == O_RDONLY ? ::pread(fd, buffer.data(), size, offset)
                                                      : ::pwrite(fd, buffer.data(), size, offset);
    if (done != static_cast<ssize_t>(size))
      std::perror("I/O of the test");
  }
  ::close(fd);
}

class BlockIoNode : public ::testing::Test {
protected:
  // Runs `body` on a node of its own. A machine may run no program at all while one of its own
  // tasks is current (seen with a sandbox's console); what an interrupt completes on top of it, no
  // program of any kind sees, though perf's counters do. Only when less was counted than diskstats
  // did, and nothing else failed before, is it tried again, and every try but the last is
  // forgotten.
  template <typename Body>
  void on_node(Body body)
  {
    constexpr int kTries = 8;
    for (int attempt = 1; attempt <= kTries; ++attempt) {
      ::testing::TestPartResultArray results;
      fewer_than_diskstats_ = false;
      {
        const ::testing::ScopedFakeTestPartResultReporter caught(
            ::testing::ScopedFakeTestPartResultReporter::INTERCEPT_ALL_THREADS, &results);
        node_ = std::make_unique<NodeFixture>();
        probe_ = nullptr;
        body();
        node_.reset();
      }
      if (fewer_than_diskstats_ && attempt < kTries)
        continue;
      for (int i = 0; i < results.size(); ++i) {
        const auto& result = results.GetTestPartResult(i);
        GTEST_MESSAGE_AT_(
            result.file_name(), result.line_number(), result.message(), result.type());
      }
      return;
    }
  }

  // False, and the test is skipped, where the kernel has no block_io_start.
  bool start(const BlockIoMode& mode = {"auto", "auto"})
  {
    if (std::string_view(mode.submission) == "start" &&
        !bpf::Features::kernel().has_tracepoint("block_io_start")) {
      skip("this kernel has no tracepoint block_io_start (6.5)");
      return false;
    }
    node_->set("block_io.source", mode.source);
    node_->set("block_io.submission", mode.submission);
    const auto started = node_->start("block_io");
    EXPECT_TRUE(started) << started.error().message();
    probe_ = started.value_or(nullptr);
    return probe_ != nullptr;
  }

  static void skip(const char* why) { GTEST_SKIP() << why; }

  // Kernel threads are `kernel`, those to come included.
  void place_kernel_threads()
  {
    ASSERT_TRUE(node_->start("process"));
    node_->on_loop([&] {
      const proc::ProcFs procfs;
      for (const auto pid : procfs.processes().value_or(std::vector<std::uint32_t>{}))
        if (const auto stat = procfs.stat(pid); stat && stat->kernel_thread())
          node_->fixed().place(pid, "kernel");
    });
  }

  // Runs `work` in a process of that service.
  void run_as(const std::string& service, const std::function<void()>& work)
  {
    Worker worker(work);
    node_->on_loop([&] { node_->fixed().place(worker.tgid(), service); });
    worker.go();
    worker.wait_until_done();
  }

  static double
  of_device(std::string_view text, std::string_view family, const std::string& disk, const char* op)
  {
    return NodeFixture::sum(
        text, family, {fmt::format("device=\"{}\"", disk), fmt::format("operation=\"{}\"", op)});
  }

  static double of_service(std::string_view text,
                           std::string_view family,
                           const std::string& name,
                           const char* op)
  {
    return NodeFixture::sum(
        text, family, {fmt::format("service=\"{}\"", name), fmt::format("operation=\"{}\"", op)});
  }

  void expect_as_diskstats(std::string_view text, const std::string& disk, const DiskStats& d)
  {
    for (std::size_t i = 0; i < 4; ++i) {
      const auto* op = kOperations[i];
      const auto completions = static_cast<double>(d.completions[i]);
      if (of_device(text, "node_disk_io_size_bytes_count", disk, op) < completions)
        fewer_than_diskstats_ = true;
      EXPECT_EQ(of_device(text, "node_disk_io_latency_seconds_count", disk, op), completions) << op;
      EXPECT_EQ(of_device(text, "node_disk_io_size_bytes_count", disk, op), completions) << op;
      EXPECT_EQ(of_device(text, "node_disk_io_size_bytes_sum", disk, op),
                static_cast<double>(d.bytes[i]))
          << op;
    }
  }

  // Over all disks and all services, which must say the same. The machine's own disks go on between
  // the reading of the ones and of the others, so it may take another scrape.
  void expect_services_are_the_node()
  {
    const auto pairs = std::array{
        std::pair{"service_block_io_latency_seconds_count", "node_disk_io_latency_seconds_count"},
        std::pair{"service_block_io_bytes_total", "node_disk_io_size_bytes_sum"}};
    std::string difference;
    const auto agree = [&] {
      difference.clear();
      const auto text = node_->scrape();
      for (const auto* op : kOperations)
        for (const auto& [services, node] : pairs) {
          const auto operation = fmt::format("operation=\"{}\"", op);
          const auto a = NodeFixture::sum(text, services, {operation});
          const auto b = NodeFixture::sum(text, node, {operation});
          if (a != b)
            difference += fmt::format("{} {}: {} and {}\n", services, op, a, b);
        }
      return difference.empty();
    };
    EXPECT_TRUE(NodeFixture::eventually(agree, std::chrono::seconds(2))) << difference;
  }

  std::uint64_t lost(std::string_view reason) const
  {
    for (const auto& loss : probe_->losses())
      if (loss.reason == reason)
        return loss.count;
    return 0;
  }

  std::unique_ptr<NodeFixture> node_;
  Probe* probe_ = nullptr;
  bool fewer_than_diskstats_ = false;
};

}  // namespace sonde::testing
