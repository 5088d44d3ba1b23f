// SPDX-License-Identifier: Apache-2.0
// Names of disks from a made-up sysfs, and totals by name while names and numbers change hands.
#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <map>
#include <unistd.h>

#include <gtest/gtest.h>

#include "agent/probes/block_io_devices.hpp"

namespace sonde::block_io {
namespace {

namespace fs = std::filesystem;

class Sysfs : public ::testing::Test {
protected:
  Sysfs() : root_(fmt::format("{}block_io_sysfs_{}", ::testing::TempDir(), ::getpid()))
  {
    fs::remove_all(root_);
    fs::create_directories(root_ / "dev/block");
  }
  ~Sysfs() override { fs::remove_all(root_); }

  void add(const std::string& name, const std::string& number, const std::string& size, bool mq)
  {
    const auto folder = root_ / "block" / name;
    fs::create_directories(folder);
    std::ofstream(folder / "dev") << number << "\n";
    std::ofstream(folder / "size") << size << "\n";
    if (mq)
      fs::create_directory(folder / "mq");
    fs::create_symlink("../../devices/x/block/" + name, root_ / "dev/block" / number);
  }

  fs::path root_;
};

TEST_F(Sysfs, WholeDisksWithASizeAreListedAndToldFromThoseWithoutRequests)
{
  add("sda", "8:0", "1000", true);
  add("cciss!c0d0", "104:0", "1000", true);
  add("dm-0", "253:3", "500", false);
  add("loop0", "7:0", "0", true);
  add("nvme0c0n1", "259:1", "1000", true);
  std::ofstream(root_ / "block/nvme0c0n1/hidden") << "1\n";
  fs::create_directories(root_ / "block/broken");
  const auto disks = list_disks(root_.string());
  ASSERT_EQ(disks.size(), 3U);
  EXPECT_EQ(disks[0].name, "cciss/c0d0");
  EXPECT_EQ(disks[1].name, "dm-0");
  EXPECT_EQ(disks[1].number, 253U << 20 | 3U);
  EXPECT_FALSE(disks[1].has_requests);
  EXPECT_EQ(disks[2].name, "sda");
  EXPECT_TRUE(disks[2].has_requests);
  EXPECT_TRUE(list_disks((root_ / "nowhere").string()).empty());
}

TEST_F(Sysfs, ANumberIsNamedByItsLink)
{
  add("cciss!c0d0", "104:16", "1000", true);
  EXPECT_EQ(name_of_disk(root_.string(), 104U << 20 | 16U), "cciss/c0d0");
  EXPECT_EQ(name_of_disk(root_.string(), 104U << 20), "");
}

TEST(BlockIoTable, TakesEachDiskOnceAndSaysWhenItIsFull)
{
  sonde_block_io_devices table{};
  for (std::uint32_t i = 0; i < SONDE_BLOCK_IO_DEVICES; ++i) {
    EXPECT_TRUE(add_to_table(table, 8U << 20 | i * 16));
    EXPECT_TRUE(add_to_table(table, 8U << 20 | i * 16));
  }
  EXPECT_FALSE(add_to_table(table, 9U << 20));
  EXPECT_TRUE(add_to_table(table, 8U << 20));
}

class Totals : public ::testing::Test {
protected:
  Totals() : devices_([this](std::uint32_t number) { return names_[number]; }) {}

  void update()
  {
    devices_.update(table_, [this](unsigned column) { return rows_[column]; });
  }
  std::uint64_t reads(const std::string& name) const
  {
    const auto found = devices_.by_name().find(name);
    return found == devices_.by_name().end() ? 0 : found->second.size[0][0];
  }
  void count(unsigned column, std::uint64_t reads) { rows_[column].size[0][0] += reads; }

  sonde_block_io_devices table_{};
  std::map<unsigned, sonde_block_io_device_row> rows_;
  std::map<std::uint32_t, std::string> names_;
  Devices devices_;
};

TEST_F(Totals, ADiskThatIsGoneKeepsItsNameAndItsTotals)
{
  table_.number[3] = 42;
  names_[42] = "sda";
  count(3, 5);
  update();
  names_[42] = "";
  count(3, 1);
  update();
  EXPECT_EQ(reads("sda"), 6U);
}

TEST_F(Totals, ANumberThatNamesAnotherDiskLeavesWhatWasCountedWithTheOldName)
{
  table_.number[3] = 42;
  names_[42] = "nvme0n1";
  count(3, 5);
  update();
  names_[42] = "nvme1n1";
  update();
  count(3, 2);
  update();
  EXPECT_EQ(reads("nvme0n1"), 5U);
  EXPECT_EQ(reads("nvme1n1"), 2U);
  // The old name comes back under another number and goes on where it was.
  table_.number[4] = 43;
  names_[43] = "nvme0n1";
  count(4, 10);
  update();
  EXPECT_EQ(reads("nvme0n1"), 15U);
}

TEST_F(Totals, ADiskThatWasNeverNamedHasItsNumber)
{
  table_.number[3] = 8U << 20 | 16U;
  count(3, 1);
  update();
  EXPECT_EQ(reads("8:16"), 1U);
}

TEST_F(Totals, WhatFoundNoCellIsOther)
{
  update();
  EXPECT_FALSE(devices_.by_name().contains("other"));
  count(SONDE_BLOCK_IO_OTHER, 7);
  update();
  EXPECT_EQ(reads("other"), 7U);
  EXPECT_EQ(devices_.folded(), 7U);
}

}  // namespace
}  // namespace sonde::block_io
