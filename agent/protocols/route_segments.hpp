// SPDX-License-Identifier: Apache-2.0
// A raw path taken apart, and which of its segments are values rather than names of a route.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

namespace sonde::protocols {

constexpr std::string_view kAnyRest = "{rest}";
constexpr std::string_view kAnySlug = "{slug}";

// The segments of a path: empty ones and `.` are left out, `..` takes one back, what follows a
// semicolon within a segment is cut (`;jsessionid=…`), a slash at the end is nothing.
class Segments {
public:
  static constexpr std::size_t kMost = 16;  // a deeper path ends in kAnyRest

  explicit Segments(std::string_view path);

  const std::string_view* begin() const { return segments_.data(); }
  const std::string_view* end() const { return segments_.data() + size_; }
  std::size_t size() const { return size_; }

private:
  std::array<std::string_view, kMost> segments_;
  std::size_t size_ = 0;
};

// What a segment becomes in a template: itself, or a placeholder for what it is a value of: {id},
// {uuid}, {hash}, {date}, {version}, {email}, {token}, {file}.js. `scratch` may hold the result.
std::string_view generalised(std::string_view segment, std::string& scratch);

}  // namespace sonde::protocols
