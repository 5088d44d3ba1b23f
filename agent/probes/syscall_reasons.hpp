// SPDX-License-Identifier: Apache-2.0
// Which reason a thread blocked in a system call is off its CPU for, by the call's number on this
// architecture. The table goes into the switch program's rodata.
#pragma once

#include <array>
#include <cstdint>

#include "sonde/run_queue.h"

namespace sonde {

std::array<std::uint8_t, SONDE_SYSCALLS> syscall_reasons();

}  // namespace sonde
