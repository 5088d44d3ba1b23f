// SPDX-License-Identifier: Apache-2.0
#include "agent/bpf/ring.hpp"

#include <sys/epoll.h>

namespace sonde::bpf {

namespace {

constexpr auto kLookAgain = std::chrono::milliseconds(2);

}  // namespace

Result<std::unique_ptr<Ring>> Ring::open(int fd,
                                         EventLoop& loop,
                                         Handler handler,
                                         std::function<void(bool)> say_awake,
                                         std::function<void()> drained)
{
  std::unique_ptr<Ring> ring(
      new Ring(std::move(handler), std::move(say_awake), std::move(drained)));
  ring->ring_.reset(ring_buffer__new(fd, &Ring::on_record, ring.get(), nullptr));
  if (!ring->ring_)
    return fail(errno, "open ring");
  const auto consume = [self = ring.get()] { self->consume(); };
  ring->again_ = SONDE_TRY(loop.timer(consume));
  // Edge-triggered: below the wake-up threshold the ring stays readable without being urgent.
  ring->watch_ =
      SONDE_TRY(loop.watch(ring_buffer__epoll_fd(ring->ring_.get()), EPOLLIN | EPOLLET, consume));
  return ring;
}

Ring::~Ring()
{
  say_awake_(false);
}

// Falls asleep in two steps: a producer that saw it awake may submit after it looked, so it looks
// once more after it said that it sleeps.
void Ring::consume()
{
  const bool found = drain() > 0;
  if (found || awake_)
    again_.arm_once(kLookAgain);
  if (found == awake_)
    return;
  awake_ = found;
  say_awake_(awake_);
}

std::size_t Ring::drain()
{
  const int n = ring_buffer__consume(ring_.get());
  if (n > 0 && drained_)
    drained_();
  return n > 0 ? static_cast<std::size_t>(n) : 0;
}

int Ring::on_record(void* self, void* data, std::size_t bytes)
{
  static_cast<Ring*>(self)->handler_(data, bytes);
  return 0;
}

}  // namespace sonde::bpf
