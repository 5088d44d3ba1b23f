// SPDX-License-Identifier: Apache-2.0
// Loads bpf/rust.bpf.c: panics of Rust and Go programs; and says which compiler made a Rust program
// and how busy the workers of its tokio runtime are.
#include "sonde/rust.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <fmt/format.h>
#include <mutex>

#include "rust.skel.h"

#include "agent/base/clock.hpp"
#include "agent/bpf/shared_maps.hpp"
#include "agent/bpf/skeleton.hpp"
#include "agent/elf/go_binary.hpp"
#include "agent/elf/probe_site.hpp"
#include "agent/elf/rust_binary.hpp"
#include "agent/metrics/labels.hpp"
#include "agent/probes/executables.hpp"
#include "agent/probes/loading.hpp"
#include "agent/probes/probe.hpp"
#include "agent/probes/rust_programs.hpp"
#include "agent/probes/slot_ledger.hpp"
#include "agent/probes/uprobe_loading.hpp"

namespace sonde::rust {

namespace {

using metrics::Type;

constexpr metrics::Desc kMetrics[] = {
    {"rust_panics_total",
     Type::kCounter,
     "Panics in the service's Rust programs, caught or not; of stripped programs those that unwind "
     "by libgcc_s.",
     "service"},
    {"go_panics_total",
     Type::kCounter,
     "Panics in the service's Go programs: calls of panic and runtime errors, recovered or not "
     "(net/http recovers those of handlers).",
     "service"},
    {"rust_build_info",
     Type::kGauge,
     "1, labelled by the compiler of a running Rust program; at most 32 processes a service.",
     "service pid rustc"},
    {"tokio_worker_busy_seconds_total",
     Type::kCounter,
     "CPU time of the workers of the service's tokio runtimes, found by tokio's own names of "
     "threads.",
     "service"},
    {"tokio_worker_park_seconds_total",
     Type::kCounter,
     "Time the workers of the service's tokio runtimes were blocked: parked, or in a call that "
     "blocks, which tasks should not make; waiting for a CPU is neither busy nor parked.",
     "service"},
};

constexpr std::string_view kUnwinder = "libgcc_s.so.1";
constexpr std::string_view kStandardLibrary = "libstd-";
constexpr std::string_view kRaise = "_Unwind_RaiseException";

using Skeleton = bpf::Skeleton<rust_bpf>;

enum class Language : std::uint8_t { kLibrary, kRust, kGo };

struct Program : Findings {
  Language language = Language::kLibrary;
  std::string rustc;
  bool by_unwinder = false;  // its panics are seen in libgcc_s alone
};

// The compiler, where panics are seen, and as many crates as a line holds.
std::string note_of(const elf::RustBinary& binary, std::string_view panics)
{
  std::string note =
      fmt::format("rustc {}{}", binary.rustc.empty() ? "unknown" : binary.rustc, panics);
  std::string_view separator = "; ";
  for (const auto& crate : binary.crates) {
    if (note.size() + crate.name.size() + crate.version.size() > 240)
      break;
    note += fmt::format("{}{}-{}", std::exchange(separator, " "), crate.name, crate.version);
  }
  return note;
}

std::optional<elf::AddressRange> find_function(const elf::ElfFile& file,
                                               bool (*is)(std::string_view))
{
  std::optional<elf::AddressRange> found;
  file.for_each_symbol([&](const elf::Symbol& symbol) {
    if (symbol.function && is(symbol.name))
      found = elf::AddressRange{symbol.address, symbol.address + symbol.size};
    return !found;
  });
  return found;
}

class Rust final : public Probe, public UprobeUser {
public:
  Rust(Host& host, Skeleton skeleton, bpf::Rows<sonde_panic_row> rows)
      : executables_(*host.executables), skeleton_(std::move(skeleton)),
        loaded_(host.hooks, skeleton_->obj), panics_(host.services, std::move(rows)),
        programs_(host.services, host.settings.text("path.procfs"))
  {
    executables_.add(*this);
  }
  ~Rust() override { executables_.remove(*this); }

