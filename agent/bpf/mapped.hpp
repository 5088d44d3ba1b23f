// SPDX-License-Identifier: Apache-2.0
// Mmapable BPF arrays: the agent reads and writes the kernel's memory without a system call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <linux/types.h>
#include <span>
#include <utility>

#include "agent/base/result.hpp"
#include "agent/base/unique_fd.hpp"

namespace sonde::bpf {

// The mapped memory of one array; the descriptor may be closed while it is mapped.
class Mapping {
public:
  Mapping() = default;
  // `bytes` = entries * value size (values rounded up to 8 bytes).
  static Result<Mapping> create(int map_fd, std::size_t bytes, bool writable);
  Mapping(Mapping&& other) noexcept
      : memory_(std::exchange(other.memory_, nullptr)), bytes_(other.bytes_)
  {
  }
  Mapping& operator=(Mapping&& other) noexcept
  {
    std::swap(memory_, other.memory_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping();

  void* data() const { return memory_; }
  std::size_t bytes() const { return bytes_; }

private:
  void* memory_ = nullptr;
  std::size_t bytes_ = 0;
};

// Counters that each CPU increments in its own row: index = cpu * columns + column, or where a CPU
// has one value for all it counts, a part of that. Plain arrays with BPF_F_MMAPABLE instead of
// per-CPU maps: look-ups are inlined on every kernel, and reading them costs no system call.
template <typename T>
class Rows {
  static_assert(sizeof(T) % 8 == 0);

public:
  Rows() = default;
  static Result<Rows> create(int map_fd, unsigned cpus, unsigned columns)
  {
    return create(map_fd, cpus, columns, sizeof(T) * columns, 0);
  }
  // `offset` is where the columns begin in the value of each CPU.
  template <typename Value>
  static Result<Rows> create_within(int map_fd, unsigned cpus, std::size_t offset, unsigned columns)
  {
    static_assert(sizeof(Value) % 8 == 0);
    return create(map_fd, cpus, columns, sizeof(Value), offset);
  }

  unsigned cpus() const { return cpus_; }
  unsigned columns() const { return columns_; }
  const volatile T& at(unsigned cpu, unsigned column) const
  {
    const auto* row = static_cast<const std::byte*>(mapping_.data()) + offset_ + (cpu * stride_);
    return reinterpret_cast<const volatile T*>(row)[column];
  }

private:
  static Result<Rows>
  create(int map_fd, unsigned cpus, unsigned columns, std::size_t stride, std::size_t offset)
  {
    Rows rows;
    rows.mapping_ = SONDE_TRY(Mapping::create(map_fd, stride * cpus, /*writable=*/false));
    rows.cpus_ = cpus;
    rows.columns_ = columns;
    rows.stride_ = stride;
    rows.offset_ = offset;
    return rows;
  }

  Mapping mapping_;
  unsigned cpus_ = 0;
  unsigned columns_ = 0;
  std::size_t stride_ = 0;
  std::size_t offset_ = 0;
};

// Adds up the rows of all CPUs, word by word; T consists of __u64 only (std::uint64_t is another
// type to the optimiser).
template <typename T>
T sum_rows(const Rows<T>& rows, unsigned column)
{
  T total{};
  auto* out = reinterpret_cast<__u64*>(&total);
  for (unsigned cpu = 0; cpu < rows.cpus(); ++cpu) {
    const auto* row = reinterpret_cast<const volatile __u64*>(&rows.at(cpu, column));
    for (std::size_t i = 0; i < sizeof(T) / 8; ++i)
      out[i] += row[i];
  }
  return total;
}

}  // namespace sonde::bpf
