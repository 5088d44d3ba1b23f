// SPDX-License-Identifier: Apache-2.0
#include "agent/elf/relocations.hpp"

#include <algorithm>
#include <cstring>
#include <elf.h>
#include <limits>

namespace sonde::elf {

Relocations::Relocations(std::span<const std::byte> table, Machine machine)
    : table_(table),
      relative_type_(machine == Machine::kAarch64 ? R_AARCH64_RELATIVE : R_X86_64_RELATIVE),
      count_(std::min<std::size_t>(table.size() / sizeof(Entry),
                                   std::numeric_limits<std::uint32_t>::max()))
{
  // Linkers sort the RELATIVE ones to the front, by address; others follow.
  std::size_t sorted = 0;
  std::uint64_t last = 0;
  bool in_order = true;
  for (std::size_t i = 0; i < count_; ++i) {
    const auto entry = at(i);
    if (!relative(entry))
      continue;
    in_order = in_order && sorted == i && entry.address >= last;
    last = entry.address;
    ++sorted;
  }
  if (in_order) {
    count_ = sorted;
    return;
  }
  order_.reserve(sorted);
  for (std::size_t i = 0; i < count_; ++i)
    if (relative(at(i)))
      order_.push_back(static_cast<std::uint32_t>(i));
  std::ranges::sort(order_, {}, [this](std::uint32_t i) { return at(i).address; });
}

Relocations::Entry Relocations::at(std::size_t index) const
{
  Entry entry;
  std::memcpy(&entry, table_.data() + (index * sizeof entry), sizeof entry);
  return entry;
}

std::optional<std::uint64_t> Relocations::find(std::uint64_t address) const
{
  std::size_t low = 0;
  std::size_t high = order_.empty() ? count_ : order_.size();
  while (low < high) {
    const std::size_t middle = low + ((high - low) / 2);
    const auto entry = at(order_.empty() ? middle : order_[middle]);
    if (entry.address == address)
      return entry.value;
    if (entry.address < address)
      low = middle + 1;
    else
      high = middle;
  }
  return {};
}

void Relocations::for_each(
    const std::function<void(std::uint64_t address, std::uint64_t value)>& callback) const
{
  for (std::size_t i = 0; i < count_; ++i)
    if (const auto entry = at(i); relative(entry))
      callback(entry.address, entry.value);
}

}  // namespace sonde::elf
