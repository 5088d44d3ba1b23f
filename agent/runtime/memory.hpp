// SPDX-License-Identifier: Apache-2.0
// The memory of another process, read where somebody asks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace sonde::runtime {

// Bytes of the process at `address`, and where they go.
struct Piece {
  std::uint64_t address;
  std::span<std::byte> into;
};

enum class ReadFailure : std::uint8_t {
  kGone,    // no process, or it has no memory any more
  kFault,   // nothing is mapped there
  kDenied,  // may not look
};

class Memory {
public:
  static constexpr std::size_t kMostPieces = 1024;  // UIO_MAXIOV

  virtual ~Memory() = default;

  // All pieces, one after the other in their order and from one address space, or a reason.
  virtual std::optional<ReadFailure> read(std::span<const Piece> pieces) = 0;
  // Whether a page of the range is in swap: reading it would wait for the disk and bring it back.
  virtual bool swapped(std::uint64_t begin, std::uint64_t end) = 0;
};

}  // namespace sonde::runtime
