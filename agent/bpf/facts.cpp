// SPDX-License-Identifier: Apache-2.0
#include "agent/bpf/facts.hpp"

#include <sys/epoll.h>

#include "agent/bpf/shared_maps.hpp"

namespace sonde {

namespace {

constexpr auto kLookAgain = std::chrono::milliseconds(2);

}  // namespace

Result<std::unique_ptr<Facts>> Facts::open(bpf::SharedMaps& maps, EventLoop& loop)
{
  std::unique_ptr<Facts> facts(new Facts(maps));
  facts->ring_.reset(ring_buffer__new(maps.ring_fd(), &Facts::on_record, facts.get(), nullptr));
  if (!facts->ring_)
    return fail(errno, "open facts ring");
  const auto consume = [self = facts.get()] { self->consume(); };
  facts->again_ = SONDE_TRY(loop.timer(consume));
  // Edge-triggered: below the wake-up threshold the ring stays readable without being urgent.
  facts->watch_ =
      SONDE_TRY(loop.watch(ring_buffer__epoll_fd(facts->ring_.get()), EPOLLIN | EPOLLET, consume));
  return facts;
}

Facts::~Facts()
{
  maps_.set_reader_awake(false);
}

// Falls asleep in two steps: a producer that saw it awake may submit after it looked, so it looks
// once more after it said that it sleeps.
void Facts::consume()
{
  const bool found = drain() > 0;
  if (found || awake_)
    again_.arm_once(kLookAgain);
  if (found == awake_)
    return;
  awake_ = found;
  maps_.set_reader_awake(awake_);
}

std::size_t Facts::drain()
{
  const int n = ring_buffer__consume(ring_.get());
  return n > 0 ? static_cast<std::size_t>(n) : 0;
}

int Facts::on_record(void* self, void* data, std::size_t size)
{
  auto& facts = *static_cast<Facts*>(self);
  const FactRecord record({static_cast<const std::byte*>(data), size});
  if (size < sizeof(sonde_record) || record.head().size != size ||
      record.head().family >= SONDE_FAMILIES) {
    ++facts.malformed_;
    return 0;
  }
  if (record.head().kind == SONDE_KIND_OUTLIER) {
    const auto* outlier = record.as<sonde_outlier>();
    if (outlier != nullptr && facts.outlier_)
      facts.outlier_(*outlier);
    return 0;
  }
  if (const auto& handler = facts.handlers_[record.head().family]; handler)
    handler(record);
  return 0;
}

}  // namespace sonde
