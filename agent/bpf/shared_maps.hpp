// SPDX-License-Identifier: Apache-2.0
// The maps that all families' programs share: slot of each process, slot generations, the facts
// ring and its losses. Created once; each skeleton takes them over by name before it loads.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <bpf/libbpf.h>

#include "sonde/abi.h"

#include "agent/base/result.hpp"
#include "agent/base/unique_fd.hpp"
#include "agent/bpf/mapped.hpp"

namespace sonde::bpf {

class SharedMaps {
public:
  // `pid_max` bounds the thread-group ids; larger ones are `other`. `ring_bytes`: a power of two.
  static Result<std::unique_ptr<SharedMaps>> create(std::uint32_t pid_max,
                                                    std::uint32_t ring_bytes);

  // Points the object's `service_of`, `slot_generations`, `facts`, `facts_lost` and `facts_reader`,
  // as far as it has them, at the shared ones, and multiplies the size of its per-CPU arrays (names
  // ending in
  // `_rows`) by the number of CPUs. Between open and load.
  Result<> share_with(bpf_object* object);

  // Maps of one family that programs of others write to, too: until they are taken back,
  // share_with() points maps by these names at them. On the loop's thread.
  Result<> lend(const bpf_object* object, std::span<const char* const> names);
  void take_back(std::span<const char* const> names);
  bool lends(std::string_view name) const;

  std::uint16_t slot(std::uint32_t tgid) const;
  void set_slot(std::uint32_t tgid, std::uint16_t slot);
  void set_generation(std::uint16_t slot, std::uint16_t generation);

  // Possible CPUs: rows of every per-CPU array.
  unsigned cpus() const { return cpus_; }
  std::uint32_t pid_max() const { return pid_max_; }
  int ring_fd() const { return facts_.get(); }
  // Set while the ring's consumer looks again by itself: no producer needs to wake it then.
  void set_reader_awake(bool awake);
  std::uint64_t facts_lost(std::uint16_t family) const;

  // Bytes of the shared maps, as the kernel keeps them.
  std::size_t bytes() const;

private:
  SharedMaps() = default;

  unsigned cpus_ = 1;
  std::uint32_t pid_max_ = 0;
  std::uint32_t ring_bytes_ = 0;
  UniqueFd service_of_;
  UniqueFd generations_;
  UniqueFd facts_;
  UniqueFd facts_lost_;
  UniqueFd facts_reader_;
  std::map<std::string, UniqueFd, std::less<>> lent_;
  Mapping service_memory_;
  Mapping generation_memory_;
  Mapping reader_memory_;
  Rows<sonde_facts_lost> lost_;
};

}  // namespace sonde::bpf
