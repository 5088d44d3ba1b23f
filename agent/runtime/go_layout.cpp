// SPDX-License-Identifier: Apache-2.0
#include "agent/runtime/go_layout.hpp"

#include <algorithm>
#include <iterator>

namespace sonde::runtime {

namespace {

constexpr ControllerLayout kController18 = {0,
                                            kNoField,
                                            104,
                                            kNoField,
                                            kNoField,
                                            168,
                                            kNoField,
                                            kNoField,
                                            kNoField,
                                            kNoField,
                                            kNoField,
                                            kNoField};
constexpr ControllerLayout kController19 = {0, 8, 104, 112, 120, 184, 304, 312, 320, 328, 336, 344};
constexpr ControllerLayout kController20 = {0, 8, 48, 56, 64, 128, 248, 256, 264, 272, 280, 288};
constexpr ControllerLayout kController21 = {0, 8, 72, 80, 88, 152, 272, 280, 288, 296, 304, 312};

constexpr HeapStatsLayout kHeapStats19 = {32, 40, 48, 64, 72, 624, 632};
constexpr HeapStatsLayout kHeapStats25 = {32, kNoField, 40, 56, 64, 616, 624};

constexpr MemstatsLayout kMemstats18 = {
    5960, 88, 104, 120, 128, 152, 160, 168, 176, 184, 4280, 4296, 9504};
constexpr MemstatsLayout kMemstats19 = {
    0, 3544, 3552, 3560, 3568, 3576, 3584, 3592, 3600, 3608, 7704, 7736, 7744};
constexpr MemstatsLayout kMemstats22 = {
    0, 3544, 3552, 3560, 3568, 3576, 3584, 3592, 3600, 3608, 7704, 7736, kNoField};
constexpr MemstatsLayout kMemstats25 = {
    0, 3520, 3528, 3536, 3544, 3552, 3560, 3568, 3576, 3584, 7680, 8256, kNoField};
constexpr MemstatsLayout kMemstats26 = {
    0, 3520, 3528, 3536, 3544, 3552, 3560, 3568, 3576, 3584, 7680, 10432, kNoField};

constexpr SchedulerLayout kScheduler19 = {
    48, 64, 72, {176, kNoField}, 312, kNoField, kNoField, kNoField, kNoField};
constexpr SchedulerLayout kScheduler20 = {
    48, 64, 72, {184, kNoField}, 320, kNoField, kNoField, kNoField, kNoField};
constexpr SchedulerLayout kScheduler22 = {48, 64, 72, {184, kNoField}, 320, 1632, 2928, 4224, 5520};
constexpr SchedulerLayout kScheduler25 = {56, 72, 80, {184, 200}, 344, 1656, 2952, 4248, 5544};
constexpr SchedulerLayout kScheduler26 = {72, 88, 96, {200, 216}, 360, 1672, 2968, 4264, 5560};

constexpr HeapLayout kHeap19 = {92272, 92344};
constexpr HeapLayout kHeap20 = {92232, 92304};
constexpr HeapLayout kHeap21 = {92280, 92352};
constexpr HeapLayout kHeap22 = {92344, 92416};
constexpr HeapLayout kHeap25 = {92368, 92440};
constexpr HeapLayout kHeap26 = {92368, 92512};

constexpr HistogramLayout kFine = {.sub_bits = 4, .min_bits = 5, .counts = 720, .overflow = false};
constexpr HistogramLayout kCoarse = {.sub_bits = 2, .min_bits = 9, .counts = 160, .overflow = true};

constexpr GoLayout kLayouts[] = {
    {18, kController18, kHeapStats19, kMemstats18, kScheduler19, kHeap19, {2472}, kFine},
    {19, kController19, kHeapStats19, kMemstats19, kScheduler19, kHeap19, {2472}, kFine},
    {20, kController20, kHeapStats19, kMemstats19, kScheduler20, kHeap20, {2472}, kCoarse},
    {21, kController21, kHeapStats19, kMemstats19, kScheduler20, kHeap21, {2472}, kCoarse},
    {22, kController21, kHeapStats19, kMemstats22, kScheduler22, kHeap22, {2472}, kCoarse},
    {23, kController21, kHeapStats19, kMemstats22, kScheduler22, kHeap22, {2464}, kCoarse},
    {24, kController21, kHeapStats19, kMemstats22, kScheduler22, kHeap22, {2464}, kCoarse},
    {25, kController21, kHeapStats25, kMemstats25, kScheduler25, kHeap25, {2464}, kCoarse},
    {26, kController21, kHeapStats25, kMemstats26, kScheduler26, kHeap26, {2472}, kCoarse},
    {27, kController21, kHeapStats25, kMemstats26, kScheduler26, kHeap26, {2472}, kCoarse},
};

}  // namespace

const GoLayout* layout_of(const elf::GoVersion& version)
{
  if (version.major == 1 && version.minor < kOldestGo)
    return nullptr;
  const auto* after = version.major > 1
                          ? std::end(kLayouts)
                          : std::ranges::upper_bound(kLayouts, version.minor, {}, &GoLayout::minor);
  return std::prev(after);
}

}  // namespace sonde::runtime
