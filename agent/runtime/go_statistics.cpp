// SPDX-License-Identifier: Apache-2.0
#include "agent/runtime/go_statistics.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <span>
#include <utility>

namespace sonde::runtime {

namespace {

constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 47U;  // of an address space

// What class a small object is of, by size: the same in all versions of the table.
constexpr std::uint16_t kClassBytes[HeapStatsLayout::kClasses] = {
    0,     8,     16,    24,    32,    48,    64,    80,    96,    112,   128,   144,  160,   176,
    192,   208,   224,   240,   256,   288,   320,   352,   384,   416,   448,   480,  512,   576,
    640,   704,   768,   896,   1024,  1152,  1280,  1408,  1536,  1792,  2048,  2304, 2688,  3072,
    3200,  3456,  4096,  4864,  5376,  6144,  6528,  6784,  6912,  8192,  9472,  9728, 10240, 10880,
    12288, 13568, 14336, 16384, 18432, 19072, 20480, 21760, 24576, 27264, 28672, 32768};

// 0 where there is no such field.
template <typename T = std::uint64_t>
T at(std::span<const std::byte> bytes, std::uint32_t offset)
{
  T value{};
  if (std::uint64_t{offset} + sizeof value <= bytes.size())
    std::memcpy(&value, &bytes[offset], sizeof value);
  return value;
}

struct HeapStats {
  HeapStats(const HeapStatsLayout& layout, std::span<const std::uint64_t> words)
      : committed(words[0]), released(words[1]), in_heap(words[2]), in_stacks(words[3]),
        in_work_buffers(words[layout.in_work_buffers / 8]),
        in_pointer_bits(layout.in_pointer_bits == kNoField ? 0 : words[layout.in_pointer_bits / 8]),
        tiny(words[layout.tiny_allocs / 8])
  {
    for (std::size_t i = 0; i < HeapStatsLayout::kClasses; ++i) {
      const auto made = words[layout.small_allocs / 8 + i];
      const auto freed = words[layout.small_frees / 8 + i];
      allocs += made;
      frees += freed;
      alloc_bytes += made * kClassBytes[i];
      free_bytes += freed * kClassBytes[i];
    }
    // The bytes of large objects come before their number.
    allocs += words[layout.large_allocs / 8];
    frees += words[layout.large_frees / 8];
    alloc_bytes += words[layout.large_allocs / 8 - 1];
    free_bytes += words[layout.large_frees / 8 - 1];
  }

  std::uint64_t retained() const
  {
    return committed - in_stacks - in_work_buffers - in_pointer_bits;
  }

  std::uint64_t committed;
  std::uint64_t released;
  std::uint64_t in_heap;
  std::uint64_t in_stacks;
  std::uint64_t in_work_buffers;
  std::uint64_t in_pointer_bits;
  std::uint64_t tiny;
  std::uint64_t allocs = 0;
  std::uint64_t frees = 0;
  std::uint64_t alloc_bytes = 0;
  std::uint64_t free_bytes = 0;
};

// gcControllerState, by the names of its fields. Go 1.18 keeps its sums in the statistics alone.
struct Controller {
  Controller(const ControllerLayout& layout,
             std::span<const std::byte> bytes,
             const HeapStats& stats)
      : gc_percent(at<std::int32_t>(bytes, layout.gc_percent)),
        heap_goal(at(bytes, layout.heap_goal)), sweep_trigger(at(bytes, layout.sweep_trigger)),
        heap_marked(at(bytes, layout.heap_marked)), heap_in_use(stats.in_heap),
        heap_released(stats.released), heap_free(stats.retained() - stats.in_heap),
        total_alloc(stats.alloc_bytes), total_free(stats.free_bytes)
  {
    if (!layout.has_sums())
      return;
    memory_limit = at<std::int64_t>(bytes, layout.memory_limit);
    triggered = at(bytes, layout.triggered);
    heap_in_use = at(bytes, layout.heap_in_use);
    heap_released = at(bytes, layout.heap_released);
    heap_free = at(bytes, layout.heap_free);
    total_alloc = at(bytes, layout.total_alloc);
    total_free = at(bytes, layout.total_free);
    mapped_ready = at(bytes, layout.mapped_ready);
  }

