// SPDX-License-Identifier: Apache-2.0
// gRPC calls that another source than the sockets' bytes has counted: they go into the same
// families. Defined where these are.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "agent/protocols/protocol.hpp"

namespace sonde::grpc {

extern const protocols::Protocol protocol;

// Status codes by their numbers.
enum Code : std::uint8_t {
  kOk,
  kCanceled,
  kUnknown,
  kInvalidArgument,
  kDeadlineExceeded,
  kNotFound,
  kAlreadyExists,
  kPermissionDenied,
  kResourceExhausted,
  kFailedPrecondition,
  kAborted,
  kOutOfRange,
  kUnimplemented,
  kInternal,
  kUnavailable,
  kDataLoss,
  kUnauthenticated,
};

// As go-grpc-middleware spells it; `Unknown` for what is none of them.
std::string_view code_name(std::uint32_t code);

// `path` is /package.Service/Method; the role and the peer are the recorder's.
struct Handled {
  std::string_view path;
  std::string_view code;
  std::uint64_t calls = 0;
  std::span<const std::uint64_t> buckets;  // of durations, by the recorder's bounds, not cumulative
  std::uint64_t sum_ns = 0;
};
void record(const Handled& handled, protocols::Recorder& recorder);

struct Passed {
  std::string_view path;
  std::uint64_t received = 0;
  std::uint64_t sent = 0;
};
void record(const Passed& passed, protocols::Recorder& recorder);

}  // namespace sonde::grpc
