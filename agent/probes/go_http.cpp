// SPDX-License-Identifier: Apache-2.0
// Loads bpf/go_http.bpf.c: what Go programs serve by net/http where the sockets do not show it, and
// the patterns of their routers for where they do.
#include "sonde/go_http.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <fmt/format.h>
#include <map>
#include <unordered_set>

#include <bpf/bpf.h>

#include "go_http.skel.h"

#include "agent/base/clock.hpp"
#include "agent/bpf/mapped.hpp"
#include "agent/bpf/ring.hpp"
#include "agent/bpf/shared_maps.hpp"
#include "agent/bpf/skeleton.hpp"
#include "agent/probes/executables.hpp"
#include "agent/probes/go_http_counts.hpp"
#include "agent/probes/go_http_parts.hpp"
#include "agent/probes/go_http_plan.hpp"
#include "agent/probes/loading.hpp"
#include "agent/probes/probe.hpp"
#include "agent/protocols/http_counted.hpp"
#include "agent/protocols/private_connections.hpp"
#include "agent/protocols/router_patterns.hpp"

namespace sonde::go_http {

namespace {

using protocols::Caller;
using protocols::Role;
using Skeleton = bpf::Skeleton<go_http_bpf>;

constexpr auto kTick = std::chrono::milliseconds(500);
// Between two unknown paths that are worth a thought while nothing is learned.
constexpr std::uint64_t kAskNs = 100'000'000;

// By part.
constexpr std::array<std::string_view, kParts> kWhyPaused = {
    "what it serves is counted from its sockets",
    "the patterns of its router are known",
    "nobody asks for patterns",
    "its requests have their patterns themselves",
    "it sends no requests by TLS",
    "",
};

struct Offsets final : Findings {
  sonde_go_http_binary offsets{};
};

class GoHttp;

// One part of the probes, which comes and goes on its own.
class PartUser final : public UprobeUser {
public:
  PartUser(GoHttp& owner, Part part) : owner_(owner), part_(part) {}

  std::string_view name() const override { return "go_http"; }
  PlanResult plan(Subject& subject) override;
  Result<> attaching(const ProbedFile& file, const ProbePlan& plan) override;
  void attached(const ProbedFile& file, const ProbePlan& plan) override;
  void joined(const ProbedFile& file, const ProcessId& process) override;
  void left(const ProbedFile& file, const ProcessId& process) override;

private:
  GoHttp& owner_;
  Part part_;
};

class GoHttp : public Probe {
public:
  GoHttp(Host& host, Skeleton skeleton)
      : host_(host), skeleton_(std::move(skeleton)), loaded_(host.hooks, skeleton_->obj)
  {
  }
  ~GoHttp() override;

  Result<> connect();
  // On the worker's thread.
  const std::expected<Plan, Refusal>& plan_of(Subject& subject);
  const go_http_bpf& object() const { return *skeleton_.operator->(); }

  Result<> attaching(const ProbedFile& file, const Offsets& offsets, Part part);
  void joined(const ProbedFile& file, std::uint32_t tgid);
  void left(const ProbedFile& file, std::uint32_t tgid, Part part);
  // Passes on what lies in the ring; true when a pattern was new.
  bool look_again(const metrics::SeriesOwner& service);

  void collect(Scrape& scrape) override;
  std::uint64_t events() const override;
  std::vector<Loss> losses() const override;

private:
  struct File {
    Parts parts;
    std::array<bool, kParts> attached;
    std::unordered_set<std::uint32_t> processes;
  };
  // Asked by the routes; they do not own it.
  struct Source final : protocols::PatternSource {
    explicit Source(GoHttp& probe) : owner(probe) {}
    bool look_again(const metrics::SeriesOwner& service) override
    {
      return owner.look_again(service);
    }
    GoHttp& owner;
  };

  protocols::Connections* requests();
  void on_record(const void* data, std::size_t size);
  void handle(const sonde_go_http_record& record);
  void learn(const sonde_go_http_record& record);
  void count_one(const sonde_go_http_record& record);
  void begins(const sonde_go_http_begins& begins);
  void expect_patterns(protocols::Connections& requests);
  void tick();
  void apply(std::uint32_t number, File& file);
  sonde_go_http_row counters() const { return bpf::sum_rows(rows_, 0); }

