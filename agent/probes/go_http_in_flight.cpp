// SPDX-License-Identifier: Apache-2.0
#include "agent/probes/go_http_in_flight.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <map>

#include <bpf/bpf.h>

namespace sonde::go_http {

namespace {

constexpr std::uint32_t kBatch = 64;

}  // namespace

Result<InFlight> InFlight::create(int handling_map, int binaries_map, bool all)
{
  bpf_map_info about{};
  std::uint32_t size = sizeof about;
  if (bpf_obj_get_info_by_fd(handling_map, &about, &size) != 0)
    return fail(errno, "go_http: the size of what goroutines handle");
  return InFlight(handling_map, binaries_map, all, about.value_size);
}

bool InFlight::counts(const sonde_go_http_under_way& way) const
{
  sonde_go_http_binary binary{};
  return way.start_ns != 0 && (all_ || way.encrypted != 0) &&
         bpf_map_lookup_elem(binaries_, &way.binary, &binary) == 0 &&
         way.start_ns >= binary.since_ns;
}

void InFlight::look(protocols::Connections& to,
                    const std::function<bool(std::uint32_t binary)>& serves)
{
  std::map<std::uint32_t, std::uint32_t> now;  // by process
  std::array<sonde_go_routine, kBatch> routines{};
  values_.resize(kBatch * value_bytes_);
  std::uint32_t at = 0;
  bool more = true;
  for (bool first = true; more; first = false) {
    std::uint32_t count = kBatch;
    more = bpf_map_lookup_batch(handling_,
                                first ? nullptr : &at,
                                &at,
                                routines.data(),
                                values_.data(),
                                &count,
                                nullptr) == 0;
    if (!more && errno != ENOENT)
      break;
    for (std::uint32_t i = 0; i < count; ++i) {
      sonde_go_http_under_way way;
      std::memcpy(&way, values_.data() + i * value_bytes_, sizeof way);
      if (serves(way.binary) && counts(way))
        ++now[routines.at(i).tgid];
    }
  }
  for (auto one = raised_.begin(); one != raised_.end();) {
    const bool over = !now.contains(one->first);
    if (over)
      to.level({.tgid = one->first}, "http1", {}, one->second);
    one = over ? raised_.erase(one) : std::next(one);
  }
  for (const auto& [tgid, requests] : now)
    to.level({.tgid = tgid}, "http1", {.in_flight = requests}, raised_[tgid]);
}

}  // namespace sonde::go_http
