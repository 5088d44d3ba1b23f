// SPDX-License-Identifier: Apache-2.0
// The order of the records of several rings, over memory laid out as the kernel's.
#include <cstring>
#include <linux/bpf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "sonde/abi.h"

#include "agent/base/clock.hpp"
#include "agent/base/unique_fd.hpp"
#include "agent/bpf/ring.hpp"

namespace sonde::bpf {
namespace {

// What the kernel does to a ring.
class Producer {
public:
  static constexpr std::size_t kSize = 4096;

  Producer() : fd_(::memfd_create("ring", MFD_CLOEXEC))
  {
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    EXPECT_EQ(::ftruncate(fd_.get(), static_cast<off_t>(2 * page + 2 * kSize)), 0);
    memory_ = static_cast<std::byte*>(
        ::mmap(nullptr, 2 * page + 2 * kSize, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0));
    producer_ = memory_ + page;
    data_ = producer_ + page;
  }
  Producer(const Producer&) = delete;
  Producer& operator=(const Producer&) = delete;

  RingMemory ring() const { return RingMemory::map(fd_.get(), kSize).value(); }
  std::uint64_t consumed() const { return word(memory_); }

  // Returns its place.
  std::uint64_t reserve(std::uint64_t ns, std::uint16_t kind, std::uint32_t bytes = 32)
  {
    const auto place = word(producer_);
    set_header(place, bytes | BPF_RINGBUF_BUSY_BIT);
    sonde_record record{};
    record.kind = kind;
    record.ktime_ns = ns;
    put(place + BPF_RINGBUF_HDR_SZ, &record, sizeof record);
    word(producer_) = place + ((bytes + BPF_RINGBUF_HDR_SZ + 7) & ~7ULL);
    return place;
  }
  void submit(std::uint64_t place, std::uint32_t bytes = 32) { set_header(place, bytes); }
  void discard(std::uint64_t place) { set_header(place, 32 | BPF_RINGBUF_DISCARD_BIT); }
  void add(std::uint64_t ns, std::uint16_t kind, std::uint32_t bytes = 32)
  {
    submit(reserve(ns, kind, bytes), bytes);
  }

private:
  static std::uint64_t& word(std::byte* page) { return *reinterpret_cast<std::uint64_t*>(page); }
  void set_header(std::uint64_t place, std::uint32_t length) { put(place, &length, sizeof length); }
  void put(std::uint64_t place, const void* bytes, std::size_t length)
  {
    for (std::size_t i = 0; i < length; ++i) {
      const auto at = (place + i) % kSize;
      data_[at] = data_[at + kSize] = static_cast<const std::byte*>(bytes)[i];
    }
  }

  UniqueFd fd_;
  std::byte* memory_ = nullptr;
  std::byte* producer_ = nullptr;
  std::byte* data_ = nullptr;
};

using Kinds = std::vector<unsigned>;

class Rings : public ::testing::Test {
protected:
  Rings()
  {
    std::vector<RingMemory> rings;
    rings.push_back(first_.ring());
    rings.push_back(second_.ring());
    ring_ = Ring::over(std::move(rings), [this](void* record, std::size_t) {
      kinds_.push_back(static_cast<const sonde_record*>(record)->kind);
    });
  }
  // The kinds of the records handled by one look.
  Kinds look()
  {
    kinds_.clear();
    empty_ = ring_->drain();
    return kinds_;
  }

  Producer first_;
  Producer second_;
  std::unique_ptr<Ring> ring_;
  Kinds kinds_;
  bool empty_ = false;
};

TEST_F(Rings, GiveTheirRecordsInTheOrderOfTheirTime)
{
  first_.add(10, 1);
  first_.add(30, 3);
  second_.add(20, 2);
  second_.add(40, 4);
  first_.add(50, 5);
  EXPECT_EQ(look(), (Kinds{1, 2, 3, 4, 5}));
  EXPECT_TRUE(empty_);
  EXPECT_EQ(look(), Kinds{});
  EXPECT_EQ(first_.consumed(), 3 * 40U);
  EXPECT_EQ(second_.consumed(), 2 * 40U);
}

TEST_F(Rings, WaitForARecordThatIsNotFinished)
{
  first_.add(10, 1);
  const auto place = first_.reserve(20, 2);
  first_.add(25, 3);
  second_.add(15, 4);
  second_.add(30, 5);
  EXPECT_EQ(look(), Kinds{1});
  EXPECT_FALSE(empty_);
  EXPECT_EQ(look(), Kinds{});
  first_.submit(place);
  EXPECT_EQ(look(), (Kinds{4, 2, 3, 5}));
  EXPECT_TRUE(empty_);
}

TEST_F(Rings, GoOnUpToTheMomentAtWhichAnUnfinishedRecordCannotHaveBegun)
{
  EXPECT_EQ(look(), Kinds{});
  const auto seen = monotonic_ns();
  second_.add(seen - 1'000'000, 1);
  const auto place = first_.reserve(seen, 2);
  second_.add(seen + 1, 3);
  EXPECT_EQ(look(), Kinds{1});
  EXPECT_FALSE(empty_);
  first_.submit(place);
  EXPECT_EQ(look(), (Kinds{2, 3}));
}

TEST_F(Rings, LeaveWhatWasBegunAfterTheLook)
{
  first_.add(10, 1);
  second_.add(monotonic_ns() + 1'000'000'000'000, 2);
  EXPECT_EQ(look(), Kinds{1});
  EXPECT_FALSE(empty_);
}

TEST_F(Rings, PassDiscardedRecordsBy)
{
  first_.discard(first_.reserve(10, 1));
  second_.add(20, 2);
  first_.add(30, 3);
  first_.discard(first_.reserve(40, 4));
  EXPECT_EQ(look(), (Kinds{2, 3}));
  EXPECT_TRUE(empty_);
  EXPECT_EQ(first_.consumed(), 3 * 40U);
}

TEST_F(Rings, GoRoundAndGiveRoomBackWhileTheyAreRead)
{
  std::uint64_t ns = 1;
  for (int round = 0; round < 50; ++round) {
    Kinds expected;
    for (int i = 0; i < 3; ++i) {
      expected.push_back(static_cast<unsigned>(ns % 1000));
      (ns % 2 != 0 ? first_ : second_).add(ns, static_cast<std::uint16_t>(ns % 1000), 1000);
      ++ns;
    }
    EXPECT_EQ(look(), expected);
  }
}

}  // namespace
}  // namespace sonde::bpf
