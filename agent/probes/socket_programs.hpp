// SPDX-License-Identifier: Apache-2.0
// Which of the socket tap's programs this kernel can run, and which of them are wanted.
#pragma once

#include <string>
#include <string_view>

#include "agent/base/result.hpp"

struct socket_bpf;

namespace sonde::socket {

enum class Source : std::uint8_t { kTracepoints, kTwice, kFunctions };

std::string_view describe(Source source);

// `wanted`: auto, tracepoints, twice (tracepoints with two programs each) or functions.
Result<Source> choose_source(const std::string& wanted);

void choose_programs(socket_bpf& object, Source source);

}  // namespace sonde::socket
