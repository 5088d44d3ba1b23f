// SPDX-License-Identifier: Apache-2.0
// The two ends of a socket.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "sonde/socket.h"

namespace sonde::protocols {

struct Addresses {
  std::array<std::uint8_t, 16> local;  // IPv4 in its mapped form
  std::array<std::uint8_t, 16> remote;
  std::uint16_t local_port;
  std::uint16_t remote_port;
  std::uint32_t netns;

  static Addresses of(const sonde_socket_opened& opened);
  void write(sonde_socket_opened& to) const;
  // As the other end has them.
  Addresses swapped() const;
  // Equal for equal sockets of one network. Loopback addresses mean something within their network
  // namespace only; others are the same socket wherever they are seen.
  std::uint64_t key() const;
};

// 10.0.0.7:5432, [2001:db8::1]:80.
std::string host_and_port(const std::array<std::uint8_t, 16>& address, std::uint16_t port);

}  // namespace sonde::protocols
