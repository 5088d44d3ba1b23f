// SPDX-License-Identifier: Apache-2.0
#include "agent/probes/live_executables.hpp"

#include <algorithm>
#include <fmt/format.h>

#include <bpf/bpf.h>

#include "agent/base/clock.hpp"
#include "agent/base/log.hpp"
#include "agent/bpf/shared_maps.hpp"

namespace sonde {

namespace {

constexpr auto kTick = std::chrono::seconds(1);
constexpr std::size_t kMostRemembered = 8192;

}  // namespace

LiveExecutables::LiveExecutables(EventLoop& loop,
                                 Hooks& hooks,
                                 std::filesystem::path procfs,
                                 Result<bpf::UprobeKind> kind,
                                 Limits limits)
    : loop_(loop), hooks_(hooks), procfs_(std::move(procfs)), kind_(std::move(kind)),
      limits_(std::move(limits)), self_(std::make_shared<LiveExecutables*>(this))
{
  numbered_.resize(SONDE_UPROBE_FILES);
  for (std::uint32_t number = SONDE_UPROBE_FILES; number > 0; --number)
    free_numbers_.push_back(number - 1);
  if (const auto own = open_executable("/proc", static_cast<std::uint32_t>(::getpid())))
    own_ = own->key;
}

LiveExecutables::~LiveExecutables()
{
  *self_ = nullptr;
  worker_.stop();
  attacher_.stop();
  closer_.drain();
  std::vector<bpf::UprobeLinks> links;
  for (auto& [key, file] : files_)
    for (auto& use : file.uses)
      std::ranges::move(use.links, std::back_inserter(links));
  close_links(std::move(links));
}

Result<> LiveExecutables::start(unsigned cpus)
{
  LIBBPF_OPTS(bpf_map_create_opts, options);
  options.map_flags = BPF_F_MMAPABLE;
  hits_map_ = UniqueFd(bpf_map_create(
      BPF_MAP_TYPE_ARRAY, "uprobe_hits", 4, sizeof(sonde_uprobe_hits), cpus, &options));
  if (!hits_map_)
    return fail(errno, "create BPF map uprobe_hits");
  hits_ = SONDE_TRY(bpf::Rows<sonde_uprobe_hits>::create(hits_map_.get(), cpus, 1));
  sweep_ = SONDE_TRY(loop_.timer([this] { sweep(); }));
  look_ = SONDE_TRY(loop_.timer([this] { look(); }));
  tick_ = SONDE_TRY(loop_.timer([this] { tick(); }));
  tick_.arm_every(kTick);
  return {};
}

Result<> LiveExecutables::prepare(bpf_object* object)
{
  if (!kind_)
    return Failure(kind_.error());
  if (auto* map = bpf_object__find_map_by_name(object, "uprobe_hits"); map != nullptr)
    if (const int err = bpf_map__reuse_fd(map, hits_map_.get()); err != 0)
      return fail(err, "share BPF map uprobe_hits");
  return bpf::prepare_uprobes(object, *kind_);
}

bool LiveExecutables::may_probe_returns() const
{
  return bpf::return_probes_are_safe();
}

void LiveExecutables::post(std::function<void()> work)
{
  loop_.post([self = self_, work = std::move(work)] {
    if (*self != nullptr)
      work();
  });
}

bool LiveExecutables::has(std::string_view user) const
{
  return std::ranges::any_of(members_, [&](const auto& one) { return one->user->name() == user; });
}

void LiveExecutables::add(UprobeUser& user)
{
  members_.push_back(std::make_shared<UprobeMember>(UprobeMember{&user, ++serials_}));
  remembered_.clear();
  {
    const std::scoped_lock lock(counts_mutex_);
    if (std::ranges::find(counts_, user.name(), &Count::family) == counts_.end())
      counts_.push_back({.family = std::string(user.name())});
  }
  if (kind_)
    hooks_.report(user.name(),
                  kHook,
                  true,
                  *kind_ == bpf::UprobeKind::kPerf ? "fallback: a perf event for each place" : "");
  else
    hooks_.report(user.name(), kHook, false, kind_.error().message());
  // When all families have been added, a file is read for all of them at once.
  post([this] {
    if (compared_ns_ == 0)
      return resync();
    looked_ns_ = 0;
    for (auto& [key, file] : files_)
      consider(file);
  });
}

void LiveExecutables::remove(UprobeUser& user)
{
  const auto found = std::ranges::find(members_, &user, [](const auto& m) { return m->user; });
  if (found == members_.end())
    return;
  const auto member = *found;
  members_.erase(found);
  {
    const std::scoped_lock lock(gate_);
    std::const_pointer_cast<UprobeMember>(member)->user = nullptr;
    planner_.forget();
  }
  remembered_.clear();
  std::vector<bpf::UprobeLinks> links;
  for (auto& [key, file] : files_) {
    for (auto& use : file.uses)
      if (use.member == member)
        std::ranges::move(use.links, std::back_inserter(links));
    std::erase_if(file.uses, [&](const Use& use) { return use.member == member; });
  }
  close_links(std::move(links));
  count(user.name(), [](Count& count) { count.files = count.sites = 0; });
}

LiveExecutables::Members LiveExecutables::asked_about(bool library, std::string_view path) const
{
  Members out;
  for (const auto& member : members_)
    if (!library || member->user->wants_library(path.substr(path.rfind('/') + 1)))
      out.push_back(member);
  return out;
}

std::optional<OpenFile> LiveExecutables::reopen(const File& file) const
{
  for (const auto& [tgid, start] : file.processes) {
    if (!file.about.library) {
      if (auto open = open_executable(procfs_, tgid); open && open->key == file.key)
        return open;
      continue;
    }
    const auto name = std::filesystem::path(file.about.path).filename();
    for (auto& open : open_libraries(procfs_, tgid, [&](auto given) { return given == name; }))
      if (open.key == file.key)
        return std::move(open);
  }
  return std::nullopt;
}

void LiveExecutables::pause(UprobeUser& user,
                            std::uint32_t number,
                            bool paused,
                            std::string_view why)
{
  auto* const file = number < numbered_.size() ? numbered_[number] : nullptr;
  if (file == nullptr)
    return;
  for (auto& use : file->uses)
    if (use.member->user == &user && std::exchange(use.paused, paused) != paused) {
      use.why_paused = why;
      return consider(*file);
    }
}

// True when there was something to take off.
bool LiveExecutables::take_off_paused(File& file)
{
  auto links = std::make_shared<std::vector<bpf::UprobeLinks>>();
  bool any = false;
  for (auto& use : file.uses) {
    if (use.state != State::kAttached || !use.paused)
      continue;
    any = true;
    take_off(file, use, *links);
  }
  if (!any)
    return false;
  file.busy = true;
  closer_.post([this, links, key = file.key] {
    close_links(std::move(*links));
    post([this, key] { detached({key}, 0); });
  });
  return true;
}

// The next step for a file that is used: ask those families that were not asked yet, or attach.
void LiveExecutables::consider(File& file)
{
  if (file.busy || file.processes.empty())
    return;
  auto members = asked_about(file.about.library, file.about.path);
  std::erase_if(members, [&](const auto& member) {
    return std::ranges::find(file.uses, member, &Use::member) != file.uses.end();
  });
  if (take_off_paused(file))
    return;
  const bool attach_some = std::ranges::any_of(
      file.uses, [](const Use& use) { return use.state == State::kPlanned && !use.paused; });
  if (members.empty() && !attach_some)
    return;
  const auto open = reopen(file);
  if (!open)
    return;
  if (members.empty())
    attach(file, *open);
  else if (const auto known = remembered_.find(open->state);
           known != remembered_.end() && covers(*known->second, members))
    planned(file.key, known->second);
  else
    ask(file, members, *open);
}

void LiveExecutables::ask(File& file, const Members& members, OpenFile open)
{
  file.busy = true;
  const auto& [tgid, start] = *file.processes.begin();
  worker_.post([this,
                members,
                open = std::move(open),
                key = file.key,
                library = file.about.library,
                process = ProcessId{tgid, start}] {
    const std::shared_lock lock(gate_);
    auto plans = planner_.plan(open, library, process, members);
    post([this, key, state = open.state, plans = std::move(plans)] {
      const bool none = std::ranges::none_of(
          plans->plans, [](const auto& plan) { return plan.result.has_value(); });
      if (remembered_.size() >= kMostRemembered)
        remembered_.clear();
      if (none)
        remembered_[state] = plans;
      planned(key, plans);
    });
  });
}

void LiveExecutables::planned(const FileKey& key, const std::shared_ptr<const FilePlans>& plans)
{
  const auto found = files_.find(key);
  if (found == files_.end())
    return;
  auto& file = found->second;
  file.busy = false;
  file.about.build_id = plans->build_id;
  for (const auto& [serial, result] : plans->plans) {
    const auto member =
        std::ranges::find(members_, serial, [](const auto& m) { return m->serial; });
    if (member == members_.end() ||
        std::ranges::find(file.uses, *member, &Use::member) != file.uses.end())
      continue;
    Use use{.member = *member, .plans = plans};
    if (result) {
      use.state = State::kPlanned;
      use.plan = &*result;
    } else {
      use.refusal = result.error();
    }
    file.uses.push_back(std::move(use));
  }
  consider(file);
}

}  // namespace sonde
