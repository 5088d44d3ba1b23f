// SPDX-License-Identifier: Apache-2.0
// What the machine under test lacks, told by its own types and files and not by what starts.
#pragma once

#include <string>
#include <string_view>

namespace sonde::testing {

// Without it kernels from 7.0 on give tracing programs no storage of tasks and sockets.
bool cpu_has_cmpxchg16b();

// Why a source of the socket tap (tracepoints, functions) cannot be had here; empty when it can.
std::string why_no_tap(std::string_view source);

}  // namespace sonde::testing
