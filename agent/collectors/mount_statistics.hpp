// SPDX-License-Identifier: Apache-2.0
// statfs(2) of many mounts; of those that a dead server makes hang for ever by worker threads, so
// that whoever asks waits for a bounded time. Owned by the filesystem collector.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <sys/vfs.h>
#include <vector>

#include "agent/base/result.hpp"

namespace sonde {

class MountStatistics {
public:
  // 0 or an errno. Called on worker threads and by whoever asks.
  using Ask = std::function<int(const char* path, struct statfs& out)>;

  struct Question {
    std::string path;
    bool may_hang = true;  // false: asked at once, which spares waking a worker
  };

  struct Answer {
    bool timed_out = false;
    int error = 0;
    struct statfs values{};
  };

  struct Limits {
    std::chrono::nanoseconds timeout = std::chrono::seconds(5);
    std::size_t workers = 4;  // that run at once; those that hang do not count
  };

  explicit MountStatistics(Limits limits, Ask ask = statfs_of);
  ~MountStatistics();
  MountStatistics(const MountStatistics&) = delete;
  MountStatistics& operator=(const MountStatistics&) = delete;

  // One answer for each question, within the timeout and a little. A path whose call hangs is not
  // asked again until that call returns.
  Result<std::vector<Answer>> ask(std::span<const Question> questions);

  static int statfs_of(const char* path, struct statfs& out);

private:
  struct State;
  static void work(const std::shared_ptr<State>& state);
  static Result<> start_worker(const std::shared_ptr<State>& state);
  Answer answer_to(const std::string& path) const;

  // Shared with the workers: one that hangs in the kernel outlives this object.
  std::shared_ptr<State> state_;
};

}  // namespace sonde
