// SPDX-License-Identifier: Apache-2.0
#include "agent/probes/loading.hpp"

#include <algorithm>
#include <array>
#include <sys/socket.h>
#include <utility>

namespace sonde {

LoadedObject::LoadedObject(Hooks& hooks, bpf_object* object, std::span<const char* const> lent)
    : hooks_(&hooks)
{
  static constexpr std::array<std::string_view, 6> kShared = {
      "service_of", "slot_generations", "facts", "facts_lost", "facts_reader", "uprobe_hits"};
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, object)
  {
    if (const int fd = bpf_program__fd(program); fd >= 0) {
      hooks.loaded(bpf_program__name(program), fd);
      fds_.push_back(fd);
    }
  }
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object)
  {
    const int fd = bpf_map__fd(map);
    const std::string_view name = bpf_map__name(map);
    if (fd < 0 || std::ranges::find(kShared, name) != kShared.end() ||
        std::ranges::find(lent, name) != lent.end())
      continue;
    const bool grows = bpf_map__type(map) == BPF_MAP_TYPE_HASH ||
                       (bpf_map__map_flags(map) & BPF_F_NO_PREALLOC) != 0;
    hooks.map(fd, grows ? 0 : bpf::charged_bytes(fd));
    fds_.push_back(fd);
  }
}

void LoadedObject::add_map(int fd)
{
  hooks_->map(fd, bpf::charged_bytes(fd));
  fds_.push_back(fd);
}

LoadedObject::LoadedObject(LoadedObject&& other) noexcept
    : hooks_(std::exchange(other.hooks_, nullptr)), fds_(std::move(other.fds_))
{
}

LoadedObject& LoadedObject::operator=(LoadedObject&& other) noexcept
{
  std::swap(hooks_, other.hooks_);
  std::swap(fds_, other.fds_);
  return *this;
}

LoadedObject::~LoadedObject()
{
  if (hooks_ != nullptr)
    hooks_->forget(fds_);
}

bpf::Link
attach_and_report(Host& host, std::string_view probe, const bpf_program* program, std::string note)
{
  auto link = bpf::Link::attach(program);
  const std::string_view section = bpf_program__section_name(program);
  if (!link) {
    host.hooks.report(probe, section, false, link.error().message());
    return {};
  }
  host.hooks.report(probe, section, true, std::move(note));
  return *std::move(link);
}

UniqueFd listen_on_loopback(sockaddr_in& address)
{
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  socklen_t size = sizeof address;
  if (!fd || ::bind(fd.get(), any, size) != 0 || ::listen(fd.get(), 1) != 0 ||
      ::getsockname(fd.get(), any, &size) != 0)
    return {};
  return fd;
}

Result<metrics::Bounds> duration_bounds(const Settings& settings, std::string_view key)
{
  std::vector<std::uint64_t> values;
  for (const auto bound : settings.durations(key))
    values.push_back(static_cast<std::uint64_t>(bound.count()));
  return in(metrics::Bounds::create(values, 1e-9), key);
}

Result<metrics::Bounds> integer_bounds(const Settings& settings, std::string_view key)
{
  std::vector<std::uint64_t> values;
  for (const auto bound : settings.integers(key))
    values.push_back(static_cast<std::uint64_t>(bound));
  return in(metrics::Bounds::create(values, 1), key);
}

}  // namespace sonde
