// SPDX-License-Identifier: Apache-2.0
// Where the slot of each process is kept for the kernel's programs to read.
#pragma once

#include <cstdint>

namespace sonde {

// slot() is called from any thread, the others on the event loop's.
class SlotMemory {
public:
  virtual ~SlotMemory() = default;
  virtual std::uint16_t slot(std::uint32_t tgid) const = 0;
  virtual void set_slot(std::uint32_t tgid, std::uint16_t slot) = 0;
  virtual void set_generation(std::uint16_t slot, std::uint16_t generation) = 0;
};

}  // namespace sonde
