// SPDX-License-Identifier: Apache-2.0
#include "agent/protocols/sql.hpp"

#include <algorithm>
#include <functional>
#include <span>

namespace sonde::sql {

// Words that decide what a name after them is.
enum class Keyword : std::uint8_t {
  kNone,  // no word
  kWord,  // any other
  kAs,
  kAtomic,
  kBegin,
  kCase,
  kComma,
  kCopy,
  kDistinct,
  kEnd,
  kEnder,  // of a list of tables
  kFor,    // and others that stand before an UPDATE that names no table
  kFrom,
  kInto,
  kIs,
  kJoin,
  kModifier,  // may stand between the keyword and the table
  kNot,
  kQuery,  // begins a query
  kRecursive,
  kReturns,
  kTable,
  kUpdate,
  kWith,
};

namespace {

struct Word {
  std::string_view text;
  Keyword keyword;
};

constexpr Word kKeywords[] = {
    {"after", Keyword::kFor},
    {"as", Keyword::kAs},
    {"atomic", Keyword::kAtomic},
    {"before", Keyword::kFor},
    {"begin", Keyword::kBegin},
    {"case", Keyword::kCase},
    {"copy", Keyword::kCopy},
    {"delete", Keyword::kQuery},
    {"distinct", Keyword::kDistinct},
    {"do", Keyword::kFor},
    {"end", Keyword::kEnd},
    {"except", Keyword::kEnder},
    {"exists", Keyword::kModifier},
    {"fetch", Keyword::kEnder},
    {"for", Keyword::kFor},
    {"from", Keyword::kFrom},
    {"global", Keyword::kModifier},
    {"grant", Keyword::kFor},
    {"group", Keyword::kEnder},
    {"having", Keyword::kEnder},
    {"if", Keyword::kModifier},
    {"insert", Keyword::kQuery},
    {"intersect", Keyword::kEnder},
    {"into", Keyword::kInto},
    {"is", Keyword::kIs},
    {"join", Keyword::kJoin},
    {"key", Keyword::kFor},
    {"lateral", Keyword::kModifier},
    {"limit", Keyword::kEnder},
    {"local", Keyword::kModifier},
    {"merge", Keyword::kQuery},
    {"not", Keyword::kNot},
    {"of", Keyword::kFor},
    {"offset", Keyword::kEnder},
    {"on", Keyword::kFor},
    {"only", Keyword::kModifier},
    {"or", Keyword::kFor},
    {"order", Keyword::kEnder},
    {"recursive", Keyword::kRecursive},
    {"returning", Keyword::kEnder},
    {"returns", Keyword::kReturns},
    {"revoke", Keyword::kFor},
    {"select", Keyword::kQuery},
    {"set", Keyword::kEnder},
    {"table", Keyword::kTable},
    {"temp", Keyword::kModifier},
    {"temporary", Keyword::kModifier},
    {"then", Keyword::kFor},
    {"union", Keyword::kEnder},
    {"unlogged", Keyword::kModifier},
    {"update", Keyword::kUpdate},
    {"values", Keyword::kQuery},
    {"where", Keyword::kEnder},
    {"window", Keyword::kEnder},
    {"with", Keyword::kWith},
};
static_assert(std::ranges::is_sorted(kKeywords, {}, &Word::text));

constexpr std::string_view kVerbs[] = {
    "abort",   "alter",   "analyse", "analyze", "begin",    "call",      "checkpoint",
    "close",   "cluster", "comment", "commit",  "copy",     "create",    "deallocate",
    "declare", "delete",  "discard", "do",      "drop",     "end",       "execute",
    "explain", "fetch",   "grant",   "import",  "insert",   "listen",    "load",
    "lock",    "merge",   "move",    "notify",  "prepare",  "reassign",  "refresh",
    "reindex", "release", "reset",   "revoke",  "rollback", "savepoint", "security",
    "select",  "set",     "show",    "start",   "table",    "truncate",  "unlisten",
    "update",  "vacuum",  "values",  "with",
};
static_assert(std::ranges::is_sorted(kVerbs));

// FROM names no table in these: a role, a cursor, a server, a value.
constexpr std::string_view kWithoutFrom[] = {"fetch", "import", "move", "revoke", "set"};

Keyword keyword(const Token& token)
{
  if (token.kind == Token::Kind::kSign && token.text.front() == ',')
    return Keyword::kComma;
  if (token.kind != Token::Kind::kWord)
    return Keyword::kNone;
  const auto* const found = std::ranges::lower_bound(kKeywords, token.text, {}, &Word::text);
  return found != std::end(kKeywords) && found->text == token.text ? found->keyword
                                                                   : Keyword::kWord;
}

bool begins_query(Keyword word)
{
  return word == Keyword::kQuery || word == Keyword::kWith || word == Keyword::kUpdate ||
         word == Keyword::kTable;
}

}  // namespace

std::string_view known_verb(std::string_view word)
{
  const auto* const found = std::ranges::lower_bound(kVerbs, word);
  return found != std::end(kVerbs) && *found == word ? *found : "other";
}

std::string_view verb_of_tag(std::string_view tag)
{
  std::array<char, 16> lower{};
  const auto word = tag.substr(0, std::min(tag.find(' '), lower.size()));
  std::ranges::transform(word, lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return known_verb({lower.data(), word.size()});
}

bool Scanner::next(std::string_view& bytes)
{
  Token token;
  while (tokens_.next(bytes, token))
    if (take(token))
      return true;
  return false;
}

bool Scanner::finish()
{
  Token token;
  if (tokens_.finish(token))
    take(token);
  if (ended_)
    begin();
  if (expect_ == Expect::kDot)
    settle();
  ended_ = true;
  return !verb_.empty();
}

void Scanner::begin()
{
  const auto tokens = tokens_;
  reset();
  tokens_ = tokens;
}

// True when the token ended a statement.
bool Scanner::take(const Token& token)
{
  if (ended_)
    begin();
  auto word = keyword(token);
  if (after_dot_ && token.kind == Token::Kind::kWord)
    word = Keyword::kWord;
  after_dot_ = token.is('.');
  if (expect_ != Expect::kNothing && expected(token, word)) {
    before_last_ = last_;
    last_ = word;
    return false;
  }
  if (token.kind == Token::Kind::kSign) {
    on_sign(token.text.front());
  } else {
    if (verb_.empty() && token.kind == Token::Kind::kWord)
      verb_ = known_verb(token.text);
    else if (verb_.empty())
      verb_ = "other";
    on_with(token, word);
    on_word(word);
    first_ = false;
  }
  before_last_ = last_;
  last_ = word;
  return ended_;
}

void Scanner::on_sign(char sign)
{
  switch (sign) {
  case '(':
    ++depth_;
    if (depth_ < 64)
      queries_ &= ~(std::uint64_t{1} << depth_);
    first_ = true;
    return;
  case ')':
    depth_ -= depth_ > 0 ? 1 : 0;
    in_from_ = in_from_ && depth_ >= from_depth_;
    break;
  case ',':
    if (in_from_ && depth_ == from_depth_)
      expect_table(true);
    if (in_with_ && depth_ == with_depth_)
      with_name_ = true;
    break;
  case ';':
    first_ = true;
    ended_ = depth_ == 0 && atomic_ == 0 && !verb_.empty();
    return;
  default:
    break;
  }
  first_ = false;
}

// The names that WITH defines are no tables.
void Scanner::on_with(const Token& token, Keyword word)
{
  if (word == Keyword::kWith && first_ && !in_with_) {
    in_with_ = with_name_ = true;
    with_depth_ = depth_;
  } else if (in_with_ && depth_ == with_depth_) {
    if (with_name_ && word != Keyword::kRecursive && token.kind != Token::Kind::kLiteral) {
      with_name_ = false;
      if (with_count_ < with_names_.size())
        with_names_[with_count_++] = std::hash<std::string_view>{}(token.text);
    } else if (begins_query(word)) {
      in_with_ = false;
    }
  }
}

void Scanner::on_word(Keyword word)
{
  if (first_ && begins_query(word) && depth_ < 64)
    queries_ |= std::uint64_t{1} << depth_;
  switch (word) {
  case Keyword::kAtomic:
    atomic_ += last_ == Keyword::kBegin ? 1 : 0;
    break;
  case Keyword::kCase:
    atomic_ += atomic_ > 0 ? 1 : 0;
    break;
  case Keyword::kEnd:
    atomic_ -= atomic_ > 0 ? 1 : 0;
    break;
  case Keyword::kEnder:
    in_from_ = in_from_ && depth_ != from_depth_;
    break;
  default:
    break;
  }
  if (has_table_ || !may_name_table(word))
    return;
  const bool from = word == Keyword::kFrom;
  if (from) {
    in_from_ = true;
    from_depth_ = depth_;
  }
  expect_table(from || word == Keyword::kJoin);
}

bool Scanner::may_name_table(Keyword word) const
{
  switch (word) {
  case Keyword::kJoin:
    return true;
  case Keyword::kCopy:
    return first_ && depth_ == 0;
  case Keyword::kTable:
    return in_query() && last_ != Keyword::kReturns;
  case Keyword::kUpdate:
    return in_query() && last_ != Keyword::kFor && last_ != Keyword::kComma;
  case Keyword::kInto:
    return in_query() && verb_ != "import";
  case Keyword::kFrom: {
    const bool is_distinct = last_ == Keyword::kDistinct &&
                             (before_last_ == Keyword::kIs || before_last_ == Keyword::kNot);
    return in_query() && !is_distinct && last_ != Keyword::kAs &&
           std::ranges::find(kWithoutFrom, verb_) == std::end(kWithoutFrom);
  }
  default:
    return false;
  }
}

void Scanner::expect_table(bool maybe_function)
{
  expect_ = Expect::kTable;
  maybe_function_ = maybe_function;
  parts_ = table_size_ = 0;
}

// True when the token belongs to the name, or to what may stand before it.
bool Scanner::expected(const Token& token, Keyword word)
{
  const bool is_name = token.kind == Token::Kind::kQuoted || token.kind == Token::Kind::kWord;
  if (expect_ == Expect::kTable) {
    if (word == Keyword::kModifier || word == Keyword::kNot || word == Keyword::kTable)
      return true;
    if (token.is('(')) {
      on_sign('(');
      return true;
    }
    if (!is_name || begins_query(word)) {
      expect_ = Expect::kNothing;
      return false;
    }
  } else if (expect_ == Expect::kDot) {
    if (token.is('.')) {
      name(".");
      expect_ = Expect::kPart;
      return true;
    }
    if (token.is('(') && maybe_function_) {
      expect_ = Expect::kNothing;
      return false;
    }
    if (word == Keyword::kFrom && std::string_view(table_.data(), table_size_) == "rows") {
      expect_table(true);  // ROWS FROM (f(), g())
      return true;
    }
    settle();
    return false;
  } else if (!is_name) {
    settle();
    return false;
  }
  name(token.text);
  ++parts_;
  first_ = false;
  expect_ = Expect::kDot;
  return true;
}

void Scanner::name(std::string_view part)
{
  const auto kept = part.substr(0, table_.size() - table_size_);
  std::ranges::copy(kept, table_.data() + table_size_);
  table_size_ += kept.size();
}

void Scanner::settle()
{
  expect_ = Expect::kNothing;
  const auto hash = std::hash<std::string_view>{}({table_.data(), table_size_});
  const auto names = std::span(with_names_).first(with_count_);
  has_table_ = parts_ > 1 || std::ranges::find(names, hash) == names.end();
}

Statement describe(std::string_view text)
{
  Scanner scanner;
  if (!scanner.next(text))
    scanner.finish();
  return {.verb = std::string(scanner.verb()), .table = std::string(scanner.table())};
}

}  // namespace sonde::sql
