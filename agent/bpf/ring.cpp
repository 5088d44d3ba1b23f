// SPDX-License-Identifier: Apache-2.0
#include "agent/bpf/ring.hpp"

#include <algorithm>
#include <limits>
#include <sys/epoll.h>

#include "sonde/abi.h"

#include "agent/base/clock.hpp"

namespace sonde::bpf {

namespace {

constexpr auto kLookAgain = std::chrono::milliseconds(5);

std::uint64_t time_of(const RingMemory& ring)
{
  return ring.bytes() < sizeof(sonde_record)
             ? 0
             : static_cast<const sonde_record*>(ring.record())->ktime_ns;
}

}  // namespace

Result<std::unique_ptr<Ring>> Ring::open(std::span<const int> fds,
                                         EventLoop& loop,
                                         Handler handler,
                                         std::function<void(bool)> say_awake)
{
  std::vector<RingMemory> rings;
  for (const int fd : fds)
    rings.push_back(SONDE_TRY(RingMemory::map(fd)));
  auto ring = over(std::move(rings), std::move(handler));
  ring->say_awake_ = std::move(say_awake);
  const auto consume = [self = ring.get()] { self->consume(); };
  ring->again_ = SONDE_TRY(loop.timer(consume));
  // Edge-triggered: below the wake-up threshold a ring stays readable without being urgent.
  for (const int fd : fds)
    ring->watches_.push_back(SONDE_TRY(loop.watch(fd, EPOLLIN | EPOLLET, consume)));
  return ring;
}

std::unique_ptr<Ring> Ring::over(std::vector<RingMemory> rings, Handler handler)
{
  return std::unique_ptr<Ring>(new Ring(std::move(rings), std::move(handler)));
}

Ring::~Ring()
{
  if (say_awake_)
    say_awake_(false);
}

// Falls asleep in two steps: a producer that saw it awake may submit after it looked, so it looks
// once more after it said that it sleeps.
void Ring::consume()
{
  const bool found = !drain() || handled_;
  if (found || awake_)
    again_.arm_once(kLookAgain);
  if (found == awake_)
    return;
  awake_ = found;
  say_awake_(awake_);
}

bool Ring::drain(int looks)
{
  while (looks-- > 0)
    if (look())
      return true;
  return false;
}

// The records that were there when all rings had been looked at are all that were begun before the
// first look. One that is not finished may be any time since its ring was last seen without one:
// nothing later than that can be handled before it.
bool Ring::look()
{
  handled_ = false;
  waiting_.clear();
  const auto now = monotonic_ns();
  until_ = rings_.size() > 1 ? now : std::numeric_limits<std::uint64_t>::max();
  for (auto& ring : rings_)
    ring.look();
  for (auto& ring : rings_)
    wait_for(ring);
  while (!waiting_.empty() && waiting_.front().ns <= until_) {
    std::pop_heap(waiting_.begin(), waiting_.end());
    auto& ring = *waiting_.back().ring;
    ring.set_begun_after(waiting_.back().ns);
    waiting_.pop_back();
    handler_(ring.record(), ring.bytes());
    handled_ = true;
    ring.take();
    wait_for(ring);
  }
  for (auto& ring : rings_) {
    ring.give_back();
    if (ring.next() == RingMemory::State::kNone)
      ring.set_begun_after(now);
  }
  return waiting_.empty() && until_ >= now;
}

void Ring::wait_for(RingMemory& ring)
{
  switch (ring.next()) {
  case RingMemory::State::kNone:
    return;
  case RingMemory::State::kUnfinished:
    until_ = std::min(until_, ring.begun_after());
    return;
  case RingMemory::State::kRecord:
    break;
  }
  waiting_.push_back({.ns = time_of(ring), .ring = &ring});
  std::push_heap(waiting_.begin(), waiting_.end());
}

}  // namespace sonde::bpf
