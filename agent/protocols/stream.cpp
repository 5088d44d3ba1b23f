// SPDX-License-Identifier: Apache-2.0
#include "agent/protocols/stream.hpp"

#include <algorithm>

namespace sonde::protocols {

namespace {

Item bytes_of(const Chunk& chunk)
{
  return {.kind = Item::Kind::kBytes,
          .starts_call = chunk.starts_call,
          .time_ns = chunk.time_ns,
          .length = chunk.bytes.size(),
          .bytes = chunk.bytes};
}

}  // namespace

void Stream::take(const Chunk& given, Output& out, Counts& counts)
{
  Chunk chunk = given;
  chunk.bytes = chunk.bytes.substr(0, chunk.covered);
  const auto ahead = static_cast<std::int32_t>(chunk.position - wire_position(next_));
  const auto position = next_ + static_cast<std::uint64_t>(std::int64_t{ahead});
  if (ahead <= 0 || (held_ == nullptr && position <= unwanted_)) {
    pass(position, chunk.covered, bytes_of(chunk), out, counts);
    catch_up(out, counts);
    return;
  }
  hold(position, chunk);
  if (explained())
    place(out, counts, true);
  else if (held_->chunks.size() >= kMaxHeld || held_->bytes > kMaxHeldBytes)
    flush(out, counts);
}

// What was missing has come: held chunks that follow it go out.
void Stream::catch_up(Output& out, Counts& counts)
{
  while (held_ != nullptr) {
    if (explained()) {
      place(out, counts, true);
      return;
    }
    auto& chunks = held_->chunks;
    const auto first = std::ranges::min_element(chunks, {}, &Held::position);
    if (first->position > next_)
      return;
    const auto chunk = std::move(*first);
    held_->bytes -= chunk.kept.bytes.size();
    chunks.erase(first);
    if (chunks.empty())
      held_.reset();
    pass(chunk.position, chunk.covered, chunk.kept.get(), out, counts);
  }
}

// What lies before next_ has gone out already; what lies between is a hole.
void Stream::pass(
    std::uint64_t position, std::uint64_t covered, Item bytes, Output& out, Counts& counts)
{
  const auto end = position + covered;
  if (position < next_) {
    if (covered == 0)
      return;
    ++counts.duplicates;
    if (end <= next_)
      return;
    const auto known = next_ - position;
    bytes.bytes.remove_prefix(std::min<std::uint64_t>(known, bytes.bytes.size()));
    bytes.starts_call = false;
    position = next_;
  }
  Item hole{.kind = Item::Kind::kHole, .time_ns = bytes.time_ns};
  if (position > next_) {
    hole.length = position - next_;
    counts.lost_bytes += position - std::clamp(unwanted_, next_, position);
    next_ = position;
    out.item(hole);
  }
  bytes.length = bytes.bytes.size();
  next_ = end;
  if (bytes.length > 0)
    out.item(bytes);
  hole.length = end - position - bytes.length;
  if (hole.length > 0)
    out.item(hole);
}

void Stream::hold(std::uint64_t position, const Chunk& chunk)
{
  if (held_ == nullptr)
    held_ = std::make_unique<Waiting>();
  held_->chunks.push_back({position, chunk.covered, KeptItem(bytes_of(chunk))});
  held_->bytes += chunk.bytes.size();
}

// Two writers whose taps saw the same end of the stream both count back from it: their records
// overlap, and together they are as long as what is missing. A record that was late leaves no
// overlap, and the same sum.
bool Stream::explained() const
{
  std::uint64_t sum = 0;
  std::uint64_t end = next_;
  for (const auto& held : held_->chunks) {
    sum += held.covered;
    end = std::max(end, held.position + held.covered);
  }
  return next_ + sum == end;
}

void Stream::place(Output& out, Counts& counts, bool one_after_the_other)
{
  // Whoever is called from here may feed this stream no more, but may look at it.
  const auto held = std::move(held_);
  auto& chunks = held->chunks;
  auto sorted = chunks;
  std::ranges::stable_sort(sorted, {}, &Held::position);
  const bool overlap = std::ranges::adjacent_find(sorted, [](const Held& a, const Held& b) {
                         return a.position + a.covered > b.position;
                       }) != sorted.end();
  if (one_after_the_other && overlap) {
    for (const auto& chunk : chunks)
      pass(next_, chunk.covered, chunk.kept.get(), out, counts);
    return;
  }
  for (const auto& chunk : sorted)
    pass(chunk.position, chunk.covered, chunk.kept.get(), out, counts);
}

void Stream::flush(Output& out, Counts& counts)
{
  if (held_ != nullptr)
    place(out, counts, false);
}

void Stream::sweep(std::uint64_t now_ns, Output& out, Counts& counts)
{
  if (held_ != nullptr && held_->chunks.front().kept.item.time_ns + kPatienceNs <= now_ns)
    flush(out, counts);
}

void Stream::end(std::uint64_t time_ns, Output& out, Counts& counts)
{
  flush(out, counts);
  if (!ended_)
    out.item({.kind = Item::Kind::kEnd, .time_ns = time_ns});
  ended_ = true;
}

}  // namespace sonde::protocols
