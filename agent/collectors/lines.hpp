// SPDX-License-Identifier: Apache-2.0
// A text file taken apart line by line and word by word, which knows where it is when the text is
// malformed. Used on one thread.
#pragma once

#include <cstddef>
#include <filesystem>
#include <fmt/format.h>
#include <string_view>

#include "agent/base/result.hpp"
#include "agent/base/text.hpp"

namespace sonde {

class Lines {
public:
  // Both outlive the object.
  Lines(std::string_view text, const std::filesystem::path& path) : text_(text), path_(path) {}

  // Goes to the next line; false after the last one.
  bool next()
  {
    if (text_.empty())
      return false;
    line_ = take_line(text_);
    rest_ = line_;
    ++number_;
    return true;
  }

  std::string_view line() const { return line_; }
  std::size_t line_number() const { return number_; }
  // What the words taken so far have left of the line.
  std::string_view rest() const { return rest_; }
  // Takes the line's next word; empty at its end.
  std::string_view word() { return take_word(rest_); }

  // Takes the next word, which must be a number.
  template <typename T>
  Result<T> number()
  {
    return number<T>(word());
  }
  template <typename T>
  Result<T> number(std::string_view word) const
  {
    if (const auto value = parse_number<T>(word))
      return *value;
    return malformed(word.empty() ? "a number is missing"
                                  : fmt::format("\"{:.64}\" is not a number", word));
  }

  // "/proc/stat:3: a number is missing".
  Failure malformed(std::string_view what) const
  {
    return fail(fmt::format("{}:{}: {}", path_.native(), number_, what));
  }

private:
  std::string_view text_;
  const std::filesystem::path& path_;
  std::string_view line_;
  std::string_view rest_;
  std::size_t number_ = 0;
};

}  // namespace sonde
