// SPDX-License-Identifier: Apache-2.0
// The one epoll of the agent: descriptors, timers and work posted by other threads. Everything but
// post() and stop() belongs to the thread that runs it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "agent/base/result.hpp"
#include "agent/base/unique_fd.hpp"

namespace sonde {

class EventLoop {
  struct Source;

public:
  using Callback = std::function<void()>;

  // A registered descriptor; its destruction ends the watch. Must not outlive the loop.
  class Watch {
  public:
    Watch();
    Watch(EventLoop* loop, std::unique_ptr<Source> source);
    Watch(Watch&&) noexcept;
    Watch& operator=(Watch&&) noexcept;
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;
    ~Watch();

  private:
    EventLoop* loop_ = nullptr;
    std::unique_ptr<Source> source_;
  };

  // A timer, disarmed at first.
  class Timer {
  public:
    Timer() = default;

    void arm_once(std::chrono::nanoseconds delay) const { set(delay, {}); }
    void arm_every(std::chrono::nanoseconds period) const { set(period, period); }
    void disarm() const { set({}, {}); }

  private:
    friend class EventLoop;
    void set(std::chrono::nanoseconds first, std::chrono::nanoseconds period) const;

    UniqueFd fd_;
    Watch watch_;
  };

  static Result<std::unique_ptr<EventLoop>> create();
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Calls `ready` whenever `fd` reports one of `events` (EPOLLIN, ...). The caller keeps `fd` open.
  Result<Watch> watch(int fd, std::uint32_t events, Callback ready);
  Result<Timer> timer(Callback expired);

  // Runs `work` on the loop's thread. Any thread.
  void post(Callback work);

  Result<> run();
  // Makes run() return. Any thread.
  void stop();

private:
  EventLoop();
  void run_posted();

  UniqueFd epoll_;
  UniqueFd wake_;
  std::mutex mutex_;
  std::vector<Callback> posted_;
  std::vector<std::unique_ptr<Source>> dying_;  // watches ended while their batch is dispatched
  bool stopping_ = false;
};

}  // namespace sonde
