// SPDX-License-Identifier: Apache-2.0
#include "agent/runtime/go_variables.hpp"

#include <algorithm>
#include <cstring>
#include <initializer_list>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "agent/elf/elf_file.hpp"

namespace sonde::runtime {

namespace {

constexpr std::uint64_t kMostCode = 64 << 10U;  // of one function; the largest used has 9 KiB

// Field `offset` is used by address in each of the functions (of package runtime).
struct Use {
  std::uint32_t offset;
  std::initializer_list<std::string_view> functions;
};

// How many bytes follow the displacement whose ModRM byte is at `at`: the next instruction begins
// after them, and addresses are relative to that.
unsigned immediate_bytes(std::span<const std::byte> code, std::size_t at)
{
  const auto byte = [&](std::size_t back) {
    return at >= back ? std::to_integer<unsigned>(code[at - back]) : 0U;
  };
  if (byte(2) == 0x0F)
    return byte(1) == 0xBA ? 1 : 0;
  switch (byte(1)) {
  case 0x80:
  case 0x83:
  case 0x6B:
  case 0xC0:
  case 0xC1:
  case 0xC6:
    return 1;
  case 0x69:
  case 0x81:
  case 0xC7:
    return 4;
  default:
    return 0;
  }
}

// Everything that could be an operand relative to the instruction pointer. Without a disassembler
// some of it is none; that votes for nothing in common.
std::vector<std::uint64_t> operands(std::span<const std::byte> code, std::uint64_t address)
{
  std::vector<std::uint64_t> found;
  for (std::size_t i = 1; i + 5 <= code.size(); ++i) {
    if ((std::to_integer<unsigned>(code[i]) & 0xC7U) != 0x05)
      continue;
    std::int32_t distance;
    std::memcpy(&distance, &code[i + 1], sizeof distance);
    found.push_back(address + i + 5 + immediate_bytes(code, i) +
                    static_cast<std::uint64_t>(std::int64_t{distance}));
  }
  std::ranges::sort(found);
  const auto repeated = std::ranges::unique(found);
  found.erase(repeated.begin(), repeated.end());
  return found;
}

class Finder {
public:
  explicit Finder(const elf::GoBinary& binary) : binary_(binary), data_(binary.data()) {}

  Result<std::uint64_t> find(std::string_view name, std::initializer_list<Use> uses);

private:
  const std::vector<std::uint64_t>& operands_of(std::string_view function);
  bool is_data(std::uint64_t address) const
  {
    return std::ranges::any_of(data_, [&](const auto& range) { return range.contains(address); });
  }

