// SPDX-License-Identifier: Apache-2.0
#include "agent/probes/go_http_in_flight.hpp"

#include <cstring>
#include <map>

#include <bpf/bpf.h>

#include "agent/bpf/map_batches.hpp"

namespace sonde::go_http {

namespace {

template <typename T>
T head_of(std::span<const std::byte> value)
{
  T head;
  std::memcpy(&head, value.data(), sizeof head);
  return head;
}

}  // namespace

Result<InFlight> InFlight::create(int handling_map, int binaries_map, bool all)
{
  return InFlight(handling_map, binaries_map, all, SONDE_TRY(bpf::value_bytes(handling_map)));
}

bool InFlight::counts(const sonde_go_http_under_way& way) const
{
  sonde_go_http_binary binary{};
  return way.start_ns != 0 && (all_ || way.transport == SONDE_GO_TRANSPORT_COVERT) &&
         bpf_map_lookup_elem(binaries_, &way.binary, &binary) == 0 &&
         way.start_ns >= binary.since_ns;
}

void InFlight::look(protocols::Connections& to,
                    const std::function<bool(std::uint32_t binary)>& serves)
{
  std::map<std::uint32_t, std::uint32_t> now;  // by process
  bpf::for_each_in_batches<sonde_go_routine>(
      handling_, value_bytes_, [&](const sonde_go_routine& routine, auto value) {
        const auto way = head_of<sonde_go_http_under_way>(value);
        if (serves(way.binary) && counts(way))
          ++now[routine.tgid];
      });
  for (auto one = raised_.begin(); one != raised_.end();) {
    const bool over = !now.contains(one->first);
    if (over)
      to.level({.tgid = one->first}, "http1", {}, one->second);
    one = over ? raised_.erase(one) : std::next(one);
  }
  for (const auto& [tgid, requests] : now)
    to.level({.tgid = tgid}, "http1", {.in_flight = requests}, raised_[tgid]);
}

void forget_before(int requests_map, std::uint64_t before_ns)
{
  const auto bytes = bpf::value_bytes(requests_map);
  if (!bytes)
    return;
  bpf::for_each_in_batches<sonde_go_request>(
      requests_map, *bytes, [&](const sonde_go_request& request, auto value) {
        if (head_of<std::uint64_t>(value) < before_ns)
          bpf_map_delete_elem(requests_map, &request);
      });
}

}  // namespace sonde::go_http
