// SPDX-License-Identifier: Apache-2.0
// The memory of a Go process that does not exist: zero but for what a test writes.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <map>
#include <optional>
#include <span>

#include "agent/runtime/go_memory.hpp"
#include "agent/runtime/memory.hpp"

namespace sonde::testing {

class FakeGoProcess : public runtime::Memory {
public:
  static constexpr std::uint64_t kBias = 0x5555'0000'0000;

  // Idle, with two processors, of Go 1.`minor`.
  explicit FakeGoProcess(unsigned minor)
  {
    program.layout = runtime::layout_of({1, minor, 0});
    program.variables = {.controller = 0x10'0000,
                         .memstats = 0x11'0000,
                         .scheduler = 0x12'0000,
                         .heap = 0x13'0000,
                         .goroutines = 0x15'0000,
                         .processors = 0x15'0020};
    program.code_words = 0x16'0000;
    program.code = {0x40'1000, 0x50'0000};
    set(program.code_words, program.code.begin + kBias);
    set(program.code_words + 8, program.code.end + kBias);
    const auto& memstats = program.layout->memstats;
    set(program.variables.memstats + memstats.enabled, std::uint8_t{1});
    set_slice(program.variables.goroutines, 0x7000'0000, 20, 32);
    set_slice(program.variables.processors, 0x7100'0000, 2, 4);
    for (std::uint32_t i = 0; i < 2; ++i) {
      put(0x7100'0000 + 8 * i, processor(i));
      put(processor(i), i);
    }
    set(program.variables.scheduler + program.layout->scheduler.threads_made, std::uint64_t{9});
    set(program.variables.scheduler + program.layout->scheduler.threads_freed, std::uint64_t{2});
    set_heap(4U << 20U, 1U << 20U, 8U << 20U);
  }

  static std::uint64_t processor(std::uint32_t i) { return 0x7200'0000 + 0x4000 * i; }

  // At an address of the process.
  template <typename T>
  void put(std::uint64_t address, T value)
  {
    const auto from = std::as_bytes(std::span(&value, 1));
    for (std::size_t i = 0; i < from.size(); ++i)
      pages_[(address + i) / kPage][(address + i) % kPage] = from[i];
  }
  // At an address of the file.
  template <typename T>
  void set(std::uint64_t address, T value)
  {
    put(kBias + address, value);
  }
  void set_slice(std::uint64_t address,
                 std::uint64_t pointer,
                 std::uint64_t length,
                 std::uint64_t capacity)
  {
    set(address, pointer);
    set(address + 8, length);
    set(address + 16, capacity);
  }
  // Of part 0, 1 or 2 of the statistics.
  void set_heap_stat(unsigned part, std::uint32_t offset, std::uint64_t value)
  {
    set(program.variables.memstats + program.layout->memstats.heap_stats +
            part * program.layout->heap_stats.size() + offset,
        value);
  }
  void set_controller(std::uint32_t offset, std::uint64_t value)
  {
    set(program.variables.controller + offset, value);
  }
  // Both of the runtime's accounts.
  void set_heap(std::uint64_t in_use, std::uint64_t free, std::uint64_t released)
  {
    set_heap_stat(0, 0, in_use + free);
    set_heap_stat(0, 8, released);
    set_heap_stat(0, 16, in_use);
    const auto& controller = program.layout->controller;
    if (!controller.has_sums()) {
      set_heap_stat(0, program.layout->heap_stats.large_allocs - 8, 3 * in_use);
      set_heap_stat(0, program.layout->heap_stats.large_frees - 8, 2 * in_use + in_use / 2);
      return;
    }
    set_controller(controller.heap_in_use, in_use);
    set_controller(controller.heap_free, free);
    set_controller(controller.heap_released, released);
    set_controller(controller.total_alloc, 3 * in_use);
    set_controller(controller.total_free, 2 * in_use + in_use / 2);
  }

  std::optional<runtime::ReadFailure> read(std::span<const runtime::Piece> pieces) override
  {
    ++reads;
    if (before_read)
      before_read(reads);
    if (failure)
      return failure;
    for (const auto& piece : pieces)
      copy(piece.address, piece.into);
    return {};
  }
  bool swapped(std::uint64_t begin, std::uint64_t end) override
  {
    return in_swap && *in_swap >= begin && *in_swap < end;
  }

  std::expected<runtime::GoSample, runtime::GoAbsence> sample()
  {
    return runtime::GoReader().read(program, kBias, *this);
  }

  runtime::GoProgram program;
  std::optional<runtime::ReadFailure> failure;
  std::optional<std::uint64_t> in_swap;
  std::function<void(int)> before_read;
  int reads = 0;

private:
  static constexpr std::uint64_t kPage = 4096;

  void copy(std::uint64_t address, std::span<std::byte> into) const
  {
    for (std::size_t i = 0; i < into.size();) {
      const auto at = (address + i) % kPage;
      const auto part = std::min<std::size_t>(kPage - at, into.size() - i);
      if (const auto page = pages_.find((address + i) / kPage); page != pages_.end())
        std::memcpy(&into[i], &page->second[at], part);
      else
        std::memset(&into[i], 0, part);
      i += part;
    }
  }

  std::map<std::uint64_t, std::array<std::byte, kPage>> pages_;
};

}  // namespace sonde::testing
