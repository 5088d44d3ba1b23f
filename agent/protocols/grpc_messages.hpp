// SPDX-License-Identifier: Apache-2.0
// Length-prefixed messages of one direction of a gRPC call: one byte (compressed or not), four of
// length, the message ("gRPC over HTTP2", Length-Prefixed-Message).
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>

namespace sonde::grpc {

class Messages {
public:
  void feed(std::string_view bytes)
  {
    while (!bytes.empty() && follows_) {
      if (left_ > 0) {
        const auto taken = std::min<std::uint64_t>(left_, bytes.size());
        bytes.remove_prefix(taken);
        pass(taken);
        continue;
      }
      const auto byte = static_cast<unsigned char>(bytes.front());
      bytes.remove_prefix(1);
      if (prefix_ == 0 && byte > 1) {
        follows_ = false;
        return;
      }
      length_ = prefix_ == 0 ? 0 : length_ << 8U | byte;
      if (++prefix_ < kPrefix)
        continue;
      left_ = length_;
      if (left_ == 0)
        pass(0);
    }
  }

  // Bytes that were not captured: harmless within a message.
  void skip(std::uint64_t bytes)
  {
    follows_ = follows_ && bytes <= left_;
    if (follows_)
      pass(bytes);
  }

  // False once the bytes could not be followed, or cannot be messages.
  bool follows() const { return follows_; }
  // Whole ones.
  std::uint64_t count() const { return count_; }
  // Those since the last tell(), which counts them as told.
  std::uint64_t untold() const { return count_ - told_; }
  std::uint64_t tell() { return count_ - std::exchange(told_, count_); }
  // Ends between two of them.
  bool even() const { return follows_ && prefix_ == 0; }
  std::uint64_t left() const { return follows_ ? left_ : 0; }

private:
  static constexpr std::uint8_t kPrefix = 5;

  void pass(std::uint64_t bytes)
  {
    left_ -= bytes;
    if (left_ > 0)
      return;
    ++count_;
    prefix_ = 0;
  }

  std::uint64_t left_ = 0;  // of the message's body
  std::uint64_t count_ = 0;
  std::uint64_t told_ = 0;
  std::uint32_t length_ = 0;
  std::uint8_t prefix_ = 0;  // bytes of it that have come
  bool follows_ = true;
};

}  // namespace sonde::grpc
