// SPDX-License-Identifier: Apache-2.0
#include "agent/probes/exit_counts.hpp"

#include <algorithm>
#include <csignal>
#include <cstring>
#include <sys/wait.h>

#include "agent/metrics/labels.hpp"

namespace sonde {

namespace {

constexpr std::uint32_t kCoreDumped = 0x80;
constexpr std::uint32_t kManyStatus = ~0U;

std::string labels_of(std::uint32_t status)
{
  const auto wait = static_cast<int>(status);
  if (status == kManyStatus)
    return metrics::label_block({{"code", "other"}, {"signal", ""}});
  if (WIFSIGNALED(wait))
    return metrics::label_block({{"code", ""}, {"signal", signal_name(WTERMSIG(wait))}});
  return metrics::label_block({{"code", std::to_string(WEXITSTATUS(wait))}, {"signal", ""}});
}

}  // namespace

std::string signal_name(int signal)
{
  const char* name = ::sigabbrev_np(signal);
  return name != nullptr ? std::string("SIG") + name : "SIG" + std::to_string(signal);
}

ExitCounts::ExitCounts(Services& services) : services_(services)
{
  for (const auto& service : *services.table())
    slots_[service.slot].generation = service.generation;
  for (auto& slot : slots_)
    slot.endings.push_back({0, 0, labels_of(0)});
  services.add_observer(*this);
}

ExitCounts::~ExitCounts()
{
  services_.remove_observer(*this);
}

void ExitCounts::count(std::uint16_t slot, std::uint32_t status, bool oom)
{
  const std::scoped_lock lock(mutex_);
  auto& counts = slots_[slot & (SONDE_SLOTS - 1)];
  counts.oom_kills += oom ? 1 : 0;
  status &= 0xffff & ~kCoreDumped;
  auto ending = std::ranges::find(counts.endings, status, &Ending::status);
  if (ending == counts.endings.end()) {
    if (counts.endings.size() >= kMaxEndings)
      status = kManyStatus;
    ending = std::ranges::find(counts.endings, status, &Ending::status);
    if (ending == counts.endings.end())
      ending = counts.endings.insert(ending, {status, 0, labels_of(status)});
  }
  ++ending->count;
}

void ExitCounts::expose_exits(Scrape& scrape) const
{
  const std::scoped_lock lock(mutex_);
  for (const auto& service : scrape.services)
    if (const auto& counts = slots_[service.slot]; counts.generation == service.generation)
      for (const auto& ending : counts.endings)
        scrape.out.sample({service.labels, ending.labels}, ending.count);
}

void ExitCounts::expose_oom_kills(Scrape& scrape) const
{
  const std::scoped_lock lock(mutex_);
  for (const auto& service : scrape.services)
    if (const auto& counts = slots_[service.slot]; counts.generation == service.generation)
      scrape.out.sample({service.labels}, counts.oom_kills);
}

void ExitCounts::slot_taken(std::uint16_t slot, std::uint16_t generation)
{
  const std::scoped_lock lock(mutex_);
  auto& counts = slots_[slot];
  counts.generation = generation;
  counts.oom_kills = 0;
  counts.endings.resize(1);
  counts.endings.front().count = 0;
}

}  // namespace sonde
