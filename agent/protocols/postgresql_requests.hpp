// SPDX-License-Identifier: Apache-2.0
// Reads what one connection's client sends, cut anywhere: of each message its type, the names it
// uses (hashed), and what statements its text holds.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "agent/protocols/postgresql_messages.hpp"
#include "agent/protocols/postgresql_statements.hpp"
#include "agent/protocols/sql.hpp"

namespace sonde::postgresql {

class RequestReader {
public:
  enum class Step : std::uint8_t { kNeedMore, kMessage, kBad };

  // The types of messages before and without a type of their own.
  static constexpr char kStartup = 'u';
  static constexpr char kEncryption = 'e';
  static constexpr char kCancel = 'x';

  static constexpr std::size_t kMostStatements = 4096;

  explicit RequestReader(bool from_start) { frame_.reset(from_start); }

  // Consumes `bytes` up to the end of the next message.
  Step next(std::string_view& bytes, std::uint64_t time_ns);

  // Bytes that were not captured: kBad where they leave the framing open.
  Step hole(std::uint64_t bytes, std::uint64_t time_ns);

  void reset();
  bool at_boundary() const { return frame_.at_boundary(); }
  std::uint64_t not_wanted() const;
  std::string_view reason() const { return reason_; }

  // Of the last whole message.
  char type() const { return type_; }
  std::uint64_t first_ns() const { return frame_.first_ns(); }
  std::uint64_t last_ns() const { return last_ns_; }
  std::uint64_t consumed() const { return frame_.consumed(); }  // of the next message
  std::uint64_t size() const { return frame_.size(); }
  Key portal() const { return type_ == 'B' || type_ == 'E' ? keys_[0] : keys_[1]; }
  Key statement() const { return type_ == 'P' ? keys_[0] : keys_[1]; }
  bool is_portal() const { return kind_ == 'P'; }  // what Describe and Close are about
  bool names_lost() const { return names_lost_; }
  // The statements of a text, at most kMostStatements; if it was cut off there may be others.
  std::vector<StatementRef>& statements() { return statements_; }
  bool is_cut() const { return cut_; }

private:
  Step header();
  Step start();
  void body(std::string_view bytes);
  std::string_view name(std::string_view bytes);
  void text(std::string_view bytes);
  void text_done();
  Step message_done(std::uint64_t time_ns);
  bool has_text() const { return type_ == 'Q' || type_ == 'P'; }
  bool is_read() const;

  MessageReader frame_;
  char type_ = 0;
  char kind_ = 0;
  bool kind_read_ = false;
  bool cut_ = false;
  bool text_ended_ = false;
  bool names_lost_ = false;
  std::size_t names_wanted_ = 0;
  std::size_t names_read_ = 0;
  std::array<Key, 2> keys_{};
  sql::Scanner scanner_;
  StatementCache cache_;
  std::vector<StatementRef> statements_;
  std::uint64_t last_ns_ = 0;
  std::string_view reason_;
};

// Whether a call's bytes are whole messages of a client, but for a long last one.
bool looks_like_requests(std::string_view bytes);

}  // namespace sonde::postgresql
