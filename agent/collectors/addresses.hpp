// SPDX-License-Identifier: Apache-2.0
// Addresses of network devices in Sonde's own network namespace.
#pragma once

#include <string>
#include <vector>

#include "agent/base/result.hpp"

struct sockaddr;

namespace sonde {

struct DeviceAddress {
  std::string device;
  std::string address;
  std::string netmask;  // bits of the prefix
  std::string scope;    // global, link-local, interface-local or empty, as node_exporter tells them
};

Result<std::vector<DeviceAddress>> device_addresses();

// Empty for anything but AF_INET and AF_INET6.
std::string scope_of(const sockaddr* address);

}  // namespace sonde
