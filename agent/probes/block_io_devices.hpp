// SPDX-License-Identifier: Apache-2.0
// Disks as the block_io family knows them: their names, and totals by name that never fall though
// numbers and names change hands.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "sonde/block_io.h"

namespace sonde::block_io {

// A whole disk, as sysfs shows it.
struct Disk {
  std::uint32_t number = 0;  // the kernel's dev_t: major << 20 | minor
  std::string name;          // sda, as /proc/diskstats spells it
  bool has_requests = true;  // not one of those that hand bios on (dm, md, zram)
};

// Whole disks with a size, hidden ones left out. `sysfs` is /sys.
std::vector<Disk> list_disks(const std::string& sysfs);

// The name of a disk that exists now, "" for one that does not.
std::string name_of_disk(const std::string& sysfs, std::uint32_t number);

// A free cell or the disk's own in the programs' table; nothing when it is full.
bool add_to_table(volatile sonde_block_io_devices& table, std::uint32_t number);

// Totals by name. A disk that is gone keeps its name and its totals; when its number names another
// disk, what was counted until then stays with the old name.
class Devices {
public:
  using Name = std::function<std::string(std::uint32_t number)>;
  using Total = std::function<sonde_block_io_device_row(unsigned column)>;

  explicit Devices(Name name) : name_(std::move(name)) {}

  // Reads all rows; by_name() then speaks of this moment.
  void update(const volatile sonde_block_io_devices& table, const Total& total);

  const std::map<std::string, sonde_block_io_device_row>& by_name() const { return by_name_; }
  // Completions that found no row of their own.
  std::uint64_t folded() const { return folded_; }

private:
  struct Cell {
    std::uint32_t number = 0;
    std::string name;
    sonde_block_io_device_row base{};  // counted under earlier names
  };

  void rename(Cell& cell, std::string name, const sonde_block_io_device_row& total);

  Name name_;
  std::array<Cell, SONDE_BLOCK_IO_DEVICES> cells_{};
  std::map<std::string, sonde_block_io_device_row> former_;
  std::map<std::string, sonde_block_io_device_row> by_name_;
  std::uint64_t folded_ = 0;
};

}  // namespace sonde::block_io
