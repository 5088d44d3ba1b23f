// SPDX-License-Identifier: Apache-2.0
#include "agent/app/check_node.hpp"

#include <filesystem>
#include <fmt/format.h>
#include <limits>
#include <sys/resource.h>

#include "agent/base/file.hpp"
#include "agent/base/text.hpp"

namespace sonde::app {

namespace {

constexpr KernelVersion kOldest{5, 10};
constexpr KernelVersion kCapBpf{5, 8};
constexpr KernelVersion kUprobeMulti{6, 6};
constexpr KernelVersion kMemoryCgroups{5,
                                       11};  // BPF memory is charged to them, not to RLIMIT_MEMLOCK

constexpr unsigned kSysAdmin = 21;
constexpr unsigned kSysResource = 24;
constexpr unsigned kPerfmon = 38;

struct Capability {
  unsigned bit;
  std::string_view name;
  bool implied;  // CAP_SYS_ADMIN stands for it
  std::string_view lost;
};

constexpr Capability kCapabilities[] = {
    {39, "BPF", true, "no BPF program loads: no kernel metrics of services, collectors only"},
    {kPerfmon, "PERFMON", true, "no tracing program loads: no kernel metrics of services"},
    {19,
     "SYS_PTRACE",
     false,
     "executable, environment and mounts of other users' processes are unreadable: services are "
     "named by their command, and the node's file systems are not seen from a container"},
    {2,
     "DAC_READ_SEARCH",
     false,
     "other users' files are unreadable: binaries, cgroups and mount points"},
    {40,
     "CHECKPOINT_RESTORE",
     true,
     "/proc/PID/map_files is unreadable: binaries that were deleted or replaced"},
    {34, "SYSLOG", true, "kernel addresses have no names"},
};

constexpr std::string_view kGrant =
    "run as root, or grant it: AmbientCapabilities= in deploy/systemd, capabilities.add in "
    "deploy/kubernetes";

bool is_there(const std::filesystem::path& path)
{
  std::error_code error;
  return std::filesystem::exists(path, error);
}

// The first line of a small file, or nothing.
std::optional<std::string> first_line(const std::filesystem::path& path)
{
  auto text = read_file(path, 64 << 10);
  if (!text)
    return std::nullopt;
  std::string_view rest = *text;
  return std::string(trim(take_line(rest)));
}

std::optional<std::int64_t> sysctl(const Node& node, std::string_view name)
{
  const auto line = first_line(node.paths.procfs / "sys" / name);
  return line ? parse_number<std::int64_t>(*line) : std::nullopt;
}

std::optional<std::uint64_t> effective_capabilities(const Node& node)
{
  const auto status = read_file(node.paths.proc("self/status"));
  if (!status)
    return std::nullopt;
  for (std::string_view rest = *status; !rest.empty();) {
    auto line = take_line(rest);
    if (take_until(line, ':') == "CapEff")
      return parse_hex(trim(line));
  }
  return std::nullopt;
}

bool holds(std::uint64_t capabilities, unsigned bit)
{
  return (capabilities >> bit & 1U) != 0;
}

Finding check_capability(const Capability& capability, std::uint64_t held, KernelVersion kernel)
{
  Finding finding{fmt::format("capability {}", capability.name), Verdict::kPass, "held"};
  if (holds(held, capability.bit))
    return finding;
  if (capability.implied && holds(held, kSysAdmin)) {
    finding.what = "covered by SYS_ADMIN";
    return finding;
  }
  finding.verdict = Verdict::kWarn;
  finding.what = fmt::format("missing: {}", capability.lost);
  finding.remedy = kernel < kCapBpf && capability.bit >= kPerfmon
                       ? "grant SYS_ADMIN, this kernel knows no finer one"
                       : std::string(kGrant);
  return finding;
}

Finding check_sys_admin(std::uint64_t held, KernelVersion kernel)
{
  Finding finding{"capability SYS_ADMIN", Verdict::kPass, {}};
  if (kernel >= kUprobeMulti) {
    finding.what = holds(held, kSysAdmin) ? "held: more than Sonde needs" : "not held, not needed";
  } else if (holds(held, kSysAdmin)) {
    finding.what = "held: uprobes need it before Linux 6.6";
  } else {
    finding.verdict = Verdict::kWarn;
    finding.what = "missing: no uprobes before Linux 6.6 without it: nothing of Go, Rust and TLS";
    finding.remedy = kGrant;
  }
  return finding;
}

Finding check_user_namespace(const Node& node)
{
  const auto map = first_line(node.paths.proc("self/uid_map"));
  if (!map)
    return {"user namespace", Verdict::kPass, "the kernel has none"};
  std::string_view rest = *map;
  const auto inside = take_word(rest);
  const auto outside = take_word(rest);
  if (inside == "0" && outside == "0" && take_word(rest) == "4294967295")
    return {"user namespace", Verdict::kPass, "the node's own"};
  return {"user namespace",
          Verdict::kWarn,
          "a user namespace: the kernel does not honour its capabilities for BPF",
          "start Sonde outside of user namespaces (rootless containers, hostUsers: false)"};
}

Finding check_jit(const Node& node)
{
  const auto path = node.paths.procfs / "sys/net/core/bpf_jit_enable";
  if (!is_there(path))
    return {"BPF JIT", Verdict::kPass, "not visible from this network namespace"};
  const auto value = sysctl(node, "net/core/bpf_jit_enable");
  if (!value)
    return {"BPF JIT", Verdict::kPass, "only root may see whether it is on"};
  if (*value > 0)
    return {"BPF JIT", Verdict::kPass, "on"};
  return {"BPF JIT",
          Verdict::kWarn,
          "off: programs are interpreted and cost the node several times as much",
          "sysctl -w net.core.bpf_jit_enable=1"};
}

Finding check_statistics(const Node& node)
{
  const auto value = sysctl(node, "kernel/bpf_stats_enabled");
  if (!value)
    return {"BPF statistics", Verdict::kPass, "kernel.bpf_stats_enabled is not readable"};
  if (*value > 0)
    return {"BPF statistics", Verdict::kPass, "on: each program run costs about 50 ns more"};
  // BPF_ENABLE_STATS asks for this capability alone.
  const auto held = effective_capabilities(node).value_or(0);
  if (node.max_cpu_ratio > 0 && !holds(held, kSysAdmin))
    return {"BPF statistics",
            Verdict::kWarn,
            "off, and only SYS_ADMIN may turn them on: bpf.max-cpu-ratio sees no run time",
            "sysctl -w kernel.bpf_stats_enabled=1"};
  return {"BPF statistics", Verdict::kPass, "off: sonde_bpf_run_seconds_total does not move"};
}

Finding check_perf(const Node& node)
{
  const auto level = sysctl(node, "kernel/perf_event_paranoid");
  if (!level)
    return {"perf events", Verdict::kPass, "kernel.perf_event_paranoid is not readable"};
  const auto held = effective_capabilities(node).value_or(0);
  if (holds(held, kPerfmon) || holds(held, kSysAdmin))
    return {"perf events",
            Verdict::kPass,
            fmt::format("kernel.perf_event_paranoid is {}, CAP_PERFMON goes before it", *level)};
  if (*level <= 0)
    return {"perf events", Verdict::kPass, fmt::format("kernel.perf_event_paranoid is {}", *level)};
  return {"perf events",
          Verdict::kWarn,
          fmt::format("kernel.perf_event_paranoid is {} and CAP_PERFMON is missing", *level),
          std::string(kGrant)};
}

Finding check_unprivileged(const Node& node)
{
  const auto value = sysctl(node, "kernel/unprivileged_bpf_disabled");
  if (!value)
    return {"unprivileged BPF", Verdict::kPass, "the kernel has no such switch"};
  if (*value == 0)
    return {"unprivileged BPF",
            Verdict::kWarn,
            "any user of the node may load BPF programs; Sonde does not need that",
            "sysctl -w kernel.unprivileged_bpf_disabled=2"};
  return {"unprivileged BPF", Verdict::kPass, "off, as it should be"};
}

// The kernel charges socket storage to this limit, and refuses the connection where that fails.
Finding check_socket_storage(const Node& node)
{
  constexpr std::int64_t kLeast = 4096;
  const auto value = sysctl(node, "net/core/optmem_max");
  if (!value)
    return {"socket storage", Verdict::kPass, "net.core.optmem_max is not visible from here"};
  if (*value >= kLeast)
    return {
        "socket storage", Verdict::kPass, fmt::format("net.core.optmem_max is {} bytes", *value)};
  return {"socket storage",
          Verdict::kWarn,
          fmt::format("net.core.optmem_max is {} bytes: where a socket's options use them up, the "
                      "kernel refuses connections",
                      *value),
          "sysctl -w net.core.optmem_max=20480, or --no-tcp.clone"};
}

}  // namespace

std::optional<KernelVersion> parse_kernel_version(std::string_view release)
{
  const auto major = parse_number<unsigned>(take_until(release, '.'));
  const auto end = std::min(release.find_first_not_of("0123456789"), release.size());
  const auto minor = parse_number<unsigned>(release.substr(0, end));
  if (!major || !minor)
    return std::nullopt;
  return KernelVersion{*major, *minor};
}

Finding check_kernel(const Node& node)
{
  Finding finding{"kernel", Verdict::kPass, fmt::format("{} {}", node.release, node.machine)};
  const auto version = parse_kernel_version(node.release);
  if (!version || *version < kOldest) {
    finding.verdict = Verdict::kFail;
    finding.what += version ? ": older than 5.10" : ": no version that can be read";
    finding.remedy = "boot Linux 5.10 or later";
  } else if (node.machine != "x86_64" && node.machine != "aarch64") {
    finding.verdict = Verdict::kFail;
    finding.what += ": no programs are built for this architecture";
    finding.remedy = "use x86_64 or arm64";
  }
  return finding;
}

Finding check_types(const Node& node)
{
  const auto path = node.paths.sys("kernel/btf/vmlinux");
  if (is_there(path))
    return {"kernel types (BTF)", Verdict::kPass, path.string()};
  return {
      "kernel types (BTF)",
      Verdict::kWarn,
      fmt::format("{} is missing: no probe can be loaded, collectors only", path.string()),
      "use a kernel built with CONFIG_DEBUG_INFO_BTF (Debian, Ubuntu, Fedora and RHEL have it), "
      "or mount the node's /sys"};
}

Finding check_lockdown(const Node& node)
{
  const auto line = first_line(node.paths.sys("kernel/security/lockdown"));
  if (!line)
    return {"lockdown", Verdict::kPass, "not built in, or securityfs is not mounted"};
  const auto open = line->find('[');
  const auto close = line->find(']');
  const auto mode =
      open < close && close != std::string::npos ? line->substr(open + 1, close - open - 1) : *line;
  if (mode != "confidentiality")
    return {"lockdown", Verdict::kPass, mode};
  return {"lockdown",
          Verdict::kWarn,
          "confidentiality: the kernel refuses BPF programs that read its memory",
          "boot with lockdown=integrity"};
}

std::vector<Finding> check_privileges(const Node& node)
{
  std::vector<Finding> findings;
  const auto held = effective_capabilities(node);
  if (!held)
    return {{"capabilities",
             Verdict::kWarn,
             fmt::format("{} is not readable", node.paths.proc("self/status").string()),
             "mount procfs, or point --path.procfs at it"}};
  const auto kernel = parse_kernel_version(node.release).value_or(KernelVersion{});
  for (const auto& capability : kCapabilities)
    findings.push_back(check_capability(capability, *held, kernel));
  findings.push_back(check_sys_admin(*held, kernel));
  findings.push_back(check_user_namespace(node));
  return findings;
}

Finding check_memlock(const Node& node)
{
  const auto kernel = parse_kernel_version(node.release).value_or(KernelVersion{});
  if (kernel >= kMemoryCgroups)
    return {"locked memory", Verdict::kPass, "BPF memory is charged to the memory cgroup"};
  const auto held = effective_capabilities(node).value_or(0);
  if (node.memlock_bytes == RLIM_INFINITY || holds(held, kSysResource))
    return {"locked memory", Verdict::kPass, "unlimited, or may be raised"};
  return {"locked memory",
          Verdict::kWarn,
          fmt::format("{} bytes: this kernel charges BPF maps to it", node.memlock_bytes),
          "LimitMEMLOCK=infinity in the unit, or grant SYS_RESOURCE"};
}

Finding check_cgroups(const Node& node)
{
  const auto root = node.paths.sys("fs/cgroup");
  if (is_there(root / "cgroup.controllers"))
    return {"cgroups", Verdict::kPass, "v2"};
  const bool v1 = is_there(root / "memory") || is_there(root / "cpu") || is_there(root / "systemd");
  if (v1 && is_there(root / "unified"))
    return {"cgroups", Verdict::kPass, "v1 and v2 (hybrid): containers by their v1 group"};
  if (v1)
    return {"cgroups", Verdict::kPass, "v1"};
  return {"cgroups",
          Verdict::kWarn,
          fmt::format("none mounted at {}", root.string()),
          "mount the node's /sys read-only, and point --path.sysfs at it"};
}

Finding check_pid_namespace(const Node& node)
{
  // PROC_PID_INIT_INO, the same on every kernel.
  constexpr std::string_view kNode = "pid:[4026531836]";
  std::error_code error;
  const auto target = std::filesystem::read_symlink(node.paths.proc("self/ns/pid"), error);
  if (error)
    return {"pid namespace", Verdict::kWarn, "unknown: " + error.message(), "mount procfs"};
  if (target.string() == kNode)
    return {"pid namespace", Verdict::kPass, "the node's own"};
  return {"pid namespace",
          Verdict::kWarn,
          "a container's: process ids of the kernel are not those of /proc, all is `other`",
          "hostPID: true in Kubernetes, --pid=host in Docker"};
}

Finding check_tracefs(const Node& node)
{
  if (is_there(node.paths.sys("kernel/tracing/events")) ||
      is_there(node.paths.sys("kernel/debug/tracing/events")))
    return {"tracefs", Verdict::kPass, "mounted"};
  return {"tracefs", Verdict::kPass, "not visible; only perf-based fallbacks would need it"};
}

std::vector<Finding> check_sysctls(const Node& node)
{
  return {check_perf(node),
          check_unprivileged(node),
          check_statistics(node),
          check_jit(node),
          check_socket_storage(node)};
}

std::vector<Finding> check_node(const Node& node)
{
  std::vector<Finding> findings{check_kernel(node), check_types(node), check_lockdown(node)};
  const auto add = [&](std::vector<Finding> more) {
    findings.insert(findings.end(), more.begin(), more.end());
  };
  add(check_privileges(node));
  findings.push_back(check_memlock(node));
  add(check_sysctls(node));
  findings.push_back(check_cgroups(node));
  findings.push_back(check_pid_namespace(node));
  findings.push_back(check_tracefs(node));
  return findings;
}

}  // namespace sonde::app
