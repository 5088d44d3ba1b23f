// SPDX-License-Identifier: Apache-2.0
#include "agent/probes/go_http_counts.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "agent/base/unique_fd.hpp"
#include "agent/bpf/map_batches.hpp"
#include "agent/probes/slot_ledger.hpp"
#include "agent/protocols/http_counted.hpp"
#include "agent/protocols/router_patterns.hpp"

namespace sonde::go_http {

namespace {

using protocols::Caller;
using protocols::Role;

constexpr std::array<std::string_view, SONDE_GO_METHODS> kMethods = {
    "other", "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE"};

std::string three_digits(std::uint16_t status)
{
  return fmt::format("{:03}", status % 1000);
}

http1::Distribution distribution(const sonde_histogram& histogram)
{
  static_assert(sizeof(__u64) == sizeof(std::uint64_t));
  return {.buckets = {reinterpret_cast<const std::uint64_t*>(histogram.buckets), SONDE_BUCKETS},
          .sum = histogram.sum};
}

// Calls back for each key with what was added since the last time that it answered true, on all
// CPUs.
template <typename Key, typename Value, typename Known, typename Callback>
void read_all(int map, unsigned cpus, Known& known, const Callback& callback)
{
  static_assert(sizeof(Value) % 8 == 0);
  std::vector<Value> values(cpus);
  Key key;
  for (Key* last = nullptr; bpf_map_get_next_key(map, last, &key) == 0; last = &key) {
    if (bpf_map_lookup_elem(map, &key, values.data()) != 0)
      continue;
    Value sum{};
    for (const auto& value : values)
      add_words(sum, value);
    auto& before = known[key];
    if (sum.requests == before.requests || callback(key, minus_words(sum, before)))
      before = sum;
  }
}

}  // namespace

std::string_view name_of_method(std::uint8_t method)
{
  return kMethods.at(method < kMethods.size() ? method : 0);
}

std::string pattern_of(const sonde_go_http_record& record)
{
  const auto length = std::min<std::size_t>(record.key.pattern_length, sizeof record.pattern);
  std::string text;
  constexpr std::size_t kCell = 64;
  if (record.key.prefix != 0)
    for (std::size_t at = 0; at + kCell < sizeof record.path; at += kCell) {
      std::string_view part(record.path + at, ::strnlen(record.path + at, kCell));
      if (part.ends_with("/*"))
        part.remove_suffix(2);
      text += part;
    }
  return text.append(record.pattern, length);
}

protocols::PatternStyle style_of(std::uint8_t router)
{
  switch (router) {
  case SONDE_GO_GIN:
  case SONDE_GO_ECHO:
    return protocols::PatternStyle::kColons;
  case SONDE_GO_CHI:
  case SONDE_GO_GORILLA:
    return protocols::PatternStyle::kBraces;
  case SONDE_GO_GORILLA_PREFIX:
    return protocols::PatternStyle::kPrefixes;
  default:
    return protocols::PatternStyle::kServeMux;
  }
}

Counts::Counts(int served, int called, int handling, int locals, unsigned cpus)
    : served_map_(served), called_map_(called), handling_map_(handling), cpus_(cpus), peers_(locals)
{
}

Counts::Pattern& Counts::pattern(const sonde_go_http_key& key)
{
  auto name = key;
  name.status = 0;
  name.method = 0;
  return patterns_[name];
}

void Counts::know(const sonde_go_http_record& record)
{
  auto& known = pattern(record.key);
  known = {.text = pattern_of(record), .slot = record.slot, .generation = record.generation};
}

void Counts::served(protocols::Connections& to,
                    const sonde_go_http_key& key,
                    const sonde_go_http_counts& fresh)
{
  auto& known = pattern(key);
  if (known.text.empty() && key.pattern_length > 0) {
    // Its record was lost.
    std::string text(std::min<std::size_t>(key.pattern_length, SONDE_GO_PATTERN), '\0');
    const UniqueFd memory(
        ::open(fmt::format("/proc/{}/mem", key.tgid).c_str(), O_RDONLY | O_CLOEXEC));
    if (memory &&
        ::pread(memory.get(), text.data(), text.size(), static_cast<off_t>(key.pattern)) ==
            static_cast<ssize_t>(text.size()))
      known.text = std::move(text);
  }
  const Caller caller{.tgid = key.tgid, .slot = known.slot, .generation = known.generation};
  to.record(caller, Role::kServer, {}, [&](protocols::SeriesRecorder& recorder) {
    http1::record(
        http1::Served{
            .method = name_of_method(key.method),
            .route = known.text.empty() ? "other" : recorder.routed({}, known.text),
            .status = three_digits(key.status),
            .requests = fresh.requests,
            .durations = distribution(fresh.durations),
            .request_sizes = distribution(fresh.request_sizes),
            .response_sizes = distribution(fresh.response_sizes),
        },
        recorder);
  });
}

bool Counts::called(protocols::Connections& to,
                    const sonde_go_client_key& key,
                    const sonde_go_client_counts& fresh)
{
  const auto peer = peers_.name(to, key.tgid, key.peer, key.peer_length, gone_.contains(key.tgid));
  if (!peer) {
    waits_ = true;
    return false;
  }
  const Caller caller{.tgid = key.tgid, .slot = key.slot, .generation = key.generation};
  to.record(caller, Role::kClient, *peer, [&](protocols::SeriesRecorder& recorder) {
    http1::record(http1::Called{.method = name_of_method(key.method),
                                .status = three_digits(key.status),
                                .requests = fresh.requests,
                                .durations = distribution(fresh.durations)},
                  recorder);
  });
  return true;
}

void Counts::flush(protocols::Connections& to)
{
  waits_ = false;
  read_all<sonde_go_http_key, sonde_go_http_counts>(
      served_map_, cpus_, served_, [&](const auto& key, const auto& fresh) {
        served(to, key, fresh);
        return true;
      });
  read_all<sonde_go_client_key, sonde_go_client_counts>(
      called_map_, cpus_, called_, [&](const auto& key, const auto& fresh) {
        return called(to, key, fresh);
      });
  if (!gone_.empty())
    forget_gone();
}

void Counts::forget_gone()
{
  const auto is_gone = [&](const auto& entry) { return gone_.contains(entry.first.tgid); };
  for (const auto& [key, value] : served_)
    if (gone_.contains(key.tgid))
      bpf_map_delete_elem(served_map_, &key);
  for (const auto& [key, value] : called_)
    if (gone_.contains(key.tgid))
      bpf_map_delete_elem(called_map_, &key);
  std::erase_if(served_, is_gone);
  std::erase_if(called_, is_gone);
  std::erase_if(patterns_, is_gone);
  peers_.forget(gone_);
  for (const auto& routine : bpf::keys_of<sonde_go_routine>(handling_map_))
    if (gone_.contains(routine.tgid))
      bpf_map_delete_elem(handling_map_, &routine);
  gone_.clear();
}

}  // namespace sonde::go_http
