// SPDX-License-Identifier: Apache-2.0
// Loads bpf/go_grpc.bpf.c: calls that Go programs serve and make by grpc-go.
#include "sonde/go_grpc.h"

#include <algorithm>
#include <cstring>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include <bpf/bpf.h>

#include "go_grpc.skel.h"

#include "agent/base/clock.hpp"
#include "agent/bpf/map_batches.hpp"
#include "agent/bpf/mapped.hpp"
#include "agent/bpf/shared_maps.hpp"
#include "agent/bpf/skeleton.hpp"
#include "agent/probes/executables.hpp"
#include "agent/probes/go_grpc_plan.hpp"
#include "agent/probes/go_peers.hpp"
#include "agent/probes/loading.hpp"
#include "agent/probes/probe.hpp"
#include "agent/probes/slot_ledger.hpp"
#include "agent/probes/uprobe_loading.hpp"
#include "agent/protocols/grpc_counted.hpp"
#include "agent/protocols/private_connections.hpp"

namespace sonde::go_grpc {

namespace {

using protocols::Role;
using Skeleton = bpf::Skeleton<go_grpc_bpf>;

constexpr auto kTick = std::chrono::milliseconds(500);
// After which a call that has most likely ended is counted. grpc-go's own pause before it tries
// again is shorter unless the program wants a longer one.
constexpr std::uint64_t kEndsNs = 1'500'000'000;

// /package.Service/Method.
std::string_view path_of(const sonde_go_grpc_key& key)
{
  return {key.method, std::min<std::size_t>(key.method_length, sizeof key.method)};
}

class GoGrpc : public Probe, private UprobeUser {
public:
  GoGrpc(Host& host, Skeleton skeleton)
      : host_(host), skeleton_(std::move(skeleton)), loaded_(host.hooks, skeleton_->obj),
        peers_(bpf_map__fd(skeleton_->maps.go_conn_locals))
  {
  }
  ~GoGrpc() override { host_.executables->remove(*this); }

  Result<> connect();

  void collect(Scrape& scrape) override
  {
    if (own_)
      own_->connections().collect(scrape);
  }
  std::uint64_t events() const override { return counters().calls + counters().messages; }
  std::vector<Loss> losses() const override;

private:
  std::string_view name() const override { return "go_grpc"; }
  PlanResult plan(Subject& subject) override;
  Result<> attaching(const ProbedFile& file, const ProbePlan& plan) override;
  void joined(const ProbedFile& file, const ProcessId& process) override;
  void left(const ProbedFile& file, const ProcessId& process) override;

  protocols::Connections* calls()
  {
    if (own_)
      return &own_->connections();
    return host_.connections ? host_.connections() : nullptr;
  }
  void tick();
  // False while it is too early.
  bool count(protocols::Connections& to,
             const sonde_go_grpc_key& key,
             const sonde_go_grpc_counts& fresh);
  void count_messages(protocols::Connections& to,
                      const sonde_go_grpc_key& key,
                      const sonde_go_grpc_counts& fresh);
  void count_endings(protocols::Connections& to);
  void forget_gone();
  sonde_go_grpc_row counters() const { return bpf::sum_rows(rows_, 0); }

  struct Bytes {
    std::size_t operator()(const sonde_go_grpc_key& key) const
    {
      return std::hash<std::string_view>()({reinterpret_cast<const char*>(&key), sizeof key});
    }
    bool operator()(const sonde_go_grpc_key& a, const sonde_go_grpc_key& b) const
    {
      return std::memcmp(&a, &b, sizeof a) == 0;
    }
  };

