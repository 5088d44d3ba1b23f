// SPDX-License-Identifier: Apache-2.0
// A blocking HTTP client on raw sockets, so that a test can misbehave byte by byte. Loopback only;
// every wait is bounded.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "agent/base/unique_fd.hpp"

namespace sonde::test {

struct Reply {
  int status = 0;  // 0: the connection ended before a whole response came
  std::map<std::string, std::string, std::less<>> headers;  // names in lower case
  std::string body;                                         // chunks joined, still compressed
};

class HttpClient {
public:
  // `receive_buffer` above zero makes a small window. Invalid when the connection was refused.
  explicit HttpClient(std::uint16_t port,
                      const std::string& host = "127.0.0.1",
                      int receive_buffer = 0);

  bool connected() const { return static_cast<bool>(fd_); }
  int fd() const { return fd_.get(); }

  // False when the peer is gone.
  bool send(std::string_view bytes) const;
  // The next response on this connection; bytes of a following one are kept. `head`: no body comes.
  Reply receive(bool head = false);
  Reply ask(std::string_view request)
  {
    send(request);
    return receive(request.starts_with("HEAD "));
  }
  Reply get(std::string_view target, std::string_view headers = "");

  // True when the server closed the connection within the time.
  bool closed_within(std::chrono::milliseconds time) const;
  // Closes with a reset instead of an orderly end.
  void reset();

private:
  bool fill();
  std::string take_line();
  std::string take(std::size_t size);

  UniqueFd fd_;
  std::string buffer_;
  bool ended_ = false;
};

std::string gunzip(std::string_view compressed);

}  // namespace sonde::test
