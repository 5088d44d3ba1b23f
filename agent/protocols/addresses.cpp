// SPDX-License-Identifier: Apache-2.0
#include "agent/protocols/addresses.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <cstring>
#include <fmt/format.h>

namespace sonde::protocols {

namespace {

constexpr std::array<std::uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr std::array<std::uint8_t, 16> kLoopback = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};

bool is_mapped(const std::array<std::uint8_t, 16>& address)
{
  return std::equal(kMapped.begin(), kMapped.end(), address.begin());
}

bool is_loopback(const std::array<std::uint8_t, 16>& address)
{
  return (is_mapped(address) && address[12] == 127) || address == kLoopback;
}

std::uint64_t mixed(std::uint64_t hash, const std::uint8_t* bytes)
{
  std::uint64_t word = 0;
  std::memcpy(&word, bytes, sizeof word);
  hash = (hash ^ word) * 0x9e3779b97f4a7c15U;
  return hash ^ hash >> 32U;
}

}  // namespace

Addresses Addresses::of(const sonde_socket_opened& opened)
{
  Addresses out{
      .local_port = opened.local_port, .remote_port = opened.remote_port, .netns = opened.netns};
  std::ranges::copy(opened.local, out.local.begin());
  std::ranges::copy(opened.remote, out.remote.begin());
  return out;
}

void Addresses::write(sonde_socket_opened& to) const
{
  std::ranges::copy(local, std::begin(to.local));
  std::ranges::copy(remote, std::begin(to.remote));
  to.local_port = local_port;
  to.remote_port = remote_port;
  to.netns = netns;
}

Addresses Addresses::swapped() const
{
  return {.local = remote,
          .remote = local,
          .local_port = remote_port,
          .remote_port = local_port,
          .netns = netns};
}

std::uint64_t Addresses::key() const
{
  std::uint64_t hash = std::uint64_t{local_port} << 16U | remote_port;
  if (is_loopback(local) || is_loopback(remote))
    hash |= std::uint64_t{netns} << 32U;
  for (const auto* address : {&local, &remote}) {
    hash = mixed(hash, address->data());
    hash = mixed(hash, address->data() + 8);
  }
  return hash != 0 ? hash : 1;
}

std::string host_and_port(const std::array<std::uint8_t, 16>& address, std::uint16_t port)
{
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (is_mapped(address)) {
    ::inet_ntop(AF_INET, address.data() + 12, text.data(), text.size());
    return fmt::format("{}:{}", text.data(), port);
  }
  ::inet_ntop(AF_INET6, address.data(), text.data(), text.size());
  return fmt::format("[{}]:{}", text.data(), port);
}

}  // namespace sonde::protocols
