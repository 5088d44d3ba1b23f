// SPDX-License-Identifier: Apache-2.0
// From a 64-bit key to a place in a table that knows the key: 8 bytes an entry at most, where a
// node-based map takes fifty.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace sonde::protocols {

// `KeyOf(place)` gives the key that was inserted; places must stay below 2^32 - 1.
template <typename KeyOf>
class SocketIndex {
public:
  explicit SocketIndex(KeyOf key_of) : key_of_(key_of), slots_(64) {}

  std::optional<std::uint32_t> find(std::uint64_t key) const
  {
    const auto at = slot_of(key);
    if (slots_[at] == 0)
      return std::nullopt;
    return slots_[at] - 1;
  }

  // The place stands for its key from now on, whoever did before.
  void insert(std::uint64_t key, std::uint32_t place)
  {
    const auto at = slot_of(key);
    const bool fresh = slots_[at] == 0;
    slots_[at] = place + 1;
    if (fresh && ++used_ * 4 > slots_.size() * 3)
      grow();
  }

  // Nothing happens when another place stands for the key.
  void erase(std::uint64_t key, std::uint32_t place)
  {
    auto hole = slot_of(key);
    if (slots_[hole] != place + 1)
      return;
    --used_;
    // Entries that were pushed beyond it move back.
    for (auto at = next(hole);; at = next(at)) {
      if (slots_[at] == 0)
        break;
      const auto home = home_of(key_of_(slots_[at] - 1));
      if (((at - home) & (slots_.size() - 1)) >= ((at - hole) & (slots_.size() - 1))) {
        slots_[hole] = slots_[at];
        hole = at;
      }
    }
    slots_[hole] = 0;
  }

  std::size_t bytes() const { return slots_.size() * sizeof slots_[0]; }

private:
  std::size_t home_of(std::uint64_t key) const
  {
    return (key * 0x9e3779b97f4a7c15U) >> 20U & (slots_.size() - 1);
  }
  std::size_t next(std::size_t at) const { return (at + 1) & (slots_.size() - 1); }
  std::size_t slot_of(std::uint64_t key) const
  {
    auto at = home_of(key);
    while (slots_[at] != 0 && key_of_(slots_[at] - 1) != key)
      at = next(at);
    return at;
  }
  void grow()
  {
    std::vector<std::uint32_t> old(slots_.size() * 2);
    old.swap(slots_);
    for (const auto slot : old)
      if (slot != 0)
        slots_[slot_of(key_of_(slot - 1))] = slot;
  }

  KeyOf key_of_;
  std::vector<std::uint32_t> slots_;  // place + 1; 0: empty
  std::size_t used_ = 0;
};

}  // namespace sonde::protocols
