// SPDX-License-Identifier: Apache-2.0
// Reads what Go's runtime counts out of a process' memory: three reads, nothing of the process runs
// for it or waits. The process goes on meanwhile, so what cannot be told to be whole is refused.
#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <string_view>
#include <vector>

#include "agent/base/result.hpp"
#include "agent/elf/go_binary.hpp"
#include "agent/runtime/go_layout.hpp"
#include "agent/runtime/go_variables.hpp"
#include "agent/runtime/memory.hpp"

namespace sonde::runtime {

// What is known of a Go program, of all processes that run it.
struct GoProgram {
  const GoLayout* layout = nullptr;
  GoVariables variables;
  std::uint64_t entry = 0;  // e_entry
  // Two words next to each other that only this program has: where its code begins and ends, as
  // its runtime keeps them (moduledata.text, etext).
  std::uint64_t code_words = 0;
  elf::AddressRange code;

  static Result<GoProgram> read(const elf::GoBinary& binary);
};

// Why there is nothing to tell of a process, now.
enum class GoAbsence : std::uint8_t {
  kGone,         // it ends, or runs another program
  kStarting,     // its runtime is not there yet
  kSwapped,      // some of it is in swap
  kUnsettled,    // its runtime was moving what was read, each time
  kImplausible,  // sums do not agree: the layout is not as thought
  kDenied,
  kStalled,  // the kernel made the reader wait
};
std::string_view name_of(GoAbsence absence);

// Counts of a runtime.timeHistogram.
struct GoHistogram {
  const HistogramLayout* layout = nullptr;  // none: this version has no such
  std::vector<std::uint64_t> words;
};

// As runtime.MemStats has them where not said otherwise; bytes, or numbers of.
struct GoSample {
  std::uint64_t goroutines = 0;
  std::uint64_t threads = 0;
  std::uint64_t processors = 0;  // GOMAXPROCS
  std::int32_t gc_percent = 0;   // < 0: off
  std::int64_t memory_limit = 0;

  std::uint64_t heap_alloc = 0;
  std::uint64_t total_alloc = 0;
  std::uint64_t sys = 0;
  std::uint64_t mallocs = 0;
  std::uint64_t frees = 0;
  std::uint64_t heap_sys = 0;
  std::uint64_t heap_idle = 0;
  std::uint64_t heap_in_use = 0;
  std::uint64_t heap_released = 0;
  std::uint64_t heap_objects = 0;
  std::uint64_t stack_in_use = 0;
  std::uint64_t stack_sys = 0;
  std::uint64_t mspan_in_use = 0;
  std::uint64_t mspan_sys = 0;
  std::uint64_t mcache_in_use = 0;
  std::uint64_t mcache_sys = 0;
  std::uint64_t buck_hash_sys = 0;
  std::uint64_t gc_sys = 0;
  std::uint64_t other_sys = 0;
  std::uint64_t next_gc = 0;
  std::uint64_t last_gc_ns = 0;  // since 1970; 0: never
  std::uint64_t num_gc = 0;
  std::uint64_t pause_total_ns = 0;
  std::array<std::uint64_t, 5> pause_quantiles_ns{};  // 0, 0.25 … 1 of the last 256 collections

  GoHistogram latencies;
  GoHistogram gc_pauses;  // total
  GoHistogram gc_stopping;
  GoHistogram other_pauses;
  GoHistogram other_stopping;
};

// Keeps its buffers from process to process. One thread at a time.
class GoReader {
public:
  // `bias`: what the process added to the file's addresses.
  std::expected<GoSample, GoAbsence>
  read(const GoProgram& program, std::uint64_t bias, Memory& memory);

private:
  struct Attempt;

  std::vector<std::uint64_t> heap_stats_;
  std::vector<std::uint64_t> processors_;
  std::vector<std::uint32_t> processor_words_;
  std::vector<Piece> pieces_;
};

}  // namespace sonde::runtime
