// SPDX-License-Identifier: Apache-2.0
#include "agent/probes/probe_planner.hpp"

#include <algorithm>
#include <atomic>
#include <fcntl.h>
#include <fmt/format.h>
#include <map>
#include <optional>
#include <system_error>
#include <thread>

#include "agent/elf/elf_file.hpp"
#include "agent/elf/go_binary.hpp"

namespace sonde {

namespace {

constexpr std::size_t kMostRemembered = 1024;
constexpr std::size_t kMostClosers = 64;

class OpenSubject final : public Subject {
public:
  OpenSubject(const OpenFile& file, bool library, const ProcessId& process, elf::ElfFile elf)
      : file_(file), library_(library), process_(process), elf_(std::move(elf))
  {
  }

  const std::string& path() const override { return file_.path; }
  bool library() const override { return library_; }
  ProcessId process() const override { return process_; }
  const elf::ElfFile& elf() override { return elf_; }
  Result<const elf::GoBinary*> go() override
  {
    if (!go_)
      go_ = elf::GoBinary::read(elf_);
    if (!*go_)
      return Failure(go_->error());
    return &**go_;
  }

private:
  const OpenFile& file_;
  bool library_;
  ProcessId process_;
  elf::ElfFile elf_;
  std::optional<Result<elf::GoBinary>> go_;
};

}  // namespace

bool covers(const FilePlans& known, const std::vector<std::shared_ptr<const UprobeMember>>& members)
{
  return std::ranges::all_of(members, [&](const auto& member) {
    return std::ranges::find(known.plans, member->serial, &FamilyPlan::member) != known.plans.end();
  });
}

std::shared_ptr<const FilePlans>
ProbePlanner::plan(const OpenFile& file,
                   bool library,
                   const ProcessId& process,
                   const std::vector<std::shared_ptr<const UprobeMember>>& members)
{
  auto plans = std::make_shared<FilePlans>();
  if (std::ranges::none_of(members, [](const auto& member) { return member->user != nullptr; }))
    return plans;
  // A descriptor of its own: the reader closes it.
  auto elf = elf::ElfFile::open(UniqueFd(::fcntl(file.fd->get(), F_DUPFD_CLOEXEC, 0)));
  if (!elf) {
    for (const auto& member : members)
      plans->plans.push_back({member->serial, std::unexpected(Refusal{})});
    return plans;
  }
  plans->build_id = elf->build_id();
  // Stripping leaves the build id as it is, and may move everything.
  const auto build =
      fmt::format("{}/{}/{}", plans->build_id, file.state.bytes, library ? "library" : "program");
  const auto known = known_.find(build);
  if (!plans->build_id.empty() && known != known_.end() && covers(*known->second, members))
    return known->second;

  const auto build_id = plans->build_id;
  OpenSubject subject(file, library, process, *std::move(elf));
  for (const auto& member : members)
    plans->plans.push_back({member->serial,
                            member->user != nullptr ? member->user->plan(subject)
                                                    : PlanResult(std::unexpected(Refusal{}))});
  if (build_id.empty())
    return plans;
  if (known_.insert_or_assign(build, plans).second)
    order_.push_back(build);
  if (order_.size() > kMostRemembered) {
    known_.erase(order_.front());
    order_.pop_front();
  }
  return plans;
}

void ProbePlanner::forget()
{
  known_.clear();
  order_.clear();
}

Result<std::vector<bpf::UprobeLinks>>
attach_plan(bpf::UprobeKind kind, const ProbePlan& plan, const UniqueFd& file, std::uint32_t number)
{
  std::map<std::pair<const bpf_program*, bool>, std::vector<bpf::UprobePlace>> programs;
  for (const auto& site : plan.sites)
    programs[{site.program, site.at_return}].push_back(
        {site.offset, std::uint64_t{number} << 32U | site.cookie});
  std::vector<bpf::UprobeLinks> links;
  for (const auto& [program, places] : programs)
    links.push_back(SONDE_TRY(
        bpf::UprobeLinks::attach(kind, program.first, path_of(file), places, program.second)));
  return links;
}

void close_links(std::vector<bpf::UprobeLinks> links)
{
  std::atomic<std::size_t> next = 0;
  const auto close_some = [&] {
    for (std::size_t i = next++; i < links.size(); i = next++)
      links[i] = bpf::UprobeLinks();
  };
  std::vector<std::jthread> closers;
  try {
    for (std::size_t i = 1; i < std::min(links.size(), kMostClosers); ++i)
      closers.emplace_back(close_some);
  } catch (const std::system_error&) {
    // Fewer threads than wished: it takes longer.
  }
  close_some();
}

}  // namespace sonde
