// SPDX-License-Identifier: Apache-2.0
// Names in slots: bounded, kept for a while after the last process has gone, then given away with a
// new generation. Pure but for the clock that is passed in.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "sonde/abi.h"

#include "agent/proc/services.hpp"

namespace sonde {

class ServiceSlots {
public:
  struct Limits {
    std::size_t dynamic = 250;  // slots for discovered services
    std::chrono::nanoseconds expiry = std::chrono::minutes(5);
  };

  ServiceSlots();
  void limit(const Limits& limits) { limits_ = limits; }

  // The slot of a service that is listed.
  std::optional<std::uint16_t> find(const std::string& name) const;

  struct Taken {
    std::uint16_t slot;
    std::uint16_t generation;
  };
  // A free slot for a service that is not listed; nothing when all are in use.
  std::optional<Taken> take(const std::string& name, std::uint64_t now_ns);

  // Listed for ever, or no longer so.
  void expect(const std::string& name, bool expected, std::uint64_t now_ns);

  void add_process(std::uint16_t slot) { ++entries_[slot].processes; }
  void remove_process(std::uint16_t slot, std::uint64_t now_ns);

  // The slots of services that have been without processes for long enough; they are free now.
  std::vector<std::uint16_t> expire(std::uint64_t now_ns);

  bool held(std::uint16_t slot) const { return slot < SONDE_SLOTS && entries_[slot].held; }
  std::uint32_t processes(std::uint16_t slot) const { return entries_[slot].processes; }

  ServiceTable table(const std::array<std::uint32_t, SONDE_SLOTS>& instances) const;

private:
  struct Entry {
    std::string name;
    std::string labels;
    std::uint64_t empty_since_ns = 0;
    std::uint32_t processes = 0;
    std::uint16_t generation = 0;
    bool held = false;
    bool lasting = false;
  };

  void hold(std::uint16_t slot, const std::string& name, std::uint64_t now_ns);

  Limits limits_;
  std::array<Entry, SONDE_SLOTS> entries_;
  std::unordered_map<std::string, std::uint16_t> by_name_;
};

}  // namespace sonde
