// SPDX-License-Identifier: Apache-2.0
// The memory of one BPF_MAP_TYPE_RINGBUF, read through mmap: what libbpf's consumer cannot do is to
// look at a record without taking it, which the order among several rings needs. Layout:
// kernel/bpf/ringbuf.c.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "agent/base/result.hpp"

namespace sonde::bpf {

class RingMemory {
public:
  enum class State : std::uint8_t { kNone, kUnfinished, kRecord };

  static Result<RingMemory> map(int fd);
  // Of a file with that layout and `size` bytes of data, which lie in it twice.
  static Result<RingMemory> map(int fd, std::size_t size);
  RingMemory(RingMemory&& other) noexcept;
  RingMemory(const RingMemory&) = delete;
  RingMemory& operator=(const RingMemory&) = delete;
  RingMemory& operator=(RingMemory&&) = delete;
  ~RingMemory();

  // From now on the records that lie in the ring at this moment are those to look at.
  void look();
  // The next of them, which stays: `record()` is it, `bytes()` long. Discarded ones are passed by.
  State next();
  void* record() const { return record_; }
  std::size_t bytes() const { return bytes_; }
  // It has been handled. The kernel gets the room at give_back(), or when an eighth of it is used.
  void take();
  void give_back();

  // Records that are not finished yet were begun after this, ns.
  std::uint64_t begun_after() const { return begun_after_; }
  void set_begun_after(std::uint64_t ns) { begun_after_ = ns; }

private:
  RingMemory() = default;

  std::byte* consumer_ = nullptr;  // its page: the position up to which all is consumed
  std::byte* producer_ = nullptr;  // its page and twice the data
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  std::uint64_t position_ = 0;  // of what is next
  std::uint64_t given_back_ = 0;
  std::uint64_t end_ = 0;
  void* record_ = nullptr;
  std::size_t bytes_ = 0;
  std::uint64_t begun_after_ = 0;
};

}  // namespace sonde::bpf
