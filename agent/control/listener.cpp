// SPDX-License-Identifier: Apache-2.0
#include "agent/control/listener.hpp"

#include <cstring>
#include <filesystem>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace sonde::control {

namespace {

constexpr int kBacklog = 16;

// Each missing folder of the path; nobody else's business either.
Result<> make_folder(const std::filesystem::path& folder)
{
  if (folder.empty() || ::access(folder.c_str(), F_OK) == 0)
    return {};
  SONDE_TRY(make_folder(folder.parent_path()));
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
    return fail(errno, "make " + folder.native());
  return {};
}

// What a process that was killed has left behind.
Result<> remove_stale(const std::string& path)
{
  struct stat found{};
  if (::lstat(path.c_str(), &found) != 0)
    return errno == ENOENT ? Result<>() : Result<>(fail(errno, "look at " + path));
  if (!S_ISSOCK(found.st_mode))
    return fail(path + " is there and is no socket");
  const auto connection = connect_to(path, SOCK_NONBLOCK);
  if (connection || connection.error().code().value() == EAGAIN)
    return fail("an agent is already running: it answers on " + path);
  if (connection.error().code().value() != ECONNREFUSED)
    return Failure(connection.error());
  if (::unlink(path.c_str()) != 0 && errno != ENOENT)
    return fail(errno, "remove " + path);
  return {};
}

}  // namespace

Result<sockaddr_un> address_of(const std::string& path)
{
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path)
    return fail(fmt::format("\"{}\" is no path of a socket: 1 to {} bytes",
                            path.substr(0, 200),
                            sizeof address.sun_path - 1));
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

Result<UniqueFd> connect_to(const std::string& path, int flags)
{
  const auto address = SONDE_TRY(address_of(path));
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
  if (!fd)
    return fail(errno, "socket");
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return fail(errno, path);
  return fd;
}

Result<Listener> Listener::open(const std::string& path)
{
  const auto address = SONDE_TRY(address_of(path));
  SONDE_TRY(make_folder(std::filesystem::path(path).parent_path()));
  SONDE_TRY(remove_stale(path));
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  // bind(2) gives the file the mode that the socket has: there is no moment with another one.
  if (!fd || ::fchmod(fd.get(), 0600) != 0)
    return fail(errno, "socket");
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return fail(errno, "bind " + path);
  Listener listener(path, std::move(fd));
  struct stat made{};
  if (::lstat(path.c_str(), &made) == 0) {
    listener.device_ = made.st_dev;
    listener.inode_ = made.st_ino;
  }
  if (::listen(listener.fd(), kBacklog) != 0)
    return fail(errno, "listen on " + path);
  return listener;
}

Listener::Listener(Listener&& other) noexcept
    : path_(std::exchange(other.path_, {})), fd_(std::move(other.fd_)), device_(other.device_),
      inode_(other.inode_)
{
}

Listener::~Listener()
{
  struct stat found{};
  if (fd_ && ::lstat(path_.c_str(), &found) == 0 && found.st_dev == device_ &&
      found.st_ino == inode_)
    ::unlink(path_.c_str());
}

}  // namespace sonde::control
