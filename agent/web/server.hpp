// SPDX-License-Identifier: Apache-2.0
// The agent's HTTP server: listeners, web threads and limits. Constructed = listening; destroying
// it closes every connection and waits only for handlers that are running.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "agent/base/result.hpp"
#include "agent/web/router.hpp"

namespace sonde::web {

struct Limits {
  std::size_t header_bytes = std::size_t{16} << 10;  // above: 431
  std::size_t body_bytes = std::size_t{64} << 10;    // above: 413
  std::size_t connections = 512;                     // above: the oldest idle one is closed
  // Of responses that wait for their readers; above: the oldest such connection is closed.
  std::size_t response_bytes = std::size_t{64} << 20;
  std::chrono::milliseconds header_timeout{10'000};  // for a whole request
  std::chrono::milliseconds idle_timeout{60'000};    // between requests
  std::chrono::milliseconds write_timeout{30'000};   // for a whole response
};

struct Options {
  std::vector<std::string> listen = {":7663"};  // see parse_listen_address()
  unsigned threads = 2;
  Limits limits;
};

struct Endpoint {
  std::string address;  // "::", "127.0.0.1"
  std::uint16_t port;
};

// "[::]:7663", "127.0.0.1:7663"
std::string text_of(const Endpoint& endpoint);

class Server {
public:
  static Result<std::unique_ptr<Server>> start(const Options& options, Router router);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Where it listens, with the ports the kernel chose.
  const std::vector<Endpoint>& endpoints() const;
  std::size_t connections() const;
  // Connections that were closed to make room for others.
  std::uint64_t evictions() const;

private:
  class Core;
  explicit Server(std::unique_ptr<Core> core);

  std::unique_ptr<Core> core_;
};

}  // namespace sonde::web
