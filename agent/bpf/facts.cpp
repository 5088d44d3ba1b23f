// SPDX-License-Identifier: Apache-2.0
#include "agent/bpf/facts.hpp"

#include "agent/bpf/shared_maps.hpp"

namespace sonde {

Result<std::unique_ptr<Facts>> Facts::open(bpf::SharedMaps& maps, EventLoop& loop)
{
  std::unique_ptr<Facts> facts(new Facts());
  const int fd = maps.ring_fd();
  facts->ring_ = SONDE_TRY(bpf::Ring::open(
      {&fd, 1},
      loop,
      [self = facts.get()](void* data, std::size_t size) { self->on_record(data, size); },
      [&maps](bool awake) { maps.set_reader_awake(awake); }));
  return facts;
}

void Facts::on_record(void* data, std::size_t size)
{
  const FactRecord record({static_cast<const std::byte*>(data), size});
  if (size < sizeof(sonde_record) || record.head().size != size ||
      record.head().family >= SONDE_FAMILIES) {
    ++malformed_;
    return;
  }
  if (record.head().kind == SONDE_KIND_OUTLIER) {
    const auto* outlier = record.as<sonde_outlier>();
    if (outlier != nullptr && outlier_)
      outlier_(*outlier);
    return;
  }
  if (const auto& handler = handlers_[record.head().family]; handler)
    handler(record);
}

}  // namespace sonde
