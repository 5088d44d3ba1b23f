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

#include "agent/bpf/mapped.hpp"
#include "agent/bpf/shared_maps.hpp"
#include "agent/bpf/skeleton.hpp"
#include "agent/elf/go_binary.hpp"
#include "agent/elf/probe_site.hpp"
#include "agent/probes/executables.hpp"
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
     "wrote it. Source: grpc-go.",
     "service peer grpc_service grpc_method grpc_code"},
    {"grpc_client_handling_seconds",
     Type::kHistogram,
     "Time from the beginning of a gRPC call of the service to its end, of calls that end on the "
     "goroutine that began them. Source: grpc-go.",
     "service peer grpc_service grpc_method"},
};

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

struct Offsets final : Findings {
  sonde_go_grpc_binary offsets{};
};

class GoGrpc : public Probe, private UprobeUser {
public:
  GoGrpc(Host& host, Skeleton skeleton)
      : host_(host), skeleton_(std::move(skeleton)), loaded_(host.hooks, skeleton_->obj)
  {
  }
  ~GoGrpc() override { host_.executables->remove(*this); }

  Result<> connect();

  void collect(Scrape& scrape) override
  {
    if (own_)
      own_->connections().collect(scrape);
  }
  std::uint64_t events() const override { return bpf::sum_rows(rows_, 0).calls; }
  std::vector<Loss> losses() const override;

private:
  std::string_view name() const override { return "go_grpc"; }
  PlanResult plan(Subject& subject) override;
  Result<> attaching(const ProbedFile& file, const ProbePlan& plan) override;
  void left(const ProbedFile&, const ProcessId& process) override { gone_.insert(process.tgid); }

  void tick();
  void count(protocols::Connections& to,
             const sonde_go_grpc_key& key,
             const sonde_go_grpc_counts& fresh);
  void forget_gone();

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
  std::uint64_t counted_ = 0;
  EventLoop::Timer tick_;
};

constexpr std::string_view kTransport = "google.golang.org/grpc/internal/transport";
constexpr std::string_view kStatus = "google.golang.org/grpc/internal/status";

Result<sonde_go_grpc_binary> offsets_of(const elf::GoBinary& go)
{
  const auto at = [&](std::string_view type, std::string_view field) -> Result<std::uint32_t> {
    return static_cast<std::uint32_t>(SONDE_TRY(go.field_offset(type, field)));
  };
  const auto in = [](std::string_view package, std::string_view type) {
    return std::string(package).append(".").append(type);
  };
  sonde_go_grpc_binary out{};
  out.method = SONDE_TRY(at(in(kTransport, "Stream"), "method"));
  if (const auto inner = go.field(in(kTransport, "ServerStream"), "Stream")) {
    out.stream = static_cast<std::uint32_t>(inner->offset);
    out.stream_follow = inner->kind == elf::GoKind::kPointer ? 1 : 0;
    out.method += out.stream_follow != 0 ? 0 : out.stream;
  }
  out.status_proto = SONDE_TRY(at(in(kStatus, "Status"), "s"));
  out.proto_code = SONDE_TRY(at("google.golang.org/genproto/googleapis/rpc/status.Status", "Code"));
  out.error_status = SONDE_TRY(at(in(kStatus, "Error"), "s"));
  out.error_type =
      static_cast<std::uint32_t>(SONDE_TRY(go.type(in(kStatus, "Error"))).pointer & 0xfff);
  return out;
}

Result<> client_offsets(const elf::GoBinary& go, sonde_go_grpc_binary& out)
{
  const auto at = [&](std::string_view type, std::string_view field) -> Result<std::uint32_t> {
    return static_cast<std::uint32_t>(SONDE_TRY(go.field_offset(type, field)));
  };
  constexpr std::string_view kStream = "google.golang.org/grpc.clientStream";
  out.call_header = SONDE_TRY(at(kStream, "callHdr"));
  out.finished = SONDE_TRY(at(kStream, "finished"));
  out.connection = SONDE_TRY(at(kStream, "cc"));
  out.header_method = SONDE_TRY(at(std::string(kTransport).append(".CallHdr"), "Method"));
  out.target = SONDE_TRY(at("google.golang.org/grpc.ClientConn", "target"));
  return {};
}

