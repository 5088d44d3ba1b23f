// SPDX-License-Identifier: Apache-2.0
// Loads bpf/tcp.bpf.c: connections, bytes, retransmits, resets and round trips of every service.
// Open connections are read by an iterator at each scrape, on the scraping thread.
#include "sonde/tcp.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <unistd.h>

#include <bpf/bpf.h>

#include "tcp.skel.h"

#include "agent/bpf/facts.hpp"
#include "agent/bpf/features.hpp"
#include "agent/bpf/shared_maps.hpp"
#include "agent/bpf/skeleton.hpp"
#include "agent/probes/loading.hpp"
#include "agent/probes/probe.hpp"
#include "agent/probes/slot_ledger.hpp"
#include "agent/probes/tcp_drops.hpp"
#include "agent/probes/tcp_metrics.hpp"

namespace sonde::tcp {

namespace {

constexpr Setting kSettings[] = {
    {"tcp.bounds",
     SettingKind::kDurations,
     "1us 4us 16us 64us 256us 1024us 4096us 16384us 65536us 262144us 1048576us 4194304us "
     "16777216us",
     "upper bounds of connect latency and round-trip histograms, at most 31"},
    {"tcp.storage",
     SettingKind::kText,
     "auto",
     "where a socket's owner is kept: socket (its own storage, 5.12 and newer), hash (a table by "
     "address), or auto",
     "auto socket hash"},
    {"tcp.clone",
     SettingKind::kBool,
     "true",
     "accepted sockets inherit their storage; where net.core.optmem_max is below 4096 the kernel "
     "refuses a connection whose storage does not fit, which false avoids"},
    {"tcp.hash_size",
     SettingKind::kInteger,
     "32Ki",
     "sockets known at once with tcp.storage=hash; what comes beyond is lost and counted"},
    {"tcp.drops", SettingKind::kBool, "true", "dropped TCP packets by reason"},
};

using Skeleton = bpf::Skeleton<tcp_bpf>;
using Ledger = SlotLedger<sonde_tcp_row>;

// Compare-and-swap in programs, 5.12 and newer: found out by loading one.
bool has_compare_and_swap()
{
  static const bool works = [] {
    const auto instruction = [](unsigned code, unsigned to, unsigned from, int offset, int value) {
      return bpf_insn{.code = static_cast<__u8>(code),
                      .dst_reg = static_cast<__u8>(to & 15U),
                      .src_reg = static_cast<__u8>(from & 15U),
                      .off = static_cast<__s16>(offset),
                      .imm = value};
    };
    const bpf_insn program[] = {
        instruction(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0),
        instruction(BPF_STX | BPF_MEM | BPF_DW, BPF_REG_10, BPF_REG_0, -8, 0),
        instruction(BPF_STX | BPF_ATOMIC | BPF_DW, BPF_REG_10, BPF_REG_0, -8, BPF_CMPXCHG),
        instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)};
    const UniqueFd fd(bpf_prog_load(
        BPF_PROG_TYPE_SOCKET_FILTER, "sonde_cmpxchg", "GPL", program, std::size(program), nullptr));
    return static_cast<bool>(fd);
  }();
  return works;
}

bool has_socket_storage(const bpf::Features& kernel)
{
  return kernel.has_function("bpf_sk_storage_get_tracing") &&
         kernel.has_struct("bpf_iter__bpf_sk_storage_map") && has_compare_and_swap();
}

class Tcp : public Probe {
public:
  Tcp(Host& host, Skeleton skeleton, metrics::Bounds bounds, DropReasons reasons, bool hash)
      : host_(host), skeleton_(std::move(skeleton)), bounds_(std::move(bounds)),
        reasons_(std::move(reasons)), hash_(hash), loaded_(host.hooks, skeleton_->obj)
  {
  }
  ~Tcp() override { host_.facts.unsubscribe(host_.family); }

  Result<> map_rows();
  Result<> attach(std::string_view storage);

  void collect(Scrape& scrape) override;
  std::uint64_t events() const override;
  std::vector<Loss> losses() const override { return {{"no_storage", ledger_->node().unstored}}; }
  Result<> self_check() override;

private:
  void on_fact(const FactRecord& record);
  Result<> try_storage() const;
  void find_existing();
  void attach_live();

