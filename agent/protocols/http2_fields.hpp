// SPDX-License-Identifier: Apache-2.0
// What a header block says, as far as it concerns requests (RFC 9113 section 8.3; "gRPC over
// HTTP2", Requests and Responses). Nothing else of it is kept.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sonde::http2 {

enum class Maybe : std::uint8_t { kNo, kYes, kUnknown };

class Fields {
public:
  void clear();
  void add(std::string_view name, std::string_view value);
  // Fields of the block are missing, or some were not to be read.
  void miss() { unknown_ += 2; }

  // As a bounded word.
  std::string_view method() const { return method_; }
  // Without query, at most 1 KiB; empty where unknown, and of CONNECT.
  std::string& path() { return path_; }
  // 0: not there, as far as is known.
  std::uint16_t status() const { return status_; }
  bool may_have_status() const { return status_ == 0 && unknown_ > 0; }
  // Whether this is gRPC's, by the content type.
  Maybe is_grpc() const;
  // The code of gRPC, 0 to 16, if it says one. `after_messages`: of a response that had some.
  std::optional<std::uint8_t> code(bool after_messages) const;
  bool may_have_code() const { return unknown_ > 0; }
  std::uint64_t timeout_ns() const { return timeout_ns_; }

private:
  enum class Type : std::uint8_t { kAbsent, kGrpc, kOther };

  std::string_view method_ = "unknown";
  std::string path_;
  std::uint64_t timeout_ns_ = 0;
  std::uint32_t unknown_ = 0;   // fields without a name
  std::uint32_t nameless_ = 0;  // those of them whose value could be a code
  std::uint16_t status_ = 0;
  std::uint8_t nameless_code_ = 0;
  std::optional<std::uint8_t> code_;
  Type type_ = Type::kAbsent;
};

}  // namespace sonde::http2
