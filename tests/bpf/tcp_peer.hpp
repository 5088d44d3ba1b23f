// SPDX-License-Identifier: Apache-2.0
// A process that speaks TCP step by step as its test says, and the few socket calls it needs.
#pragma once

#include <arpa/inet.h>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <string>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/unique_fd.hpp"

namespace sonde::testing {

// Runs `story` in a forked process. Each pause() in it returns when the test calls go().
class Peer {
public:
  class Inside {
  public:
    Inside(int in, int out) : in_(in), out_(out) {}
    // Hands `value` to the test and waits for its next go(); what that carries.
    std::uint64_t pause(std::uint64_t value = 0) const
    {
      std::uint64_t got = 0;
      if (::write(out_, &value, sizeof value) != sizeof value ||
          ::read(in_, &got, sizeof got) != sizeof got)
        ::_exit(0);
      return got;
    }

  private:
    int in_;
    int out_;
  };

  explicit Peer(const std::function<void(const Inside&)>& story)
  {
    int to[2];
    int from[2];
    if (::pipe(to) != 0 || ::pipe(from) != 0)
      std::abort();
    pid_ = ::fork();
    if (pid_ == 0) {
      ::close(to[1]);
      ::close(from[0]);
      const Inside inside(to[0], from[1]);
      inside.pause();
      story(inside);
      inside.pause();
      ::_exit(0);
    }
    ::close(to[0]);
    ::close(from[1]);
    to_ = UniqueFd(to[1]);
    from_ = UniqueFd(from[0]);
    wait();
  }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;
  ~Peer() { end(); }

  std::uint32_t pid() const { return static_cast<std::uint32_t>(pid_); }
  // Lets it run to its next pause; what it hands over there.
  std::uint64_t go(std::uint64_t value = 0)
  {
    start(value);
    return wait();
  }
  void start(std::uint64_t value = 0)
  {
    if (::write(to_.get(), &value, sizeof value) != sizeof value)
      std::abort();
  }
  std::uint64_t wait()
  {
    std::uint64_t value = ~std::uint64_t{0};
    if (::read(from_.get(), &value, sizeof value) != sizeof value)
      return ~std::uint64_t{0};
    return value;
  }
  // The process ends; its sockets close.
  void end()
  {
    if (pid_ <= 0)
      return;
    to_ = UniqueFd();
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

private:
  pid_t pid_ = 0;
  UniqueFd to_;
  UniqueFd from_;
};

// The loopback address of a family, an IPv4 one in its mapped form where `mapped`.
struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

inline Address loopback(int family, std::uint16_t port, bool mapped = false)
{
  Address address;
  if (family == AF_INET) {
    auto* in = reinterpret_cast<sockaddr_in*>(&address.storage);
    in->sin_family = AF_INET;
    in->sin_port = htons(port);
    in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.size = sizeof *in;
  } else {
    auto* in = reinterpret_cast<sockaddr_in6*>(&address.storage);
    in->sin6_family = AF_INET6;
    in->sin6_port = htons(port);
    ::inet_pton(AF_INET6, mapped ? "::ffff:127.0.0.1" : "::1", &in->sin6_addr);
    address.size = sizeof *in;
  }
  return address;
}

// A listening socket on a port the kernel chose; both wildcards' connections with AF_INET6.
inline int listen_on(int family, int backlog = 512, int protocol = 0)
{
  const int fd = ::socket(family, SOCK_STREAM, protocol);
  sockaddr_storage any{};
  any.ss_family = static_cast<sa_family_t>(family);
  const int off = 0;
  if (family == AF_INET6)
    ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  if (fd < 0 || ::bind(fd, reinterpret_cast<sockaddr*>(&any), sizeof any) != 0 ||
      ::listen(fd, backlog) != 0)
    return -1;
  return fd;
}

inline std::uint16_t port_of(int fd)
{
  sockaddr_in6 name{};
  socklen_t size = sizeof name;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&name), &size);
  return ntohs(name.sin6_port);  // where sockaddr_in has its port too
}

inline int connect_to(const Address& address, int protocol = 0)
{
  const int fd = ::socket(address.storage.ss_family, SOCK_STREAM, protocol);
  if (fd >= 0 &&
      ::connect(fd, reinterpret_cast<const sockaddr*>(&address.storage), address.size) == 0)
    return fd;
  const int why = errno;
  ::close(fd);
  errno = why;
  return -1;
}

inline bool send_all(int fd, std::size_t bytes)
{
  static const std::string data(65536, 'x');
  while (bytes > 0) {
    const auto n = ::send(fd, data.data(), std::min(bytes, data.size()), MSG_NOSIGNAL);
    if (n <= 0)
      return false;
    bytes -= static_cast<std::size_t>(n);
  }
  return true;
}

// Reads until `bytes` are there or the peer ends; how many there were.
inline std::size_t receive(int fd, std::size_t bytes)
{
  static char data[65536];
  std::size_t total = 0;
  while (total < bytes) {
    const auto n = ::recv(fd, data, std::min(bytes - total, sizeof data), 0);
    if (n <= 0)
      break;
    total += static_cast<std::size_t>(n);
  }
  return total;
}

inline void close_with_reset(int fd)
{
  const linger now{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  ::close(fd);
}

inline tcp_info info_of(int fd)
{
  tcp_info info{};
  socklen_t size = sizeof info;
  ::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size);
  return info;
}

// A network namespace of its own for the calling process, with a loopback.
inline bool own_network()
{
  if (::unshare(CLONE_NEWNET) != 0)
    return false;
  const UniqueFd fd(::socket(AF_INET, SOCK_DGRAM, 0));
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  return ::ioctl(fd.get(), SIOCSIFFLAGS, &request) == 0;
}

}  // namespace sonde::testing
