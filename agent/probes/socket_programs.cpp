// SPDX-License-Identifier: Apache-2.0
#include "agent/probes/socket_programs.hpp"

#include <algorithm>
#include <bit>

#include <bpf/bpf.h>

#include "socket.skel.h"

#include "agent/base/settings.hpp"
#include "agent/bpf/features.hpp"
#include "agent/bpf/shared_maps.hpp"

namespace sonde::socket {

std::string_view describe(Source source)
{
  switch (source) {
  case Source::kTracepoints:
    return "tracepoints";
  case Source::kTwice:
    return "tracepoints with two programs each";
  case Source::kFunctions:
    break;
  }
  return "functions";
}

Result<Source> choose_source(const std::string& wanted)
{
  const auto& kernel = bpf::Features::kernel();
  if (!kernel.has_function("bpf_sk_storage_get_tracing") ||
      !bpf::Features::has_helper(BPF_PROG_TYPE_KPROBE, BPF_FUNC_loop))
    return fail("this kernel has no socket storage (5.12) or no bpf_loop (5.17) for tracing "
                "programs: requests are not seen");
  const bool tracepoints =
      kernel.has_tracepoint("sock_send_length") && kernel.has_tracepoint("sock_recv_length");
  const bool twice = wanted == "twice" || (wanted == "auto" && kernel.preempts_programs());
  if (wanted == "tracepoints" || wanted == "twice" || (wanted == "auto" && tracepoints))
    return tracepoints ? Result<Source>(twice ? Source::kTwice : Source::kTracepoints)
                       : fail("this kernel has no tracepoint sock_send_length (6.3)");
  if (!kernel.has_fentry())
    return fail(tracepoints ? "this kernel refuses fentry programs"
                            : "this kernel has neither the tracepoint sock_send_length (6.3) nor "
                              "fentry programs: requests are not seen");
  return Source::kFunctions;
}

void choose_programs(socket_bpf& object, Source source)
{
  const auto& kernel = bpf::Features::kernel();
  const bool functions = source == Source::kFunctions;
  // The argument went away in 5.19: ec095263a965 "net: remove noblock parameter from recvmsg()".
  const bool nonblock = kernel.function_arguments("tcp_recvmsg") == 6;
  const auto& programs = object.progs;
  bpf_program__set_autoload(programs.socket_sent, !functions);
  bpf_program__set_autoload(programs.socket_received, !functions);
  const bool twice = source == Source::kTwice;
  bpf_program__set_autoload(programs.socket_sent_again, twice);
  bpf_program__set_autoload(programs.socket_received_again, twice);
  object.rodata->attached_twice = twice;
  bpf_program__set_autoload(programs.socket_tcp_sent, functions);
  bpf_program__set_autoload(programs.socket_tcp_received, functions);
  object.rodata->flags_are_fifth = nonblock;
  const bool mptcp = functions && kernel.has_function("mptcp_sendmsg");
  bpf_program__set_autoload(programs.socket_mptcp_sent, mptcp);
  bpf_program__set_autoload(programs.socket_mptcp_received, mptcp);
  const bool local = functions && kernel.has_function("unix_stream_sendmsg");
  bpf_program__set_autoload(programs.socket_unix_sent, local);
  bpf_program__set_autoload(programs.socket_unix_received, local);
}

std::uint64_t ring_bytes(const Settings& settings, const bpf::SharedMaps& maps)
{
  if (const auto bytes = settings.integer("socket.ring-bytes"); bytes > 0)
    return static_cast<std::uint64_t>(bytes);
  constexpr std::uint32_t kManyProcesses = 1'048'576;
  constexpr std::uint64_t kMiB = 1U << 20;
  return maps.pid_max() > kManyProcesses ? 4 * kMiB : 8 * kMiB;
}

std::uint32_t Rings::bytes_each(unsigned cpus, std::uint64_t bytes)
{
  // A record has up to 16 KiB.
  constexpr std::uint64_t kLeast = 1U << 17;
  constexpr std::uint64_t kMost = 1U << 30;
  return static_cast<std::uint32_t>(
      std::clamp(std::bit_floor(bytes / std::max(cpus, 1U)), kLeast, kMost));
}

void Rings::prepare(socket_bpf& object, unsigned cpus, std::uint64_t bytes)
{
  object.rodata->socket_ring_bytes = bytes_each(cpus, bytes);
  bpf_map__set_max_entries(object.maps.socket_rings, cpus);
}

Result<Rings> Rings::create(socket_bpf& object)
{
  Rings rings;
  const int outer = bpf_map__fd(object.maps.socket_rings);
  for (std::uint32_t cpu = 0; cpu < bpf_map__max_entries(object.maps.socket_rings); ++cpu) {
    UniqueFd ring(bpf_map_create(
        BPF_MAP_TYPE_RINGBUF, "socket_ring", 0, 0, object.rodata->socket_ring_bytes, nullptr));
    const int fd = ring.get();
    if (!ring || bpf_map_update_elem(outer, &cpu, &fd, BPF_ANY) != 0)
      return fail(errno, "create the ring of a CPU");
    rings.fds_.push_back(fd);
    rings.rings_.push_back(std::move(ring));
  }
  return rings;
}

}  // namespace sonde::socket
