// SPDX-License-Identifier: Apache-2.0
// Answers on the control socket: one request line of a client, then lines for it until it goes.
// Everything is on the event loop's thread, which no client can hold up.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <string_view>

#include "agent/base/event_loop.hpp"
#include "agent/base/result.hpp"
#include "agent/control/listener.hpp"

namespace sonde::control {

// The first byte of each line to a client.
inline constexpr char kText = '=';   // to be shown
inline constexpr char kLeft = '#';   // so many lines were left out, for the client was too slow
inline constexpr char kError = '!';  // what is wrong; the last line
inline constexpr char kDone = '.';   // the last line

// Who has asked. What is written waits for the end of the turn, so that all of this may be called
// from anywhere but Answers' gone().
class Client {
public:
  // False when there is no room for it: it is left out, and the client is told how many were.
  virtual bool line(std::string_view text) = 0;
  // The last line. Nothing more is taken.
  virtual void done() = 0;
  virtual void refuse(std::string_view why) = 0;

protected:
  ~Client() = default;
};

class Answers {
public:
  virtual ~Answers() = default;
  virtual void request(std::string_view line, Client& client) = 0;
  // A client that asked has left, or has been told its last line.
  virtual void gone(Client& client) = 0;
};

class Server {
public:
  struct Limits {
    std::size_t clients = 16;
    std::size_t request_bytes = 1024;
    std::size_t output_bytes = 512 << 10;  // of each client, beyond what its socket holds
    std::chrono::milliseconds turn{20};
  };

  // `loop` and `answers` outlive the server.
  static Result<std::unique_ptr<Server>>
  start(EventLoop& loop, Listener listener, Answers& answers, Limits limits);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  std::size_t clients() const;

private:
  class Session;

  Server(EventLoop& loop, Listener listener, Answers& answers, Limits limits);
  void accept();
  void arm();
  void flush();
  void drop(Session& session);

  EventLoop& loop_;
  Listener listener_;
  Answers& answers_;
  Limits limits_;
  std::list<Session> clients_;
  bool turn_armed_ = false;
  EventLoop::Timer turn_;
  EventLoop::Watch watch_;
};

}  // namespace sonde::control