  Host host_;
  Skeleton skeleton_;
  metrics::Bounds bounds_;
  DropReasons reasons_;
  bool hash_;
  bool drops_up_ = false;
  LoadedObject loaded_;
  std::unique_ptr<Ledger> ledger_;
  bpf::Rows<sonde_tcp_drops> drops_;
  bpf::Mapping live_;
  bpf::Link look_;
  std::vector<bpf::Link> links_;
};

Result<> Tcp::map_rows()
{
  const unsigned cpus = host_.maps.cpus();
  ledger_ =
      std::make_unique<Ledger>(host_.services,
                               SONDE_TRY(bpf::Rows<sonde_tcp_row>::create(
                                   bpf_map__fd(skeleton_->maps.tcp_rows), cpus, SONDE_SLOTS)));
  drops_ = SONDE_TRY(
      bpf::Rows<sonde_tcp_drops>::create(bpf_map__fd(skeleton_->maps.tcp_drop_rows), cpus, 1));
  live_ = SONDE_TRY(bpf::Mapping::create(
      bpf_map__fd(skeleton_->maps.tcp_live), sizeof(sonde_tcp_live) * SONDE_SLOTS, true));
  return {};
}

Result<> Tcp::attach(std::string_view storage)
{
  host_.facts.subscribe(host_.family, [this](const FactRecord& record) { on_fact(record); });
  bool states = false;
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, skeleton_->obj)
  {
    const std::string_view section = bpf_program__section_name(program);
    if (!bpf_program__autoload(program) || section.starts_with("iter/"))
      continue;
    const bool is_state = section == "tp_btf/inet_sock_set_state";
    auto link =
        attach_and_report(host_, "tcp", program, is_state ? std::string(storage) : std::string());
    states = states || (is_state && link);
    drops_up_ = drops_up_ || (link && program == skeleton_->progs.tcp_dropped);
    if (link)
      links_.push_back(std::move(link));
  }
  if (!states)
    return fail("attach tp_btf/inet_sock_set_state: see sonde_probe_up{probe=\"tcp\"}");
  if (!hash_)
    SONDE_TRY(try_storage());
  attach_live();
  find_existing();
  return {};
}

// Kernels from 7.0 on allocate socket storage without locks, which a CPU without cmpxchg16b cannot:
// there everything attaches and nothing is ever stored. Seen by listening once.
Result<> Tcp::try_storage() const
{
  sockaddr_in address{};
  const auto fd = listen_on_loopback(address);
  if (!fd)
    return {};  // there is nothing to try with
  const int key = fd.get();
  sonde_tcp_socket stored{};
  if (bpf_map_lookup_elem(bpf_map__fd(skeleton_->maps.tcp_sockets), &key, &stored) != 0)
    return fail("this kernel gives a socket no storage");
  return {};
}

void Tcp::attach_live()
{
  const auto* program = hash_ ? skeleton_->progs.tcp_look_hash : skeleton_->progs.tcp_look;
  const auto* map = hash_ ? skeleton_->maps.tcp_sockets_hash : skeleton_->maps.tcp_sockets;
  auto link = bpf::Link::attach_iterator(program, bpf_map__fd(map));
  const std::string_view section = bpf_program__section_name(program);
  host_.hooks.report("tcp",
                     section,
                     link.has_value(),
                     link ? "" : link.error().message() + ": open connections count at close only");
  if (link)
    look_ = *std::move(link);
}

// Listeners first: they tell the roles of the others.
void Tcp::find_existing()
{
  for (const auto* program :
       {hash_ ? skeleton_->progs.tcp_find_listeners_hash : skeleton_->progs.tcp_find_listeners,
        hash_ ? skeleton_->progs.tcp_find_connections_hash
              : skeleton_->progs.tcp_find_connections}) {
    const auto link = bpf::Link::attach_iterator(program, -1);
    const auto done = link ? bpf::run_iterator(*link) : Result<>(Failure(link.error()));
    host_.hooks.report("tcp",
                       "iter/task_file",
                       done.has_value(),
                       done ? "" : done.error().message() + ": older sockets are unknown");
    if (!done)
      return;
  }
}

void Tcp::on_fact(const FactRecord& record)
{
  if (record.head().kind != SONDE_KIND_LISTENING)
    return;
  if (const auto* listening = record.as<sonde_tcp_listening>(); listening != nullptr)
    host_.services.now_listening(listening->tgid);
}

void Tcp::collect(Scrape& scrape)
{
  std::memset(live_.data(), 0, live_.bytes());
  const auto looked = bpf::run_iterator(look_);
  if (look_ && !looked)
    host_.hooks.report("tcp",
                       hash_ ? "iter/bpf_map_elem" : "iter/bpf_sk_storage_map",
                       false,
                       looked.error().message() + ": open connections count at close only");
  ledger_->update();
  Figures figures{
      .bounds = bounds_,
      .node = ledger_->node(),
      .row =
          [this](const Service& service) { return ledger_->of(service.slot, service.generation); },
      .live = nullptr};
  if (looked)
    figures.live = [this](const Service& service) -> const volatile sonde_tcp_live&
    {
      return static_cast<const volatile sonde_tcp_live*>(live_.data())[service.slot];
    };
  if (drops_up_) {
    figures.reasons = &reasons_;
    figures.drops = bpf::sum_rows(drops_, 0);
  }
  expose(scrape, figures);
}

