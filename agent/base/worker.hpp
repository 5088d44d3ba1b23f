// SPDX-License-Identifier: Apache-2.0
// A thread that does one piece of work after the other, in the order they were given.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace sonde {

class Worker {
public:
  Worker() : thread_([this] { run(); }) {}
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker() { stop(); }

  // Any thread.
  void post(std::function<void()> work);
  // Finishes what is under way and drops what waits. Nothing may be posted any more.
  void stop();
  // Returns when all that was posted before is done. Not on the worker's own thread.
  void drain();

private:
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> waiting_;
  bool stopping_ = false;
  std::thread thread_;  // the last: all else exists when it begins
};

}  // namespace sonde
