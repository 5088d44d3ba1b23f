// SPDX-License-Identifier: Apache-2.0
#include "agent/app/sd_notify.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/base/clock.hpp"
#include "agent/base/text.hpp"

namespace sonde::app {

namespace {

std::string_view environment(const char* name)
{
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

// The variables are inherited: they may be meant for the process that started this one.
std::optional<std::chrono::microseconds> watchdog_of_environment()
{
  const auto pid = environment("WATCHDOG_PID");
  if (!pid.empty() && parse_number<pid_t>(pid) != ::getpid())
    return std::nullopt;
  const auto period = parse_number<std::int64_t>(environment("WATCHDOG_USEC"));
  if (!period || *period <= 0)
    return std::nullopt;
  return std::chrono::microseconds(*period);
}

}  // namespace

Result<ServiceManager> ServiceManager::from_environment()
{
  auto manager = SONDE_TRY(in(connect(environment("NOTIFY_SOCKET")), "NOTIFY_SOCKET"));
  if (manager.socket_)
    manager.watchdog_ = watchdog_of_environment();
  return manager;
}

Result<ServiceManager> ServiceManager::connect(std::string_view address)
{
  ServiceManager manager;
  if (address.empty())
    return manager;
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  if (address.size() < 2 || (address[0] != '/' && address[0] != '@') ||
      address.size() >= sizeof(name.sun_path))
    return fail(fmt::format("\"{}\" is neither a path nor @name", address));
  address.copy(name.sun_path, address.size());
  // An abstract name starts with a zero and ends with the address, a path with its zero.
  const bool abstract = address[0] == '@';
  if (abstract)
    name.sun_path[0] = '\0';
  const auto length = offsetof(sockaddr_un, sun_path) + address.size() + (abstract ? 0 : 1);
  UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket)
    return fail(errno, "socket");
  // A manager that does not read must not stop the agent.
  const timeval patience{.tv_sec = 1, .tv_usec = 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  if (::connect(socket.get(),
                reinterpret_cast<const sockaddr*>(&name),
                static_cast<socklen_t>(length)) < 0)
    return fail(errno, fmt::format("connect to {}", address));
  manager.socket_ = std::move(socket);
  return manager;
}

Result<> ServiceManager::reloading() const
{
  // systemd ignores a READY=1 that it received before this moment.
  return send(fmt::format("RELOADING=1\nMONOTONIC_USEC={}", monotonic_ns() / 1000));
}

Result<> ServiceManager::status(std::string_view text) const
{
  auto line = valid_utf8(text, 512);
  std::ranges::replace(line, '\n', ' ');
  return send("STATUS=" + line);
}

Result<> ServiceManager::send(std::string_view message) const
{
  if (!socket_)
    return {};
  while (::send(socket_.get(), message.data(), message.size(), MSG_NOSIGNAL) < 0)
    if (errno != EINTR)
      return fail(errno, "notify the service manager");
  return {};
}

}  // namespace sonde::app
