// SPDX-License-Identifier: Apache-2.0
#include "agent/runtime/timed_work.hpp"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <pthread.h>
#include <system_error>
#include <thread>
#include <utility>

namespace sonde::runtime {

struct TimedWork::Lost {
  std::atomic<int> threads = 0;
};

// Where one thread gets its work.
struct TimedWork::Desk {
  std::mutex mutex;
  std::condition_variable changed;
  std::function<void()> work;
  bool busy = false;
  bool closed = false;  // the thread ends when its work is done
  bool lost = false;

  static void sit(const std::shared_ptr<Desk>& desk, const std::shared_ptr<Lost>& lost);
};

void TimedWork::Desk::sit(const std::shared_ptr<Desk>& desk, const std::shared_ptr<Lost>& lost)
{
  std::unique_lock lock(desk->mutex);
  while (true) {
    desk->changed.wait(lock, [&] { return desk->closed || desk->work; });
    if (auto work = std::exchange(desk->work, nullptr)) {
      lock.unlock();
      work();
      work = nullptr;
      lock.lock();
      desk->busy = false;
      desk->changed.notify_all();
    }
    if (desk->closed)
      break;
  }
  if (desk->lost)
    --lost->threads;
}

TimedWork::TimedWork() : lost_(std::make_shared<Lost>()) {}

TimedWork::~TimedWork()
{
  leave();
}

// The thread is detached, always: one that waits in the kernel cannot be waited for.
void TimedWork::leave()
{
  if (!desk_)
    return;
  const std::scoped_lock lock(desk_->mutex);
  desk_->closed = true;
  if (desk_->busy) {
    desk_->lost = true;
    ++lost_->threads;
  }
  desk_->changed.notify_all();
}

bool TimedWork::run(std::function<void()> work, std::chrono::nanoseconds limit)
{
  if (!desk_) {
    if (lost_->threads >= kMostLost)
      return false;
    desk_ = std::make_shared<Desk>();
    try {
      std::thread thread([desk = desk_, lost = lost_] { Desk::sit(desk, lost); });
      ::pthread_setname_np(thread.native_handle(), "sonde-memory");
      thread.detach();
    } catch (const std::system_error&) {
      desk_.reset();
      return false;
    }
  }
  std::unique_lock lock(desk_->mutex);
  desk_->work = std::move(work);
  desk_->busy = true;
  desk_->changed.notify_all();
  if (desk_->changed.wait_for(lock, limit, [&] { return !desk_->busy; }))
    return true;
  lock.unlock();
  leave();
  desk_.reset();
  return false;
}

}  // namespace sonde::runtime
