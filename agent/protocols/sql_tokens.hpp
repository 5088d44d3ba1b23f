// SPDX-License-Identifier: Apache-2.0
// Splits SQL text, which may come in pieces, into words, identifiers and signs. Literals and
// comments are passed over: their text is never kept.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sonde::sql {

inline constexpr std::size_t kLongestName = 128;

struct Token {
  enum class Kind : std::uint8_t {
    kWord,     // in lower case: a keyword or an identifier
    kQuoted,   // an identifier, without its quotation marks
    kLiteral,  // a text, number or parameter; `text` is empty
    kSign,     // one character
  };

  Kind kind = Kind::kLiteral;
  std::string_view text;  // valid until the next token

  bool is(char sign) const { return kind == Kind::kSign && text.front() == sign; }
};

class Tokens {
public:
  // Consumes `bytes` up to the end of the next token; false when more are needed.
  bool next(std::string_view& bytes, Token& token);

  // The token that the end of the text ends, if any.
  bool finish(Token& token);

  void reset() { *this = {}; }

private:
  enum class State : std::uint8_t {
    kBetween,
    kWord,
    kUnicode,  // after U&, which begins an identifier or a text
    kNumber,
    kQuoted,
    kQuotedEnd,  // after a quotation mark, which ends it unless doubled
    kText,
    kTextEscape,  // after a backslash of E''
    kTextEnd,
    kDollarTag,
    kDollarBody,
    kDollarEnd,  // inside of what may be the closing tag
    kDash,
    kSlash,
    kLineComment,
    kBlockComment,
    kBlockStar,
    kBlockSlash,
  };

  bool step(char c, std::string_view& bytes, Token& token);
  bool between(char c, std::string_view& bytes, Token& token);
  bool word(char c, std::string_view& bytes, Token& token);
  bool text(char c, std::string_view& bytes, Token& token);
  bool dollar(char c, std::string_view& bytes, Token& token);
  void comment(char c, std::string_view& bytes);
  bool emit(Token& token, Token::Kind kind);
  bool emit_sign(Token& token, char c);
  void keep(char c);

  State state_ = State::kBetween;
  bool escapes_ = false;  // backslashes mean something in this text
  std::array<char, kLongestName> text_{};
  std::size_t size_ = 0;
  std::size_t matched_ = 0;     // of the closing tag
  std::uint32_t comments_ = 0;  // nested
};

}  // namespace sonde::sql
