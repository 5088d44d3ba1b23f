// SPDX-License-Identifier: Apache-2.0
// Values by label set, bounded: what requests become. One thread (the event loop's) writes, one
// renders; a hit is one look-up without lock or allocation.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/metrics/bounds.hpp"
#include "agent/metrics/desc.hpp"
#include "agent/metrics/exposition.hpp"

namespace sonde::metrics {

// A service as a key; `labels` is its rendered block, read only when a series is created.
struct SeriesOwner {
  std::uint16_t slot = 0;
  std::uint16_t generation = 0;
  std::string_view labels = R"(service="other")";

  std::uint32_t key() const { return std::uint32_t{slot} << 16U | generation; }
};

class SeriesStore {
public:
  using Values = std::span<const std::string_view>;

  // Of each family, the last fifth is kept for series whose values are `other`, one a service; once
  // that is full too, everything new goes to service="other" with all values `other`.
  struct Limits {
    // One runaway label must not starve the others: 300 histograms of 14 bounds are 5,100 lines, an
    // eighth of a scrape of 40,000.
    std::size_t sets = 1000;
    std::size_t histogram_sets = 300;
    // Of all families together; see limit_lines().
    std::size_t lines = 20'000;
  };

  // A gauge's series; stays harmless when the series is gone.
  struct Level {
    std::uint32_t series = 0;
    std::uint32_t serial = 0;

    bool operator==(const Level&) const = default;
  };

  // `durations` for families in seconds, `sizes` for families in bytes.
  SeriesStore(const Limits& limits, Bounds durations, Bounds sizes);
  SeriesStore(const SeriesStore&) = delete;
  SeriesStore& operator=(const SeriesStore&) = delete;

  // `values` in the order of Desc::labels without `service`. A family is known by its name.
  void count(const Desc& desc, const SeriesOwner& owner, Values values, std::uint64_t n);
  void observe(const Desc& desc, const SeriesOwner& owner, Values values, std::uint64_t value);
  // Values that were counted elsewhere by the same bounds; `buckets` not cumulative.
  void merge(const Desc& desc,
             const SeriesOwner& owner,
             Values values,
             std::span<const std::uint64_t> buckets,
             std::uint64_t sum);
  Level level(const Desc& desc, const SeriesOwner& owner, Values values);
  void adjust(const Level& level, std::int64_t by);

  // The service has expired: its series end. What `other` holds stays.
  void drop_slot(std::uint16_t slot);
  // What is left of a scrape's lines beside the other families. Series that exist stay.
  void limit_lines(std::size_t lines) { limits_.lines = lines; }

  std::size_t sets() const { return used_; }
  std::size_t lines() const { return lines_; }

  // The scraping thread: all families that have a series, and what was folded since the last time.
  void render(Exposition& out);

private:
  struct Family;
  struct Series {
    std::uint32_t index = 0;   // its place in the pool
    Family* family = nullptr;  // none: free
    std::uint32_t owner = 0;
    std::uint32_t serial = 1;  // of the pool's place
    std::string key;           // values, each with its length before it
    std::string labels;        // rendered
    std::unique_ptr<std::atomic<std::uint64_t>[]> values;
  };
  struct Family {
    const Desc* desc;
    const Bounds* bounds;  // of a histogram
    std::array<__u64, SONDE_BUCKETS> padded;
    std::size_t words;   // values of one series
    std::size_t lines;   // of one series
    std::size_t values;  // labels but the service
    std::vector<std::uint32_t> series;
    std::atomic<std::uint64_t> folded = 0;
    std::uint64_t folded_shown = 0;
  };
  struct Slot {
    std::uint64_t hash = 0;
    std::uint32_t series = 0;  // index + 1; 0: empty
  };
  enum class Room : std::uint8_t { kAny, kOther, kAlways };

  Family& family(const Desc& desc);
  Family& new_family(const Desc& desc);
  Series& series(const Desc& desc, const SeriesOwner& owner, Values values);
  Series* find(std::uint64_t hash, const Family& family, std::uint32_t owner, Values values);
  Series* find_or_create(Family& family, const SeriesOwner& owner, Values values, Room room);
  bool has_room(const Family& family, Room room) const;
  Series& create(Family& family, const SeriesOwner& owner, Values values, std::uint64_t hash);
  void put(std::uint64_t hash, std::uint32_t index);
  void rebuild(std::size_t slots);
  void render_family(Family& family, Exposition& out);

  Limits limits_;
  Bounds durations_;
  Bounds sizes_;
  std::array<std::pair<const Desc*, Family*>, 256> by_desc_{};
  std::vector<Slot> table_;
  std::vector<std::uint32_t> free_;
  std::size_t used_ = 0;
  std::size_t lines_ = 0;

  std::mutex mutex_;  // families and series come and go under it; values are read and added without
  std::deque<Family> families_;
  std::deque<Series> pool_;
};

}  // namespace sonde::metrics