  Host host_;
  Skeleton skeleton_;
  LoadedObject loaded_;
  bpf::Rows<sonde_go_grpc_row> rows_;
  std::unique_ptr<protocols::PrivateConnections> own_;  // where the sockets have none
  std::unordered_map<sonde_go_grpc_key, sonde_go_grpc_counts, Bytes, Bytes> known_;
  std::unordered_set<std::uint32_t> gone_;
  GoPeers peers_;
  std::uint64_t counted_ = 0;
  bool waits_ = false;  // something was left for the next time
  EventLoop::Timer tick_;
};

PlanResult GoGrpc::plan(Subject& subject)
{
  const auto go = subject.go();
  // Not by its modules: builds without them, as Debian's, name none.
  if (!go || (!(*go)->function("google.golang.org/grpc.(*Server).handleStream") &&
              !(*go)->function("google.golang.org/grpc.newClientStream")))
    return std::unexpected(Refusal{});
  return make_plan(**go, subject.elf(), *skeleton_.operator->());
}

Result<> GoGrpc::attaching(const ProbedFile& file, const ProbePlan& plan)
{
  const auto key = file.number;
  if (bpf_map_update_elem(bpf_map__fd(skeleton_->maps.go_grpc_binaries),
                          &key,
                          &plan.as<Offsets>().offsets,
                          BPF_ANY) != 0)
    return fail(errno, "go_grpc: write offsets");
  return {};
}

// Its calls are counted here, whatever the sockets show of them.
void GoGrpc::joined(const ProbedFile&, const ProcessId& process)
{
  if (auto* to = calls(); to != nullptr)
    for (const auto role : {Role::kServer, Role::kClient})
      to->claim(process.tgid, role, "grpc");
}

void GoGrpc::left(const ProbedFile&, const ProcessId& process)
{
  gone_.insert(process.tgid);
  if (auto* to = calls(); to != nullptr)
    for (const auto role : {Role::kServer, Role::kClient})
      to->give_up_claim(process.tgid, role, "grpc");
}

Result<> GoGrpc::connect()
{
  rows_ = SONDE_TRY(bpf::Rows<sonde_go_grpc_row>::create(
      bpf_map__fd(skeleton_->maps.go_grpc_rows), host_.maps.cpus(), 1));
  if (!host_.connections || host_.connections() == nullptr)
    own_ = SONDE_TRY(protocols::PrivateConnections::create(host_));
  tick_ = SONDE_TRY(host_.loop.timer([this] { tick(); }));
  tick_.arm_every(kTick);
  host_.executables->add(*this);
  return {};
}

bool GoGrpc::count(protocols::Connections& to,
                   const sonde_go_grpc_key& key,
                   const sonde_go_grpc_counts& fresh)
{
  const bool client = key.role == SONDE_GRPC_CLIENT;
  const auto peer =
      client ? peers_.name(to, key.tgid, key.peer, key.peer_length, gone_.contains(key.tgid))
             : std::string_view{};
  if (!peer) {
    waits_ = true;
    return false;
  }
  const grpc::Handled handled{
      .path = path_of(key),
      .code = grpc::code_name(key.code),
      .calls = fresh.requests,
      .buckets =
          std::span(reinterpret_cast<const std::uint64_t*>(fresh.durations.buckets), SONDE_BUCKETS),
      .sum_ns = fresh.durations.sum};
  to.record({.tgid = key.tgid, .slot = key.slot, .generation = key.generation},
            client ? Role::kClient : Role::kServer,
            *peer,
            [&](protocols::SeriesRecorder& recorder) { grpc::record(handled, recorder); });
  return true;
}

void GoGrpc::count_messages(protocols::Connections& to,
                            const sonde_go_grpc_key& key,
                            const sonde_go_grpc_counts& fresh)
{
  const grpc::Passed passed{.path = path_of(key), .received = fresh.requests, .sent = fresh.sent};
  to.record({.tgid = key.tgid, .slot = key.slot, .generation = key.generation},
            key.role == SONDE_GRPC_CLIENT ? Role::kClient : Role::kServer,
            {},
            [&](protocols::SeriesRecorder& recorder) { grpc::record(passed, recorder); });
}

void GoGrpc::count_endings(protocols::Connections& to)
{
  const int map = bpf_map__fd(skeleton_->maps.go_grpc_endings);
  const int calls = bpf_map__fd(skeleton_->maps.go_grpc_calls);
  const auto now = monotonic_ns();
  for (const auto& call : bpf::keys_of<sonde_go_grpc_call>(map)) {
    sonde_go_grpc_ending ending;
    if (bpf_map_lookup_elem(map, &call, &ending) != 0)
      continue;
    if (ending.ktime_ns + kEndsNs > now && !gone_.contains(call.tgid)) {
      waits_ = true;
      continue;
    }
    const bool client = ending.key.role == SONDE_GRPC_CLIENT;
    // Not before its peer can be named; whoever deletes it counts it.
    if (client &&
        !peers_.name(
            to, call.tgid, ending.key.peer, ending.key.peer_length, gone_.contains(call.tgid))) {
      waits_ = true;
      continue;
    }
    if (bpf_map_delete_elem(map, &call) != 0)
      continue;
    bpf_map_delete_elem(calls, &call);
    sonde_go_grpc_counts one{.requests = 1};
    if (ending.duration_ns > 0) {
      one.durations.sum = ending.duration_ns;
      ++one.durations.buckets[sonde_bucket(skeleton_->rodata->go_grpc_bounds, ending.duration_ns) %
                              SONDE_BUCKETS];
    }
    count(to, ending.key, one);
  }
}

void GoGrpc::tick()
{
  const auto row = counters();
  const auto events = row.calls + row.messages + row.endings;
  auto* to = calls();
  if (to == nullptr || (events == counted_ && gone_.empty() && !waits_))
    return;
  counted_ = events;
  waits_ = false;
  count_endings(*to);
  const int map = bpf_map__fd(skeleton_->maps.go_grpc_counts);
  std::vector<sonde_go_grpc_counts> values(host_.maps.cpus());
  sonde_go_grpc_key key;
  for (sonde_go_grpc_key* last = nullptr; bpf_map_get_next_key(map, last, &key) == 0; last = &key) {
    if (bpf_map_lookup_elem(map, &key, values.data()) != 0)
      continue;
    sonde_go_grpc_counts sum{};
    for (const auto& value : values)
      add_words(sum, value);
    auto& before = known_[key];
    bool counted = true;
    if (key.code == SONDE_GRPC_MESSAGES)
      count_messages(*to, key, minus_words(sum, before));
    else if (sum.requests != before.requests)
      counted = count(*to, key, minus_words(sum, before));
    if (counted)
      before = sum;
  }
  if (!gone_.empty())
    forget_gone();
}

void GoGrpc::forget_gone()
{
  const auto& maps = skeleton_->maps;
  std::erase_if(known_, [&](const auto& entry) {
    if (!gone_.contains(entry.first.tgid))
      return false;
    bpf_map_delete_elem(bpf_map__fd(maps.go_grpc_counts), &entry.first);
    return true;
  });
  for (const auto& call : bpf::keys_of<sonde_go_grpc_call>(bpf_map__fd(maps.go_grpc_calls)))
    if (gone_.contains(call.tgid))
      bpf_map_delete_elem(bpf_map__fd(maps.go_grpc_calls), &call);
  for (const auto& routine : bpf::keys_of<sonde_go_routine>(bpf_map__fd(maps.go_grpc_receiving)))
    if (gone_.contains(routine.tgid))
      bpf_map_delete_elem(bpf_map__fd(maps.go_grpc_receiving), &routine);
  peers_.forget(gone_);
  gone_.clear();
}

std::vector<Loss> GoGrpc::losses() const
{
  const auto row = counters();
  return {{"no_room_for_counts", row.lost_counts},
          {"no_room_for_calls", row.lost_state},
          {"unreadable", row.unreadable}};
}

Result<std::unique_ptr<Probe>> start(Host& host)
{
  auto skeleton = SONDE_TRY(open_uprobes<go_grpc_bpf>(host));
  const auto bounds = SONDE_TRY(protocols::request_bounds(host.settings));
  std::ranges::copy(bounds.durations.padded(), skeleton->rodata->go_grpc_bounds);
  SONDE_TRY(skeleton.load());
  auto probe = std::make_unique<GoGrpc>(host, std::move(skeleton));
  SONDE_TRY(probe->connect());
  return probe;
}

}  // namespace

extern const Family family{.name = "go_grpc", .start = &start, .metrics = {}, .settings = {}};

}  // namespace sonde::go_grpc
