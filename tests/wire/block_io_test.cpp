// SPDX-License-Identifier: Apache-2.0
// Where the block_io programs look for a request and for a disk, compiled natively.
#include <algorithm>
#include <array>
#include <set>

#include <gtest/gtest.h>

#include "sonde/block_io.h"

namespace sonde {
namespace {

TEST(BlockIoPlaces, RequestsOfATagSetSpreadEvenlyOverTheSets)
{
  // 4096 sets; requests lie 64 bytes and more apart, within pages of the same area.
  constexpr __u32 kShift = 20;
  for (const __u32 stride : {256U, 384U, 448U, 1024U}) {
    std::array<unsigned, 4096> used{};
    for (__u32 i = 0; i < 8192; ++i)
      ++used.at(sonde_block_io_home(0x84a00000U + i * stride, kShift) / SONDE_BLOCK_IO_WAYS);
    EXPECT_LE(*std::max_element(used.begin(), used.end()), SONDE_BLOCK_IO_WAYS) << stride;
  }
}

TEST(BlockIoPlaces, NeighboursHaveOneSetAndPlacesOfTheirOwn)
{
  constexpr __u32 kShift = 20;
  for (const __u32 stride : {256U, 320U, 384U, 448U, 512U, 1024U}) {
    std::set<__u32> places;
    std::set<__u32> sets;
    std::set<__u32> refuges;
    for (__u32 at = 0; at + stride <= 2048; at += stride) {
      const auto home = sonde_block_io_home(0x84a00000U + at, kShift);
      EXPECT_TRUE(places.insert(home).second) << stride << " at " << at;
      sets.insert(home / SONDE_BLOCK_IO_WAYS);
      refuges.insert(sonde_block_io_refuge(0x84a00000U + at, kShift));
    }
    EXPECT_EQ(sets.size(), 1U);
    EXPECT_GE(refuges.size(), places.size() - 1);
  }
}

TEST(BlockIoBuckets, AreTheFirstWhoseBoundIsNotExceeded)
{
  constexpr __u64 kUnused = ~0ULL >> 1;
  for (std::size_t used = 1; used < SONDE_BLOCK_IO_BUCKETS; ++used) {
    std::array<__u64, SONDE_BLOCK_IO_BUCKETS> bounds{};
    bounds.fill(kUnused);
    for (std::size_t i = 0; i < used; ++i)
      bounds.at(i) = __u64{100} << (3 * i);
    for (std::size_t i = 0; i < used; ++i)
      for (const __u64 value : {bounds.at(i) - 1, bounds.at(i), bounds.at(i) + 1, __u64{0}}) {
        const auto* first = std::lower_bound(bounds.begin(), bounds.begin() + used, value);
        EXPECT_EQ(sonde_block_io_bucket(bounds.data(), value),
                  static_cast<__u32>(first - bounds.begin()))
            << value << " of " << used;
      }
    EXPECT_EQ(sonde_block_io_bucket(bounds.data(), kUnused), used);
  }
}

TEST(BlockIoPlaces, DisksOfOneKindHaveCellsOfTheirOwn)
{
  for (const __u32 major : {7U, 8U, 65U, 254U, 259U})
    for (const __u32 step : {1U, 16U}) {
      std::set<__u32> cells;
      for (__u32 i = 0; i < 16; ++i) {
        const auto cell = sonde_block_io_cell_of(major << 20 | i * step);
        EXPECT_LT(cell, static_cast<__u32>(SONDE_BLOCK_IO_DEVICES));
        cells.insert(cell);
      }
      EXPECT_GE(cells.size(), 15U) << major << " " << step;
    }
}

}  // namespace
}  // namespace sonde
