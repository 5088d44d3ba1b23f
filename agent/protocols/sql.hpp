// SPDX-License-Identifier: Apache-2.0
// What a metric says of an SQL statement: its verb and its first table. Text may come in pieces and
// hold several statements; nothing of it is kept but one name.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "agent/protocols/sql_tokens.hpp"

namespace sonde::sql {

// `word` if it is the verb of a statement, in lower case, else `other`; valid for ever.
std::string_view known_verb(std::string_view word);

// The verb of a completed statement by the server's tag: "INSERT 0 1" is an insert.
std::string_view verb_of_tag(std::string_view tag);

enum class Keyword : std::uint8_t;

class Scanner {
public:
  // Consumes `bytes` up to the end of a statement that is not empty; false when more are needed.
  bool next(std::string_view& bytes);

  // The end of the text; false when it ends no statement.
  bool finish();

  // Of the statement that ended, or is being read: empty while there is none.
  std::string_view verb() const { return verb_; }
  std::string_view table() const
  {
    return has_table_ ? std::string_view(table_.data(), table_size_) : std::string_view();
  }
  // Whatever follows, this statement's verb and table stay.
  bool is_settled() const { return has_table_ && !ended_; }

  void reset() { *this = {}; }

private:
  // What the next token may be.
  enum class Expect : std::uint8_t { kNothing, kTable, kDot, kPart };

  void begin();
  bool take(const Token& token);
  void on_sign(char sign);
  void on_word(Keyword word);
  void on_with(const Token& token, Keyword word);
  bool expected(const Token& token, Keyword word);
  bool may_name_table(Keyword word) const;
  void expect_table(bool maybe_function);
  void name(std::string_view part);
  void settle();
  bool in_query() const { return depth_ < 64 && (queries_ >> depth_ & 1) != 0; }

  Tokens tokens_;
  std::string_view verb_;
  bool ended_ = false;  // the next token begins another statement
  bool first_ = true;   // no token yet in this statement or parenthesis
  bool has_table_ = false;
  bool maybe_function_ = false;  // the name, if a parenthesis follows
  bool after_dot_ = false;
  Expect expect_ = Expect::kNothing;
  Keyword last_{};
  Keyword before_last_{};
  std::uint32_t depth_ = 0;    // parentheses
  std::uint64_t queries_ = 1;  // those of them that hold a query
  bool in_from_ = false;       // a comma brings another table
  std::uint32_t from_depth_ = 0;
  std::uint32_t atomic_ = 0;  // open BEGIN ATOMIC and CASE: a semicolon ends nothing
  bool in_with_ = false;      // among the names that WITH defines
  bool with_name_ = false;    // which comes next
  std::uint32_t with_depth_ = 0;
  std::size_t with_count_ = 0;
  std::array<std::size_t, 8> with_names_{};  // hashed
  std::size_t parts_ = 0;
  std::size_t table_size_ = 0;
  std::array<char, kLongestName> table_{};
};

struct Statement {
  std::string verb;   // empty: nothing but blanks and comments
  std::string table;  // schema.table as written, in lower case unless quoted; empty: none

  bool operator==(const Statement&) const = default;
};

// The first statement of `text`, which may be cut off.
Statement describe(std::string_view text);

}  // namespace sonde::sql
