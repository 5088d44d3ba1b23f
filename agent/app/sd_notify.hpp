// SPDX-License-Identifier: Apache-2.0
// Tells the service manager how the agent is: the datagrams of sd_notify(3), without libsystemd.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "agent/base/result.hpp"
#include "agent/base/unique_fd.hpp"

namespace sonde::app {

// Sends nothing, successfully, when nobody asked to be notified. Any one thread.
class ServiceManager {
public:
  // Of NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID.
  static Result<ServiceManager> from_environment();
  // `address`: a path, or `@name` of the abstract name space; empty: nobody.
  static Result<ServiceManager> connect(std::string_view address);

  Result<> ready() const { return send("READY=1"); }
  // ready() ends the reload.
  Result<> reloading() const;
  Result<> stopping() const { return send("STOPPING=1"); }
  Result<> alive() const { return send("WATCHDOG=1"); }
  // One line for `systemctl status`.
  Result<> status(std::string_view text) const;

  // The manager ends the agent when alive() is silent for so long; call it twice as often.
  std::optional<std::chrono::microseconds> watchdog() const { return watchdog_; }
  bool listens() const { return bool(socket_); }

private:
  Result<> send(std::string_view message) const;

  UniqueFd socket_;
  std::optional<std::chrono::microseconds> watchdog_;
};

}  // namespace sonde::app
