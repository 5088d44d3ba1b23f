// SPDX-License-Identifier: Apache-2.0
#include "agent/protocols/http2_fields.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "agent/protocols/grpc_counted.hpp"
#include "agent/protocols/http_counted.hpp"

namespace sonde::http2 {

namespace {

constexpr std::size_t kLongestPath = 1024;

std::optional<std::uint32_t> number_of(std::string_view text, std::size_t most_digits)
{
  std::uint32_t value = 0;
  const auto* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, value);
  const bool whole = parsed.ec == std::errc() && parsed.ptr == end;
  return whole && text.size() <= most_digits ? std::optional(value) : std::nullopt;
}

// application/grpc, with a format or parameters behind it; not application/grpc-web.
bool names_grpc(std::string_view type)
{
  constexpr std::string_view kType = "application/grpc";
  return type.starts_with(kType) &&
         (type.size() == kType.size() || type[kType.size()] == '+' || type[kType.size()] == ';');
}

// "TimeoutValue TimeoutUnit" of the gRPC specification.
std::uint64_t timeout_of(std::string_view text)
{
  constexpr std::array<std::pair<char, std::uint64_t>, 6> kUnits = {{{'H', 3'600'000'000'000},
                                                                     {'M', 60'000'000'000},
                                                                     {'S', 1'000'000'000},
                                                                     {'m', 1'000'000},
                                                                     {'u', 1'000},
                                                                     {'n', 1}}};
  if (text.empty())
    return 0;
  const auto value = number_of(text.substr(0, text.size() - 1), 8);
  const auto* const unit =
      std::ranges::find(kUnits, text.back(), &std::pair<char, std::uint64_t>::first);
  return value && unit != kUnits.end() ? *value * unit->second : 0;
}

}  // namespace

void Fields::clear()
{
  path_.clear();
  method_ = "unknown";
  timeout_ns_ = unknown_ = nameless_ = 0;
  status_ = 0;
  code_.reset();
  type_ = Type::kAbsent;
}

void Fields::add(std::string_view name, std::string_view value)
{
  if (name.empty()) {
    ++unknown_;
    if (const auto code = number_of(value, 2); code && *code <= grpc::kUnauthenticated) {
      ++nameless_;
      nameless_code_ = static_cast<std::uint8_t>(*code);
    }
  } else if (name == ":path") {
    path_ = value.substr(0, std::min(kLongestPath, value.find_first_of("?#")));
  } else if (name == ":method") {
    method_ = http1::known_method(value);
  } else if (name == ":status") {
    status_ = static_cast<std::uint16_t>(number_of(value, 3).value_or(0));
  } else if (name == "content-type") {
    type_ = names_grpc(value) ? Type::kGrpc : Type::kOther;
  } else if (name == "grpc-status") {
    const auto code = number_of(value, 10);
    code_ = grpc::kUnknown;
    if (code && *code <= grpc::kUnauthenticated)
      code_ = static_cast<std::uint8_t>(*code);
  } else if (name == "grpc-timeout") {
    timeout_ns_ = timeout_of(value);
  }
}

Maybe Fields::is_grpc() const
{
  if (type_ == Type::kAbsent)
    return unknown_ > 0 ? Maybe::kUnknown : Maybe::kNo;
  return type_ == Type::kGrpc ? Maybe::kYes : Maybe::kNo;
}

std::optional<std::uint8_t> Fields::code(bool after_messages) const
{
  if (code_)
    return code_;
  // A name that was inserted before the connection was joined, with a value that is new.
  if (nameless_ == 1)
    return nameless_code_;
  // The one field that a success needs. Failures after messages say why in a second one.
  if (after_messages && unknown_ == 1 && status_ == 0)
    return 0;
  return std::nullopt;
}

}  // namespace sonde::http2