std::uint64_t Tcp::events() const
{
  const auto node = ledger_->node();
  std::uint64_t total = 0;
  for (const auto count : node.opened)
    total += count;
  for (const auto& role : node.closed)
    for (const auto count : role)
      total += count;
  for (const auto count : node.connect_failures)
    total += count;
  for (const auto count : node.resets)
    total += count;
  return total;
}

Result<> Tcp::self_check()
{
  return look_ ? in(bpf::run_iterator(look_), "tcp: look at open connections") : Result<>();
}

// Leaves out what this kernel or this kind of storage has no use for, and says why.
void choose_programs(Host& host, tcp_bpf& object, bool hash)
{
  const auto& kernel = bpf::Features::kernel();
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, object.obj)
  {
    const std::string_view section = bpf_program__section_name(program);
    const bool of_hash = std::string_view(bpf_program__name(program)).ends_with("_hash");
    bool wanted = of_hash == hash;
    std::string why;
    if (program == object.progs.tcp_dropped) {
      wanted = host.settings.flag("tcp.drops");
      if (!wanted)
        why = "off: tcp.drops";
      else if (kernel.tracepoint_arguments("kfree_skb") < 3)
        why = "this kernel's kfree_skb gives no reason (5.17)";
    } else if (wanted && section.starts_with("tp_btf/") &&
               !kernel.has_tracepoint(section.substr(7))) {
      why = "this kernel has no such tracepoint";
    }
    if (!why.empty())
      host.hooks.report("tcp", section, false, why);
    bpf_program__set_autoload(program, wanted && why.empty());
  }
}

Result<Skeleton>
load(Host& host, const metrics::Bounds& bounds, const DropReasons& reasons, bool hash)
{
  auto skeleton = SONDE_TRY(Skeleton::open());
  SONDE_TRY(host.maps.share_with(skeleton->obj));
  const bool clones = !hash && host.settings.flag("tcp.clone");
  auto& config = *skeleton->rodata;
  config.sonde_family = host.family;
  config.clones = clones;
  std::ranges::copy(bounds.padded(), config.bounds);
  std::ranges::copy(reasons.ignored, config.ignored_reason);
  choose_programs(host, *skeleton.operator->(), hash);
  bpf_map__set_autocreate(skeleton->maps.tcp_sockets, !hash);
  bpf_map__set_autocreate(skeleton->maps.tcp_sockets_hash, hash);
  if (!clones)
    bpf_map__set_map_flags(skeleton->maps.tcp_sockets, BPF_F_NO_PREALLOC);
  bpf_map__set_max_entries(skeleton->maps.tcp_sockets_hash,
                           static_cast<__u32>(host.settings.integer("tcp.hash_size")));
  SONDE_TRY(skeleton.load());
  return skeleton;
}

Result<bool> choose_hash(const std::string& wanted, const bpf::Features& kernel)
{
  if (wanted == "hash")
    return true;
  if (wanted != "auto" && wanted != "socket")
    return fail("tcp.storage: \"" + wanted + "\" is none of auto, socket, hash");
  const bool has = has_socket_storage(kernel);
  if (wanted == "socket" && !has)
    return fail("tcp.storage: this kernel has no socket storage for tracing programs (5.12)");
  return !has;
}

// Loads and attaches with one kind of storage.
Result<std::unique_ptr<Probe>>
start_with(Host& host, const metrics::Bounds& bounds, bool hash, const std::string& storage)
{
  auto reasons = drop_reasons(bpf::Features::kernel().types());
  auto skeleton = SONDE_TRY(load(host, bounds, reasons, hash));
  auto probe = std::make_unique<Tcp>(host, std::move(skeleton), bounds, std::move(reasons), hash);
  SONDE_TRY(probe->map_rows());
  SONDE_TRY(probe->attach(storage));
  return probe;
}

Result<std::unique_ptr<Probe>> start(Host& host)
{
  const auto& kernel = bpf::Features::kernel();
  if (!kernel.has_tracepoint("inet_sock_set_state"))
    return fail("this kernel's types have no tracepoint inet_sock_set_state");
  const auto& wanted = host.settings.text("tcp.storage");
  const bool hash = SONDE_TRY(choose_hash(wanted, kernel));
  if (const auto size = host.settings.integer("tcp.hash_size"); size < 1 || size > (1 << 24))
    return fail("tcp.hash_size: 1 to 16Mi");
  const auto bounds = SONDE_TRY(duration_bounds(host.settings, "tcp.bounds"));
  if (hash)
    return start_with(host, bounds, true, "owners in a hash by socket address");
  auto probe = start_with(host, bounds, false, "owners in socket storage");
  if (probe || wanted != "auto")
    return probe;
  return start_with(
      host, bounds, true, "owners in a hash by socket address: " + probe.error().message());
}

}  // namespace

extern const Family family{
    .name = "tcp", .start = &start, .metrics = kMetrics, .settings = kSettings};

}  // namespace sonde::tcp
