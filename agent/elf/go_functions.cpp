// SPDX-License-Identifier: Apache-2.0
#include "agent/elf/go_functions.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <functional>

namespace sonde::elf {

namespace {

constexpr std::size_t kMaxName = 16 << 10;
constexpr std::size_t kMaxFunctions = 4 << 20;

template <typename T>
T load(std::span<const std::byte> bytes, std::size_t at)
{
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

}  // namespace

GoFunctions::GoFunctions(const GoModuleData& module)
    : names_(module.function_names), table_(module.functions), data_(module.function_data),
      count_(std::min(module.function_count, kMaxFunctions)), text_(module.text)
{
  slots_.resize(std::bit_ceil(2 * count_));
  // A name belongs to one function or two: longer ones in sum are overlaid to waste time.
  std::size_t budget = (4 * names_.size()) + (64 * count_);
  for (std::size_t i = 0; i < count_; ++i) {
    const auto text = name(i);
    if (text.empty())
      continue;
    if (text.size() > budget)
      return;
    budget -= text.size();
    const std::size_t mask = slots_.size() - 1;
    std::size_t slot = std::hash<std::string_view>{}(text)&mask;
    while (slots_[slot] != 0)
      slot = (slot + 1) & mask;
    slots_[slot] = static_cast<std::uint32_t>(i + 1);
  }
}

AddressRange GoFunctions::range(std::size_t index) const
{
  // The entry after the last one is the end of the text.
  const auto begin = load<std::uint32_t>(table_, index * 8);
  const auto end = load<std::uint32_t>(table_, (index + 1) * 8);
  return {.begin = text_.begin + begin, .end = text_.begin + std::max(begin, end)};
}

std::string_view GoFunctions::name(std::size_t index) const
{
  // _func: u32 entry, i32 name.
  const auto function = load<std::uint32_t>(table_, (index * 8) + 4);
  if (data_.size() < 8 || function > data_.size() - 8)
    return {};
  const auto at = load<std::uint32_t>(data_, function + 4);
  if (at >= names_.size())
    return {};
  const auto* begin = reinterpret_cast<const char*>(names_.data()) + at;
  const auto* end = static_cast<const char*>(
      std::memchr(begin, 0, std::min<std::size_t>(names_.size() - at, kMaxName)));
  return end == nullptr ? std::string_view{} : std::string_view(begin, end);
}

std::optional<AddressRange> GoFunctions::find(std::string_view wanted) const
{
  std::optional<AddressRange> found;
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t slot = std::hash<std::string_view>{}(wanted)&mask; slots_[slot] != 0;
       slot = (slot + 1) & mask)
    if (const std::size_t index = slots_[slot] - 1; name(index) == wanted)
      if (const auto candidate = range(index); !found || candidate.size() > found->size())
        found = candidate;
  return found;
}

std::optional<std::string_view> GoFunctions::at(std::uint64_t address) const
{
  if (!text_.contains(address))
    return {};
  std::size_t low = 0;
  std::size_t high = count_;
  while (low < high) {
    const std::size_t middle = low + ((high - low) / 2);
    if (range(middle).begin <= address)
      low = middle + 1;
    else
      high = middle;
  }
  if (low == 0 || !range(low - 1).contains(address))
    return {};
  return name(low - 1);
}

void GoFunctions::for_each(
    const std::function<bool(std::string_view, AddressRange)>& callback) const
{
  for (std::size_t i = 0; i < count_; ++i)
    if (!callback(name(i), range(i)))
      return;
}

}  // namespace sonde::elf
