// SPDX-License-Identifier: Apache-2.0
// The facts ring: exec, exit, outliers. One ring for all families; records go to the handler of
// their family. Lives on the event loop's thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include <bpf/libbpf.h>

#include "sonde/abi.h"

#include "agent/base/event_loop.hpp"
#include "agent/base/result.hpp"

namespace sonde {

namespace bpf {
class SharedMaps;
}

// A record as it lies in the ring, at least a header long; valid only while its handler runs.
class FactRecord {
public:
  explicit FactRecord(std::span<const std::byte> bytes) : bytes_(bytes) {}

  const sonde_record& head() const { return *reinterpret_cast<const sonde_record*>(bytes_.data()); }
  std::span<const std::byte> bytes() const { return bytes_; }

  // The typed record, or nothing when the size disagrees with this build's layout. The one
  // checked cast. Records with a variable tail are at least as large as T.
  template <typename T>
  const T* as() const
  {
    static_assert(std::is_trivially_copyable_v<T>);
    return bytes_.size() >= sizeof(T) ? reinterpret_cast<const T*>(bytes_.data()) : nullptr;
  }

private:
  std::span<const std::byte> bytes_;
};

// Producers wake the loop when it sleeps and when the ring is half full; once awake it looks again
// on a timer until it finds nothing, so an idle node costs nothing and a busy one no wake-up a
// record.
class Facts {
public:
  using Handler = std::function<void(const FactRecord&)>;

  static Result<std::unique_ptr<Facts>> open(bpf::SharedMaps& maps, EventLoop& loop);
  ~Facts();

  // One handler for each family and for all families' outliers.
  void subscribe(std::uint16_t family, Handler handler)
  {
    handlers_.at(family) = std::move(handler);
  }
  void unsubscribe(std::uint16_t family) { handlers_.at(family) = nullptr; }
  void on_outlier(std::function<void(const sonde_outlier&)> handler)
  {
    outlier_ = std::move(handler);
  }

  // Handles all records that lie in the ring now; how many there were.
  std::size_t drain();

  std::uint64_t malformed() const { return malformed_; }

private:
  explicit Facts(bpf::SharedMaps& maps) : maps_(maps) {}
  void consume();
  static int on_record(void* self, void* data, std::size_t size);

  struct Free {
    void operator()(ring_buffer* ring) const { ring_buffer__free(ring); }
  };

  bpf::SharedMaps& maps_;
  bool awake_ = false;
  std::array<Handler, SONDE_FAMILIES> handlers_;
  std::function<void(const sonde_outlier&)> outlier_;
  std::uint64_t malformed_ = 0;
  std::unique_ptr<ring_buffer, Free> ring_;
  EventLoop::Timer again_;
  EventLoop::Watch watch_;
};

}  // namespace sonde