  std::int32_t gc_percent;
  std::int64_t memory_limit = std::numeric_limits<std::int64_t>::max();
  std::uint64_t heap_goal;
  std::uint64_t sweep_trigger;
  std::uint64_t triggered = ~std::uint64_t{0};
  std::uint64_t heap_marked;
  std::uint64_t heap_in_use;
  std::uint64_t heap_released;
  std::uint64_t heap_free;
  std::uint64_t total_alloc;
  std::uint64_t total_free;
  std::uint64_t mapped_ready = 0;
};

std::uint64_t difference(std::uint64_t a, std::uint64_t b)
{
  return a > b ? a - b : 0;
}

// runtime.gcControllerState.memoryLimitHeapGoal().
std::uint64_t limit_goal(const Controller& controller)
{
  constexpr std::uint64_t kLeastHeadroom = 1 << 20U;
  const auto limit = static_cast<std::uint64_t>(std::max<std::int64_t>(controller.memory_limit, 0));
  const auto ready = controller.mapped_ready;
  const auto heap_alloc = difference(controller.total_alloc, controller.total_free);
  const auto other = difference(ready, controller.heap_free + heap_alloc);
  const auto overage = difference(ready, limit);
  if (other + overage >= limit)
    return controller.heap_marked;
  auto goal = limit - (other + overage);
  const auto headroom = std::max(goal / 100 * 3, kLeastHeadroom);
  goal = goal < headroom || goal - headroom < headroom ? headroom : goal - headroom;
  return std::max(goal, controller.heap_marked);
}

// runtime.gcControllerState.heapGoal().
std::uint64_t heap_goal(const Controller& controller)
{
  constexpr std::uint64_t kLeastRunway = 64 << 10U;
  if (const auto limited = limit_goal(controller); limited < controller.heap_goal)
    return limited;
  auto goal = std::max(controller.heap_goal, controller.sweep_trigger);
  if (controller.triggered != ~std::uint64_t{0})
    goal = std::max(goal, controller.triggered + kLeastRunway);
  return goal;
}

// debug.ReadGCStats()' PauseQuantiles.
std::array<std::uint64_t, 5> quantiles(const MemstatsLayout& layout, const GoRaw& raw)
{
  std::array<std::uint64_t, 5> found{};
  auto pauses = at<std::array<std::uint64_t, MemstatsLayout::kPauses>>(
      raw.memstats, layout.pauses - layout.stacks_sys);
  const auto known = std::min<std::size_t>(raw.num_gc, pauses.size());
  if (known == 0)
    return found;
  std::sort(pauses.begin(), pauses.begin() + static_cast<std::ptrdiff_t>(known));
  for (std::size_t i = 0; i < found.size(); ++i)
    found[i] = pauses[std::min(known * i / (found.size() - 1), known - 1)];
  return found;
}

// Nearly: parts of a sum are changed one after the other, and a thread may be preempted in between.
// The heap grows by 4 MiB at least.
bool agree(std::uint64_t a, std::uint64_t b)
{
  constexpr std::uint64_t kSlack = 8U << 20U;
  return a < kMostBytes && b < kMostBytes &&
         std::max(a, b) - std::min(a, b) <= std::max(a, b) / 8 + kSlack;
}

// What readmemstats_m() checks in the runtime's own tests.
bool plausible(const Controller& controller, const HeapStats& stats)
{
  const auto alloc = difference(controller.total_alloc, controller.total_free);
  return agree(stats.in_heap, controller.heap_in_use) &&
         agree(stats.released, controller.heap_released) &&
         agree(stats.retained(), controller.heap_in_use + controller.heap_free) &&
         agree(std::max(alloc, controller.heap_in_use), controller.heap_in_use) &&
         stats.in_stacks < kMostBytes && stats.in_work_buffers < kMostBytes;
}

}  // namespace

std::expected<GoSample, GoAbsence> go_sample(const GoLayout& layout, GoRaw raw)
{
  const HeapStats stats(layout.heap_stats, raw.heap_stats);
  const Controller controller(layout.controller, raw.controller, stats);
  if (!plausible(controller, stats))
    return std::unexpected(GoAbsence::kImplausible);
  const auto& fields = layout.memstats;
  const auto memstats = [&](std::uint32_t field) {
    return at(raw.memstats, field - fields.stacks_sys);
  };
  GoSample sample;
  sample.goroutines = raw.goroutines;
  sample.threads = raw.threads;
  sample.processors = raw.processors;
  sample.gc_percent = controller.gc_percent;
  sample.memory_limit = controller.memory_limit;

  sample.heap_alloc = difference(controller.total_alloc, controller.total_free);
  sample.total_alloc = controller.total_alloc;
  // The runtime counts a tiny allocation both as made and as freed.
  sample.mallocs = stats.allocs + stats.tiny;
  sample.frees = stats.frees + stats.tiny;
  sample.heap_objects = difference(sample.mallocs, sample.frees);
  sample.heap_in_use = controller.heap_in_use;
  sample.heap_released = controller.heap_released;
  sample.heap_idle = controller.heap_free + controller.heap_released;
  sample.heap_sys = sample.heap_in_use + sample.heap_idle;
  sample.stack_in_use = stats.in_stacks;
  sample.stack_sys = stats.in_stacks + memstats(fields.stacks_sys);
  sample.mspan_in_use = raw.spans_in_use;
  sample.mspan_sys = memstats(fields.mspan_sys);
  sample.mcache_in_use = raw.caches_in_use;
  sample.mcache_sys = memstats(fields.mcache_sys);
  sample.buck_hash_sys = memstats(fields.buck_hash_sys);
  sample.gc_sys = memstats(fields.gc_misc_sys) + stats.in_work_buffers + stats.in_pointer_bits;
  sample.other_sys = memstats(fields.other_sys);
  sample.sys = sample.heap_sys + sample.stack_sys + sample.mspan_sys + sample.mcache_sys +
               sample.buck_hash_sys + sample.gc_sys + sample.other_sys;
  sample.next_gc = heap_goal(controller);
  sample.last_gc_ns = memstats(fields.last_gc);
  sample.num_gc = raw.num_gc;
  sample.pause_total_ns = memstats(fields.pause_total);
  sample.pause_quantiles_ns = quantiles(fields, raw);

  sample.latencies = std::move(raw.latencies);
  sample.gc_pauses = std::move(raw.gc_pauses);
  sample.gc_stopping = std::move(raw.gc_stopping);
  sample.other_pauses = std::move(raw.other_pauses);
  sample.other_stopping = std::move(raw.other_stopping);
  return sample;
}

}  // namespace sonde::runtime
