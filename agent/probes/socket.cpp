// SPDX-License-Identifier: Apache-2.0
// Loads bpf/socket.bpf.c: what passes through stream sockets goes to the connections, which make
// exchanges and their metrics of it.
#include "sonde/socket.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <sys/socket.h>
#include <unistd.h>
#include <unordered_map>
#include <unordered_set>

#include <bpf/bpf.h>

#include "socket.skel.h"

#include "agent/base/clock.hpp"
#include "agent/bpf/features.hpp"
#include "agent/bpf/ring.hpp"
#include "agent/bpf/shared_maps.hpp"
#include "agent/bpf/skeleton.hpp"
#include "agent/probes/loading.hpp"
#include "agent/probes/probe.hpp"
#include "agent/probes/socket_programs.hpp"
#include "agent/protocols/connections.hpp"
#include "agent/protocols/service_routes.hpp"

namespace sonde::socket {

namespace {

constexpr Setting kSettings[] = {
    {"socket.source",
     SettingKind::kText,
     "auto",
     "how sends and receives are seen: tracepoints (of their lengths, 6.3 and newer), twice (the "
     "same with two programs each, for kernels from 7.0 on that may preempt one), functions (ends "
     "of the protocols' own, kernels with fentry), or auto",
     "auto tracepoints twice functions"},
    {"socket.ring-bytes",
     SettingKind::kInteger,
     "0",
     "rings for what is captured, all CPUs' together, a power of two; what finds its CPU's full is "
     "lost and counted; 0: 8Mi, or 4Mi where kernel.pid_max is above a million, so that all maps "
     "stay within 16 MiB"},
    {"http.routes",
     SettingKind::kTexts,
     "",
     "templates of paths, the first that matches is the label: /users/{id}, /static/*; other "
     "paths get one that is learned"},
};

// How often AF_UNIX sockets are looked for that no longer exist, and processes of which nothing is
// decoded are counted, if anybody wants to know.
constexpr auto kLookAround = std::chrono::seconds(5);

// The array of verdicts, written through mmap: one store for each change of mind.
class MappedVerdicts : public protocols::Verdicts {
public:
  explicit MappedVerdicts(bpf::Mapping memory) : memory_(std::move(memory)) {}

  void set(std::uint32_t index,
           std::uint64_t socket,
           sonde_socket_direction direction,
           std::uint64_t wish) override
  {
    auto& verdict =
        static_cast<volatile sonde_socket_verdict*>(memory_.data())[index % SONDE_SOCKET_VERDICTS];
    if (verdict.socket == socket)
      verdict.wish[direction] = wish;
  }

  void free(std::uint32_t index, std::uint64_t socket) override
  {
    auto& verdict =
        static_cast<volatile sonde_socket_verdict*>(memory_.data())[index % SONDE_SOCKET_VERDICTS];
    if (verdict.socket != socket)
      return;
    for (auto& wish : verdict.wish)
      wish = 0;
    std::atomic_thread_fence(std::memory_order_release);
    verdict.socket = 0;
  }

private:
  bpf::Mapping memory_;
};

using Skeleton = bpf::Skeleton<socket_bpf>;

class Socket : public Probe {
public:
  Socket(Host& host, Skeleton skeleton)
      : host_(host), skeleton_(std::move(skeleton)), loaded_(host.hooks, skeleton_->obj)
  {
  }

  ~Socket() override { host_.maps.take_back(kLentMaps); }

  Result<> connect();
  Result<> try_storage() const;
  Result<> attach(Source source);

  void collect(Scrape& scrape) override
  {
    survey_wanted_.store(true, std::memory_order_relaxed);
    connections_->collect(scrape);
  }
  protocols::Connections* connections() override { return connections_.get(); }
  std::uint64_t events() const override;
  std::vector<Loss> losses() const override;
  Result<> self_check() override;

private:
  void on_record(void* data, std::size_t size);
  void say_awake(bool awake);
  void find_existing();
  void look_around();
  void find_ended();
  sonde_socket_row counters() const { return bpf::sum_rows(rows_, 0); }

