// SPDX-License-Identifier: Apache-2.0
#include "agent/proc/inspect.hpp"

#include "agent/base/text.hpp"

namespace sonde::proc {

Inspection::Inspection(const ProcFs& procfs, std::uint32_t tgid, std::string comm)
    : comm_(std::move(comm)), executable_(procfs.executable(tgid)),
      arguments_(procfs.arguments(tgid)), environment_(procfs.environment(tgid))
{
  const auto cgroup = procfs.cgroup(tgid);
  traits_.comm = comm_;
  traits_.executable = executable_;
  traits_.exe_name = base_name(executable_);
  traits_.arguments = split_arguments(arguments_);
  traits_.declared_name = find_variable(environment_, kNameVariable).value_or(std::string_view());
  traits_.cgroup = parse_cgroup_file(cgroup);
  traits_.cgroup_path = cgroup_paths(cgroup);
  link_name_ = link_to_executable(procfs, tgid);
  traits_.link_name = link_name_;
}

// The name in argv[0] when it leads to the very file that runs: redis-server is a link to
// redis-check-rdb. A process may have rewritten its arguments into one string with blanks.
std::string Inspection::link_to_executable(const ProcFs& procfs, std::uint32_t tgid) const
{
  if (traits_.arguments.empty())
    return {};
  auto first = traits_.arguments.front();
  first = first.substr(0, first.find_first_of(" :"));
  const auto name = base_name(first);
  if (name.empty() || name == traits_.exe_name || first.starts_with("/proc/"))
    return {};
  if (first.contains('/'))
    return procfs.is_executable(tgid, std::string(first)) ? std::string(name) : std::string();
  for (const std::string_view folder :
       {"/usr/bin/", "/usr/sbin/", "/usr/local/bin/", "/usr/local/sbin/", "/bin/", "/sbin/"})
    if (procfs.is_executable(tgid, std::string(folder).append(name)))
      return std::string(name);
  return {};
}

std::string cgroup_paths(std::string_view cgroup_file)
{
  std::string paths;
  while (!cgroup_file.empty()) {
    auto line = take_line(cgroup_file);
    take_until(line, ':');
    take_until(line, ':');
    if (line.empty() || line == "/")
      continue;
    paths.append(paths.empty() ? "" : "\n").append(line);
  }
  return paths;
}

std::string_view base_name(std::string_view path)
{
  return path.substr(path.rfind('/') + 1);
}

}  // namespace sonde::proc
