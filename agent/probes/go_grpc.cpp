// SPDX-License-Identifier: Apache-2.0
// Loads bpf/go_grpc.bpf.c: calls that Go programs serve and make by grpc-go.
#include "sonde/go_grpc.h"

#include <algorithm>
#include <array>
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
#include "agent/protocols/private_connections.hpp"

namespace sonde::go_grpc {

namespace {

using metrics::Type;
using protocols::Role;
using Skeleton = bpf::Skeleton<go_grpc_bpf>;

constexpr auto kTick = std::chrono::milliseconds(500);
// After which a call that has most likely ended is counted. grpc-go's own pause before it tries
// again is shorter unless the program wants a longer one.
constexpr std::uint64_t kEndsNs = 1'500'000'000;

constexpr metrics::Desc kMetrics[] = {
    {"grpc_server_handled_total",
     Type::kCounter,
     "gRPC calls that the service answered, by the code it gave. Source: grpc-go.",
     "service grpc_service grpc_method grpc_code"},
    {"grpc_server_handling_seconds",
     Type::kHistogram,
     "Time from the moment a gRPC call was taken up to its status. Source: grpc-go.",
     "service grpc_service grpc_method"},
    {"grpc_client_handled_total",
     Type::kCounter,
     "gRPC calls of the service that ended, by the code it saw; peer is the target as the program "
     "wrote it where no connection was chosen. Source: grpc-go.",
     "service peer grpc_service grpc_method grpc_code"},
    {"grpc_client_handling_seconds",
     Type::kHistogram,
     "Time from the first attempt of a gRPC call of the service to its end. Source: grpc-go.",
     "service peer grpc_service grpc_method"},
    {"grpc_server_msg_received_total",
     Type::kCounter,
     "Messages of gRPC calls that the service received from callers. Source: grpc-go.",
     "service grpc_service grpc_method"},
    {"grpc_server_msg_sent_total",
     Type::kCounter,
     "Messages of gRPC calls that the service sent to callers. Source: grpc-go.",
     "service grpc_service grpc_method"},
    {"grpc_client_msg_received_total",
     Type::kCounter,
     "Messages that the service received in its gRPC calls. Source: grpc-go.",
     "service grpc_service grpc_method"},
    {"grpc_client_msg_sent_total",
     Type::kCounter,
     "Messages that the service sent in its gRPC calls, again with each attempt. Source: grpc-go.",
     "service grpc_service grpc_method"},
};

// Of the table above.
constexpr std::size_t kServerReceived = 4;
constexpr std::size_t kServerSent = 5;
constexpr std::size_t kClientReceived = 6;
constexpr std::size_t kClientSent = 7;

// As go-grpc-middleware spells them.
constexpr std::array<std::string_view, 17> kCodes = {"OK",
                                                     "Canceled",
                                                     "Unknown",
                                                     "InvalidArgument",
                                                     "DeadlineExceeded",
                                                     "NotFound",
                                                     "AlreadyExists",
                                                     "PermissionDenied",
                                                     "ResourceExhausted",
                                                     "FailedPrecondition",
                                                     "Aborted",
                                                     "OutOfRange",
                                                     "Unimplemented",
                                                     "Internal",
                                                     "Unavailable",
                                                     "DataLoss",
                                                     "Unauthenticated"};

// Those of grpc_service and grpc_method.
std::pair<std::string_view, std::string_view> names_of(const sonde_go_grpc_key& key)
{
  std::string_view name(key.method, std::min<std::size_t>(key.method_length, sizeof key.method));
  name.remove_prefix(name.starts_with('/') ? 1 : 0);
  const auto slash = name.rfind('/');
  if (slash == std::string_view::npos)
    return {"other", "other"};
  return {name.substr(0, slash), name.substr(slash + 1)};
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
  void left(const ProbedFile&, const ProcessId& process) override { gone_.insert(process.tgid); }

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
  const auto [service, method] = names_of(key);
  const auto peer =
      client ? peers_.name(to, key.tgid, key.peer, key.peer_length, gone_.contains(key.tgid))
             : std::string_view{};
  if (!peer) {
    waits_ = true;
    return false;
  }
  const auto code = kCodes.at(std::min<std::size_t>(key.code, kCodes.size() - 1));
  const std::span buckets(reinterpret_cast<const std::uint64_t*>(fresh.durations.buckets),
                          SONDE_BUCKETS);
  const bool timed = std::ranges::any_of(buckets, [](std::uint64_t n) { return n > 0; });
  const protocols::Caller caller{.tgid = key.tgid, .slot = key.slot, .generation = key.generation};
  to.record(caller,
            client ? Role::kClient : Role::kServer,
            *peer,
            [&](protocols::SeriesRecorder& recorder) {
              if (client)
                recorder.count(kMetrics[2], {*peer, service, method, code}, fresh.requests);
              else
                recorder.count(kMetrics[0], {service, method, code}, fresh.requests);
              if (timed && client)
                recorder.merge(kMetrics[3], {*peer, service, method}, buckets, fresh.durations.sum);
              else if (timed)
                recorder.merge(kMetrics[1], {service, method}, buckets, fresh.durations.sum);
            });
  return true;
}

void GoGrpc::count_messages(protocols::Connections& to,
                            const sonde_go_grpc_key& key,
                            const sonde_go_grpc_counts& fresh)
{
  const bool client = key.role == SONDE_GRPC_CLIENT;
  const auto [service, method] = names_of(key);
  const protocols::Caller caller{.tgid = key.tgid, .slot = key.slot, .generation = key.generation};
  const auto& received = kMetrics[client ? kClientReceived : kServerReceived];
  const auto& sent = kMetrics[client ? kClientSent : kServerSent];
  to.record(
      caller, client ? Role::kClient : Role::kServer, {}, [&](protocols::SeriesRecorder& recorder) {
        if (fresh.requests > 0)
          recorder.count(received, {service, method}, fresh.requests);
        if (fresh.sent > 0)
          recorder.count(sent, {service, method}, fresh.sent);
      });
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
  auto* to = own_ ? &own_->connections() : host_.connections ? host_.connections() : nullptr;
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

extern const Family family{.name = "go_grpc", .start = &start, .metrics = kMetrics, .settings = {}};

}  // namespace sonde::go_grpc