  Host host_;
  Skeleton skeleton_;
  LoadedObject loaded_;
  bpf::Rows<sonde_socket_row> rows_;
  bpf::Mapping reader_;
  std::unique_ptr<MappedVerdicts> verdicts_;
  std::unique_ptr<protocols::ServiceRoutes> routes_;
  std::unique_ptr<protocols::Connections> connections_;
  std::unordered_map<std::uint64_t, std::uint32_t> unix_sockets_;  // alive: verdict by id
  EventLoop::Timer sweep_;
  EventLoop::Timer around_;
  std::atomic<bool> survey_wanted_{true};  // by a scrape since the last one
  bpf::Link alive_;
  Rings rings_;
  std::unique_ptr<bpf::Ring> ring_;
  std::vector<bpf::Link> links_;
};

Result<> Socket::connect()
{
  rows_ = SONDE_TRY(bpf::Rows<sonde_socket_row>::create(
      bpf_map__fd(skeleton_->maps.socket_rows), host_.maps.cpus(), 1));
  reader_ = SONDE_TRY(bpf::Mapping::create(
      bpf_map__fd(skeleton_->maps.socket_reader), sizeof(sonde_facts_reader), true));
  verdicts_ = std::make_unique<MappedVerdicts>(
      SONDE_TRY(bpf::Mapping::create(bpf_map__fd(skeleton_->maps.socket_verdicts),
                                     sizeof(sonde_socket_verdict) * SONDE_SOCKET_VERDICTS,
                                     true)));
  sweep_ = SONDE_TRY(host_.loop.timer([this] { connections_->sweep(monotonic_ns()); }));
  routes_ = std::make_unique<protocols::ServiceRoutes>(host_.settings.texts("http.routes"));
  connections_ = std::make_unique<protocols::Connections>(
      host_.services,
      *verdicts_,
      *routes_,
      SONDE_TRY(protocols::Connections::options(host_.settings)),
      [this](std::chrono::nanoseconds delay) { sweep_.arm_once(delay); });
  rings_ = SONDE_TRY(Rings::create(*skeleton_.operator->()));
  SONDE_TRY(host_.maps.lend(skeleton_->obj, kLentMaps));
  for (const int fd : rings_.fds())
    loaded_.add_map(fd);
  ring_ = SONDE_TRY(bpf::Ring::open(
      rings_.fds(),
      host_.loop,
      [this](void* data, std::size_t size) { on_record(data, size); },
      [this](bool awake) { say_awake(awake); }));
  return {};
}

void Socket::say_awake(bool awake)
{
  auto* reader = static_cast<volatile sonde_facts_reader*>(reader_.data());
  reader->awake = awake ? 1 : 0;
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

Result<> Socket::attach(Source source)
{
  bool sends = false;
  bool receives = false;
  // Before and after: the first record of a busy server is to have its role.
  find_existing();
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, skeleton_->obj)
  {
    const std::string_view section = bpf_program__section_name(program);
    if (!bpf_program__autoload(program) || section.starts_with("iter/"))
      continue;
    auto link = attach_and_report(host_, "socket", program);
    const std::string_view name = bpf_program__name(program);
    sends = sends || (link && name.ends_with("_sent"));
    receives = receives || (link && name.contains("_received"));
    if (link)
      links_.push_back(std::move(link));
  }
  if (!sends || !receives)
    return fail(std::string("attach the taps of ") + std::string(describe(source)) +
                ": see sonde_probe_up{probe=\"socket\"}");
  SONDE_TRY(try_storage());
  find_existing();
  auto alive = bpf::Link::attach_iterator(skeleton_->progs.socket_alive,
                                          bpf_map__fd(skeleton_->maps.sockets));
  host_.hooks.report("socket",
                     "iter/bpf_sk_storage_map",
                     alive.has_value(),
                     alive ? "" : alive.error().message() + ": AF_UNIX sockets end by themselves");
  if (alive)
    alive_ = *std::move(alive);
  around_ = SONDE_TRY(host_.loop.timer([this] { look_around(); }));
  around_.arm_every(kLookAround);
  return {};
}

// Kernels from 7.0 on allocate socket storage without locks, which a CPU without cmpxchg16b cannot:
// there everything attaches and nothing is ever stored. Seen by connecting once.
Result<> Socket::try_storage() const
{
  sockaddr_in address{};
  const auto listener = listen_on_loopback(address);
  const UniqueFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!listener || !client)
    return {};  // there is nothing to try with
  const timeval patience{.tv_sec = 1, .tv_usec = 0};
  ::setsockopt(client.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  if (::connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    return {};
  const int key = client.get();
  sonde_socket stored{};
  if (bpf_map_lookup_elem(bpf_map__fd(skeleton_->maps.sockets), &key, &stored) != 0)
    return fail("this kernel gives a socket no storage: requests are not seen");
  return {};
}

void Socket::on_record(void* data, std::size_t size)
{
  const std::span bytes(static_cast<const std::byte*>(data), size);
  connections_->record(bytes);
  const auto& head = *static_cast<const sonde_record*>(data);
  if (head.kind == SONDE_KIND_SOCKET_OPENED && size >= sizeof(sonde_socket_opened)) {
    const auto& opened = *static_cast<const sonde_socket_opened*>(data);
    if (opened.transport == SONDE_SOCKET_UNIX)
      unix_sockets_.emplace(opened.socket, opened.verdict);
  } else if (head.kind == SONDE_KIND_SOCKET_CLOSED && size >= sizeof(sonde_socket_closed)) {
    const auto& closed = *static_cast<const sonde_socket_closed*>(data);
    verdicts_->free(closed.verdict, closed.socket);
  }
}

// Gives roles and marks what is older than the tap.
void Socket::find_existing()
{
  const auto link = bpf::Link::attach_iterator(skeleton_->progs.socket_find, -1);
  const auto done = link ? bpf::run_iterator(*link) : Result<>(Failure(link.error()));
  host_.hooks.report("socket",
                     "iter/task_file",
                     done.has_value(),
                     done ? "" : done.error().message() + ": roles of older sockets are guessed");
}

void Socket::look_around()
{
  find_ended();
  connections_->end_orphans([](std::uint32_t tgid) {
    return ::kill(static_cast<pid_t>(tgid), 0) == 0 || errno == EPERM;
  });
  if (survey_wanted_.exchange(false, std::memory_order_relaxed))
    connections_->survey();
}

// What the kernel no longer keeps has been closed. The list is made after the rings were emptied,
// so a socket that is not in it cannot have records to come; on a node too busy for that next time.
void Socket::find_ended()
{
  if (unix_sockets_.empty() || !alive_)
    return;
  constexpr int kLooks = 11;
  if (!ring_->drain(kLooks))
    return;
  const UniqueFd iterator(bpf_iter_create(alive_.fd()));
  if (!iterator)
    return;
  std::unordered_set<std::uint64_t> alive;
  std::array<std::uint64_t, 512> ids{};
  for (;;) {
    const auto n = ::read(iterator.get(), ids.data(), sizeof ids);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
      continue;
    if (n < 0)
      return;
    if (n == 0)
      break;
    alive.insert(ids.begin(), ids.begin() + n / 8);
  }
  for (auto socket = unix_sockets_.begin(); socket != unix_sockets_.end();) {
    if (alive.contains(socket->first)) {
      ++socket;
      continue;
    }
    connections_->closed({.record = {.family = host_.family,
                                     .kind = SONDE_KIND_SOCKET_CLOSED,
                                     .size = sizeof(sonde_socket_closed),
                                     .cpu = 0,
                                     .ktime_ns = monotonic_ns()},
                          .socket = socket->first,
                          .how = SONDE_SOCKET_CLOSED_HERE,
                          .verdict = socket->second});
    verdicts_->free(socket->second, socket->first);
    socket = unix_sockets_.erase(socket);
  }
}

std::uint64_t Socket::events() const
{
  const auto row = counters();
  return row.calls[SONDE_SOCKET_SENT] + row.calls[SONDE_SOCKET_RECEIVED];
}

std::vector<Loss> Socket::losses() const
{
  const auto row = counters();
  const auto counts = connections_->counts();
  return {{"capture_ring_full", row.lost_ring},
          {"unreadable", row.unreadable},
          {"shortened", row.shortened},
          {"fault", row.faults},
          {"no_storage", row.no_storage},
          {"bytes", counts.lost_bytes},
          {"unknown_socket", counts.unknown},
          {"too_many_sockets", counts.overflow},
          {"malformed", counts.malformed}};
}

// The agent's own sends are counted and go no further.
Result<> Socket::self_check()
{
  const auto before = counters().calls[SONDE_SOCKET_SENT];
  std::array<int, 2> pair{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0)
    return fail(errno, "socket: socketpair");
  const UniqueFd one(pair[0]);
  const UniqueFd other(pair[1]);
  if (::write(one.get(), "", 1) != 1)
    return fail(errno, "socket: write");
  return counters().calls[SONDE_SOCKET_SENT] > before ? Result<>()
                                                      : fail("socket: a send was not seen");
}

Result<std::unique_ptr<Probe>> start(Host& host)
{
  const auto source = SONDE_TRY(choose_source(host.settings.text("socket.source")));
  auto skeleton = SONDE_TRY(Skeleton::open());
  SONDE_TRY(host.maps.share_with(skeleton->obj));
  skeleton->rodata->sonde_family = host.family;
  choose_programs(*skeleton.operator->(), source);
  Rings::prepare(
      *skeleton.operator->(), host.maps.cpus(), ring_bytes(host.settings, host.maps));
  SONDE_TRY(skeleton.load());
  auto probe = std::make_unique<Socket>(host, std::move(skeleton));
  SONDE_TRY(probe->connect());
  SONDE_TRY(probe->attach(source));
  return probe;
}

}  // namespace

extern const Family family{.name = "socket",
                           .start = &start,
                           .metrics = protocols::kConnectionMetrics,
                           .settings = kSettings};

}  // namespace sonde::socket
