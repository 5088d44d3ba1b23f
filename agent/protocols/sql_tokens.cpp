// SPDX-License-Identifier: Apache-2.0
#include "agent/protocols/sql_tokens.hpp"

#include <algorithm>

namespace sonde::sql {

namespace {

bool starts_word(char c)
{
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

bool is_digit(char c)
{
  return c >= '0' && c <= '9';
}

char lower(char c)
{
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

}  // namespace

bool Tokens::emit(Token& token, Token::Kind kind)
{
  state_ = State::kBetween;
  token.kind = kind;
  token.text =
      kind == Token::Kind::kLiteral ? std::string_view() : std::string_view(text_.data(), size_);
  return true;
}

bool Tokens::emit_sign(Token& token, char c)
{
  size_ = 0;
  keep(c);
  return emit(token, Token::Kind::kSign);
}

void Tokens::keep(char c)
{
  if (size_ < text_.size())
    text_[size_++] = c;
}

bool Tokens::next(std::string_view& bytes, Token& token)
{
  while (!bytes.empty())
    if (step(bytes.front(), bytes, token))
      return true;
  return false;
}

bool Tokens::step(char c, std::string_view& bytes, Token& token)
{
  switch (state_) {
  case State::kBetween:
    return between(c, bytes, token);
  case State::kWord:
  case State::kUnicode:
  case State::kNumber:
    return word(c, bytes, token);
  case State::kDollarTag:
  case State::kDollarBody:
  case State::kDollarEnd:
    return dollar(c, bytes, token);
  case State::kDash:
    if (c != '-')
      return emit_sign(token, '-');
    state_ = State::kLineComment;
    break;
  case State::kSlash:
    if (c != '*')
      return emit_sign(token, '/');
    state_ = State::kBlockComment;
    comments_ = 1;
    break;
  case State::kLineComment:
  case State::kBlockComment:
  case State::kBlockStar:
  case State::kBlockSlash:
    comment(c, bytes);
    return false;
  default:
    return text(c, bytes, token);
  }
  bytes.remove_prefix(1);
  return false;
}

bool Tokens::between(char c, std::string_view& bytes, Token& token)
{
  bytes.remove_prefix(1);
  size_ = 0;
  if (starts_word(c)) {
    keep(lower(c));
    state_ = State::kWord;
    return false;
  }
  escapes_ = false;
  switch (c) {
  case ' ':
  case '\t':
  case '\r':
  case '\n':
  case '\f':
  case '\v':
  case '\0':
    return false;
  case '"':
    state_ = State::kQuoted;
    return false;
  case '\'':
    state_ = State::kText;
    return false;
  case '$':
    state_ = State::kDollarTag;
    return false;
  case '-':
    state_ = State::kDash;
    return false;
  case '/':
    state_ = State::kSlash;
    return false;
  default:
    break;
  }
  if (!is_digit(c))
    return emit_sign(token, c);
  state_ = State::kNumber;
  return false;
}

bool Tokens::word(char c, std::string_view& bytes, Token& token)
{
  const bool goes_on = starts_word(c) || is_digit(c);
  if (state_ == State::kNumber) {
    if (!goes_on && c != '.')
      return emit(token, Token::Kind::kLiteral);
    bytes.remove_prefix(1);
    return false;
  }
  if (state_ == State::kUnicode) {
    if (c != '"' && c != '\'')
      return emit(token, Token::Kind::kWord);  // `u & x`: the sign means nothing here
    bytes.remove_prefix(1);
    size_ = 0;
    escapes_ = false;
    state_ = c == '"' ? State::kQuoted : State::kText;
    return false;
  }
  const std::string_view so_far(text_.data(), size_);
  if (goes_on || c == '$') {
    for (; starts_word(c) || is_digit(c) || c == '$'; c = bytes.front()) {
      keep(lower(c));
      bytes.remove_prefix(1);
      if (bytes.empty())
        break;
    }
    return false;
  }
  if (c == '&' && so_far == "u") {
    state_ = State::kUnicode;
  } else if (c == '\'' && size_ == 1 && std::string_view("ebxn").contains(so_far.front())) {
    escapes_ = so_far == "e";
    state_ = State::kText;
  } else {
    return emit(token, Token::Kind::kWord);
  }
  bytes.remove_prefix(1);
  return false;
}

bool Tokens::text(char c, std::string_view& bytes, Token& token)
{
  switch (state_) {
  case State::kQuoted:
    if (c == '"')
      state_ = State::kQuotedEnd;
    else
      keep(c);
    break;
  case State::kQuotedEnd:
    if (c != '"')
      return emit(token, Token::Kind::kQuoted);
    keep(c);
    state_ = State::kQuoted;
    break;
  case State::kText:
    if (!escapes_ && c != '\'') {
      bytes.remove_prefix(std::min(bytes.find('\''), bytes.size()));
      return false;
    }
    if (c == '\'')
      state_ = State::kTextEnd;
    else if (c == '\\' && escapes_)
      state_ = State::kTextEscape;
    break;
  case State::kTextEnd:
    if (c != '\'')
      return emit(token, Token::Kind::kLiteral);
    state_ = State::kText;
    break;
  default:
    state_ = State::kText;
    break;  // kTextEscape
  }
  bytes.remove_prefix(1);
  return false;
}

// $1 is a parameter, $tag$…$tag$ a text. `text_` holds the tag with its closing sign.
bool Tokens::dollar(char c, std::string_view& bytes, Token& token)
{
  if (state_ == State::kDollarTag) {
    const bool digit = is_digit(c);
    if (size_ == 0 && digit) {
      state_ = State::kNumber;
      return false;
    }
    if (c != '$' && !starts_word(c) && !digit)
      return emit(token, Token::Kind::kLiteral);
    keep(c);
    if (c == '$')
      state_ = State::kDollarBody;
    bytes.remove_prefix(1);
    return false;
  }
  if (state_ == State::kDollarBody && c != '$') {
    bytes.remove_prefix(std::min(bytes.find('$'), bytes.size()));
    return false;
  }
  bytes.remove_prefix(1);
  if (state_ == State::kDollarBody) {
    state_ = State::kDollarEnd;
    matched_ = 0;
    return false;
  }
  if (text_[matched_] == c) {
    if (++matched_ == size_)
      return emit(token, Token::Kind::kLiteral);
  } else if (c == '$') {
    matched_ = 0;  // the sign that ends a wrong tag may begin the right one
  } else {
    state_ = State::kDollarBody;
  }
  return false;
}

void Tokens::comment(char c, std::string_view& bytes)
{
  bytes.remove_prefix(1);
  if (state_ == State::kLineComment) {
    if (c == '\n' || c == '\r')
      state_ = State::kBetween;
    return;
  }
  if (state_ == State::kBlockStar && c == '/') {
    state_ = --comments_ == 0 ? State::kBetween : State::kBlockComment;
  } else if (state_ == State::kBlockSlash && c == '*') {
    ++comments_;
    state_ = State::kBlockComment;
  } else {
    state_ = c == '*' ? State::kBlockStar : c == '/' ? State::kBlockSlash : State::kBlockComment;
  }
}

bool Tokens::finish(Token& token)
{
  const auto state = state_;
  state_ = State::kBetween;
  switch (state) {
  case State::kWord:
  case State::kUnicode:
    return emit(token, Token::Kind::kWord);
  case State::kQuotedEnd:
    return emit(token, Token::Kind::kQuoted);
  case State::kNumber:
  case State::kTextEnd:
    return emit(token, Token::Kind::kLiteral);
  default:
    return false;
  }
}

}  // namespace sonde::sql
