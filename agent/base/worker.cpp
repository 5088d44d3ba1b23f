// SPDX-License-Identifier: Apache-2.0
#include "agent/base/worker.hpp"

#include <future>
#include <utility>

namespace sonde {

void Worker::stop()
{
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable())
    thread_.join();
  waiting_.clear();
}

void Worker::post(std::function<void()> work)
{
  {
    const std::scoped_lock lock(mutex_);
    waiting_.push_back(std::move(work));
  }
  changed_.notify_all();
}

void Worker::drain()
{
  std::promise<void> done;
  post([&done] { done.set_value(); });
  done.get_future().wait();
}

void Worker::run()
{
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    if (stopping_)
      return;
    const auto work = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    work();
    lock.lock();
  }
}

}  // namespace sonde