  const elf::GoBinary& binary_;
  std::vector<elf::AddressRange> data_;
  std::unordered_map<std::string_view, std::vector<std::uint64_t>> known_;
};

const std::vector<std::uint64_t>& Finder::operands_of(std::string_view function)
{
  const auto [place, fresh] = known_.try_emplace(function);
  if (!fresh)
    return place->second;
  if (const auto range = binary_.function(std::string("runtime.").append(function));
      range && range->size() <= kMostCode)
    place->second = operands(binary_.file().bytes_at(range->begin, range->size()), range->begin);
  return place->second;
}

Result<std::uint64_t> Finder::find(std::string_view name, std::initializer_list<Use> uses)
{
  std::map<std::uint64_t, std::size_t> votes;
  std::size_t voters = 0;
  for (const auto& use : uses) {
    if (use.offset == kNoField)
      continue;
    for (const auto function : use.functions) {
      const auto& seen = operands_of(function);
      voters += seen.empty() ? 0 : 1;
      for (const auto address : seen)
        if (const auto base = address - use.offset; base % 8 == 0 && is_data(base))
          ++votes[base];
    }
  }
  const auto by_votes = [](const auto& a, const auto& b) { return a.second < b.second; };
  const auto winner = std::ranges::max_element(votes, by_votes);
  if (winner == votes.end() || winner->second < 4 || 2 * winner->second <= voters)
    return fail(std::string("runtime.").append(name).append(" is not found"));
  const auto [address, count] = *winner;
  votes.erase(winner);
  if (const auto second = std::ranges::max_element(votes, by_votes);
      second != votes.end() && 4 * second->second > 3 * count)
    return fail(std::string("runtime.").append(name).append(" is ambiguous"));
  return address;
}

}  // namespace

Result<GoVariables> find_go_variables(const elf::GoBinary& binary, const GoLayout& layout)
{
  if (binary.file().machine() != elf::Machine::kX86_64)
    return fail("not for this architecture");
  Finder finder(binary);
  GoVariables found;
  const auto& controller = layout.controller;
  found.controller = SONDE_TRY(finder.find(
      "gcController",
      {{controller.heap_in_use, {"(*mheap).allocSpan", "(*mheap).freeSpanLocked", "(*mheap).grow"}},
       {controller.heap_free, {"(*mheap).allocSpan", "(*mheap).freeSpanLocked", "(*mheap).grow"}},
       {controller.heap_released, {"(*mheap).allocSpan", "(*mheap).grow", "(*mheap).sysAlloc"}},
       {controller.mapped_ready, {"(*mheap).allocSpan", "(*pageAlloc).sysGrow"}},
       {controller.memory_limit, {"(*mheap).allocSpan", "gcControllerCommit"}},
       {controller.total_alloc,
        {"(*mcache).refill", "(*mcache).releaseAll", "(*mcache).allocLarge"}},
       {controller.total_free, {"(*sweepLocked).sweep"}}}));
  const auto& memstats = layout.memstats;
  found.memstats = SONDE_TRY(finder.find("memstats",
                                         {{0,
                                           {"(*mcache).refill",
                                            "(*mcache).releaseAll",
                                            "(*mcache).allocLarge",
                                            "(*mheap).allocSpan",
                                            "(*mheap).freeSpanLocked"}},
                                          {memstats.num_gc, {"gcMarkTermination"}},
                                          {memstats.last_gc(), {"gcMarkTermination"}},
                                          {memstats.pause_total(), {"gcMarkTermination"}},
                                          {memstats.pauses(), {"gcMarkTermination"}},
                                          {memstats.enabled, {"gcenable"}},
                                          {memstats.other_sys(), {"persistentalloc1"}},
                                          {memstats.stacks_sys, {"stackalloc"}}}));
  const auto& scheduler = layout.scheduler;
  found.scheduler = SONDE_TRY(finder.find(
      "sched",
      {{scheduler.threads_made, {"checkmcount", "mReserveID", "checkdead", "schedtrace"}},
       {scheduler.threads_freed, {"checkmcount", "checkdead", "mexit"}},
       {scheduler.system, {"newproc1", "oneNewExtraM"}},
       {scheduler.free[0], {"gfget", "gfput"}},
       {scheduler.latencies, {"casgstatus"}},
       {0, {"newproc1"}}}));
  found.heap = SONDE_TRY(finder.find("mheap_",
                                     {{0,
                                       {"mallocinit",
                                        "(*mcache).allocLarge",
                                        "(*mcentral).grow",
                                        "allocmcache.func1",
                                        "freeSomeWbufs.func1",
                                        "freeStackSpans",
                                        "gcSweep",
                                        "stackalloc",
                                        "stackfree",
                                        "stackpoolalloc"}},
                                      {layout.heap.spans_in_use, {"(*p).destroy.func1"}}}));
  found.goroutines = SONDE_TRY(finder.find(
      "allgs", {{0, {"allgadd", "forEachG"}}, {8, {"allgadd", "forEachG"}}, {16, {"allgadd"}}}));
  found.processors = SONDE_TRY(finder.find("allp",
                                           {{0,
                                             {"procresize",
                                              "retake",
                                              "stealWork",
                                              "preemptall",
                                              "stopTheWorldWithSema",
                                              "gcStart",
                                              "timeSleepUntil",
                                              "checkdead"}},
                                            {8,
                                             {"procresize",
                                              "retake",
                                              "stealWork",
                                              "preemptall",
                                              "stopTheWorldWithSema",
                                              "gcStart",
                                              "timeSleepUntil",
                                              "checkdead"}},
                                            {16, {"procresize"}}}));
  return found;
}

}  // namespace sonde::runtime
