// SPDX-License-Identifier: Apache-2.0
// Tries whether return probes may be used on this kernel (uprobes.hpp).
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <link.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <optional>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "agent/base/unique_fd.hpp"
#include "agent/bpf/features.hpp"
#include "agent/bpf/uprobes.hpp"

namespace sonde::bpf {

namespace {

constexpr __u32 kUretprobe = 335;  // __NR_uretprobe of x86-64
constexpr int kNoFilter = 2;

__attribute__((noinline)) void return_to_probe()
{
  asm volatile("" ::: "memory");
}

// Where in the executable's file the function is.
std::optional<unsigned long> offset_in_executable(std::uintptr_t address)
{
  struct Search {
    std::uintptr_t address;
    std::optional<unsigned long> offset;
  } search{address, {}};
  ::dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* data) {
        auto& wanted = *static_cast<Search*>(data);
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const auto& segment = info->dlpi_phdr[i];
          const auto begin = info->dlpi_addr + segment.p_vaddr;
          if (segment.p_type == PT_LOAD && wanted.address >= begin &&
              wanted.address < begin + segment.p_filesz)
            wanted.offset = wanted.address - begin + segment.p_offset;
        }
        return 1;  // the first is the executable
      },
      &search);
  return search.offset;
}

[[noreturn]] void run_filtered()
{
  std::array<sock_filter, 4> instructions = {{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kUretprobe, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  sock_fprog filter{static_cast<unsigned short>(instructions.size()), instructions.data()};
  if (::prctl(PR_SET_DUMPABLE, 0) != 0 || ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
    ::_exit(kNoFilter);
  return_to_probe();
  ::_exit(0);
}

// Nothing where it could not be tried.
std::optional<bool> survives_return_probe()
{
  const UniqueFd fd = load_idle_uprobe("sonde_return");
  const auto offset = offset_in_executable(reinterpret_cast<std::uintptr_t>(&return_to_probe));
  if (!fd || !offset)
    return std::nullopt;
  constexpr __u32 kReturn = 1;  // BPF_F_UPROBE_MULTI_RETURN
  LIBBPF_OPTS(bpf_link_create_opts, linking);
  linking.uprobe_multi.path = "/proc/self/exe";
  linking.uprobe_multi.offsets = &*offset;
  linking.uprobe_multi.cnt = 1;
  linking.uprobe_multi.flags = kReturn;
  const UniqueFd link(bpf_link_create(fd.get(), -1, kTraceUprobeMulti, &linking));
  const auto child = link ? ::fork() : -1;
  if (child < 0)
    return std::nullopt;
  if (child == 0)
    run_filtered();
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFSIGNALED(status))
    return false;
  return WEXITSTATUS(status) == 0 ? std::optional(true) : std::nullopt;
}

bool is_fixed_release()
{
  utsname name{};
  unsigned major = 0;
  unsigned minor = 0;
  return ::uname(&name) == 0 && std::sscanf(name.release, "%u.%u", &major, &minor) == 2 &&
         (major > 6 || minor >= 14);
}

}  // namespace

bool return_probes_are_safe()
{
  static const bool safe = [] {
    if (!Features::kernel().has_function("__x64_sys_uretprobe"))
      return true;
    const auto survived = survives_return_probe();
    return survived ? *survived : is_fixed_release();
  }();
  return safe;
}

}  // namespace sonde::bpf
