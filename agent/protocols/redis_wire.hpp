// SPDX-License-Identifier: Apache-2.0
// What requests and replies of Redis have in common: a length on a line of its own.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

namespace sonde::redis {

// One step of a reader: it needs more bytes, has come to the end of one whole message, or what it
// read cannot be of this protocol.
enum class Step : std::uint8_t { kNeedMore, kWhole, kBad };

inline constexpr std::int64_t kLongestBulk = std::int64_t{1} << 32;
inline constexpr std::size_t kLongestLine = 64 << 10;
// Less than this of a value is not worth telling the kernel.
inline constexpr std::uint64_t kLeastSkip = 4096;

// "12\r\n", "-1\r\n", "?\r\n", which may come in single bytes.
class LengthLine {
public:
  void clear() { *this = {}; }

  Step feed(std::string_view& bytes)
  {
    while (!bytes.empty()) {
      const char c = bytes.front();
      bytes.remove_prefix(1);
      if (ended_)
        return c == '\n' && (digits_ > 0 || streamed_) ? Step::kWhole : Step::kBad;
      if (c >= '0' && c <= '9' && !streamed_ && digits_ < kMostDigits) {
        value_ = value_ * 10 + (c - '0');
        ++digits_;
      } else if (c == '\r') {
        ended_ = true;
      } else {
        const bool first = digits_ == 0 && !negative_ && !streamed_;
        negative_ = negative_ || c == '-';
        streamed_ = streamed_ || c == '?';
        if (!first || (c != '-' && c != '?'))
          return Step::kBad;
      }
    }
    return Step::kNeedMore;
  }

  std::int64_t value() const { return negative_ ? -value_ : value_; }
  bool streamed() const { return streamed_; }

private:
  static constexpr int kMostDigits = 18;

  std::int64_t value_ = 0;
  int digits_ = 0;
  bool negative_ = false;
  bool streamed_ = false;
  bool ended_ = false;
};

// The text of a bulk string with its line end, after its length: which may come in pieces.
class BulkString {
public:
  void begin(std::uint64_t length) { remaining_ = length + 2; }

  // `keep` is given the text as it comes.
  template <typename Keep>
  Step feed(std::string_view& bytes, Keep&& keep)
  {
    if (in_text()) {
      const auto take = std::min<std::uint64_t>(remaining_ - 2, bytes.size());
      keep(bytes.substr(0, take));
      bytes.remove_prefix(take);
      remaining_ -= take;
    }
    while (!in_text() && !bytes.empty()) {
      if (bytes.front() != (remaining_ == 2 ? '\r' : '\n'))
        return Step::kBad;
      bytes.remove_prefix(1);
      if (--remaining_ == 0)
        return Step::kWhole;
    }
    return Step::kNeedMore;
  }

  // Bytes that were not captured; kBad where they reach beyond it.
  Step skip(std::uint64_t bytes)
  {
    if (bytes > remaining_)
      return Step::kBad;
    remaining_ -= bytes;
    return remaining_ == 0 ? Step::kWhole : Step::kNeedMore;
  }

  bool in_text() const { return remaining_ > 2; }
  std::uint64_t not_wanted() const { return remaining_ >= kLeastSkip ? remaining_ : 0; }

private:
  std::uint64_t remaining_ = 0;
};

// The first bytes of a text, kept over pieces.
template <std::size_t N>
class Word {
public:
  void clear() { size_ = 0; }
  void append(std::string_view bytes)
  {
    const auto kept = bytes.substr(0, N - size_);
    std::ranges::copy(kept, text_.data() + size_);
    size_ += kept.size();
  }
  void append_upper(std::string_view bytes)
  {
    const auto kept = bytes.substr(0, N - size_);
    std::ranges::transform(kept, text_.data() + size_, [](char c) {
      return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    });
    size_ += kept.size();
  }
  bool full() const { return size_ == N; }
  std::string_view view() const { return {text_.data(), size_}; }

private:
  std::array<char, N> text_;
  std::size_t size_ = 0;
};

}  // namespace sonde::redis
