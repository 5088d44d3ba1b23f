// SPDX-License-Identifier: Apache-2.0
#include "agent/protocols/recorder.hpp"

#include <algorithm>

namespace sonde::protocols {

namespace {

constexpr Setting kSettings[] = {
    {"requests.duration_bounds",
     SettingKind::kDurations,
     "50us 100us 250us 500us 1ms 2500us 5ms 10ms 25ms 50ms 100ms 500ms 2500ms 10s",
     "upper bounds of the durations of requests, at most 31"},
    {"requests.size_bounds",
     SettingKind::kIntegers,
     "64 256 1Ki 4Ki 16Ki 64Ki 256Ki 1Mi 4Mi 16Mi 64Mi",
     "upper bounds of the sizes of requests, responses and messages in bytes, at most 31"},
    {"requests.max_series",
     SettingKind::kInteger,
     "1000",
     "label sets of each request family, three tenths of it where it is a histogram; what finds no "
     "room is counted with the value other"},
    {"socket.max_connections",
     SettingKind::kInteger,
     "64Ki",
     "connections known at once; what comes beyond is counted and not decoded"},
};

std::span<const std::string_view> span_of(Recorder::Values values)
{
  return {values.begin(), values.size()};
}

}  // namespace

void SeriesRecorder::count(const metrics::Desc& family, Values values, std::uint64_t n)
{
  store_.count(family, service_, span_of(values), n);
}

void SeriesRecorder::observe(const metrics::Desc& family, Values values, std::uint64_t value)
{
  store_.observe(family, service_, span_of(values), value);
}

void SeriesRecorder::merge(const metrics::Desc& family,
                           Values values,
                           std::span<const std::uint64_t> buckets,
                           std::uint64_t sum)
{
  store_.merge(family, service_, span_of(values), buckets, sum);
}

void SeriesRecorder::adjust(const metrics::Desc& family, Values values, std::int64_t by)
{
  const auto level = store_.level(family, service_, span_of(values));
  if (collecting_ == nullptr) {
    store_.adjust(level, by);
    return;
  }
  const auto known = std::ranges::find(*collecting_, level, &Raised::level);
  if (known != collecting_->end())
    known->by += by;
  else
    collecting_->push_back({level, by});
}

std::string_view SeriesRecorder::route(std::string_view method, std::string_view path)
{
  return route_ = routes_.route(service_, method, path);
}

std::string_view SeriesRecorder::routed(std::string_view path, std::string_view pattern)
{
  return route_ = routes_.routed(service_, path, pattern);
}

void SeriesRecorder::move_levels(const Protocol& protocol,
                                 const Activity& activity,
                                 RaisedLevels& raised)
{
  if (protocol.level == nullptr)
    return;
  collected_.clear();
  collecting_ = &collected_;
  protocol.level(activity, 1, *this);
  collecting_ = nullptr;
  for (const auto& now : collected_) {
    const auto before = std::ranges::find(raised, now.level, &Raised::level);
    store_.adjust(now.level, now.by - (before != raised.end() ? before->by : 0));
  }
  for (const auto& before : raised)
    if (std::ranges::find(collected_, before.level, &Raised::level) == collected_.end())
      store_.adjust(before.level, -before.by);
  raised.assign(collected_.begin(), collected_.end());
}

void SeriesRecorder::settle_levels(RaisedLevels& raised)
{
  for (const auto& before : raised)
    store_.adjust(before.level, -before.by);
  raised.clear();
}

std::span<const Setting> request_settings()
{
  return kSettings;
}

Result<RequestBounds> request_bounds(const Settings& settings)
{
  const auto bounds = [&](std::string_view key, const auto& list, auto number, double unit) {
    std::vector<std::uint64_t> values;
    for (const auto& value : list)
      values.push_back(static_cast<std::uint64_t>(number(value)));
    return in(metrics::Bounds::create(values, unit), key);
  };
  constexpr std::string_view kDurations = "requests.duration_bounds";
  constexpr std::string_view kSizes = "requests.size_bounds";
  return RequestBounds{
      .durations = SONDE_TRY(bounds(
          kDurations,
          settings.durations(kDurations),
          [](std::chrono::nanoseconds value) { return value.count(); },
          1e-9)),
      .sizes = SONDE_TRY(
          bounds(kSizes, settings.integers(kSizes), [](std::int64_t value) { return value; }, 1))};
}

metrics::SeriesStore::Limits request_limits(const Settings& settings)
{
  const auto sets =
      static_cast<std::size_t>(std::max<std::int64_t>(settings.integer("requests.max_series"), 10));
  return {.sets = sets, .histogram_sets = std::max<std::size_t>(sets * 3 / 10, 5)};
}

}  // namespace sonde::protocols
