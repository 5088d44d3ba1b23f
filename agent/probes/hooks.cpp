// SPDX-License-Identifier: Apache-2.0
#include "agent/probes/hooks.hpp"

#include <algorithm>

namespace sonde {

void Hooks::report(std::string_view probe, std::string_view hook, bool up, std::string reason)
{
  const std::scoped_lock lock(mutex_);
  const auto known = std::ranges::find_if(
      hooks_, [&](const Hook& h) { return h.probe == probe && h.hook == hook; });
  auto& entry = known != hooks_.end() ? *known : hooks_.emplace_back();
  entry = {std::string(probe), std::string(hook), up, std::move(reason)};
}

void Hooks::loaded(std::string_view program, int fd)
{
  const std::scoped_lock lock(mutex_);
  programs_.push_back({std::string(program), fd});
}

void Hooks::map(int fd, std::uint64_t bytes)
{
  const std::scoped_lock lock(mutex_);
  maps_.push_back({fd, bytes});
}

void Hooks::forget(const std::vector<int>& fds)
{
  const std::scoped_lock lock(mutex_);
  const auto gone = [&](const auto& entry) {
    return std::ranges::find(fds, entry.fd) != fds.end();
  };
  std::erase_if(programs_, gone);
  std::erase_if(maps_, gone);
}

std::vector<Hooks::Hook> Hooks::all() const
{
  const std::scoped_lock lock(mutex_);
  return hooks_;
}

std::vector<Hooks::Program> Hooks::programs() const
{
  const std::scoped_lock lock(mutex_);
  return programs_;
}

std::vector<Hooks::Map> Hooks::maps() const
{
  const std::scoped_lock lock(mutex_);
  return maps_;
}

}  // namespace sonde
