// SPDX-License-Identifier: Apache-2.0
// Reads what one connection's server sends, cut anywhere: of each message its type, and of the few
// that say how a statement went the tag, the SQLSTATE, the state of the transaction.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "agent/protocols/postgresql_messages.hpp"

namespace sonde::postgresql {

bool looks_like_response(std::string_view bytes);

class ResponseReader {
public:
  enum class Step : std::uint8_t { kNeedMore, kMessage, kBad };

  // Consumes `bytes` up to the end of the next message.
  Step next(std::string_view& bytes, std::uint64_t time_ns);

  // Bytes that were not captured: kBad where they leave the framing open.
  Step hole(std::uint64_t bytes, std::uint64_t time_ns);

  void reset() { frame_.reset(); }
  bool at_boundary() const { return frame_.at_boundary(); }
  std::uint64_t not_wanted() const;
  std::string_view reason() const { return reason_; }

  // Of the last whole message, or the one that is being read.
  char type() const { return type_; }
  std::uint64_t first_ns() const { return frame_.first_ns(); }
  std::uint64_t size() const { return frame_.size(); }
  std::uint64_t consumed() const { return frame_.consumed(); }
  std::string_view tag() const;             // of CommandComplete
  std::string_view sqlstate() const;        // of ErrorResponse: five characters, else `other`
  char status() const { return text_[0]; }  // of ReadyForQuery

private:
  Step header();
  void body(std::string_view bytes);
  void field(char c);
  bool is_read() const { return type_ == 'C' || type_ == 'E' || type_ == 'Z'; }

  MessageReader frame_;
  char type_ = 0;
  char field_ = 0;  // of an ErrorResponse; 0: its type comes next
  std::array<char, 32> text_{};
  std::size_t size_ = 0;
  std::string_view reason_;
};

// The end of a response in bytes whose beginning was not captured.
struct Tail {
  bool is_end = false;  // ends in ReadyForQuery
  char status = 0;
  char type = 0;  // of the message before it: C, E, s, I; 0 where it is not known
  std::string_view tag;
  std::string_view sqlstate;
};

Tail find_tail(std::string_view bytes);

}  // namespace sonde::postgresql
