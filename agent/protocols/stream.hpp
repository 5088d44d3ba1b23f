// SPDX-License-Identifier: Apache-2.0
// One direction of a socket: records with 32-bit positions become bytes and holes in order. Lives
// on the event loop's thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace sonde::protocols {

// What passes through a connection, one after the other.
struct Item {
  enum class Kind : std::uint8_t { kBytes, kHole, kEnd };

  Kind kind;
  bool starts_call = false;
  std::uint64_t time_ns = 0;
  std::uint64_t length = 0;  // of the hole; of `bytes` else
  std::string_view bytes = {};
};

// An item that waits.
struct KeptItem {
  Item item;
  std::string bytes;

  explicit KeptItem(const Item& from) : item(from), bytes(from.bytes) { item.bytes = {}; }
  Item get() const
  {
    Item out = item;
    out.bytes = bytes;
    return out;
  }
};

// A record: `covered` bytes from `position` on, of which the first ones are there.
struct Chunk {
  std::uint32_t position;
  std::uint32_t covered;
  std::string_view bytes;
  std::uint64_t time_ns;
  bool starts_call;
};

class Stream {
public:
  class Output {
  public:
    virtual void item(const Item& item) = 0;

  protected:
    ~Output() = default;
  };

  // What went wrong, in bytes and records.
  struct Counts {
    std::uint64_t lost_bytes = 0;  // wanted and never seen
    std::uint64_t duplicates = 0;  // records, at least in part, of what had passed already
  };

  // A jump this long after which nothing explained it is a hole.
  static constexpr std::uint64_t kPatienceNs = 5'000'000;
  static constexpr std::size_t kMaxHeld = 8;
  static constexpr std::size_t kMaxHeldBytes = 256 << 10;
  // Of what was unwanted, when the wish changes.
  static constexpr std::uint64_t kPassedByTap = 16 << 10;

  explicit Stream(std::uint32_t position) : next_(kOrigin + position) {}

  void take(const Chunk& chunk, Output& out, Counts& counts);
  // The end of the stream; each read that finds it tells of it again.
  void end(std::uint64_t time_ns, Output& out, Counts& counts);

  // What has waited long enough goes out as it is.
  void sweep(std::uint64_t now_ns, Output& out, Counts& counts);
  void flush(Output& out, Counts& counts);
  bool waits() const { return held_ != nullptr; }

  // All bytes before it have gone out. Counted from an origin of its own.
  std::uint64_t position() const { return next_; }
  // As the kernel counts.
  static std::uint32_t wire_position(std::uint64_t position)
  {
    return static_cast<std::uint32_t>(position);
  }

  // Nothing before this position is wanted: that it does not come is no loss, and need not be
  // waited for. The end of what is no longer worth a wish has passed the tap already.
  void unwanted_until(std::uint64_t position)
  {
    if (position >= unwanted_ || unwanted_ > next_ + kPassedByTap)
      unwanted_ = position;
  }

private:
  // So that a first record from before the announced position does not count below zero.
  static constexpr std::uint64_t kOrigin = std::uint64_t{1} << 32U;

  struct Held {
    std::uint64_t position;
    std::uint64_t covered;
    KeptItem kept;
  };
  struct Waiting {
    std::vector<Held> chunks;  // in the order of the ring
    std::size_t bytes = 0;
  };

  void pass(std::uint64_t position, std::uint64_t covered, Item bytes, Output& out, Counts& counts);
  void hold(std::uint64_t position, const Chunk& chunk);
  void catch_up(Output& out, Counts& counts);
  bool explained() const;
  void place(Output& out, Counts& counts, bool one_after_the_other);

  std::uint64_t next_;
  std::uint64_t unwanted_ = 0;
  std::unique_ptr<Waiting> held_;
  bool ended_ = false;
};

}  // namespace sonde::protocols
