// SPDX-License-Identifier: Apache-2.0
#include "agent/probes/syscall_reasons.hpp"

#include <sys/syscall.h>

namespace sonde {

namespace {

constexpr int kNetwork[] = {
    SYS_recvfrom,
    SYS_recvmsg,
    SYS_recvmmsg,
    SYS_sendto,
    SYS_sendmsg,
    SYS_sendmmsg,
    SYS_accept,
    SYS_accept4,
    SYS_connect,
    SYS_ppoll,
    SYS_pselect6,
    SYS_epoll_pwait,
#ifdef SYS_epoll_pwait2
    SYS_epoll_pwait2,
#endif
#ifdef SYS_poll  // absent on arm64
    SYS_poll,
    SYS_select,
    SYS_epoll_wait,
#endif
};

constexpr int kLock[] = {
    SYS_futex,
    SYS_semop,
    SYS_semtimedop,
    SYS_flock,
#ifdef SYS_futex_waitv
    SYS_futex_waitv,
#endif
};

constexpr int kSleep[] = {
    SYS_nanosleep,
    SYS_clock_nanosleep,
    SYS_rt_sigtimedwait,
    SYS_rt_sigsuspend,
#ifdef SYS_pause
    SYS_pause,
#endif
};

// Waiting for a journal or for asynchronous I/O is not always marked in_iowait.
constexpr int kIo[] = {
    SYS_fsync,
    SYS_fdatasync,
    SYS_sync,
    SYS_syncfs,
    SYS_msync,
    SYS_sync_file_range,
    SYS_io_getevents,
#ifdef SYS_io_pgetevents
    SYS_io_pgetevents,
#endif
};

}  // namespace

std::array<std::uint8_t, SONDE_SYSCALLS> syscall_reasons()
{
  std::array<std::uint8_t, SONDE_SYSCALLS> table{};
  const auto mark = [&](const auto& numbers, sonde_off_cpu_reason reason) {
    for (const int number : numbers)
      table.at(static_cast<std::size_t>(number)) = static_cast<std::uint8_t>(reason);
  };
  mark(kNetwork, SONDE_OFF_CPU_NETWORK);
  mark(kLock, SONDE_OFF_CPU_LOCK);
  mark(kSleep, SONDE_OFF_CPU_SLEEP);
  mark(kIo, SONDE_OFF_CPU_IO);
  return table;
}

}  // namespace sonde
