// SPDX-License-Identifier: Apache-2.0
// Whose exchange it is: from the process that made a call on a socket to the service it belongs to
// now. Lives on the event loop's thread.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "agent/metrics/series_store.hpp"
#include "agent/proc/services.hpp"

namespace sonde::protocols {

// Who made a call, as the tap saw it.
struct Caller {
  std::uint32_t tgid = 0;
  std::uint16_t slot = SONDE_SLOT_OTHER;
  std::uint16_t generation = 0;
};

class ServiceBook final : public SlotObserver {
public:
  // `released` is told of services that have expired.
  ServiceBook(Services& services, std::function<void(std::uint16_t slot)> released);
  ~ServiceBook() override { services_.remove_observer(*this); }
  ServiceBook(const ServiceBook&) = delete;
  ServiceBook& operator=(const ServiceBook&) = delete;

  // The process's service of this moment, for names may come late; of a process that has gone the
  // one of its call, if that still has the slot; else `other`. Valid until the next call.
  const Service& of(const Caller& caller);
  metrics::SeriesOwner owner_of(const Caller& caller);
  std::size_t services();

  void slot_taken(std::uint16_t, std::uint16_t) override { stale_ = true; }
  void slot_released(std::uint16_t slot) override;
  void process_moved(std::uint32_t, std::uint16_t, std::uint16_t) override {}

private:
  void refresh();

  Services& services_;
  std::function<void(std::uint16_t)> released_;
  bool stale_ = true;
  std::shared_ptr<const ServiceTable> table_;
  std::array<const Service*, SONDE_SLOTS> by_slot_{};
  Service other_;
};

}  // namespace sonde::protocols
