// SPDX-License-Identifier: Apache-2.0
// The frame that all messages of PostgreSQL have after the start: a type and a length.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

namespace sonde::postgresql {

inline constexpr std::uint32_t kLongestMessage = 1 << 30;
// Less than this of a message is not worth telling the kernel.
inline constexpr std::uint64_t kLeastSkip = 4096;

// Of the first four bytes.
inline std::uint32_t big_endian(std::string_view bytes)
{
  std::uint32_t value = 0;
  for (const char c : bytes.substr(0, 4))
    value = value << 8 | static_cast<std::uint8_t>(c);
  return value;
}

class MessageReader {
public:
  enum class Event : std::uint8_t { kNeedMore, kHeader, kBody, kEnd };

  // Consumes `bytes` up to the next event.
  Event next(std::string_view& bytes, std::uint64_t time_ns)
  {
    if (in_body_) {
      if (remaining_ == 0) {
        in_body_ = false;
        have_ = 0;
        return Event::kEnd;
      }
      if (bytes.empty())
        return Event::kNeedMore;
      body_ = bytes.substr(0, remaining_);
      remaining_ -= body_.size();
      bytes.remove_prefix(body_.size());
      return Event::kBody;
    }
    if (bytes.empty())
      return Event::kNeedMore;
    if (have_ == 0)
      first_ns_ = time_ns;
    const auto take = std::min(bytes.size(), wanted_ - have_);
    std::ranges::copy(bytes.substr(0, take), header_.data() + have_);
    have_ += take;
    bytes.remove_prefix(take);
    if (have_ < wanted_)
      return Event::kNeedMore;
    type_ = is_startup() ? '\0' : header_[0];
    length_ = big_endian(header().substr(is_startup() ? 0 : 1));
    const std::uint32_t read = is_startup() ? 8 : 4;
    remaining_ = length_ > read ? length_ - read : 0;
    in_body_ = true;
    return Event::kHeader;
  }

  // True when bytes that were not captured all belong to the message that is being read.
  bool hole(std::uint64_t bytes)
  {
    if (!in_body_ || bytes > remaining_)
      return false;
    remaining_ -= bytes;
    return true;
  }

  void reset(bool startup = false)
  {
    in_body_ = false;
    have_ = 0;
    wanted_ = startup ? kStartupHeader : kHeader;
  }

  bool at_boundary() const { return !in_body_ && have_ == 0; }
  bool is_startup() const { return wanted_ == kStartupHeader; }
  char type() const { return type_; }
  std::uint32_t length() const { return length_; }
  std::uint32_t code() const { return big_endian(header().substr(4)); }  // of a startup message
  std::uint64_t size() const { return std::uint64_t{length_} + (is_startup() ? 0 : 1); }
  std::string_view body() const { return body_; }
  std::uint64_t remaining() const { return in_body_ ? remaining_ : 0; }
  // Of the message that is not yet whole.
  std::uint64_t consumed() const { return in_body_ ? size() - remaining_ : have_; }
  std::uint64_t first_ns() const { return first_ns_; }

private:
  std::string_view header() const { return {header_.data(), header_.size()}; }

  static constexpr std::size_t kHeader = 5;
  static constexpr std::size_t kStartupHeader = 8;

  bool in_body_ = false;
  char type_ = 0;
  std::uint32_t length_ = 0;
  std::uint64_t remaining_ = 0;
  std::size_t have_ = 0;
  std::size_t wanted_ = kHeader;
  std::array<char, 8> header_{};
  std::string_view body_;
  std::uint64_t first_ns_ = 0;
};

}  // namespace sonde::postgresql