  void collect(Scrape& scrape) override;
  std::uint64_t events() const override
  {
    const auto node = panics_.node();
    return node.rust + node.go;
  }

  std::string_view name() const override { return "rust"; }
  bool wants_libraries() const override { return true; }
  bool wants_library(std::string_view file) const override
  {
    return file.starts_with(kStandardLibrary) || (file == kUnwinder && by_unwinder_ > 0);
  }
  PlanResult plan(Subject& subject) override;
  void joined(const ProbedFile& file, const ProcessId& process) override;
  void left(const ProbedFile& file, const ProcessId& process) override;
  void attached(const ProbedFile& file, const ProbePlan& plan) override;
  void detached(const ProbedFile& file) override;

private:
  PlanResult plan_library(Subject& subject) const;
  PlanResult plan_go(Subject& subject) const;
  PlanResult plan_rust(const elf::ElfFile& file, const elf::RustBinary& binary) const;
  PlanResult plan_of(const Result<elf::ProbeSite>& site,
                     const bpf_program* program,
                     std::shared_ptr<const Program> found) const;

  Executables& executables_;
  Skeleton skeleton_;
  LoadedObject loaded_;
  SlotLedger<sonde_panic_row> panics_;
  RustPrograms programs_;
  std::array<std::shared_ptr<const Findings>, SONDE_UPROBE_FILES> files_;
  // Read by wants_library() on the worker.
  std::atomic<int> by_unwinder_ = 0;
};

PlanResult Rust::plan_of(const Result<elf::ProbeSite>& site,
                         const bpf_program* program,
                         std::shared_ptr<const Program> found) const
{
  if (!site)
    return std::unexpected(Refusal{"no_site", site.error().message()});
  ProbePlan plan;
  plan.sites.push_back({.program = program,
                        .offset = site->offset,
                        .cookie = site->again_on_growth ? SONDE_UPROBE_COMES_AGAIN : 0U});
  plan.findings = std::move(found);
  return plan;
}

PlanResult Rust::plan_library(Subject& subject) const
{
  const auto found = std::make_shared<const Program>();
  const bool standard = subject.path().find(kStandardLibrary) != std::string::npos;
  const auto function = find_function(
      subject.elf(),
      standard ? &elf::is_rust_panic : [](std::string_view name) { return name == kRaise; });
  if (!function)
    return std::unexpected(Refusal{"no_symbols", "the function that panics pass is not exported"});
  return plan_of(elf::c_entry_site(subject.elf(), *function),
                 standard ? skeleton_->progs.rust_panic : skeleton_->progs.rust_unwind,
                 found);
}

PlanResult Rust::plan_go(Subject& subject) const
{
  const auto go = subject.go();
  if (!go)
    return std::unexpected(Refusal{"go_unreadable", go.error().message()});
  const auto panic = (*go)->function("runtime.gopanic");
  if (!panic)
    return std::unexpected(Refusal{"no_function", "there is no runtime.gopanic"});
  auto found = std::make_shared<Program>();
  found->language = Language::kGo;
  return plan_of(
      elf::go_entry_site(subject.elf(), *panic), skeleton_->progs.go_panic, std::move(found));
}

PlanResult Rust::plan_rust(const elf::ElfFile& file, const elf::RustBinary& binary) const
{
  auto found = std::make_shared<Program>();
  found->language = Language::kRust;
  found->rustc = binary.rustc;
  const auto probed = [&](elf::AddressRange function, const bpf_program* program) {
    auto plan = plan_of(elf::c_entry_site(file, function), program, found);
    if (plan)
      plan->note = note_of(binary, "");
    return plan;
  };
  std::string why;
  if (binary.panic) {
    auto plan = probed(*binary.panic, skeleton_->progs.rust_panic);
    if (plan)
      return plan;
    why = plan.error().text;
  } else if (const auto raise =
                 find_function(file, [](std::string_view name) { return name == kRaise; })) {
    auto plan = probed(*raise, skeleton_->progs.rust_unwind);
    if (plan)
      return plan;
    why = plan.error().text;
  } else {
    why = binary.aborts ? "stripped, panic=abort" : "stripped";
  }
  found->by_unwinder = binary.shared_unwinder;
  ProbePlan none;
  none.note = note_of(binary,
                      fmt::format("; {}: panics are {}",
                                  why,
                                  binary.shared_unwinder ? "counted in libgcc_s" : "not counted"));
  none.findings = std::move(found);
  return none;
}

PlanResult Rust::plan(Subject& subject)
{
  if (subject.library())
    return plan_library(subject);
  if (elf::GoBuild::read(subject.elf()))
    return plan_go(subject);
  if (const auto binary = elf::RustBinary::read(subject.elf()))
    return plan_rust(subject.elf(), *binary);
  return std::unexpected(Refusal{});
}

void Rust::attached(const ProbedFile& file, const ProbePlan& plan)
{
  files_.at(file.number) = plan.findings;
  if (plan.as<Program>().by_unwinder && by_unwinder_++ == 0)
    executables_.libraries_changed();
}

void Rust::detached(const ProbedFile& file)
{
  const auto program = std::exchange(files_.at(file.number), nullptr);
  if (static_cast<const Program&>(*program).by_unwinder)
    --by_unwinder_;
}

void Rust::joined(const ProbedFile& file, const ProcessId& process)
{
  const auto& program = static_cast<const Program&>(*files_.at(file.number));
  if (program.language == Language::kRust)
    programs_.add_rust(process, program.rustc);
  else if (program.language == Language::kGo)
    programs_.add_go(process);
}

void Rust::left(const ProbedFile& file, const ProcessId& process)
{
  if (!file.library)
    programs_.remove(process);
}

void Rust::collect(Scrape& scrape)
{
  auto& out = scrape.out;
  panics_.update();
  const auto programs = programs_.read();
  const auto has = [&](const Service& service, auto member) {
    return programs.services.at(service.slot).generation == service.generation &&
           programs.services.at(service.slot).*member;
  };
  out.begin(kMetrics[0]);
  for (const auto& service : scrape.services)
    if (const auto row = panics_.of(service.slot, service.generation);
        row && (row->rust > 0 || has(service, &RustPrograms::Service::rust)))
      out.sample({service.labels}, std::uint64_t{row->rust});
  out.begin(kMetrics[1]);
  for (const auto& service : scrape.services)
    if (const auto row = panics_.of(service.slot, service.generation);
        row && (row->go > 0 || has(service, &RustPrograms::Service::go)))
      out.sample({service.labels}, std::uint64_t{row->go});
  out.begin(kMetrics[2]);
  for (const auto& service : scrape.services)
    for (const auto& process : programs.processes)
      if (process.slot == service.slot)
        out.sample({service.labels, process.labels}, 1.0);
  out.begin(kMetrics[3]);
  for (const auto& service : scrape.services)
    if (has(service, &RustPrograms::Service::tokio))
      out.sample({service.labels}, seconds(programs.services.at(service.slot).busy_ns));
  out.begin(kMetrics[4]);
  for (const auto& service : scrape.services)
    if (has(service, &RustPrograms::Service::tokio))
      out.sample({service.labels}, seconds(programs.services.at(service.slot).park_ns));
}

Result<std::unique_ptr<Probe>> start(Host& host)
{
  auto skeleton = SONDE_TRY(open_uprobes<rust_bpf>(host));
  SONDE_TRY(skeleton.load());
  auto rows = SONDE_TRY(bpf::Rows<sonde_panic_row>::create(
      bpf_map__fd(skeleton->maps.panic_rows), host.maps.cpus(), SONDE_SLOTS));
  return std::make_unique<Rust>(host, std::move(skeleton), std::move(rows));
}

}  // namespace

extern const Family family{.name = "rust", .start = &start, .metrics = kMetrics};

}  // namespace sonde::rust
