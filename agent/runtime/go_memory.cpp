// SPDX-License-Identifier: Apache-2.0
#include "agent/runtime/go_memory.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <thread>
#include <utility>

#include "agent/elf/elf_file.hpp"
#include "agent/runtime/go_statistics.hpp"

namespace sonde::runtime {

namespace {

constexpr int kAttempts = 8;
constexpr std::chrono::microseconds kFirstPause(50);  // doubled each time: 3 ms in all
constexpr std::uint64_t kMostProcessors = 4096;
constexpr std::uint64_t kMostGoroutines = std::uint64_t{1} << 30U;

struct Slice {
  std::uint64_t pointer = 0;
  std::uint64_t length = 0;
  std::uint64_t capacity = 0;

  bool operator==(const Slice&) const = default;
  bool plausible(std::uint64_t most) const
  {
    return pointer != 0 && pointer % 8 == 0 && length > 0 && length <= capacity && length <= most;
  }
};

GoAbsence absence_of(ReadFailure failure)
{
  return failure == ReadFailure::kDenied ? GoAbsence::kDenied : GoAbsence::kGone;
}

// The smallest range that holds all pieces.
elf::AddressRange range_of(std::span<const Piece> pieces)
{
  elf::AddressRange range{.begin = ~std::uint64_t{0}, .end = 0};
  for (const auto& piece : pieces) {
    range.begin = std::min(range.begin, piece.address);
    range.end = std::max(range.end, piece.address + piece.into.size());
  }
  return range;
}

}  // namespace

Result<GoProgram> GoProgram::read(const elf::GoBinary& binary)
{
  GoProgram program;
  program.layout = layout_of(binary.version());
  if (program.layout == nullptr)
    return fail("Go before 1.18");
  program.variables = SONDE_TRY(find_go_variables(binary, *program.layout));
  const auto& file = binary.file();
  // Elf64_Ehdr.e_entry.
  if (const auto bytes = file.bytes(24, sizeof program.entry); !bytes.empty())
    std::memcpy(&program.entry, bytes.data(), sizeof program.entry);
  program.code = binary.text();
  for (const auto address : file.pointers_to(program.code.begin))
    if (file.pointer_at(address + 8) == program.code.end)
      program.code_words = address;
  if (program.code_words == 0)
    return fail("runtime.firstmoduledata is not found");
  return program;
}

std::string_view name_of(GoAbsence absence)
{
  switch (absence) {
  case GoAbsence::kGone:
    return "gone";
  case GoAbsence::kStarting:
    return "starting";
  case GoAbsence::kSwapped:
    return "swapped";
  case GoAbsence::kUnsettled:
    return "unsettled";
  case GoAbsence::kImplausible:
    return "implausible";
  case GoAbsence::kDenied:
    return "denied";
  case GoAbsence::kStalled:
    return "stalled";
  }
  return "";
}

// One look at one process. Each read begins with the words that tell the program, and the kernel
// takes the address space once for a read: an exec between two of them shows.
struct GoReader::Attempt {
  GoReader& reader;
  const GoProgram& program;
  const std::uint64_t bias;
  Memory& memory;

  std::array<std::uint64_t, 2> code{};
  Slice processors;
  std::uint32_t generation = 0;
  std::array<std::uint32_t, 4> generations{};
  GoRaw raw;

  const GoLayout& layout() const { return *program.layout; }
  std::uint32_t generation_offset() const
  {
    return layout().memstats.heap_stats + layout().heap_stats.generation();
  }

  template <typename T>
  void want(std::uint64_t address, T& into)
  {
    reader.pieces_.push_back({address, std::as_writable_bytes(std::span(&into, 1))});
  }
  template <typename T>
  void want_all(std::uint64_t address, std::span<T> into)
  {
    reader.pieces_.push_back({address, std::as_writable_bytes(into)});
  }
  // Of a variable of the runtime's.
  template <typename T>
  void want_field(std::uint64_t variable, std::uint32_t offset, T& into)
  {
    if (offset != kNoField)
      want(bias + variable + offset, into);
  }
  void want_histogram(std::uint64_t variable, std::uint32_t offset, GoHistogram& into);

