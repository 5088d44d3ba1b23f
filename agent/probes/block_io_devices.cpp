// SPDX-License-Identifier: Apache-2.0
#include "agent/probes/block_io_devices.hpp"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <optional>
#include <system_error>
#include <utility>

#include "agent/base/file.hpp"
#include "agent/base/text.hpp"
#include "agent/probes/slot_ledger.hpp"

namespace sonde::block_io {

namespace {

constexpr std::string_view kOther = "other";
// Names that no disk has any more and that are still shown.
constexpr std::size_t kFormerNames = 64;

std::optional<std::uint32_t> parse_number(std::string_view text)
{
  const auto colon = text.find(':');
  if (colon == std::string_view::npos)
    return std::nullopt;
  const auto major = sonde::parse_number<std::uint32_t>(text.substr(0, colon));
  const auto minor = sonde::parse_number<std::uint32_t>(trim(text.substr(colon + 1)));
  if (!major || !minor)
    return std::nullopt;
  return *major << 20 | *minor;
}

// sysfs writes `!` where a disk's name has a slash.
std::string shown(std::string name)
{
  std::ranges::replace(name, '!', '/');
  return name;
}

std::uint64_t completions(const sonde_block_io_device_row& row)
{
  std::uint64_t count = 0;
  for (const auto& size : row.size)
    for (const auto bucket : size)
      count += bucket;
  return count;
}

}  // namespace

std::vector<Disk> list_disks(const std::string& sysfs)
{
  std::vector<Disk> disks;
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(sysfs + "/block", failed)) {
    const auto folder = entry.path().string();
    const auto number = read_file(folder + "/dev");
    const auto size = read_file(folder + "/size");
    const auto hidden = read_file(folder + "/hidden");
    if (!number || !size || trim(*size) == "0" || (hidden && trim(*hidden) == "1"))
      continue;
    if (const auto parsed = parse_number(*number))
      disks.push_back({*parsed,
                       shown(entry.path().filename().string()),
                       std::filesystem::exists(folder + "/mq", failed)});
  }
  std::ranges::sort(disks, {}, &Disk::name);
  return disks;
}

std::string name_of_disk(const std::string& sysfs, std::uint32_t number)
{
  std::error_code failed;
  const auto target = std::filesystem::read_symlink(
      fmt::format("{}/dev/block/{}:{}", sysfs, number >> 20, number & 0xfffffU), failed);
  return failed ? std::string() : shown(target.filename().string());
}

bool add_to_table(volatile sonde_block_io_devices& table, std::uint32_t number)
{
  const auto first = sonde_block_io_cell_of(number);
  for (unsigned i = 0; i < SONDE_BLOCK_IO_DEVICES; ++i) {
    volatile auto& cell = table.number[(first + i) % SONDE_BLOCK_IO_DEVICES];
    if (cell == 0)
      cell = number;
    if (cell == number)
      return true;
  }
  return false;
}

void Devices::rename(Cell& cell, std::string name, const sonde_block_io_device_row& total)
{
  const auto counted = minus_words(total, cell.base);
  if (!cell.name.empty() && completions(counted) != 0) {
    const bool kept = former_.contains(cell.name) || former_.size() < kFormerNames;
    add_words(former_[kept ? cell.name : std::string(kOther)], counted);
  }
  cell.base = total;
  cell.name = std::move(name);
}

void Devices::update(const volatile sonde_block_io_devices& table, const Total& total)
{
  std::map<std::string, sonde_block_io_device_row> now;
  for (unsigned i = 0; i < SONDE_BLOCK_IO_DEVICES; ++i) {
    auto& cell = cells_[i];
    cell.number = table.number[i];
    if (cell.number == 0)
      continue;
    const auto row = total(i);
    auto name = name_(cell.number);
    if (name.empty() && cell.name.empty())
      name = fmt::format("{}:{}", cell.number >> 20, cell.number & 0xfffffU);
    if (!name.empty() && name != cell.name) {
      if (cell.name.empty())
        cell.name = std::move(name);
      else
        rename(cell, std::move(name), row);
    }
    add_words(now[cell.name], minus_words(row, cell.base));
  }
  for (const auto& [name, row] : former_)
    add_words(now[name], row);
  const auto rest = total(SONDE_BLOCK_IO_OTHER);
  folded_ = completions(rest);
  if (folded_ != 0)
    add_words(now[std::string(kOther)], rest);
  by_name_ = std::move(now);
}

}  // namespace sonde::block_io
