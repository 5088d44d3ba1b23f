// SPDX-License-Identifier: Apache-2.0
#include "agent/collectors/mount_statistics.hpp"

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <pthread.h>
#include <thread>
#include <utility>

namespace sonde {

namespace {

// So long may one mount take before the next is asked by another worker.
constexpr auto kPatience = std::chrono::milliseconds(50);
// Threads that may hang; beyond them no further mount is asked.
constexpr std::size_t kMaxStuck = 64;

using Clock = std::chrono::steady_clock;

}  // namespace

struct MountStatistics::State {
  struct Request {
    std::string path;
    std::size_t index;
    std::uint64_t round;
  };

  Limits limits;
  Ask ask;
  std::mutex mutex;
  std::condition_variable work_there;
  std::condition_variable answer_there;
  std::deque<Request> pending;
  std::map<std::size_t, std::string> running;  // of this round, by index
  std::map<std::string, std::size_t> stuck;    // calls that hang, by path
  std::vector<Answer> answers;
  std::size_t answered = 0;
  std::uint64_t round = 0;
  std::size_t workers = 0;
  bool closing = false;

  std::size_t stuck_calls() const
  {
    std::size_t calls = 0;
    for (const auto& [path, count] : stuck)
      calls += count;
    return calls;
  }
};

MountStatistics::MountStatistics(Limits limits, Ask ask) : state_(std::make_shared<State>())
{
  state_->limits = limits;
  state_->limits.workers = std::clamp<std::size_t>(limits.workers, 1, 64);
  state_->ask = std::move(ask);
}

MountStatistics::~MountStatistics()
{
  const std::lock_guard lock(state_->mutex);
  state_->closing = true;
  state_->work_there.notify_all();
}

int MountStatistics::statfs_of(const char* path, struct statfs& out)
{
  return ::statfs(path, &out) == 0 ? 0 : errno;
}

void MountStatistics::work(const std::shared_ptr<State>& state)
{
  ::pthread_setname_np(::pthread_self(), "sonde-statfs");
  std::unique_lock lock(state->mutex);
  for (;;) {
    state->work_there.wait(lock, [&] { return state->closing || !state->pending.empty(); });
    if (state->closing)
      break;
    const auto request = std::move(state->pending.front());
    state->pending.pop_front();
    state->running[request.index] = request.path;
    lock.unlock();
    Answer answer;
    answer.error = state->ask(request.path.c_str(), answer.values);
    lock.lock();

    if (request.round == state->round) {
      state->running.erase(request.index);
      state->answers[request.index] = answer;
      if (++state->answered == state->answers.size()) {
        // Whoever waits would run into the lock.
        lock.unlock();
        state->answer_there.notify_all();
        lock.lock();
      }
    } else if (const auto stuck = state->stuck.find(request.path);
               stuck != state->stuck.end() && --stuck->second == 0) {
      state->stuck.erase(stuck);
    }
    // Recovered ones are more than needed.
    if (state->workers > state->limits.workers + state->stuck_calls())
      break;
  }
  --state->workers;
}

Result<> MountStatistics::start_worker(const std::shared_ptr<State>& state)
{
  if (state->workers >= state->limits.workers + state->stuck_calls())
    return {};
  try {
    std::thread([state] { work(state); }).detach();
  } catch (const std::system_error& error) {
    if (state->workers > state->stuck_calls())
      return {};  // slower, but one is there
    return fail(error.code().value(), "start a thread for statfs");
  }
  ++state->workers;
  return {};
}

MountStatistics::Answer MountStatistics::answer_to(const std::string& path) const
{
  Answer answer;
  answer.error = state_->ask(path.c_str(), answer.values);
  return answer;
}

Result<std::vector<MountStatistics::Answer>>
MountStatistics::ask(std::span<const Question> questions)
{
  std::vector<Answer> answers(questions.size());
  for (std::size_t i = 0; i < questions.size(); ++i)
    if (!questions[i].may_hang)
      answers[i] = answer_to(questions[i].path);

  auto& state = *state_;
  std::unique_lock lock(state.mutex);
  ++state.round;
  state.running.clear();
  state.answers = std::move(answers);
  state.answered = 0;
  const bool full = state.stuck_calls() >= kMaxStuck;
  for (std::size_t i = 0; i < questions.size(); ++i) {
    const auto& [path, may_hang] = questions[i];
    state.answers[i].timed_out = may_hang && (full || state.stuck.contains(path));
    if (may_hang && !state.answers[i].timed_out)
      state.pending.push_back({path, i, state.round});
    else
      ++state.answered;
  }

  const auto deadline = Clock::now() + state.limits.timeout;
  const auto done = [&] { return state.answered == state.answers.size(); };
  while (!done() && Clock::now() < deadline) {
    // The first call starts the one worker that healthy mounts need.
    if (state.workers == state.stuck_calls() || !state.running.empty())
      if (auto started = start_worker(state_); !started && state.workers == state.stuck_calls()) {
        state.pending.clear();
        return Failure(std::move(started).error());
      }
    lock.unlock();
    state.work_there.notify_one();
    lock.lock();
    const auto patience = Clock::now() + kPatience;
    state.answer_there.wait_until(lock, std::min(patience, deadline), done);
  }

  for (const auto& [index, path] : state.running) {
    state.answers[index].timed_out = true;
    ++state.stuck[path];
  }
  for (const auto& request : state.pending)
    state.answers[request.index].timed_out = true;
  state.pending.clear();
  state.running.clear();
  ++state.round;  // late answers are of no round
  return std::exchange(state.answers, {});
}

}  // namespace sonde
