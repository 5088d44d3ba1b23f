// SPDX-License-Identifier: Apache-2.0
#include "agent/runtime/go_variables.hpp"

#include <algorithm>
#include <cstring>
#include <initializer_list>
#include <map>
#include <optional>
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
  Result<std::uint64_t> vote(std::string_view name, std::initializer_list<Use> uses);
  std::optional<std::uint64_t> symbol(std::string_view name) const;
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

std::optional<std::uint64_t> Finder::symbol(std::string_view name) const
{
  std::optional<std::uint64_t> address;
  binary_.file().for_each_symbol([&](const elf::Symbol& symbol) {
    if (symbol.name.starts_with("runtime.") && symbol.name.substr(8) == name)
      address = symbol.address;
    return !address;
  });
  return address;
}

// Symbols come second: programs that are built for a debugger have them, and too little inlined for
// a vote; the others pay nothing for many symbols.
Result<std::uint64_t> Finder::find(std::string_view name, std::initializer_list<Use> uses)
{
  auto voted = vote(name, uses);
  if (!voted)
    if (const auto address = symbol(name); address && is_data(*address))
      return *address;
  return voted;
}

Result<std::uint64_t> Finder::vote(std::string_view name, std::initializer_list<Use> uses)
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

Result<std::uint64_t> find_controller(Finder& finder, const ControllerLayout& layout)
{
  return finder.find(
      "gcController",
      {{0,
        {"gcStart",
         "gcMark",
         "gcinit",
         "gcBgMarkWorker",
         "(*mcache).refill",
         "(*mcache).releaseAll",
         "(*mcache).allocLarge"}},
       {layout.heap_in_use, {"(*mheap).allocSpan", "(*mheap).freeSpanLocked", "(*mheap).grow"}},
       {layout.heap_free, {"(*mheap).allocSpan", "(*mheap).freeSpanLocked", "(*mheap).grow"}},
       {layout.heap_released, {"(*mheap).allocSpan", "(*mheap).grow", "(*mheap).sysAlloc"}},
       {layout.mapped_ready, {"(*mheap).allocSpan", "(*pageAlloc).sysGrow"}},
       {layout.memory_limit, {"(*mheap).allocSpan", "gcControllerCommit"}},
       {layout.total_alloc, {"(*mcache).refill", "(*mcache).releaseAll", "(*mcache).allocLarge"}},
       {layout.total_free, {"(*sweepLocked).sweep"}}});
}

Result<std::uint64_t> find_memstats(Finder& finder, const MemstatsLayout& layout)
{
  return finder.find("memstats",
                     {{layout.heap_stats,
                       {"(*mcache).refill",
                        "(*mcache).releaseAll",
                        "(*mcache).allocLarge",
                        "(*mheap).allocSpan",
                        "(*mheap).freeSpanLocked"}},
                      {layout.num_gc, {"gcMarkTermination"}},
                      {layout.last_gc, {"gcMarkTermination"}},
                      {layout.pause_total, {"gcMarkTermination"}},
                      {layout.pauses, {"gcMarkTermination"}},
                      {layout.enabled, {"gcenable"}},
                      {layout.other_sys, {"persistentalloc1"}},
                      {layout.stacks_sys, {"stackalloc"}}});
}

Result<std::uint64_t> find_scheduler(Finder& finder, const SchedulerLayout& layout)
{
  return finder.find(
      "sched",
      {{layout.threads_made, {"checkmcount", "mReserveID", "checkdead", "schedtrace"}},
       {layout.threads_freed, {"checkmcount", "checkdead", "mexit"}},
       {layout.system, {"newproc1", "oneNewExtraM"}},
       {layout.free[0], {"gfget", "gfput"}},
       {layout.latencies, {"casgstatus"}},
       {0, {"newproc1"}}});
}

Result<std::uint64_t> find_heap(Finder& finder, const HeapLayout& layout)
{
  return finder.find("mheap_",
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
                      {layout.spans_in_use, {"(*p).destroy.func1"}}});
}

Result<std::uint64_t> find_goroutines(Finder& finder)
{
  return finder.find(
      "allgs", {{0, {"allgadd", "forEachG"}}, {8, {"allgadd", "forEachG"}}, {16, {"allgadd"}}});
}

Result<std::uint64_t> find_processors(Finder& finder)
{
  // They go through all of it: pointer and length.
  const std::initializer_list<std::string_view> walkers = {"procresize",
                                                           "retake",
                                                           "stealWork",
                                                           "preemptall",
                                                           "gcStart",
                                                           "stopTheWorldWithSema",
                                                           "timeSleepUntil",
                                                           "checkdead"};
  return finder.find("allp", {{0, walkers}, {8, walkers}, {16, {"procresize"}}});
}

}  // namespace

Result<GoVariables> find_go_variables(const elf::GoBinary& binary, const GoLayout& layout)
{
  if (binary.file().machine() != elf::Machine::kX86_64)
    return fail("not for this architecture");
  Finder finder(binary);
  GoVariables found;
  found.controller = SONDE_TRY(find_controller(finder, layout.controller));
  found.memstats = SONDE_TRY(find_memstats(finder, layout.memstats));
  found.scheduler = SONDE_TRY(find_scheduler(finder, layout.scheduler));
  found.heap = SONDE_TRY(find_heap(finder, layout.heap));
  found.goroutines = SONDE_TRY(find_goroutines(finder));
  found.processors = SONDE_TRY(find_processors(finder));
  return found;
}

}  // namespace sonde::runtime
