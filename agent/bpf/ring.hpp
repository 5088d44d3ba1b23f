// SPDX-License-Identifier: Apache-2.0
// The consumer of a set of rings, one for each CPU or one alone: their records in the order of
// their time. Producers wake the loop when it sleeps and when a ring fills; once awake it looks
// again on a timer until it finds nothing, so an idle node costs nothing and a busy one no wake-up
// a record. Lives on the event loop's thread.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "agent/base/event_loop.hpp"
#include "agent/base/result.hpp"
#include "agent/bpf/ring_memory.hpp"

namespace sonde::bpf {

class Ring {
public:
  // `record` begins with a struct sonde_record.
  using Handler = std::function<void(void* record, std::size_t bytes)>;

  // `say_awake` tells the producers whether the consumer looks again by itself.
  static Result<std::unique_ptr<Ring>> open(std::span<const int> fds,
                                            EventLoop& loop,
                                            Handler handler,
                                            std::function<void(bool)> say_awake);
  // Nobody wakes it: for who calls drain() only.
  static std::unique_ptr<Ring> over(std::vector<RingMemory> rings, Handler handler);
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;
  ~Ring();

  // Handles the records that were complete when it was called, except those that may belong behind
  // one that is not; false when something is left. `looks`: again, as often as that, until nothing
  // is.
  bool drain(int looks = 1);

private:
  // A ring with records to come in this look, and the time of the first of them.
  struct Waiting {
    std::uint64_t ns;
    RingMemory* ring;
    // For a heap whose front is the earliest.
    bool operator<(const Waiting& other) const { return ns > other.ns; }
  };

  Ring(std::vector<RingMemory> rings, Handler handler)
      : handler_(std::move(handler)), rings_(std::move(rings))
  {
  }
  void consume();
  bool look();
  void wait_for(RingMemory& ring);

  Handler handler_;
  std::function<void(bool)> say_awake_;
  bool awake_ = false;
  bool handled_ = false;     // in the look under way
  std::uint64_t until_ = 0;  // no record of that look is later, ns
  std::vector<RingMemory> rings_;
  std::vector<Waiting> waiting_;
  EventLoop::Timer again_;
  std::vector<EventLoop::Watch> watches_;
};

}  // namespace sonde::bpf
