// SPDX-License-Identifier: Apache-2.0
// From kernel rows that are never cleared to per-service totals that never fall, though slots
// change hands: what a slot held before its service took it is a baseline, and what is counted in a
// slot without a service belongs to `other`. So the services always add up to the node.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <optional>

#include "agent/bpf/mapped.hpp"
#include "agent/proc/services.hpp"

namespace sonde {

// Word-wise arithmetic on rows of __u64.
template <typename Row>
Row& add_words(Row& to, const Row& from)
{
  auto* out = reinterpret_cast<__u64*>(&to);
  const auto* in = reinterpret_cast<const __u64*>(&from);
  for (std::size_t i = 0; i < sizeof(Row) / 8; ++i)
    out[i] += in[i];
  return to;
}

template <typename Row>
Row minus_words(Row from, const Row& what)
{
  auto* out = reinterpret_cast<__u64*>(&from);
  const auto* in = reinterpret_cast<const __u64*>(&what);
  for (std::size_t i = 0; i < sizeof(Row) / 8; ++i)
    out[i] -= in[i];
  return from;
}

// Created and told of slot changes on the event loop's thread; read by the scraping thread.
template <typename Row>
class SlotLedger : public SlotObserver {
public:
  // The rows must be those of a program loaded just now: all slots start from zero.
  SlotLedger(Services& services, bpf::Rows<Row> rows) : services_(services), rows_(std::move(rows))
  {
    for (const auto& service : *services.table()) {
      slots_[service.slot].held = true;
      slots_[service.slot].generation = service.generation;
    }
    services.add_observer(*this);
  }
  SlotLedger(const SlotLedger&) = delete;
  SlotLedger& operator=(const SlotLedger&) = delete;
  ~SlotLedger() override { services_.remove_observer(*this); }

  // Reads all rows of the kernel; of() and node() then speak of this moment.
  void update()
  {
    const std::scoped_lock lock(mutex_);
    node_ = Row{};
    Row strays = orphans_;
    for (unsigned i = 0; i < SONDE_SLOTS; ++i) {
      auto& slot = slots_[i];
      slot.total = bpf::sum_rows(rows_, i);
      add_words(node_, slot.total);
      if (!slot.held)
        add_words(strays, minus_words(slot.total, slot.base));
    }
    strays_ = strays;
  }

  // What the service has counted since it took the slot; nothing when the slot has changed hands
  // since the table was made.
  std::optional<Row> of(std::uint16_t slot, std::uint16_t generation) const
  {
    const std::scoped_lock lock(mutex_);
    const auto& entry = slots_[slot];
    if (!entry.held || entry.generation != generation)
      return std::nullopt;
    Row row = minus_words(entry.total, entry.base);
    if (slot == SONDE_SLOT_OTHER)
      add_words(row, strays_);
    return row;
  }

  // Everything counted on the node, expired services included.
  Row node() const
  {
    const std::scoped_lock lock(mutex_);
    return node_;
  }

  const bpf::Rows<Row>& rows() const { return rows_; }

  void slot_taken(std::uint16_t slot, std::uint16_t generation) override
  {
    const std::scoped_lock lock(mutex_);
    auto& entry = slots_[slot];
    const Row now = bpf::sum_rows(rows_, slot);
    add_words(orphans_, minus_words(now, entry.base));
    entry = {.base = now, .total = now, .generation = generation, .held = true};
  }

  void slot_released(std::uint16_t slot) override
  {
    const std::scoped_lock lock(mutex_);
    auto& entry = slots_[slot];
    entry.base = entry.total = bpf::sum_rows(rows_, slot);
    entry.held = false;
  }

  void process_moved(std::uint32_t, std::uint16_t, std::uint16_t) override {}

private:
  struct Slot {
    Row base{};   // when it was last taken or released
    Row total{};  // at the last update
    std::uint16_t generation = 0;
    bool held = false;
  };

  Services& services_;
  bpf::Rows<Row> rows_;
  mutable std::mutex mutex_;
  std::array<Slot, SONDE_SLOTS> slots_{};
  Row orphans_{};  // counted in free slots that have a holder again
  Row strays_{};   // the same and what lies in free slots now
  Row node_{};
};

}  // namespace sonde
