// SPDX-License-Identifier: Apache-2.0
#include "agent/app/cost_ceiling.hpp"

#include <algorithm>

#include <bpf/bpf.h>
#include <fmt/format.h>

#include "agent/base/clock.hpp"

namespace sonde::app {

namespace {

constexpr auto kBetween = std::chrono::seconds(15);
constexpr auto kMeasured = std::chrono::seconds(1);

}  // namespace

Result<std::unique_ptr<CostCeiling>> CostCeiling::create(Node& node, double ratio)
{
  std::unique_ptr<CostCeiling> ceiling(new CostCeiling(node, ratio));
  ceiling->timer_ = SONDE_TRY(node.loop().timer([self = ceiling.get()] {
    if (self->measuring_)
      self->finish();
    else
      self->begin();
  }));
  ceiling->timer_.arm_once(kMeasured);
  return ceiling;
}

std::map<const Family*, std::uint64_t> CostCeiling::run_ns()
{
  std::map<const Family*, std::uint64_t> total;
  for (const auto& running : node_.probes())
    for (const int fd : running->programs) {
      bpf_prog_info info{};
      __u32 size = sizeof info;
      if (bpf_obj_get_info_by_fd(fd, &info, &size) == 0)
        total[running->family] += info.run_time_ns;
    }
  return total;
}

void CostCeiling::begin()
{
  // Needs CAP_SYS_ADMIN; without it the ceiling works while kernel.bpf_stats_enabled is 1.
  statistics_ = UniqueFd(bpf_enable_stats(BPF_STATS_RUN_TIME));
  before_ = run_ns();
  begun_ns_ = monotonic_ns();
  measuring_ = true;
  timer_.arm_once(kMeasured);
}

void CostCeiling::finish()
{
  const auto elapsed = std::max<std::uint64_t>(monotonic_ns() - begun_ns_, 1);
  auto spent = run_ns();
  statistics_ = UniqueFd();
  measuring_ = false;
  timer_.arm_once(kBetween);
  std::uint64_t total = 0;
  const Family* dearest = nullptr;
  for (auto& [family, ns] : spent) {
    ns -= std::min(ns, before_[family]);
    total += ns;
    if (dearest == nullptr || ns > spent[dearest])
      dearest = family;
  }
  const double share = static_cast<double>(total) / static_cast<double>(elapsed);
  if (dearest == nullptr || share <= ratio_)
    return;
  node_.detach(*dearest,
               fmt::format("detached: BPF programs took {:.1f} % of a core, above "
                           "bpf.max-cpu-ratio {:.1f} %, this family most of it",
                           share * 100,
                           ratio_ * 100));
}

}  // namespace sonde::app
