// SPDX-License-Identifier: Apache-2.0
#include "agent/web/gzip.hpp"

#include <algorithm>
#include <limits>

namespace sonde::web {

namespace {

// Metrics text shrinks about 15-fold at level 1 already; level 6 takes three times as long for a
// fifth less.
constexpr int kLevel = 1;
constexpr int kGzipFormat = 16;  // added to the window bits: gzip's header instead of zlib's
constexpr int kMemoryLevel = 8;  // zlib's default

}  // namespace

Gzip::Gzip(std::string_view text) : rest_(text)
{
  failed_ = deflateInit2(&stream_,
                         kLevel,
                         Z_DEFLATED,
                         MAX_WBITS + kGzipFormat,
                         kMemoryLevel,
                         Z_DEFAULT_STRATEGY) != Z_OK;
  done_ = failed_;
}

Gzip::~Gzip()
{
  deflateEnd(&stream_);
}

std::span<const std::byte> Gzip::next()
{
  stream_.next_out = reinterpret_cast<Bytef*>(piece_.data());
  stream_.avail_out = static_cast<uInt>(piece_.size());
  while (!done_ && stream_.avail_out > 0) {
    // zlib counts in 32 bits and takes no const, but writes nothing to its input.
    const auto taken = std::min<std::size_t>(rest_.size(), std::numeric_limits<uInt>::max());
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(rest_.data()));
    stream_.avail_in = static_cast<uInt>(taken);
    const int result = deflate(&stream_, taken == rest_.size() ? Z_FINISH : Z_NO_FLUSH);
    rest_.remove_prefix(taken - stream_.avail_in);
    done_ = result == Z_STREAM_END;
    // Z_BUF_ERROR only says that the piece is full.
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) {
      failed_ = true;
      done_ = true;
    }
  }
  return std::span<const std::byte>(piece_).first(piece_.size() - stream_.avail_out);
}

}  // namespace sonde::web
