// SPDX-License-Identifier: Apache-2.0
// Frames of one direction of an HTTP/2 connection (RFC 9113 sections 3.4, 4 and 6): pieces and
// holes in, events out. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

#include "agent/protocols/protocol.hpp"

namespace sonde::http2 {

// Of a frame's header; and the largest stream that there can be.
inline constexpr std::size_t kHeaderBytes = 9;
inline constexpr std::uint32_t kMostStream = 0x7fff'ffff;

// Four bytes as a number.
std::uint32_t word_at(std::string_view bytes, std::size_t at);

inline constexpr std::string_view kClientPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

enum FrameType : std::uint8_t {
  kData = 0,
  kHeaders = 1,
  kPriority = 2,
  kRstStream = 3,
  kSettings = 4,
  kPushPromise = 5,
  kPing = 6,
  kGoAway = 7,
  kWindowUpdate = 8,
  kContinuation = 9,
};

struct Frame {
  static constexpr std::uint8_t kEndStream = 0x1;  // DATA, HEADERS
  static constexpr std::uint8_t kAck = 0x1;        // SETTINGS, PING
  static constexpr std::uint8_t kEndHeaders = 0x4;
  static constexpr std::uint8_t kPadded = 0x8;
  static constexpr std::uint8_t kHasPriority = 0x20;

  std::uint32_t length = 0;
  std::uint8_t type = 0;
  std::uint8_t flags = 0;
  std::uint32_t stream = 0;

  bool has(std::uint8_t flag) const { return (flags & flag) != 0; }
  bool holds_block() const
  {
    return type == kHeaders || type == kPushPromise || type == kContinuation;
  }
};

// Whether the bytes, which `from` says, begin with frames: for a connection that is joined in the
// middle. No stream is above `most`.
protocols::Match begins_with_frames(std::string_view bytes,
                                    protocols::Direction from,
                                    std::uint32_t most = kMostStream);

// Whither a call passes that begins with these frames, by the first field of its first head.
std::optional<protocols::Direction> told_direction(std::string_view bytes);

class FrameReader {
public:
  // What is left of a piece or of a hole.
  struct Input {
    std::string_view bytes;
    std::uint64_t hole = 0;
    std::uint64_t time_ns = 0;

    std::uint64_t size() const { return bytes.size() + hole; }
  };
  struct Event {
    enum class Kind : std::uint8_t {
      kBegin,
      kContent,  // of DATA and header blocks, framing left out
      kEnd,
      kMalformed,  // `reason` says why; nothing more comes until resume()
      kLost,       // a hole was larger than what was known to come; likewise
    };

    Kind kind;
    std::string_view bytes = {};  // of kContent, captured; of kEnd the first ones of others
    std::uint64_t hole = 0;       // not captured
    std::string_view reason = {};
  };

  FrameReader(protocols::Direction from, bool from_start)
      : from_(from), state_(!from_start                               ? State::kLost
                            : from == protocols::Direction::kToServer ? State::kPreface
                                                                      : State::kHeader)
  {
  }

  // The next event of the input, which loses what was taken; nothing when it is used up.
  std::optional<Event> next(Input& input);

  // Of the last event. A header block's stream is that of its first frame.
  const Frame& frame() const { return frame_; }
  // When its first byte passed.
  std::uint64_t first_ns() const { return first_ns_; }
  // No more of the block comes.
  bool block_ends() const { return block_ == 0; }
  // What is known to come of the present frame, from here on.
  std::uint64_t left() const
  {
    return state_ == State::kContent || state_ == State::kPadding ? left_ + padding_ : 0;
  }

  bool lost() const { return state_ == State::kLost; }
  // Goes on with these bytes, the first ones of a call, if they look like frames; `is_open` knows
  // streams.
  bool resume(std::string_view bytes, const std::function<bool(std::uint32_t)>& is_open);
  // The same with the last bytes of a call, of which the middle was not captured: returns how many
  // of them come before frames of which the last one ends with them; all where there are none.
  std::size_t resume_at_end(std::string_view bytes,
                            const std::function<bool(std::uint32_t)>& is_open);

private:
  enum class State : std::uint8_t {
    kPreface,
    kHeader,
    kPadLength,
    kFront,  // what stands before the content
    kContent,
    kPadding,
    kLost,
  };
  // Streams that may have been opened while nothing was seen.
  static constexpr std::uint32_t kMostUnseen = 1U << 16U;

  std::optional<Event> preface(Input& input);
  std::optional<Event> header(Input& input);
  std::optional<Event> pad_length(Input& input);
  std::optional<Event> content(Input& input);
  std::string_view wrong() const;
  Event begin();
  Event end();
  std::uint32_t most_stream() const;
  void look_for_header();
  Event stop(Event::Kind kind, std::string_view reason = {});
  bool collects() const { return frame_.type == kRstStream || frame_.type == kGoAway; }

  protocols::Direction from_;
  State state_;
  std::uint8_t collected_ = 0;  // bytes in small_
  std::uint8_t padding_ = 0;
  std::uint8_t front_ = 0;
  std::array<char, kHeaderBytes> small_{};
  Frame frame_;
  std::uint32_t left_ = 0;     // of the content
  std::uint32_t block_ = 0;    // the stream of a header block that goes on
  std::uint32_t highest_ = 0;  // stream so far
  std::uint64_t first_ns_ = 0;
};

}  // namespace sonde::http2
