// SPDX-License-Identifier: Apache-2.0
#include "agent/protocols/service_book.hpp"

namespace sonde::protocols {

ServiceBook::ServiceBook(Services& services, std::function<void(std::uint16_t)> released)
    : services_(services), released_(std::move(released)), other_{.slot = SONDE_SLOT_OTHER,
                                                                  .generation = 0,
                                                                  .name = "other",
                                                                  .labels = R"(service="other")"}
{
  services_.add_observer(*this);
}

void ServiceBook::slot_released(std::uint16_t slot)
{
  stale_ = true;
  by_slot_.at(slot) = nullptr;
  released_(slot);
}

// Not when told of a change: observers must not call back.
void ServiceBook::refresh()
{
  stale_ = false;
  table_ = services_.table();
  by_slot_.fill(nullptr);
  for (const auto& service : *table_)
    by_slot_.at(service.slot) = &service;
  by_slot_[SONDE_SLOT_OTHER] = &other_;
}

const Service& ServiceBook::of(const Caller& caller)
{
  if (stale_)
    refresh();
  const auto slot = services_.slot_of(caller.tgid);
  if (slot != SONDE_SLOT_OTHER && slot < SONDE_SLOTS && by_slot_[slot] != nullptr)
    return *by_slot_[slot];
  if (caller.slot < SONDE_SLOTS && by_slot_[caller.slot] != nullptr &&
      by_slot_[caller.slot]->generation == caller.generation)
    return *by_slot_[caller.slot];
  return other_;
}

metrics::SeriesOwner ServiceBook::owner_of(const Caller& caller)
{
  const auto& service = of(caller);
  return {.slot = service.slot, .generation = service.generation, .labels = service.labels};
}

std::size_t ServiceBook::services()
{
  if (stale_)
    refresh();
  return table_->size();
}

}  // namespace sonde::protocols
