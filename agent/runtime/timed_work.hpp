// SPDX-License-Identifier: Apache-2.0
// Work that may wait in the kernel for as long as it likes, done by a thread that nobody waits for
// longer than he said.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

namespace sonde::runtime {

class TimedWork {
public:
  TimedWork();
  TimedWork(const TimedWork&) = delete;
  TimedWork& operator=(const TimedWork&) = delete;
  ~TimedWork();

  // Whether `work` was done within `limit`. Otherwise it goes on, so it owns what it uses; the next
  // work gets another thread. When too many are still at theirs, none is begun.
  bool run(std::function<void()> work, std::chrono::nanoseconds limit);

  static constexpr int kMostLost = 4;

private:
  struct Desk;
  struct Lost;

  void leave();

  std::shared_ptr<Lost> lost_;  // shared with threads that outlive this
  std::shared_ptr<Desk> desk_;  // likewise; null: no thread
};

}  // namespace sonde::runtime
