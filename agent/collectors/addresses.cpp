// SPDX-License-Identifier: Apache-2.0
#include "agent/collectors/addresses.hpp"

#include <arpa/inet.h>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <ifaddrs.h>
#include <memory>
#include <netinet/in.h>
#include <span>

namespace sonde {

namespace {

// The address's bytes; empty for other families.
std::span<const std::uint8_t> bytes_of(const sockaddr* address)
{
  if (address && address->sa_family == AF_INET)
    return {reinterpret_cast<const std::uint8_t*>(
                &reinterpret_cast<const sockaddr_in*>(address)->sin_addr),
            4};
  if (address && address->sa_family == AF_INET6)
    return {reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr.s6_addr, 16};
  return {};
}

std::string scope_of_v4(const sockaddr* address)
{
  const auto host = ntohl(reinterpret_cast<const sockaddr_in*>(address)->sin_addr.s_addr);
  if (host >> 24 == 127 || host >> 16 == 0xA9FE || host >> 8 == 0xE00000)
    return "link-local";
  return host == 0 || host == 0xFFFFFFFF || host >> 28 == 0xE ? "" : "global";
}

std::string scope_of_v6(const sockaddr* address)
{
  const auto* v6 = &reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr;
  if (IN6_IS_ADDR_LOOPBACK(v6) || IN6_IS_ADDR_LINKLOCAL(v6) || IN6_IS_ADDR_MC_LINKLOCAL(v6))
    return "link-local";
  if (IN6_IS_ADDR_MC_NODELOCAL(v6))
    return "interface-local";
  return IN6_IS_ADDR_UNSPECIFIED(v6) || IN6_IS_ADDR_MULTICAST(v6) ? "" : "global";
}

}  // namespace

std::string scope_of(const sockaddr* address)
{
  switch (address->sa_family) {
  case AF_INET:
    return scope_of_v4(address);
  case AF_INET6:
    return scope_of_v6(address);
  default:
    return {};
  }
}

Result<std::vector<DeviceAddress>> device_addresses()
{
  ifaddrs* first = nullptr;
  if (::getifaddrs(&first) != 0)
    return fail(errno, "getifaddrs");
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> all(first, ::freeifaddrs);
  std::vector<DeviceAddress> found;
  for (const auto* entry = all.get(); entry; entry = entry->ifa_next) {
    const auto bytes = bytes_of(entry->ifa_addr);
    if (bytes.empty())
      continue;
    int bits = 0;
    for (const auto byte : bytes_of(entry->ifa_netmask))
      bits += std::popcount(byte);
    std::array<char, INET6_ADDRSTRLEN> text{};
    ::inet_ntop(entry->ifa_addr->sa_family, bytes.data(), text.data(), text.size());
    found.push_back(
        {entry->ifa_name, text.data(), std::to_string(bits), scope_of(entry->ifa_addr)});
  }
  return found;
}

}  // namespace sonde
