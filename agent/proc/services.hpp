// SPDX-License-Identifier: Apache-2.0
// Services as everything else sees them: a bounded table of names in slots. Slots are rows of the
// kernel's per-service arrays; every process of the node belongs to exactly one.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sonde/abi.h"

namespace sonde {

struct Service {
  std::uint16_t slot;
  std::uint16_t generation;  // of the slot, when this service took it
  std::string name;
  std::string labels;  // rendered: service="name"
  std::uint32_t instances = 0;
};

// Immutable; in no order. Holds `other`, `kernel` and `sonde` always, a service without processes
// until it has been gone for services.expiry, and the ones configured as expected for ever.
using ServiceTable = std::vector<Service>;

// Told when a slot changes hands, on the event loop's thread, before anything new is counted in it.
class SlotObserver {
public:
  virtual ~SlotObserver() = default;
  // A new service has the slot; rows of the kernel are never cleared, so they start from a residue.
  virtual void slot_taken(std::uint16_t slot, std::uint16_t generation) = 0;
  // The service expired. What is still counted there belongs to `other`.
  virtual void slot_released(std::uint16_t slot) = 0;
  // A process moved between services by exec or by the agent's late decision.
  virtual void process_moved(std::uint32_t tgid, std::uint16_t from, std::uint16_t to) = 0;
};

class ProcessSink;

class Services {
public:
  virtual ~Services() = default;

  // Who wants to hear of forks, execs and exits; nobody where services are fixed.
  virtual ProcessSink* processes() { return nullptr; }

  // The table as it is now. Any thread.
  virtual std::shared_ptr<const ServiceTable> table() const = 0;

  // The slot of a live process, 0 (`other`) for an unknown one. Any thread.
  virtual std::uint16_t slot_of(std::uint32_t tgid) const = 0;

  // A socket of the process entered LISTEN: from now on it is known by its executable's name if
  // nothing better named it. The loop's thread.
  virtual void now_listening(std::uint32_t tgid) = 0;

  // Observers are told from now on; they must outlive the Services or be removed, and must not call
  // back.
  virtual void add_observer(SlotObserver& observer) = 0;
  virtual void remove_observer(SlotObserver& observer) = 0;
};

}  // namespace sonde
