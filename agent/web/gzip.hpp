// SPDX-License-Identifier: Apache-2.0
// gzip in pieces: a body is compressed while it is sent, so that memory and the time a web thread
// spends at a stretch stay bounded however large the body is.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <zlib.h>

namespace sonde::web {

class Gzip {
public:
  // `text` must stay where it is until done().
  explicit Gzip(std::string_view text);
  Gzip(const Gzip&) = delete;
  Gzip& operator=(const Gzip&) = delete;
  ~Gzip();

  // The next piece, valid until the next call; empty when there is none left, or no memory.
  std::span<const std::byte> next();
  bool done() const { return done_; }
  // True when zlib found no memory: what was given so far is not a whole stream.
  bool failed() const { return failed_; }

private:
  // Sockets take about this much at once; larger pieces only wait in memory.
  static constexpr std::size_t kPiece = std::size_t{64} << 10;

  z_stream stream_{};
  std::string_view rest_;
  bool done_ = false;
  bool failed_ = false;
  std::array<std::byte, kPiece> piece_;
};

}  // namespace sonde::web
