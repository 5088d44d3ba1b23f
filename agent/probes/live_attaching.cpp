// SPDX-License-Identifier: Apache-2.0
// A file's probes, on and off.
#include <algorithm>
#include <fmt/format.h>

#include "agent/base/log.hpp"
#include "agent/probes/live_executables.hpp"

namespace sonde {

bool LiveExecutables::number(File& file)
{
  if (file.numbered)
    return true;
  if (free_numbers_.empty())
    return false;
  file.about.number = free_numbers_.back();
  free_numbers_.pop_back();
  file.numbered = true;
  numbered_[file.about.number] = &file;
  file.hits = hits_of(file);
  return true;
}

void LiveExecutables::attach(File& file, const OpenFile& open)
{
  std::vector<std::pair<std::shared_ptr<const UprobeMember>, ProbePlan>> plans;
  for (auto& use : file.uses) {
    if (use.state != State::kPlanned || use.paused)
      continue;
    use.state = State::kRefused;
    if (!number(file)) {
      use.refusal = {"too_many_files", "more files than uprobes are kept for run at one time"};
    } else if (const auto ready = use.member->user->attaching(file.about, *use.plan); !ready) {
      use.refusal = {"not_attached", ready.error().message()};
    } else {
      use.state = State::kAttaching;
      plans.emplace_back(use.member, *use.plan);
    }
  }
  if (plans.empty())
    return;
  file.busy = true;
  attacher_.post(
      [this, plans = std::move(plans), open, key = file.key, number = file.about.number] {
        // Shared: what is posted must be copyable.
        auto results = std::make_shared<std::vector<Attached>>();
        for (const auto& [member, plan] : plans) {
          const std::shared_lock lock(gate_);
          if (member->user != nullptr)
            results->push_back({member->serial, attach_sites(plan, *open.fd, number)});
        }
        post([this, key, results] { attached(key, std::move(*results)); });
      });
}

Result<std::vector<bpf::UprobeLinks>> LiveExecutables::attach_sites(const ProbePlan& plan,
                                                                    const UniqueFd& file,
                                                                    std::uint32_t number) const
{
  if (plan.sites.empty())
    return std::vector<bpf::UprobeLinks>();
  if (!kind_)
    return Failure(kind_.error());
  return attach_plan(*kind_, plan, file, number);
}

void LiveExecutables::attached(const FileKey& key, std::vector<Attached> results)
{
  const auto found = files_.find(key);
  if (found == files_.end())
    return;
  auto& file = found->second;
  file.busy = false;
  for (auto& [serial, links] : results) {
    const auto use =
        std::ranges::find(file.uses, serial, [](const Use& u) { return u.member->serial; });
    if (use == file.uses.end())
      continue;
    auto& user = *use->member->user;
    if (!links) {
      use->state = State::kRefused;
      use->refusal = {"not_attached", links.error().message()};
      hooks_.report(user.name(), kHook, false, links.error().message());
      log::warn("uprobes not attached",
                {{"probe", std::string(user.name())},
                 {"file", file.about.path},
                 {"reason", links.error().message()}});
      continue;
    }
    use->state = State::kAttached;
    use->links = *std::move(links);
    count(user.name(), [&](Count& count) {
      ++count.files;
      count.sites += use->plan->sites.size();
    });
    user.attached(file.about, *use->plan);
    for (const auto& [tgid, start] : file.processes)
      user.joined(file.about, {tgid, start});
  }
  if (file.processes.empty())
    arm_sweep(kLingerNs);
  consider(file);
}

// `links` are to be closed, which takes a while.
void LiveExecutables::take_off(File& file, Use& use, std::vector<bpf::UprobeLinks>& links)
{
  use.state = State::kDetaching;
  std::ranges::move(use.links, std::back_inserter(links));
  use.links.clear();
  count(use.member->user->name(), [&](Count& count) {
    --count.files;
    count.sites -= use.plan->sites.size();
  });
  for (const auto& [tgid, start] : file.processes)
    use.member->user->left(file.about, {tgid, start});
}

void LiveExecutables::detach(const std::vector<FileKey>& keys, std::uint64_t rest_until_ns)
{
  // Shared: what is posted must be copyable.
  auto links = std::make_shared<std::vector<bpf::UprobeLinks>>();
  for (const auto& key : keys) {
    auto& file = files_.at(key);
    file.busy = true;
    for (auto& use : file.uses) {
      if (use.state != State::kAttached || (rest_until_ns != 0 && use.links.empty()))
        continue;
      count(use.member->user->name(),
            [&](Count& count) { ++(rest_until_ns != 0 ? count.over_budget : count.exited); });
      take_off(file, use, *links);
    }
  }
  closer_.post([this, links, keys, rest_until_ns] {
    close_links(std::move(*links));
    post([this, keys, rest_until_ns] { detached(keys, rest_until_ns); });
  });
}

void LiveExecutables::detached(const std::vector<FileKey>& keys, std::uint64_t rest_until_ns)
{
  for (const auto& key : keys) {
    const auto found = files_.find(key);
    if (found == files_.end())
      continue;
    auto& file = found->second;
    file.busy = false;
    for (auto& use : file.uses) {
      if (use.state != State::kDetaching)
        continue;
      use.state = rest_until_ns != 0 ? State::kResting : State::kPlanned;
      use.rests_until_ns = rest_until_ns;
      use.member->user->detached(file.about);
    }
    if (file.processes.empty())
      forget(file);
    else
      consider(file);
  }
}

void LiveExecutables::forget(File& file)
{
  if (file.numbered) {
    free_numbers_.push_back(file.about.number);
    numbered_[file.about.number] = nullptr;
  }
  const auto key = file.key;
  files_.erase(key);
}

}  // namespace sonde
