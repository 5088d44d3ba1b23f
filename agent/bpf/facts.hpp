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

#include "sonde/abi.h"

#include "agent/base/event_loop.hpp"
#include "agent/base/result.hpp"
#include "agent/bpf/ring.hpp"

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

class Facts {
public:
  using Handler = std::function<void(const FactRecord&)>;

  static Result<std::unique_ptr<Facts>> open(bpf::SharedMaps& maps, EventLoop& loop);

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
  std::size_t drain() { return ring_->drain(); }

  std::uint64_t malformed() const { return malformed_; }

private:
  Facts() = default;
  void on_record(void* data, std::size_t size);

  std::array<Handler, SONDE_FAMILIES> handlers_;
  std::function<void(const sonde_outlier&)> outlier_;
  std::uint64_t malformed_ = 0;
  std::unique_ptr<bpf::Ring> ring_;
};

}  // namespace sonde