  Host host_;
  Skeleton skeleton_;
  LoadedObject loaded_;
  bpf::Rows<sonde_go_http_row> rows_;
  bpf::Mapping reader_;
  bpf::Mapping seen_;
  std::unique_ptr<protocols::PrivateConnections> own_;  // where the sockets have none
  std::unique_ptr<Counts> counts_;
  std::map<std::uint32_t, File> files_;
  std::vector<sonde_go_http_record> deferred_;
  bool looking_ = false;   // on behalf of an exchange that is being recorded
  bool handling_ = false;  // a record
  bool new_pattern_ = false;
  bool asking_ = false;
  std::uint64_t ask_after_ns_ = 0;
  std::uint64_t flushed_ = 0;  // requests at the last flush
  std::uint64_t homeless_ = 0;
  std::shared_ptr<Source> source_;
  std::unique_ptr<bpf::Ring> ring_;
  EventLoop::Timer tick_;
  // The worker's: all parts ask for the same file one after the other.
  std::string planned_path_;
  ProcessId planned_for_;
  std::expected<Plan, Refusal> planned_ = std::unexpected(Refusal{});
  std::array<std::unique_ptr<PartUser>, kParts> users_;
};

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

void PartUser::attached(const ProbedFile&, const ProbePlan&) {}

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
                                     host_.maps.cpus());
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
      files_.try_emplace(file.number, File{Parts(own_ == nullptr, now), {}, {}}).first->second;
  // Each part tells of it, one of them again when it comes back.
  if (known.processes.insert(tgid).second) {
    known.parts.joined(now);
    apply(file.number, known);
    if (auto* to = requests(); to != nullptr) {
      to->routes().expect(to->owner_of({.tgid = tgid}));
      for (const auto role : {Role::kServer, Role::kClient})
        to->claim(tgid, role, "http1", true);
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
    for (const auto role : {Role::kServer, Role::kClient})
      to->give_up_claim(tgid, role, "http1");
  found->second.processes.erase(tgid);
  if (found->second.processes.empty())
    files_.erase(found);
}

void GoHttp::on_record(const void* data, std::size_t size)
{
  const auto& head = *static_cast<const sonde_record*>(data);
  if (head.kind == SONDE_KIND_GO_HTTP_BEGINS && size >= sizeof(sonde_go_http_begins)) {
    begins(*static_cast<const sonde_go_http_begins*>(data));
  } else if (size >= sizeof(sonde_go_http_record)) {
    const auto& record = *static_cast<const sonde_go_http_record*>(data);
    // Somebody is at work on an exchange: what is one itself has to wait.
    if (looking_ && (head.kind == SONDE_KIND_GO_HTTP_REQUEST))
      deferred_.push_back(record);
    else
      handle(record);
  }
}

void GoHttp::handle(const sonde_go_http_record& record)
{
  // The ring must not be emptied while it is.
  const bool outer = std::exchange(handling_, true);
  if (record.record.kind == SONDE_KIND_GO_HTTP_REQUEST) {
    count_one(record);
  } else {
    if ((record.flags & SONDE_GO_HTTP_LEARNING) == 0)
      counts_->know(record);
    learn(record);
  }
  handling_ = outer;
}

std::string_view text_of(const char* text, std::size_t length, std::size_t most)
{
  return {text, std::min(length, most)};
}

Caller caller_of(const sonde_go_http_record& record)
{
  return {.tgid = record.key.tgid, .slot = record.slot, .generation = record.generation};
}

void GoHttp::learn(const sonde_go_http_record& record)
{
  auto* to = requests();
  if (to == nullptr)
    return;
  const auto owner = to->owner_of(caller_of(record));
  if (record.key.pattern_length == 0) {
    to->routes().unrouted(owner,
                          text_of(record.method, record.method_length, sizeof record.method),
                          text_of(record.path, record.path_length, sizeof record.path));
    return;
  }
  if (!to->routes().learn(owner, style_of(record.key.router), pattern_of(record)))
    return;
  new_pattern_ = true;
  if (const auto file = files_.find(record.binary); file != files_.end())
    file->second.parts.learned(monotonic_ns());
}

// One that the kernel did not count: without a pattern, or of a rare method, or it ended badly.
void GoHttp::count_one(const sonde_go_http_record& record)
{
  auto* to = requests();
  if (to == nullptr) {
    ++homeless_;
    return;
  }
  const auto path = text_of(record.path, record.path_length, sizeof record.path);
  const auto method = text_of(record.method, record.method_length, sizeof record.method);
  const auto status = fmt::format("{:03}", record.key.status % 1000);
  const bool known = (record.flags & SONDE_GO_HTTP_STALE) == 0;
  to->record(caller_of(record), Role::kServer, {}, [&](protocols::SeriesRecorder& recorder) {
    protocols::Exchange exchange{
        .operation = http1::known_method(method),
        .target = !known                          ? "other"
                  : record.key.pattern_length > 0 ? recorder.routed(path, pattern_of(record))
                                                  : recorder.route(method, path),
        .status = status,
        .end = (record.flags & SONDE_GO_HTTP_ABORTED) != 0 ? protocols::Exchange::End::kServerClosed
                                                           : protocols::Exchange::End::kComplete,
        .request_bytes = static_cast<std::uint64_t>(std::max<__s64>(record.request_bytes, 0)),
        .response_bytes = record.response_bytes,
        .sizes_known = (record.flags & SONDE_GO_HTTP_HIJACKED) == 0};
    if ((record.flags & SONDE_GO_HTTP_NO_START) == 0) {
      exchange.response_last_ns = record.record.ktime_ns;
      exchange.request_first_ns = record.record.ktime_ns - record.duration_ns;
    }
    http1::record_served(exchange, record.request_bytes >= 0, recorder);
  });
}

void GoHttp::begins(const sonde_go_http_begins& begins)
{
  const auto found = files_.find(begins.binary);
  if (found == files_.end())
    return;
  found->second.parts.begins(begins.flags, monotonic_ns());
  apply(found->first, found->second);
}

bool GoHttp::look_again(const metrics::SeriesOwner& service)
{
  const auto now = monotonic_ns();
  const bool learns = std::ranges::any_of(
      files_, [](const auto& file) { return file.second.parts.wanted(Part::kLearning); });
  if (looking_ || handling_ || (!learns && now < ask_after_ns_))
    return false;
  ask_after_ns_ = now + kAskNs;
  looking_ = true;
  new_pattern_ = false;
  ring_->drain();
  looking_ = false;
  if (new_pattern_)
    return true;
  for (auto& [number, file] : files_) {
    const bool has = std::ranges::any_of(file.processes, [&](std::uint32_t tgid) {
      return host_.services.slot_of(tgid) == service.slot;
    });
    if (has)
      file.parts.unknown_path(now);
  }
  return false;
}

// What the programs set and the agent clears.
std::uint32_t take(volatile __u32& flag)
{
  const std::uint32_t value = flag;
  if (value != 0)
    flag = 0;
  return value;
}

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
  if (to != nullptr && (row.requests + row.clients != flushed_ || counts_->has_gone())) {
    flushed_ = row.requests + row.clients;
    counts_->flush(*to);
  }
  const auto now = monotonic_ns();
  auto* all = static_cast<volatile sonde_go_http_seen*>(seen_.data());
  for (auto& [number, file] : files_) {
    auto& cell = all[number % SONDE_UPROBE_FILES];
    const sonde_go_http_seen seen{.plain = take(cell.plain),
                                  .tls = take(cell.tls),
                                  .http2_plain = take(cell.http2_plain),
                                  .unrouted = take(cell.unrouted),
                                  .client_tls = take(cell.client_tls),
                                  .serve_mux = take(cell.serve_mux)};
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

Result<std::unique_ptr<Probe>> start(Host& host)
{
  if (host.executables == nullptr)
    return fail("uprobes are not to be had");
  auto skeleton = SONDE_TRY(Skeleton::open());
  SONDE_TRY(host.maps.share_with(skeleton->obj));
  SONDE_TRY(host.executables->prepare(skeleton->obj));
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

const bpf_program* program_of(const go_http_bpf& object, Site site)
{
  const auto& programs = object.progs;
  switch (site) {
  case Site::kStart:
    return programs.go_http_start;
  case Site::kHttp2Start:
    return programs.go_http2_start;
  case Site::kEnd:
    return programs.go_http_end;
  case Site::kHttp2End:
    return programs.go_http2_end;
  case Site::kHttp2Done:
    return programs.go_http2_done;
  case Site::kConnectionEnd:
    return programs.go_http_connection_end;
  case Site::kHeader:
    return programs.go_http_header;
  case Site::kCapture:
    return programs.go_http_capture;
  case Site::kHandler:
    return programs.go_http_handler;
  case Site::kServeMux:
    return programs.go_http_mux;
  case Site::kGin:
    return programs.go_http_gin;
  case Site::kChi:
    return programs.go_http_chi;
  case Site::kGorilla:
    return programs.go_http_gorilla;
  case Site::kEcho:
    return programs.go_http_echo;
  case Site::kClientStart:
    return programs.go_http_client_start;
  case Site::kClientEnd:
    return programs.go_http_client_end;
  case Site::kTlsBegins:
    return programs.go_http_tls_begins;
  case Site::kHttp2Begins:
    return programs.go_http2_begins;
  case Site::kClientBegins:
    return programs.go_http_client_begins;
  }
  return nullptr;
}

extern const Family family{.name = "go_http", .start = &start, .metrics = {}, .settings = {}};

}  // namespace sonde::go_http
