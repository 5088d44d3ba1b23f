// SPDX-License-Identifier: Apache-2.0
// Reads one connection's commands, in arrays of bulk strings or inline, cut anywhere. Of the
// arguments it keeps the command's name, and for CLIENT the two words after it.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "agent/protocols/redis_commands.hpp"
#include "agent/protocols/redis_wire.hpp"

namespace sonde::redis {

class CommandReader {
public:
  // Consumes `bytes` up to the end of the next command.
  Step next(std::string_view& bytes, std::uint64_t time_ns);

  // Bytes that were not captured: kBad where they leave the framing open.
  Step hole(std::uint64_t bytes, std::uint64_t time_ns);

  void reset() { state_ = State::kStart; }
  bool at_boundary() const { return state_ == State::kStart; }
  std::uint64_t not_wanted() const;
  std::string_view reason() const { return reason_; }

  // Of the last whole command.
  CommandId id() const { return id_; }
  std::uint64_t arguments() const { return arguments_; }  // with the name
  std::string_view word(std::size_t index) const { return words_[index].view(); }
  std::uint64_t bytes() const { return payload_; }
  std::uint64_t first_ns() const { return first_ns_; }
  std::uint64_t last_ns() const { return last_ns_; }

private:
  enum class State : std::uint8_t { kStart, kCount, kMark, kLength, kBulk, kInline };

  Step bad(std::string_view reason);
  void begin(State state, std::uint64_t time_ns);
  Step start(std::string_view& bytes, std::uint64_t time_ns);
  Step count(std::string_view& bytes);
  Step length(std::string_view& bytes);
  Step bulk(std::string_view& bytes);
  Step inline_command(std::string_view& bytes);
  Step argument_done();
  void name_known();
  bool keeps(std::uint64_t index) const { return index == 0 || (index < 3 && is_client_); }

  State state_ = State::kStart;
  bool is_client_ = false;
  char quote_ = 0;  // inline: the quotation mark that is open
  bool in_word_ = false;
  CommandId id_ = 0;
  LengthLine line_;
  std::array<Word<kLongestName>, 3> words_;
  std::uint64_t index_ = 0;  // of the argument that is being read
  std::uint64_t arguments_ = 0;
  BulkString bulk_;
  std::uint64_t remaining_ = 0;  // of the longest inline command
  std::uint64_t payload_ = 0;
  std::uint64_t first_ns_ = 0;
  std::uint64_t last_ns_ = 0;
  std::string_view reason_;
};

}  // namespace sonde::redis
