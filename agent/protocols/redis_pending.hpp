// SPDX-License-Identifier: Apache-2.0
// Commands that wait for their reply, oldest first: a ring that grows with a pipeline, up to a
// bound, and gives its memory back.
#pragma once

#include <cstdint>
#include <memory>

#include "agent/protocols/redis_commands.hpp"

namespace sonde::redis {

struct PendingCommand {
  std::uint64_t first_ns;
  std::uint64_t last_ns;
  std::uint64_t bytes;
  std::uint32_t replies;  // confirmations to come; 0: as many as there are subscriptions
  CommandId id;
};

class PendingCommands {
public:
  static constexpr std::size_t kMost = 128 << 10;  // 4 MiB

  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  PendingCommand& front() { return slots_[head_]; }
  const PendingCommand& front() const { return slots_[head_]; }

  // False when there are too many.
  bool push(const PendingCommand& command)
  {
    if (size_ == capacity_ && !grow())
      return false;
    slots_[(head_ + size_) & (capacity_ - 1)] = command;
    ++size_;
    return true;
  }

  void pop()
  {
    head_ = (head_ + 1) & (capacity_ - 1);
    if (--size_ == 0 && capacity_ > kKept)
      clear();
  }

  void clear()
  {
    head_ = size_ = 0;
    if (capacity_ <= kKept)
      return;
    slots_.reset();
    capacity_ = 0;
  }

private:
  static constexpr std::size_t kFirst = 4;
  static constexpr std::size_t kKept = 64;

  bool grow()
  {
    if (capacity_ == kMost)
      return false;
    const auto capacity = capacity_ == 0 ? kFirst : capacity_ * 2;
    auto slots = std::make_unique<PendingCommand[]>(capacity);
    for (std::size_t i = 0; i < size_; ++i)
      slots[i] = slots_[(head_ + i) & (capacity_ - 1)];
    slots_ = std::move(slots);
    capacity_ = capacity;
    head_ = 0;
    return true;
  }

  std::unique_ptr<PendingCommand[]> slots_;
  std::size_t capacity_ = 0;  // a power of two
  std::size_t head_ = 0;
  std::size_t size_ = 0;
};

}  // namespace sonde::redis
