// SPDX-License-Identifier: Apache-2.0
// The path at which the running agent can be asked. Owned by whoever serves it, on the event loop's
// thread.
#pragma once

#include <string>
#include <sys/types.h>
#include <sys/un.h>

#include "agent/base/result.hpp"
#include "agent/base/unique_fd.hpp"

namespace sonde::control {

// Nobody else may connect: the socket has mode 0600 from its first moment on.
class Listener {
public:
  // Makes the folder (0700) when it is missing and takes the place of a socket on which nobody
  // listens any more. Fails when somebody does.
  static Result<Listener> open(const std::string& path);
  Listener(Listener&& other) noexcept;
  Listener& operator=(Listener&&) = delete;
  // Removes the path, unless it is another's by now.
  ~Listener();

  int fd() const { return fd_.get(); }

private:
  Listener(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  std::string path_;
  UniqueFd fd_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

// Fails when the path is too long for a socket.
Result<sockaddr_un> address_of(const std::string& path);

// A connection to the agent that listens there, non-blocking or not.
Result<UniqueFd> connect_to(const std::string& path, int flags = 0);

}  // namespace sonde::control
