// SPDX-License-Identifier: Apache-2.0
// The consumer of one ring. Producers wake the loop when it sleeps and when the ring fills; once
// awake it looks again on a timer until it finds nothing, so an idle node costs nothing and a busy
// one no wake-up a record. Lives on the event loop's thread.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include <bpf/libbpf.h>

#include "agent/base/event_loop.hpp"
#include "agent/base/result.hpp"

namespace sonde::bpf {

class Ring {
public:
  using Handler = std::function<void(void* record, std::size_t bytes)>;

  // `say_awake` tells the producers whether the consumer looks again by itself; `drained` is called
  // after each look that found something.
  static Result<std::unique_ptr<Ring>> open(int fd,
                                            EventLoop& loop,
                                            Handler handler,
                                            std::function<void(bool)> say_awake,
                                            std::function<void()> drained = {});
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;
  ~Ring();

  // Handles all records that lie in the ring now; how many there were.
  std::size_t drain();

private:
  Ring(Handler handler, std::function<void(bool)> say_awake, std::function<void()> drained)
      : handler_(std::move(handler)), say_awake_(std::move(say_awake)), drained_(std::move(drained))
  {
  }
  void consume();
  static int on_record(void* self, void* data, std::size_t bytes);

  struct Free {
    void operator()(ring_buffer* ring) const { ring_buffer__free(ring); }
  };

  Handler handler_;
  std::function<void(bool)> say_awake_;
  std::function<void()> drained_;
  bool awake_ = false;
  std::unique_ptr<ring_buffer, Free> ring_;
  EventLoop::Timer again_;
  EventLoop::Watch watch_;
};

}  // namespace sonde::bpf
