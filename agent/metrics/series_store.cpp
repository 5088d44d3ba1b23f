// SPDX-License-Identifier: Apache-2.0
#include "agent/metrics/series_store.hpp"

#include <algorithm>
#include <cstring>

#include "agent/base/text.hpp"
#include "agent/metrics/labels.hpp"
#include "agent/metrics/series_hash.hpp"

namespace sonde::metrics {

namespace {

constexpr std::size_t kMaxValues = 8;
constexpr std::uint64_t kHigh = 0x8080808080808080U;

// As it is printed but for escapes, which are one to one: two values that print alike are one.
bool is_canonical(std::string_view value)
{
  if (value.size() > kMaxLabelBytes)
    return false;
  std::uint64_t seen = 0;
  const char* at = value.data();
  auto left = value.size();
  for (; left >= 8; left -= 8, at += 8)
    seen |= load(at, 8);
  if (left > 0)
    seen |= load(at, left);
  return (seen & kHigh) == 0;
}

// Exactly as many values as the family has labels, each canonical. Allocates only for values that
// are not plain ASCII or too long.
class Canonical {
public:
  Canonical(SeriesStore::Values values, std::size_t wanted) : count_(wanted)
  {
    for (std::size_t i = 0; i < std::min(wanted, values.size()); ++i) {
      values_.at(i) = values[i];
      if (!is_canonical(values[i]))
        values_.at(i) = repaired_.emplace_back(valid_utf8(values[i], kMaxLabelBytes));
    }
  }

  SeriesStore::Values get() const { return {values_.data(), count_}; }

private:
  std::size_t count_;
  std::array<std::string_view, kMaxValues> values_{};
  std::deque<std::string>& repaired_ = cleared();

