// SPDX-License-Identifier: Apache-2.0
#include "tests/support/socket_tap.hpp"

#include <algorithm>
#include <cstring>

#include "socket.skel.h"

#include "agent/bpf/ring.hpp"
#include "agent/bpf/skeleton.hpp"
#include "agent/probes/socket_programs.hpp"

namespace sonde::testing {

struct SocketTap::Programs {
  NodeFixture& node;
  bpf::Skeleton<socket_bpf> skeleton;
  std::vector<bpf::Link> links = {};
  bpf::Rows<sonde_socket_row> rows = {};
  bpf::Mapping verdicts = {};
  socket::Rings rings = {};
  std::unique_ptr<bpf::Ring> ring = {};
};

SocketTap::SocketTap() = default;

SocketTap::~SocketTap()
{
  programs_->links.clear();
  programs_->node.on_loop([this] { programs_->ring.reset(); });
}

Result<std::unique_ptr<SocketTap>> SocketTap::start(NodeFixture& node, const std::string& source)
{
  const auto chosen = SONDE_TRY(socket::choose_source(source));
  auto skeleton = SONDE_TRY(bpf::Skeleton<socket_bpf>::open());
  SONDE_TRY(node.maps().share_with(skeleton->obj));
  socket::choose_programs(*skeleton.operator->(), chosen);
  socket::Rings::prepare(*skeleton.operator->(), node.maps().cpus(), 64U << 20);
  SONDE_TRY(skeleton.load());
  std::unique_ptr<SocketTap> tap(new SocketTap());
  tap->programs_.reset(new Programs{node, std::move(skeleton)});
  auto& programs = *tap->programs_;
  programs.rows = SONDE_TRY(bpf::Rows<sonde_socket_row>::create(
      bpf_map__fd(programs.skeleton->maps.socket_rows), node.maps().cpus(), 1));
  programs.verdicts =
      SONDE_TRY(bpf::Mapping::create(bpf_map__fd(programs.skeleton->maps.socket_verdicts),
                                     sizeof(sonde_socket_verdict) * SONDE_SOCKET_VERDICTS,
                                     true));
  programs.rings = SONDE_TRY(socket::Rings::create(*programs.skeleton.operator->()));
  Result<> opened;
  node.on_loop([&] {
    auto ring = bpf::Ring::open(
        programs.rings.fds(),
        node.loop(),
        [self = tap.get()](void* data, std::size_t size) { self->on_record(data, size); },
        [](bool) {});
    if (ring)
      programs.ring = *std::move(ring);
    else
      opened = Failure(ring.error());
  });
  SONDE_TRY(std::move(opened));
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, programs.skeleton->obj)
  {
    if (!bpf_program__autoload(program) ||
        std::string_view(bpf_program__section_name(program)).starts_with("iter/"))
      continue;
    programs.links.push_back(SONDE_TRY(bpf::Link::attach(program)));
  }
  const auto find = SONDE_TRY(bpf::Link::attach_iterator(programs.skeleton->progs.socket_find, -1));
  SONDE_TRY(bpf::run_iterator(find));
  return tap;
}

// The wish with what is to be skipped counted as the kernel counts.
static std::uint64_t placed(std::uint64_t wish, std::uint32_t first)
{
  const bool skips = (wish >> 35U & 1U) != 0;
  return skips ? wish >> 32U << 32U | (static_cast<std::uint32_t>(wish) + first) : wish;
}

void SocketTap::wish(sonde_socket_direction direction, std::uint64_t wish)
{
  const std::scoped_lock lock(mutex_);
  wishes_[direction] = wish;
}

void SocketTap::place(const sonde_socket_bytes& record)
{
  const auto known = sockets_.find(record.socket);
  if (known == sockets_.end())
    return;
  auto& socket = known->second;
  auto& stream = socket.stream[record.direction];
  socket.spoke_after_close = socket.spoke_after_close || socket.closed;
  if ((record.flags & SONDE_SOCKET_END) != 0)
    stream.ended = true;
  if (record.covered == 0)
    return;
  stream.calls += (record.flags & SONDE_SOCKET_STARTS_CALL) != 0 ? 1 : 0;
  stream.unreadable += (record.flags & SONDE_SOCKET_UNREADABLE) != 0 ? 1 : 0;
  const std::uint32_t offset = record.position - socket.opened.position[record.direction];
  stream.overlaps += offset < stream.end ? 1 : 0;
  stream.covered += record.covered;
  stream.captured += record.captured;
  stream.end = std::max<std::uint64_t>(stream.end, std::uint64_t{offset} + record.covered);
  if (stream.bytes.size() < std::size_t{offset} + record.captured)
    stream.bytes.resize(std::size_t{offset} + record.captured);
  std::memcpy(stream.bytes.data() + offset, &record + 1, record.captured);
}

void SocketTap::on_record(void* data, std::size_t)
{
  const std::scoped_lock lock(mutex_);
  switch (const auto& head = *static_cast<const sonde_record*>(data); head.kind) {
  case SONDE_KIND_SOCKET_OPENED: {
    const auto& opened = *static_cast<const sonde_socket_opened*>(data);
    sockets_[opened.socket].opened = opened;
    auto& verdict = static_cast<volatile sonde_socket_verdict*>(
        programs_->verdicts.data())[opened.verdict % SONDE_SOCKET_VERDICTS];
    for (std::size_t i = 0; i < SONDE_SOCKET_DIRECTIONS; ++i)
      if (verdict.socket == opened.socket && wishes_[i])
        verdict.wish[i] = placed(*wishes_[i], opened.position[i]);
    break;
  }
  case SONDE_KIND_SOCKET_BYTES:
    place(*static_cast<const sonde_socket_bytes*>(data));
    break;
  case SONDE_KIND_SOCKET_CLOSED: {
    const auto& closed = *static_cast<const sonde_socket_closed*>(data);
    if (const auto known = sockets_.find(closed.socket); known != sockets_.end())
      known->second.closed = closed.how;
    break;
  }
  default:
    break;
  }
}

std::map<std::uint64_t, TappedSocket> SocketTap::sockets()
{
  programs_->node.on_loop([this] { programs_->ring->drain(100); });
  const std::scoped_lock lock(mutex_);
  return sockets_;
}

std::vector<TappedSocket> SocketTap::sockets_of(std::uint32_t tgid)
{
  std::vector<TappedSocket> found;
  for (auto& [id, socket] : sockets())
    if (socket.opened.tgid == tgid)
      found.push_back(std::move(socket));
  return found;
}

sonde_socket_row SocketTap::counters() const
{
  auto row = bpf::sum_rows(programs_->rows, 0);
  auto* counters = reinterpret_cast<__u64*>(&row);
  const auto* before = reinterpret_cast<const __u64*>(&before_);
  for (std::size_t i = 0; i < sizeof row / sizeof *counters; ++i)
    counters[i] -= before[i];
  return row;
}

void SocketTap::begin_anew()
{
  programs_->node.on_loop([this] { programs_->ring->drain(); });
  before_ = bpf::sum_rows(programs_->rows, 0);
  const std::scoped_lock lock(mutex_);
  sockets_.clear();
  std::ranges::fill(wishes_, std::nullopt);
}

}  // namespace sonde::testing
