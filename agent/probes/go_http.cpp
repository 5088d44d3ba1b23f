// SPDX-License-Identifier: Apache-2.0
// Loads bpf/go_http.bpf.c: what Go programs serve by net/http where the sockets do not show it, and
// the patterns of their routers for where they do.
#include <algorithm>
#include <atomic>

#include <bpf/bpf.h>

#include "agent/base/clock.hpp"
#include "agent/bpf/shared_maps.hpp"
#include "agent/probes/go_http_probe.hpp"
#include "agent/probes/uprobe_loading.hpp"
#include "agent/protocols/http_counted.hpp"

namespace sonde::go_http {

namespace {

constexpr auto kTick = std::chrono::milliseconds(500);
// How long an answer's head may take: a client's own limit is mostly below a minute.
constexpr std::chrono::nanoseconds kUnanswered = std::chrono::minutes(8);
// By part.
constexpr std::array<std::string_view, kParts> kWhyPaused = {
    "what it serves is counted from its sockets",
    "the patterns of its router are known",
    "nobody asks for patterns",
    "its requests have their patterns themselves",
    "it sends no requests by TLS or HTTP/2",
    "",
};

}  // namespace

PlanResult PartUser::plan(Subject& subject)
{
  const auto made = owner_.plan_of(subject);
  if (!made)
    return std::unexpected(made.error());
  ProbePlan plan;
  auto findings = std::make_shared<Offsets>();
  findings->offsets = made->offsets;
  plan.findings = std::move(findings);
  for (const auto& site : made->parts[static_cast<std::size_t>(part_)])
    plan.sites.push_back({.program = program_of(owner_.object(), site.site),
                          .offset = site.offset,
                          .cookie = site.cookie});
  if (plan.sites.empty())
    return std::unexpected(Refusal{});
  return plan;
}

Result<> PartUser::attaching(const ProbedFile& file, const ProbePlan& plan)
{
  return owner_.attaching(file, plan.as<Offsets>(), part_);
}

void PartUser::joined(const ProbedFile& file, const ProcessId& process)
{
  owner_.joined(file, process.tgid);
}

void PartUser::left(const ProbedFile& file, const ProcessId& process)
{
  owner_.left(file, process.tgid, part_);
}

GoHttp::~GoHttp()
{
  for (const auto& user : users_)
    if (user)
      host_.executables->remove(*user);
}

const std::expected<Plan, Refusal>& GoHttp::plan_of(Subject& subject)
{
  if (subject.path() == planned_path_ && subject.process() == planned_for_)
    return planned_;
  planned_path_ = subject.path();
  planned_for_ = subject.process();
  const auto go = subject.go();
  if (go)
    planned_ = make_plan(**go);
  else
    planned_ = std::unexpected(Refusal{});
  return planned_;
}

Result<> GoHttp::connect()
{
  const auto& maps = skeleton_->maps;
  source_ = std::make_shared<Source>(*this);
  rows_ = SONDE_TRY(
      bpf::Rows<sonde_go_http_row>::create(bpf_map__fd(maps.go_http_rows), host_.maps.cpus(), 1));
  reader_ = SONDE_TRY(
      bpf::Mapping::create(bpf_map__fd(maps.go_http_reader), sizeof(sonde_facts_reader), true));
  seen_ = SONDE_TRY(bpf::Mapping::create(
      bpf_map__fd(maps.go_http_seen), sizeof(sonde_go_http_seen) * SONDE_UPROBE_FILES, true));
  counts_ = std::make_unique<Counts>(bpf_map__fd(maps.go_http_counts),
                                     bpf_map__fd(maps.go_client_counts),
                                     bpf_map__fd(maps.go_http_handling),
                                     bpf_map__fd(maps.go_conn_locals),
                                     host_.maps.cpus());
  in_flight_ = std::make_unique<InFlight>(
      SONDE_TRY(InFlight::create(bpf_map__fd(maps.go_http_handling),
                                 bpf_map__fd(maps.go_http_binaries),
                                 skeleton_->rodata->go_http_counts_plain)));
  if (requests() == nullptr)
    own_ = SONDE_TRY(protocols::PrivateConnections::create(host_));
  const int rings[] = {bpf_map__fd(maps.go_http_ring)};
  ring_ = SONDE_TRY(bpf::Ring::open(
      rings,
      host_.loop,
      [this](void* data, std::size_t size) { on_record(data, size); },
      [this](bool awake) {
        static_cast<volatile sonde_facts_reader*>(reader_.data())->awake = awake ? 1 : 0;
        std::atomic_thread_fence(std::memory_order_seq_cst);
      }));
  tick_ = SONDE_TRY(host_.loop.timer([this] { tick(); }));
  tick_.arm_every(kTick);
  for (std::size_t part = 0; part < kParts; ++part) {
    users_.at(part) = std::make_unique<PartUser>(*this, static_cast<Part>(part));
    host_.executables->add(*users_.at(part));
  }
  return {};
}

protocols::Connections* GoHttp::requests()
{
  if (own_)
    return &own_->connections();
  auto* shared = host_.connections ? host_.connections() : nullptr;
  if (shared != nullptr && !std::exchange(asking_, true))
    shared->routes().ask(source_);
  return shared;
}

Result<> GoHttp::attaching(const ProbedFile& file, const Offsets& offsets, Part part)
{
  const auto key = file.number;
  const int map = bpf_map__fd(skeleton_->maps.go_http_binaries);
  auto row = offsets.offsets;
  sonde_go_http_binary before{};
  if (part == Part::kServing)
    row.since_ns = monotonic_ns();
  else if (files_.contains(key) && bpf_map_lookup_elem(map, &key, &before) == 0)
    row.since_ns = before.since_ns;
  if (bpf_map_update_elem(map, &key, &row, BPF_ANY) != 0)
    return fail(errno, "go_http: write offsets");
  return {};
}

void GoHttp::joined(const ProbedFile& file, std::uint32_t tgid)
{
  const auto now = monotonic_ns();
  auto& known =
      files_.try_emplace(file.number, File{Parts(own_ == nullptr, now), {}}).first->second;
  // Each part tells of it, one of them again when it comes back.
  if (known.processes.insert(tgid).second) {
    known.parts.joined(now);
    apply(file.number, known);
    if (auto* to = requests(); to != nullptr) {
      to->routes().expect(to->owner_of({.tgid = tgid}));
      for (const auto role : {protocols::Role::kServer, protocols::Role::kClient}) {
        to->claim(tgid, role, "http1", true);
        to->claim(tgid, role, "http2");
      }
    }
  }
}

void GoHttp::left(const ProbedFile& file, std::uint32_t tgid, Part part)
{
  // A part that is taken off leaves all; only the last one to go speaks of the process.
  const auto found = files_.find(file.number);
  if (part != Part::kWatching || found == files_.end())
    return;
  counts_->gone(tgid);
  if (auto* to = requests(); to != nullptr)
    for (const auto role : {protocols::Role::kServer, protocols::Role::kClient})
      for (const auto* protocol : {"http1", "http2"})
        to->give_up_claim(tgid, role, protocol);
  found->second.processes.erase(tgid);
  if (found->second.processes.empty())
    files_.erase(found);
}

namespace {

// What the programs set and the agent clears.
std::uint32_t take(volatile __u32& flag)
{
  const std::uint32_t value = flag;
  if (value != 0)
    flag = 0;
  return value;
}

}  // namespace

// Their first request is to have its pattern, whatever its service is called by then.
void GoHttp::expect_patterns(protocols::Connections& requests)
{
  for (const auto& [number, file] : files_)
    for (const auto tgid : file.processes)
      requests.routes().expect(requests.owner_of({.tgid = tgid}));
}

void GoHttp::tick()
{
  for (const auto& record : std::exchange(deferred_, {}))
    handle(record);
  const auto row = counters();
  auto* to = requests();
  if (to != nullptr)
    expect_patterns(*to);
  if (to != nullptr && (row.requests + row.clients != flushed_ || counts_->waits())) {
    flushed_ = row.requests + row.clients;
    counts_->flush(*to);
  }
  if (to != nullptr)
    in_flight_->look(*to, [this](auto number) {
      const auto file = files_.find(number);
      return file != files_.end() && file->second.parts.wanted(Part::kServing);
    });
  const auto now = monotonic_ns();
  if (now >= forget_after_ns_) {
    forget_after_ns_ = now + kUnanswered.count() / 8;
    for (const auto* map : {skeleton_->maps.go_client_requests, skeleton_->maps.go_http_elsewhere})
      forget_before(bpf_map__fd(map), now - kUnanswered.count());
  }
  auto* all = static_cast<volatile sonde_go_http_seen*>(seen_.data());
  for (auto& [number, file] : files_) {
    auto& cell = all[number % SONDE_UPROBE_FILES];
    const sonde_go_http_seen seen{.plain = take(cell.plain),
                                  .tls = take(cell.tls),
                                  .http2_plain = take(cell.http2_plain),
                                  .unrouted = take(cell.unrouted),
                                  .client_tls = take(cell.client_tls),
                                  .serve_mux = take(cell.serve_mux),
                                  .client_plain = take(cell.client_plain)};
    file.parts.saw(seen, now);
    apply(number, file);
  }
}

// Puts parts on or takes them off, as they are wanted now.
void GoHttp::apply(std::uint32_t number, File& file)
{
  for (std::size_t part = 0; part < kParts; ++part)
    host_.executables->pause(
        *users_.at(part), number, !file.parts.wanted(static_cast<Part>(part)), kWhyPaused.at(part));
}

void GoHttp::collect(Scrape& scrape)
{
  if (own_)
    own_->connections().collect(scrape);
}

std::uint64_t GoHttp::events() const
{
  const auto row = counters();
  return row.requests + row.clients;
}

std::vector<Loss> GoHttp::losses() const
{
  const auto row = counters();
  return {{"record_ring_full", row.lost_ring},
          {"no_room_for_counts", row.lost_counts},
          {"no_room_for_requests", row.lost_state},
          {"unreadable", row.unreadable},
          {"no_recorder", homeless_}};
}

namespace {

Result<std::unique_ptr<Probe>> start(Host& host)
{
  auto skeleton = SONDE_TRY(open_uprobes<go_http_bpf>(host));
  skeleton->rodata->sonde_family = host.family;
  const auto bounds = SONDE_TRY(protocols::request_bounds(host.settings));
  std::ranges::copy(bounds.durations.padded(), skeleton->rodata->go_http_duration_bounds);
  std::ranges::copy(bounds.sizes.padded(), skeleton->rodata->go_http_size_bounds);
  skeleton->rodata->go_http_counts_plain = !host.connections || host.connections() == nullptr;
  SONDE_TRY(skeleton.load());
  auto probe = std::make_unique<GoHttp>(host, std::move(skeleton));
  SONDE_TRY(probe->connect());
  return probe;
}

}  // namespace

extern const Family family{.name = "go_http", .start = &start, .metrics = {}, .settings = {}};

}  // namespace sonde::go_http