  void begin();
  std::expected<void, GoAbsence> finish();
  void want_heap_stats();
  bool add_heap_stats();
  std::expected<void, GoAbsence> look_around();
  std::expected<void, GoAbsence> read_counters();
  std::expected<void, GoAbsence> read_goroutines();
  std::expected<GoSample, GoAbsence> run();
};

void GoReader::Attempt::want_histogram(std::uint64_t variable,
                                       std::uint32_t offset,
                                       GoHistogram& into)
{
  if (offset == kNoField)
    return;
  into.layout = &layout().histogram;
  into.words.resize(layout().histogram.words());
  want_all(bias + variable + offset, std::span(into.words));
}

void GoReader::Attempt::begin()
{
  reader.pieces_.clear();
  want(bias + program.code_words, code);
}

std::expected<void, GoAbsence> GoReader::Attempt::finish()
{
  if (const auto failure = memory.read(reader.pieces_))
    return std::unexpected(absence_of(*failure));
  if (code[0] != program.code.begin + bias || code[1] != program.code.end + bias)
    return std::unexpected(GoAbsence::kGone);
  return {};
}

std::expected<void, GoAbsence> GoReader::Attempt::look_around()
{
  begin();
  std::uint8_t enabled = 0;
  want(bias + program.variables.processors, processors);
  want_field(program.variables.memstats, generation_offset(), generation);
  want_field(program.variables.memstats, layout().memstats.enabled, enabled);
  if (auto read = finish(); !read)
    return read;
  // The runtime sets it when the collector has started, after everything else.
  if (enabled == 0)
    return std::unexpected(GoAbsence::kStarting);
  if (!processors.plausible(kMostProcessors) || generation >= 3)
    return std::unexpected(GoAbsence::kImplausible);
  return {};
}

// runtime.consistentHeapStats: three parts, of which the generation's is written to, the one before
// holds the rest and the one after is zero. Whoever reads it in the process moves on by one, adds
// the old rest to the new and clears it. So the one to be zero is read first, then the rest, then
// the one that is written to, and the generation and the first two once more: this thread may be
// preempted between any two of them, for as long as the process moves on by three.
void GoReader::Attempt::want_heap_stats()
{
  const auto size = layout().heap_stats.size();
  const auto words = size / 8;
  const auto parts = program.variables.memstats + layout().memstats.heap_stats;
  reader.heap_stats_.resize(std::size_t{5} * words);
  const auto part = [&](std::size_t copy, std::uint32_t after) {
    want_all(bias + parts + std::uint64_t{(generation + after) % 3} * size,
             std::span(reader.heap_stats_).subspan(copy * words, words));
  };
  const auto look = [&](std::size_t copy) {
    want_field(program.variables.memstats, generation_offset(), generations[copy]);
  };
  look(0);
  part(0, 1);
  part(1, 2);
  look(1);
  part(2, 3);
  look(2);
  part(3, 1);
  part(4, 2);
  look(3);
}

// Adds the parts up; false when they were being moved.
bool GoReader::Attempt::add_heap_stats()
{
  const auto words = layout().heap_stats.size() / 8;
  const auto part = [&](std::size_t copy) {
    return std::span(reader.heap_stats_).subspan(copy * words, words);
  };
  const auto zero = [](std::uint64_t word) { return word == 0; };
  if (!std::ranges::all_of(generations, [&](auto seen) { return seen == generation; }) ||
      !std::ranges::all_of(part(0), zero) || !std::ranges::all_of(part(3), zero) ||
      !std::ranges::equal(part(1), part(4)))
    return false;
  raw.heap_stats.resize(words);
  std::ranges::transform(part(1), part(2), raw.heap_stats.begin(), std::plus());
  return true;
}

// Variables of the runtime lie together: the pages from the first to the last are looked up.
std::expected<void, GoAbsence> GoReader::Attempt::read_counters()
{
  const auto& variables = program.variables;
  const auto& memstats = layout().memstats;
  const auto& scheduler = layout().scheduler;
  begin();
  const auto first = reader.pieces_.size();
  want_heap_stats();
  raw.memstats.resize(memstats.size());
  want_all(bias + variables.memstats + memstats.stacks_sys, std::span(raw.memstats));
  want_field(variables.memstats, memstats.num_gc, raw.num_gc);
  raw.controller.resize(layout().controller.size());
  want_all(bias + variables.controller, std::span(raw.controller));
  want_field(variables.heap, layout().heap.spans_in_use, raw.spans_in_use);
  want_field(variables.heap, layout().heap.caches_in_use, raw.caches_in_use);
  want_histogram(variables.scheduler, scheduler.latencies, raw.latencies);
  want_histogram(variables.memstats, memstats.gc_pauses, raw.gc_pauses);
  want_histogram(variables.scheduler, scheduler.total_gc, raw.gc_pauses);
  want_histogram(variables.scheduler, scheduler.stopping_gc, raw.gc_stopping);
  want_histogram(variables.scheduler, scheduler.total_other, raw.other_pauses);
  want_histogram(variables.scheduler, scheduler.stopping_other, raw.other_stopping);
  const auto range = range_of(std::span(reader.pieces_).subspan(first));
  reader.processors_.resize(processors.length);
  want_all(processors.pointer, std::span(reader.processors_));
  if (memory.swapped(range.begin, range.end))
    return std::unexpected(GoAbsence::kSwapped);
  if (auto read = finish(); !read)
    return read;
  if (!add_heap_stats())
    return std::unexpected(GoAbsence::kUnsettled);
  return {};
}

// As runtime.gcount(): all that ever were at a time, less the dead ones that wait for reuse.
std::expected<void, GoAbsence> GoReader::Attempt::read_goroutines()
{
  const auto& variables = program.variables;
  const auto& scheduler = layout().scheduler;
  Slice same_processors;
  Slice all;
  std::array<std::int64_t, 2> threads{};
  std::int32_t system = 0;
  std::array<std::int32_t, 2> free{};
  auto& words = reader.processor_words_;
  words.assign(2 * reader.processors_.size(), 0);

  begin();
  want(bias + variables.processors, same_processors);
  want(bias + variables.goroutines, all);
  want_field(variables.scheduler, scheduler.threads_made, threads[0]);
  want_field(variables.scheduler, scheduler.threads_freed, threads[1]);
  want_field(variables.scheduler, scheduler.system, system);
  for (std::size_t i = 0; i < free.size(); ++i)
    want_field(variables.scheduler, scheduler.free[i], free[i]);
  for (std::size_t i = 0; i < reader.processors_.size(); ++i) {
    want(reader.processors_[i], words[2 * i]);
    want(reader.processors_[i] + layout().processor.free, words[2 * i + 1]);
  }
  const auto [lowest, highest] = std::ranges::minmax(reader.processors_);
  if (memory.swapped(lowest, highest + layout().processor.free + 4))
    return std::unexpected(GoAbsence::kSwapped);
  if (auto read = finish(); !read)
    return read;
  // GOMAXPROCS was changed meanwhile.
  if (same_processors != processors)
    return std::unexpected(GoAbsence::kUnsettled);
  std::int64_t dead = std::int64_t{free[0]} + free[1] + system;
  for (std::size_t i = 0; i < reader.processors_.size(); ++i) {
    if (words[2 * i] != i)
      return std::unexpected(GoAbsence::kImplausible);
    dead += static_cast<std::int32_t>(words[2 * i + 1]);
  }
  const auto made = threads[0] - threads[1];
  if (!all.plausible(kMostGoroutines) || made < 1 || threads[1] < 0)
    return std::unexpected(GoAbsence::kImplausible);
  // The parts are changed one after the other; like the runtime, never less than one.
  raw.goroutines = static_cast<std::uint64_t>(
      std::max<std::int64_t>(static_cast<std::int64_t>(all.length) - dead, 1));
  raw.threads = static_cast<std::uint64_t>(made);
  raw.processors = processors.length;
  return {};
}

std::expected<GoSample, GoAbsence> GoReader::Attempt::run()
{
  for (const auto step :
       {&Attempt::look_around, &Attempt::read_counters, &Attempt::read_goroutines})
    if (auto done = (this->*step)(); !done)
      return std::unexpected(done.error());
  return go_sample(layout(), std::move(raw));
}

std::expected<GoSample, GoAbsence>
GoReader::read(const GoProgram& program, std::uint64_t bias, Memory& memory)
{
  std::expected<GoSample, GoAbsence> sample = std::unexpected(GoAbsence::kUnsettled);
  auto pause = kFirstPause;
  for (int i = 0; i < kAttempts; ++i) {
    // Whoever is moving the statistics may have been preempted.
    if (i > 1)
      std::this_thread::sleep_for(std::exchange(pause, 2 * pause));
    Attempt attempt{*this, program, bias, memory};
    sample = attempt.run();
    // A sum that does not agree may have been read in the middle of a change too.
    if (sample ||
        (sample.error() != GoAbsence::kUnsettled && sample.error() != GoAbsence::kImplausible))
      break;
  }
  return sample;
}

}  // namespace sonde::runtime
