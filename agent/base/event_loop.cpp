// SPDX-License-Identifier: Apache-2.0
#include "agent/base/event_loop.hpp"

#include <array>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/timerfd.h>

namespace sonde {

namespace {

constexpr int kNiceness = -10;

}  // namespace

struct EventLoop::Source {
  int fd;
  Callback ready;
  bool dead = false;
};

EventLoop::Watch::Watch(EventLoop* loop, std::unique_ptr<Source> source)
    : loop_(loop), source_(std::move(source))
{
}
EventLoop::Watch::Watch() = default;
EventLoop::Watch::Watch(Watch&& other) noexcept = default;
EventLoop::Watch& EventLoop::Watch::operator=(Watch&& other) noexcept
{
  std::swap(loop_, other.loop_);
  std::swap(source_, other.source_);
  return *this;
}

EventLoop::Watch::~Watch()
{
  if (!source_)
    return;
  epoll_ctl(loop_->epoll_.get(), EPOLL_CTL_DEL, source_->fd, nullptr);
  // An event of this source may already lie in the batch being dispatched.
  source_->dead = true;
  loop_->dying_.push_back(std::move(source_));
}

void EventLoop::Timer::set(std::chrono::nanoseconds first, std::chrono::nanoseconds period) const
{
  const auto spec = [](std::chrono::nanoseconds t) {
    return timespec{.tv_sec = t.count() / 1'000'000'000, .tv_nsec = t.count() % 1'000'000'000};
  };
  const itimerspec value{.it_interval = spec(period), .it_value = spec(first)};
  timerfd_settime(fd_.get(), 0, &value, nullptr);
}

Result<std::unique_ptr<EventLoop>> EventLoop::create()
{
  std::unique_ptr<EventLoop> loop(new EventLoop);
  loop->epoll_ = UniqueFd(epoll_create1(EPOLL_CLOEXEC));
  loop->wake_ = UniqueFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  epoll_event event{.events = EPOLLIN, .data = {.ptr = nullptr}};
  if (!loop->epoll_ || !loop->wake_ ||
      epoll_ctl(loop->epoll_.get(), EPOLL_CTL_ADD, loop->wake_.get(), &event) != 0)
    return fail(errno, "create event loop");
  return loop;
}

EventLoop::EventLoop() = default;
EventLoop::~EventLoop() = default;

Result<EventLoop::Watch> EventLoop::watch(int fd, std::uint32_t events, Callback ready)
{
  auto source = std::make_unique<Source>(fd, std::move(ready));
  epoll_event event{.events = events, .data = {.ptr = source.get()}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0)
    return fail(errno, "watch descriptor");
  return Watch(this, std::move(source));
}

Result<EventLoop::Timer> EventLoop::timer(Callback expired)
{
  Timer timer;
  timer.fd_ = UniqueFd(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!timer.fd_)
    return fail(errno, "create timer");
  timer.watch_ = SONDE_TRY(
      watch(timer.fd_.get(), EPOLLIN, [fd = timer.fd_.get(), expired = std::move(expired)] {
        std::uint64_t times = 0;
        if (::read(fd, &times, sizeof times) == sizeof times)
          expired();
      }));
  return timer;
}

void EventLoop::post(Callback work)
{
  {
    const std::scoped_lock lock(mutex_);
    posted_.push_back(std::move(work));
  }
  eventfd_write(wake_.get(), 1);
}

void EventLoop::stop()
{
  post([this] { stopping_ = true; });
}

void EventLoop::run_posted()
{
  eventfd_t ignored = 0;
  eventfd_read(wake_.get(), &ignored);
  std::vector<Callback> work;
  {
    const std::scoped_lock lock(mutex_);
    work.swap(posted_);
  }
  for (auto& callback : work)
    callback();
}

// The thread goes before others where that is allowed: while it waits for a CPU rings run full.
Result<> EventLoop::run()
{
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kNiceness);
  std::array<epoll_event, 32> events{};
  stopping_ = false;
  while (!stopping_) {
    const int n = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
    if (n < 0 && errno != EINTR)
      return fail(errno, "epoll_wait");
    for (int i = 0; i < n; ++i) {
      auto* source = static_cast<Source*>(events[static_cast<std::size_t>(i)].data.ptr);
      if (source == nullptr)
        run_posted();
      else if (!source->dead)
        source->ready();
    }
    dying_.clear();
  }
  return {};
}

}  // namespace sonde
