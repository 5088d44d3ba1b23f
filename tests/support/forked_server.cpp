// SPDX-License-Identifier: Apache-2.0
#include "tests/support/forked_server.hpp"

#include <csignal>
#include <cstdlib>
#include <sys/socket.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace sonde::testing {

ForkedServer::ForkedServer(const std::function<void(int)>& serve)
{
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  address_.sin_family = AF_INET;
  address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address_;
  auto* const any = reinterpret_cast<sockaddr*>(&address_);
  if (::bind(listener, any, size) != 0 || ::listen(listener, 128) != 0 ||
      ::getsockname(listener, any, &size) != 0)
    std::abort();
  pid_ = ::fork();
  while (pid_ == 0) {
    const int fd = ::accept(listener, nullptr, nullptr);
    if (fd < 0)
      ::_exit(23);
    std::thread(serve, fd).detach();
  }
  ::close(listener);
}

ForkedServer::~ForkedServer()
{
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

int ForkedServer::connect() const
{
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address_), sizeof address_) != 0)
    ::_exit(22);
  return fd;
}

}  // namespace sonde::testing