PlanResult GoGrpc::plan(Subject& subject)
{
  const auto go = subject.go();
  if (!go || !(*go)->build().dependency("google.golang.org/grpc"))
    return std::unexpected(Refusal{});
  const auto offsets = offsets_of(**go);
  if (!offsets)
    return std::unexpected(Refusal{"unknown_types", offsets.error().message()});
  auto findings = std::make_shared<Offsets>();
  findings->offsets = *offsets;
  ProbePlan plan;
  const auto add = [&](const bpf_program* program, const std::string& function) {
    const auto range = (*go)->function(function);
    const auto site = range ? elf::go_entry_site(subject.elf(), *range)
                            : Result<elf::ProbeSite>(fail("no such function"));
    if (site)
      plan.sites.push_back({.program = program,
                            .offset = site->offset,
                            .cookie = site->again_on_growth ? SONDE_UPROBE_COMES_AGAIN : 0});
    return site.has_value();
  };
  const auto& programs = skeleton_->progs;
  const auto transport = std::string(kTransport);
  if (add(programs.go_grpc_server_start, "google.golang.org/grpc.(*Server).handleStream") &&
      !add(programs.go_grpc_server_end, transport + ".(*http2Server).writeStatus"))
    add(programs.go_grpc_server_end, transport + ".(*http2Server).WriteStatus");
  if (client_offsets(**go, findings->offsets) &&
      add(programs.go_grpc_client_end, "google.golang.org/grpc.(*clientStream).finish"))
    add(programs.go_grpc_client_start, "google.golang.org/grpc.newClientStream");
  if (plan.sites.empty())
    return std::unexpected(Refusal{"no_probe_site", "no place for a probe in grpc-go"});
  plan.findings = std::move(findings);
  return plan;
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

void GoGrpc::count(protocols::Connections& to,
                   const sonde_go_grpc_key& key,
                   const sonde_go_grpc_counts& fresh)
{
  const bool client = key.role == SONDE_GRPC_CLIENT;
  std::string_view name(key.method, std::min<std::size_t>(key.method_length, sizeof key.method));
  std::string_view peer(key.target, std::min<std::size_t>(key.target_length, sizeof key.target));
  name.remove_prefix(name.starts_with('/') ? 1 : 0);
  const auto slash = name.rfind('/');
  const auto service = slash == std::string_view::npos ? "other" : name.substr(0, slash);
  const auto method = slash == std::string_view::npos ? "other" : name.substr(slash + 1);
  if (const auto scheme = peer.find(":///"); scheme != std::string_view::npos)
    peer.remove_prefix(scheme + 4);
  const auto code = kCodes.at(std::min<std::size_t>(key.code, kCodes.size() - 1));
  const std::span buckets(reinterpret_cast<const std::uint64_t*>(fresh.durations.buckets),
                          SONDE_BUCKETS);
  const bool timed = std::ranges::any_of(buckets, [](std::uint64_t n) { return n > 0; });
  const protocols::Caller caller{.tgid = key.tgid, .slot = key.slot, .generation = key.generation};
  to.record(caller,
            client ? Role::kClient : Role::kServer,
            peer,
            [&](protocols::SeriesRecorder& recorder) {
              if (client)
                recorder.count(kMetrics[2], {peer, service, method, code}, fresh.requests);
              else
                recorder.count(kMetrics[0], {service, method, code}, fresh.requests);
              if (timed && client)
                recorder.merge(kMetrics[3], {peer, service, method}, buckets, fresh.durations.sum);
              else if (timed)
                recorder.merge(kMetrics[1], {service, method}, buckets, fresh.durations.sum);
            });
}

void GoGrpc::tick()
{
  const auto calls = events();
  auto* to = own_ ? &own_->connections() : host_.connections ? host_.connections() : nullptr;
  if (to == nullptr || (calls == counted_ && gone_.empty()))
    return;
  counted_ = calls;
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
    if (sum.requests != before.requests)
      count(*to, key, minus_words(sum, before));
    before = sum;
  }
  if (!gone_.empty())
    forget_gone();
}

void GoGrpc::forget_gone()
{
  const int map = bpf_map__fd(skeleton_->maps.go_grpc_counts);
  std::erase_if(known_, [&](const auto& entry) {
    if (!gone_.contains(entry.first.tgid))
      return false;
    bpf_map_delete_elem(map, &entry.first);
    return true;
  });
  struct Call {
    std::uint64_t object;
    std::uint32_t tgid;
    std::uint32_t role;
  };
  const int calls = bpf_map__fd(skeleton_->maps.go_grpc_calls);
  std::vector<Call> stale;
  Call call;
  for (Call* last = nullptr; bpf_map_get_next_key(calls, last, &call) == 0; last = &call)
    if (gone_.contains(call.tgid))
      stale.push_back(call);
  for (const auto& one : stale)
    bpf_map_delete_elem(calls, &one);
  gone_.clear();
}

std::vector<Loss> GoGrpc::losses() const
{
  const auto row = bpf::sum_rows(rows_, 0);
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
