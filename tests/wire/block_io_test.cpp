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
      ++used.at(sonde_block_io_set_of(sonde_block_io_hash(0x84a00000U + i * stride), kShift));
    EXPECT_LE(*std::max_element(used.begin(), used.end()), SONDE_BLOCK_IO_WAYS) << stride;
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
