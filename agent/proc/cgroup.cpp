// SPDX-License-Identifier: Apache-2.0
#include "agent/proc/cgroup.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "agent/base/text.hpp"

namespace sonde::proc {

namespace {

constexpr std::size_t kIdDigits = 64;
constexpr std::size_t kShortDigits = 12;

bool is_hex(std::string_view text)
{
  return text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

bool is_container_id(std::string_view text)
{
  return text.size() == kIdDigits && is_hex(text);
}

bool take_suffix(std::string_view& text, std::string_view suffix)
{
  if (!text.ends_with(suffix))
    return false;
  text.remove_suffix(suffix.size());
  return true;
}

bool take_prefix(std::string_view& text, std::string_view prefix)
{
  if (!text.starts_with(prefix))
    return false;
  text.remove_prefix(prefix.size());
  return true;
}

// systemd writes a byte that a unit's name cannot hold as \x2d.
std::string unescape(std::string_view name)
{
  std::string out;
  while (!name.empty()) {
    if (name.starts_with("\\x") && name.size() >= 4)
      if (const auto byte = parse_hex(name.substr(2, 2))) {
        out += static_cast<char>(*byte);
        name.remove_prefix(4);
        continue;
      }
    out += name.front();
    name.remove_prefix(1);
  }
  return out;
}

// The container that this part of a path stands for; `above` is the part before it.
std::string container_of(std::string_view part, std::string_view above)
{
  // Docker, containerd, podman by cgroupfs: the id alone.
  if (is_container_id(part))
    return std::string(part);
  auto name = part;
  if (take_prefix(name, "lxc.payload.") || (above == "lxc" || above == "lxc.payload"))
    return std::string(name);
  // A runtime asked for systemd's form on a node without systemd: slice:prefix:id.
  if (const auto colon = part.rfind(':'); colon != std::string_view::npos)
    return is_container_id(part.substr(colon + 1)) ? std::string(part.substr(colon + 1)) : "";
  const bool scope = take_suffix(name, ".scope");
  if (scope && take_prefix(name, "machine-"))
    return name.starts_with("qemu") ? "" : unescape(name);
  // docker-, cri-containerd-, crio-, libpod-, nerdctl-: whatever the runtime is called. The
  // monitors (crio-conmon-, libpod-conmon-) carry the id of a container they are not in.
  const auto dash = name.rfind('-');
  if (dash == std::string_view::npos || !is_container_id(name.substr(dash + 1)) ||
      name.substr(0, dash).ends_with("conmon"))
    return "";
  return std::string(name.substr(dash + 1));
}

// pod<uid> by cgroupfs, kubepods-burstable-pod<uid>.slice with underscores by systemd.
std::string pod_of(std::string_view part)
{
  constexpr std::size_t kUidLength = 36;
  auto name = part;
  take_suffix(name, ".slice");
  const auto at = name.rfind("pod");
  if (at == std::string_view::npos)
    return "";
  std::string uid(name.substr(at + 3));
  std::ranges::replace(uid, '_', '-');
  const auto is_digit = [](char c) { return c == '-' || is_hex({&c, 1}); };
  // Static pods have the hash of their manifest: 32 digits.
  const bool plausible = uid.size() == kUidLength || uid.size() == 32;
  return plausible && std::ranges::all_of(uid, is_digit) ? uid : "";
}

bool has_memory(std::string_view controllers)
{
  while (!controllers.empty())
    if (take_until(controllers, ',') == "memory")
      return true;
  return false;
}

}  // namespace

std::string_view Cgroup::short_container() const
{
  const std::string_view id = container;
  return is_container_id(id) ? id.substr(0, kShortDigits) : id;
}

Cgroup parse_cgroup_path(std::string_view path)
{
  const auto parts = split(path, '/');
  Cgroup cgroup;
  for (auto i = parts.size(); i-- > 0;) {
    auto part = parts[i];
    if (cgroup.container.empty())
      cgroup.container = container_of(part, i > 0 ? parts[i - 1] : std::string_view());
    if (cgroup.pod.empty())
      cgroup.pod = pod_of(part);
    if (cgroup.unit.empty() && take_suffix(part, ".service"))
      cgroup.unit = part;
  }
  // Inside a container its own systemd may run; outside, the unit is the runtime's.
  if (!cgroup.container.empty())
    cgroup.unit.clear();
  return cgroup;
}

Cgroup choose_cgroup(Cgroup unified, Cgroup memory)
{
  if (!unified.container.empty() || (memory.container.empty() && !unified.unit.empty()))
    return unified;
  return memory.container.empty() && memory.unit.empty() ? unified : memory;
}

Cgroup parse_cgroup_file(std::string_view text)
{
  // In the order of belief: unified, memory, systemd's own, the others.
  std::array<Cgroup, 4> found;
  while (!text.empty()) {
    auto line = take_line(text);
    const auto number = take_until(line, ':');
    const auto controllers = take_until(line, ':');
    auto cgroup = parse_cgroup_path(line);
    std::size_t rank = 3;
    if (number == "0" && controllers.empty())
      rank = 0;
    else if (controllers == "name=systemd")
      rank = 2;
    else if (has_memory(controllers))
      rank = 1;
    if (found[rank] == Cgroup{})
      found[rank] = std::move(cgroup);
  }
  const auto* chosen =
      std::ranges::find_if(found, [](const auto& c) { return !c.container.empty(); });
  if (chosen == found.end())
    chosen = std::ranges::find_if(found, [](const auto& c) { return !c.unit.empty(); });
  return chosen == found.end() ? Cgroup{} : *chosen;
}

}  // namespace sonde::proc
