// SPDX-License-Identifier: Apache-2.0
// Reads one connection's replies and pushes, RESP2 and RESP3, nested and streamed, cut anywhere. It
// keeps what tells them apart: the type, an error's first word, the first element of an array.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "agent/protocols/redis_wire.hpp"

namespace sonde::redis {

bool is_reply_type(char c);

class ReplyReader {
public:
  // Consumes `bytes` up to the end of the next reply or push.
  Step next(std::string_view& bytes, std::uint64_t time_ns);

  // Bytes that were not captured: kBad where they leave the framing open.
  Step hole(std::uint64_t bytes, std::uint64_t time_ns);

  void reset();
  bool at_boundary() const { return state_ == State::kType && depth_ == 0 && !attributes_; }
  std::uint64_t not_wanted() const;
  std::string_view reason() const { return reason_; }

  // Of the last whole reply.
  char type() const { return type_; }
  bool is_error() const { return type_ == '-' || type_ == '!'; }
  std::uint64_t elements() const { return elements_; }
  std::string_view word() const { return word_.view(); }  // of an error, or the first element
  std::int64_t number() const { return number_; }         // the last integer among the elements
  std::uint64_t bytes() const { return payload_; }
  std::uint64_t first_ns() const { return first_ns_; }
  std::uint64_t last_ns() const { return last_ns_; }

private:
  static constexpr std::size_t kDeepest = 32;

  enum class State : std::uint8_t { kType, kLine, kLength, kBulk, kChunkMark, kChunkLength };

  struct Frame {
    std::uint64_t left;  // elements to come; of a streamed aggregate, none are counted
    bool streamed;
    bool attribute;
  };

  Step bad(std::string_view reason);
  void begin(std::uint64_t time_ns);
  Step type(std::string_view& bytes, std::uint64_t time_ns);
  Step simple_line(std::string_view& bytes);
  Step length(std::string_view& bytes);
  Step aggregate();
  void begin_bulk(bool streamed);
  Step bulk(std::string_view& bytes);
  Step bulk_done();
  Step chunk_mark(std::string_view& bytes);
  Step chunk_length(std::string_view& bytes);
  Step element_done();
  bool keeps() const;
  void keep(std::string_view bytes);

  State state_ = State::kType;
  char type_ = 0;     // of the reply
  char element_ = 0;  // of what is being read
  bool attributes_ = false;
  bool streamed_ = false;  // a string in chunks
  bool saw_return_ = false;
  bool word_ended_ = false;
  bool negative_ = false;
  std::size_t depth_ = 0;
  std::array<Frame, kDeepest> frames_;
  LengthLine line_;
  Word<32> word_;
  std::uint64_t index_ = 0;  // among the reply's direct elements
  std::uint64_t elements_ = 0;
  std::int64_t number_ = 0;
  std::int64_t digits_ = 0;
  BulkString bulk_;
  std::uint64_t remaining_ = 0;  // of the longest line
  std::uint64_t payload_ = 0;
  std::uint64_t first_ns_ = 0;
  std::uint64_t last_ns_ = 0;
  std::string_view reason_;
};

}  // namespace sonde::redis
