// SPDX-License-Identifier: Apache-2.0
// What the programs tell: requests that the kernel did not count, patterns, connections that begin.
#include <algorithm>
#include <cstring>
#include <fmt/format.h>

#include "agent/base/clock.hpp"
#include "agent/probes/go_http_probe.hpp"
#include "agent/protocols/http_counted.hpp"
#include "agent/protocols/router_patterns.hpp"

namespace sonde::go_http {

namespace {

using protocols::Caller;
using protocols::Role;

// Between two unknown paths that are worth a thought while nothing is learned.
constexpr std::uint64_t kAskNs = 100'000'000;

std::string_view text_of(const char* text, std::size_t length, std::size_t most)
{
  return {text, std::min(length, most)};
}

Caller caller_of(const sonde_go_http_record& record)
{
  return {.tgid = record.key.tgid, .slot = record.slot, .generation = record.generation};
}

}  // namespace

void GoHttp::on_record(const void* data, std::size_t size)
{
  const auto& head = *static_cast<const sonde_record*>(data);
  if (head.kind == SONDE_KIND_GO_HTTP_BEGINS && size >= sizeof(sonde_go_http_begins)) {
    begins(*static_cast<const sonde_go_http_begins*>(data));
  } else if (size >= SONDE_GO_SHORT_RECORD) {
    sonde_go_http_record record{};
    std::memcpy(&record, data, std::min(size, sizeof record));
    // Somebody is at work on an exchange: what is one itself has to wait.
    if (looking_ && (head.kind == SONDE_KIND_GO_HTTP_REQUEST))
      deferred_.push_back(record);
    else
      handle(record);
  }
}

void GoHttp::handle(const sonde_go_http_record& record)
{
  // The ring must not be emptied while it is.
  const bool outer = std::exchange(handling_, true);
  if (record.record.kind == SONDE_KIND_GO_HTTP_REQUEST) {
    count_one(record);
  } else {
    if ((record.flags & SONDE_GO_HTTP_LEARNING) == 0)
      counts_->know(record);
    learn(record);
  }
  handling_ = outer;
}

void GoHttp::learn(const sonde_go_http_record& record)
{
  auto* to = requests();
  if (to == nullptr)
    return;
  const auto owner = to->owner_of(caller_of(record));
  if (record.key.pattern_length == 0) {
    to->routes().unrouted(owner,
                          text_of(record.method, record.method_length, sizeof record.method),
                          text_of(record.path, record.path_length, sizeof record.path));
    return;
  }
  if (!to->routes().learn(owner, style_of(record.key.router), pattern_of(record)))
    return;
  new_pattern_ = true;
  if (const auto file = files_.find(record.binary); file != files_.end())
    file->second.parts.learned(monotonic_ns());
}

// One that the kernel did not count: without a pattern, or of a rare method, or it ended badly.
void GoHttp::count_one(const sonde_go_http_record& record)
{
  auto* to = requests();
  if (to == nullptr) {
    ++homeless_;
    return;
  }
  const auto path = text_of(record.path, record.path_length, sizeof record.path);
  const auto method = record.key.method != SONDE_GO_METHOD_OTHER
                          ? name_of_method(record.key.method)
                          : text_of(record.method, record.method_length, sizeof record.method);
  const auto status = fmt::format("{:03}", record.key.status % 1000);
  const bool known = (record.flags & SONDE_GO_HTTP_STALE) == 0;
  to->record(caller_of(record), Role::kServer, {}, [&](protocols::SeriesRecorder& recorder) {
    protocols::Exchange exchange{
        .operation = http1::known_method(method),
        .target = !known                          ? "other"
                  : record.key.pattern_length > 0 ? recorder.routed(path, pattern_of(record))
                                                  : recorder.route(method, path),
        .status = status,
        .end = (record.flags & SONDE_GO_HTTP_ABORTED) != 0 ? protocols::Exchange::End::kServerClosed
                                                           : protocols::Exchange::End::kComplete,
        .request_bytes = static_cast<std::uint64_t>(std::max<__s64>(record.request_bytes, 0)),
        .response_bytes = record.response_bytes,
        .sizes_known = (record.flags & SONDE_GO_HTTP_HIJACKED) == 0};
    if ((record.flags & SONDE_GO_HTTP_NO_START) == 0) {
      exchange.response_last_ns = record.record.ktime_ns;
      exchange.request_first_ns = record.record.ktime_ns - record.duration_ns;
    }
    http1::record_served(exchange, record.request_bytes >= 0, recorder);
  });
}

void GoHttp::begins(const sonde_go_http_begins& begins)
{
  const auto found = files_.find(begins.binary);
  if (found == files_.end())
    return;
  found->second.parts.begins(begins.flags, monotonic_ns());
  apply(found->first, found->second);
}

bool GoHttp::look_again(const metrics::SeriesOwner& service, bool unknown)
{
  const auto now = monotonic_ns();
  const bool learns = std::ranges::any_of(
      files_, [](const auto& file) { return file.second.parts.wanted(Part::kLearning); });
  if (looking_ || handling_ || (!learns && (!unknown || now < ask_after_ns_)))
    return false;
  ask_after_ns_ = now + kAskNs;
  looking_ = true;
  new_pattern_ = false;
  ring_->drain();
  looking_ = false;
  if (new_pattern_ || !unknown)
    return new_pattern_;
  for (auto& [number, file] : files_) {
    const bool has = std::ranges::any_of(file.processes, [&](std::uint32_t tgid) {
      return host_.services.slot_of(tgid) == service.slot;
    });
    if (has)
      file.parts.unknown_path(now);
  }
  return false;
}

}  // namespace sonde::go_http