  static std::deque<std::string>& cleared()
  {
    static thread_local std::deque<std::string> texts;
    texts.clear();
    return texts;
  }
};

bool is_key(std::string_view key, SeriesStore::Values values)
{
  for (const auto value : values) {
    if (key.size() < value.size() + 1 || static_cast<unsigned char>(key[0]) != value.size() ||
        std::memcmp(key.data() + 1, value.data(), value.size()) != 0)
      return false;
    key.remove_prefix(value.size() + 1);
  }
  return key.empty();
}

// One writer: no read-modify-write is needed.
void add(std::atomic<std::uint64_t>& word, std::uint64_t n)
{
  word.store(word.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
}

std::size_t count_words(std::string_view names)
{
  std::size_t count = 0;
  while (!take_word(names).empty())
    ++count;
  return count;
}

constexpr std::array<std::string_view, kMaxValues> kOthers = {
    "other", "other", "other", "other", "other", "other", "other", "other"};

}  // namespace

SeriesStore::SeriesStore(const Limits& limits, Bounds durations, Bounds sizes)
    : limits_(limits), durations_(std::move(durations)), sizes_(std::move(sizes)), table_(1024)
{
}

SeriesStore::Family& SeriesStore::family(const Desc& desc)
{
  const auto at = mix(reinterpret_cast<std::uintptr_t>(&desc), 0x9e3779b97f4a7c15U);
  for (std::size_t i = 0; i < by_desc_.size(); ++i) {
    auto& [known, family] = by_desc_[(at + i) % by_desc_.size()];
    if (known == &desc)
      return *family;
    if (known == nullptr) {
      known = &desc;
      family = &new_family(desc);
      return *family;
    }
  }
  return new_family(desc);  // more descriptions than slots: found by name each time
}

SeriesStore::Family& SeriesStore::new_family(const Desc& desc)
{
  for (auto& family : families_)
    if (family.desc->name == desc.name)
      return family;
  const std::scoped_lock lock(mutex_);
  auto& family = families_.emplace_back();
  family.desc = &desc;
  family.bounds = nullptr;
  family.words = family.lines = 1;
  const auto labels = count_words(desc.labels);
  family.values = std::min(labels > 0 ? labels - 1 : 0, kMaxValues);
  if (desc.type == Type::kHistogram) {
    family.bounds = desc.name.ends_with("_bytes") ? &sizes_ : &durations_;
    std::ranges::copy(family.bounds->padded(), family.padded.begin());
    family.words = family.bounds->buckets() + 1;
    family.lines = family.bounds->buckets() + 2;
  }
  return family;
}

void SeriesStore::count(const Desc& desc, const SeriesOwner& owner, Values values, std::uint64_t n)
{
  add(series(desc, owner, values).values[0], n);
}

void SeriesStore::observe(const Desc& desc,
                          const SeriesOwner& owner,
                          Values values,
                          std::uint64_t value)
{
  auto& one = series(desc, owner, values);
  if (one.family->bounds == nullptr)
    return;
  const auto last = one.family->words - 1;
  const auto bucket =
      std::min<std::size_t>(sonde_bucket(one.family->padded.data(), value), last - 1);
  add(one.values[bucket], 1);
  add(one.values[last], value);
}

void SeriesStore::merge(const Desc& desc,
                        const SeriesOwner& owner,
                        Values values,
                        std::span<const std::uint64_t> buckets,
                        std::uint64_t sum)
{
  auto& one = series(desc, owner, values);
  if (one.family->bounds == nullptr)
    return;
  const auto last = one.family->words - 1;
  for (std::size_t i = 0; i < buckets.size(); ++i)
    if (buckets[i] > 0)
      add(one.values[std::min(i, last - 1)], buckets[i]);
  add(one.values[last], sum);
}

SeriesStore::Level SeriesStore::level(const Desc& desc, const SeriesOwner& owner, Values values)
{
  const auto& one = series(desc, owner, values);
  return {one.index, one.serial};
}

void SeriesStore::adjust(const Level& level, std::int64_t by)
{
  if (level.series < pool_.size() && pool_[level.series].serial == level.serial)
    add(pool_[level.series].values[0], static_cast<std::uint64_t>(by));
}

SeriesStore::Series& SeriesStore::series(const Desc& desc, const SeriesOwner& owner, Values values)
{
  auto& of = family(desc);
  const Canonical canonical(values, of.values);
  if (auto* one = find_or_create(of, owner, canonical.get(), Room::kAny))
    return *one;
  add(of.folded, 1);
  const auto others = Values(kOthers).first(of.values);
  if (auto* one = find_or_create(of, owner, others, Room::kOther))
    return *one;
  return *find_or_create(of, SeriesOwner{}, others, Room::kAlways);
}

SeriesStore::Series*
SeriesStore::find(std::uint64_t hash, const Family& family, std::uint32_t owner, Values values)
{
  for (auto at = hash & (table_.size() - 1);; at = (at + 1) & (table_.size() - 1)) {
    const auto& slot = table_[at];
    if (slot.series == 0)
      return nullptr;
    if (slot.hash != hash)
      continue;
    auto& one = pool_[slot.series - 1];
    if (one.family == &family && one.owner == owner && is_key(one.key, values))
      return &one;
  }
}

SeriesStore::Series*
SeriesStore::find_or_create(Family& family, const SeriesOwner& owner, Values values, Room room)
{
  const auto hash = hash_set(&family, owner.key(), values);
  if (auto* one = find(hash, family, owner.key(), values))
    return one;
  return has_room(family, room) ? &create(family, owner, values, hash) : nullptr;
}

bool SeriesStore::has_room(const Family& family, Room room) const
{
  if (room == Room::kAlways)
    return true;
  auto sets = family.bounds != nullptr ? limits_.histogram_sets : limits_.sets;
  auto lines = limits_.lines;
  if (room == Room::kAny) {
    sets -= sets / 5;
    lines -= lines / 5;
  }
  return family.series.size() < sets && lines_ + family.lines <= lines;
}

SeriesStore::Series&
SeriesStore::create(Family& family, const SeriesOwner& owner, Values values, std::uint64_t hash)
{
  std::string key;
  std::string labels(owner.labels);
  std::string_view names = family.desc->labels;
  std::size_t next = 0;
  for (auto name = take_word(names); !name.empty(); name = take_word(names)) {
    if (name == "service" || next >= values.size())
      continue;
    const auto value = values[next++];
    key += static_cast<char>(value.size());
    key += value;
    labels.append(labels.empty() ? "" : ",").append(name).append("=\"");
    append_escaped(labels, value, kMaxLabelBytes);
    labels += '"';
  }

  const std::scoped_lock lock(mutex_);
  if (free_.empty()) {
    free_.push_back(static_cast<std::uint32_t>(pool_.size()));
    pool_.emplace_back().index = free_.back();
  }
  const auto index = free_.back();
  free_.pop_back();
  auto& one = pool_[index];
  one.family = &family;
  one.owner = owner.key();
  one.key = std::move(key);
  one.labels = std::move(labels);
  one.values = std::make_unique<std::atomic<std::uint64_t>[]>(family.words);
  family.series.push_back(index);
  lines_ += family.lines;
  if (++used_ * 2 > table_.size())
    rebuild(table_.size() * 2);
  else
    put(hash, index);
  return one;
}

void SeriesStore::put(std::uint64_t hash, std::uint32_t index)
{
  auto at = hash & (table_.size() - 1);
  while (table_[at].series != 0)
    at = (at + 1) & (table_.size() - 1);
  table_[at] = {hash, index + 1};
}

void SeriesStore::rebuild(std::size_t slots)
{
  table_.assign(slots, {});
  for (const auto& one : pool_) {
    if (one.family == nullptr)
      continue;
    std::array<std::string_view, kMaxValues> values{};
    std::size_t count = 0;
    for (std::string_view key = one.key; !key.empty(); ++count) {
      const auto size = static_cast<unsigned char>(key[0]);
      values.at(count) = key.substr(1, size);
      key.remove_prefix(std::size_t{size} + 1);
    }
    put(hash_set(one.family, one.owner, Values(values).first(count)), one.index);
  }
}

void SeriesStore::drop_slot(std::uint16_t slot)
{
  if (slot == 0)
    return;
  const std::scoped_lock lock(mutex_);
  for (auto& family : families_)
    std::erase_if(family.series, [&](std::uint32_t index) {
      auto& one = pool_[index];
      if (one.owner >> 16U != slot)
        return false;
      lines_ -= family.lines;
      --used_;
      one = {.index = index, .serial = one.serial + 1};
      free_.push_back(index);
      return true;
    });
  rebuild(table_.size());
}

void SeriesStore::render(Exposition& out)
{
  std::size_t count = 0;
  {
    const std::scoped_lock lock(mutex_);
    count = families_.size();
  }
  for (std::size_t i = 0; i < count; ++i) {
    Family* family = nullptr;
    {
      const std::scoped_lock lock(mutex_);
      family = &families_[i];
    }
    render_family(*family, out);
  }
}

// Copies under the lock, which the loop's thread takes only when a series is born or dies, and
// renders after it.
void SeriesStore::render_family(Family& family, Exposition& out)
{
  std::string labels;
  std::vector<std::size_t> ends;
  std::vector<std::uint64_t> words;
  {
    const std::scoped_lock lock(mutex_);
    for (const auto index : family.series) {
      const auto& one = pool_[index];
      ends.push_back((labels += one.labels).size());
      for (std::size_t i = 0; i < family.words; ++i)
        words.push_back(one.values[i].load(std::memory_order_relaxed));
    }
  }
  if (ends.empty())
    return;
  out.begin(*family.desc);
  std::size_t start = 0;
  for (std::size_t i = 0; i < ends.size(); ++i) {
    const auto block = std::string_view(labels).substr(start, ends[i] - start);
    start = ends[i];
    const auto* value = &words[i * family.words];
    if (family.bounds != nullptr) {
      sonde_histogram counted{};
      std::copy_n(value, family.words - 1, std::begin(counted.buckets));
      counted.sum = value[family.words - 1];
      out.histogram({block}, *family.bounds, counted);
    } else if (family.desc->type == Type::kGauge) {
      out.sample({block}, std::uint64_t{static_cast<std::int64_t>(*value) < 0 ? 0 : *value});
    } else {
      out.sample({block}, *value);
    }
  }
  const auto folded = family.folded.load(std::memory_order_relaxed);
  out.fold(folded - family.folded_shown);
  family.folded_shown = folded;
}

}  // namespace sonde::metrics
