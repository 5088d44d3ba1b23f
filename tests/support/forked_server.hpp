// SPDX-License-Identifier: Apache-2.0
// A server on the loopback in a process of its own, with a thread for each connection; killed and
// reaped by the destructor.
#pragma once

#include <cstdint>
#include <functional>
#include <netinet/in.h>
#include <sys/types.h>

namespace sonde::testing {

class ForkedServer {
public:
  // `serve` runs in the server's process and owns the connection.
  explicit ForkedServer(const std::function<void(int)>& serve);
  ForkedServer(const ForkedServer&) = delete;
  ForkedServer& operator=(const ForkedServer&) = delete;
  ~ForkedServer();

  std::uint32_t tgid() const { return static_cast<std::uint32_t>(pid_); }
  // Ends the process when it cannot.
  int connect() const;

private:
  sockaddr_in address_{};
  pid_t pid_ = -1;
};

}  // namespace sonde::testing
