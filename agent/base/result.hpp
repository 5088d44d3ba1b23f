// SPDX-License-Identifier: Apache-2.0
// Errors as values: Result<T>, and Error, which carries an errno and the chain of what was being
// done.
#pragma once

#include <cerrno>
#include <expected>
#include <string>
#include <system_error>
#include <utility>

namespace sonde {

class [[nodiscard]] Error {
public:
  Error(std::error_code code, std::string what) : code_(code), what_(std::move(what)) {}

  // From `errno` or a negative libbpf return value: "open /proc/1/maps: Permission denied".
  static Error from_errno(int err, std::string what)
  {
    return {std::error_code(err < 0 ? -err : err, std::generic_category()), std::move(what)};
  }

  // An error that no errno describes; the text says it all.
  static Error text(std::string what) { return {std::error_code{}, std::move(what)}; }

  // Adds the caller's view in front: "load run_queue: map create: EPERM".
  [[nodiscard]] Error in(std::string_view context) &&
  {
    what_.insert(0, ": ").insert(0, context);
    return std::move(*this);
  }

  std::error_code code() const { return code_; }
  std::string message() const { return code_ ? what_ + ": " + code_.message() : what_; }

private:
  std::error_code code_;
  std::string what_;
};

template <typename T = void>
using Result = std::expected<T, Error>;

using Failure = std::unexpected<Error>;

[[nodiscard]] inline Failure fail(int err, std::string what)
{
  return Failure(Error::from_errno(err, std::move(what)));
}

[[nodiscard]] inline Failure fail(std::string what)
{
  return Failure(Error::text(std::move(what)));
}

// Adds context to a failed result and leaves a good one alone.
template <typename T>
Result<T> in(Result<T> result, std::string_view context)
{
  if (!result)
    return Failure(std::move(result).error().in(context));
  return result;
}

}  // namespace sonde

// Yields the value, or returns the error from the enclosing function.
#define SONDE_TRY(expression)                                                                      \
  __extension__({                                                                                  \
    auto sonde_result = (expression);                                                              \
    if (!sonde_result)                                                                             \
      return ::sonde::Failure(std::move(sonde_result).error());                                    \
    *std::move(sonde_result);                                                                      \
  })
