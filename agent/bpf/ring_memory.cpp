// SPDX-License-Identifier: Apache-2.0
#include "agent/bpf/ring_memory.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>

namespace sonde::bpf {

namespace {

std::size_t page()
{
  static const auto bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return bytes;
}

std::uint64_t position_at(const std::byte* page)
{
  return __atomic_load_n(reinterpret_cast<const std::uint64_t*>(page), __ATOMIC_ACQUIRE);
}

}  // namespace

Result<RingMemory> RingMemory::map(int fd)
{
  bpf_map_info info{};
  __u32 length = sizeof info;
  if (bpf_obj_get_info_by_fd(fd, &info, &length) != 0 || info.type != BPF_MAP_TYPE_RINGBUF)
    return fail("open ring: not a ring");
  return map(fd, info.max_entries);
}

Result<RingMemory> RingMemory::map(int fd, std::size_t size)
{
  RingMemory ring;
  ring.size_ = size;
  void* consumer = ::mmap(nullptr, page(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (consumer == MAP_FAILED)
    return fail(errno, "map ring");
  ring.consumer_ = static_cast<std::byte*>(consumer);
  void* producer = ::mmap(
      nullptr, page() + 2 * ring.size_, PROT_READ, MAP_SHARED, fd, static_cast<off_t>(page()));
  if (producer == MAP_FAILED)
    return fail(errno, "map ring");
  ring.producer_ = static_cast<std::byte*>(producer);
  ring.data_ = ring.producer_ + page();
  ring.position_ = ring.given_back_ = ring.end_ = position_at(ring.consumer_);
  return ring;
}

RingMemory::RingMemory(RingMemory&& other) noexcept
    : consumer_(std::exchange(other.consumer_, nullptr)),
      producer_(std::exchange(other.producer_, nullptr)), data_(other.data_), size_(other.size_),
      position_(other.position_), given_back_(other.given_back_), end_(other.end_),
      record_(other.record_), bytes_(other.bytes_), begun_after_(other.begun_after_)
{
}

RingMemory::~RingMemory()
{
  if (consumer_ != nullptr)
    ::munmap(consumer_, page());
  if (producer_ != nullptr)
    ::munmap(producer_, page() + (2 * size_));
}

void RingMemory::look()
{
  end_ = position_at(producer_);
}

RingMemory::State RingMemory::next()
{
  while (position_ < end_) {
    auto* header = data_ + (position_ & (size_ - 1));
    const auto length =
        __atomic_load_n(reinterpret_cast<const std::uint32_t*>(header), __ATOMIC_ACQUIRE);
    if ((length & BPF_RINGBUF_BUSY_BIT) != 0)
      return State::kUnfinished;
    bytes_ = length & ~BPF_RINGBUF_DISCARD_BIT;
    record_ = header + BPF_RINGBUF_HDR_SZ;
    if ((length & BPF_RINGBUF_DISCARD_BIT) == 0)
      return State::kRecord;
    take();
  }
  return State::kNone;
}

void RingMemory::take()
{
  position_ += (bytes_ + BPF_RINGBUF_HDR_SZ + 7) & ~std::uint64_t{7};
  if (position_ - given_back_ >= size_ / 8)
    give_back();
}

void RingMemory::give_back()
{
  if (position_ == given_back_)
    return;
  given_back_ = position_;
  __atomic_store_n(reinterpret_cast<std::uint64_t*>(consumer_), position_, __ATOMIC_RELEASE);
}

}  // namespace sonde::bpf
