// SPDX-License-Identifier: Apache-2.0
#include "tests/support/victim.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <utility>

namespace sonde::testing {

Victim::Victim(const std::string& path, const std::vector<std::string>& arguments)
{
  std::array<int, 2> in{};
  std::array<int, 2> out{};
  if (::pipe2(in.data(), O_CLOEXEC) != 0 || ::pipe2(out.data(), O_CLOEXEC) != 0)
    std::abort();
  to_ = UniqueFd(in[1]);
  from_ = UniqueFd(out[0]);
  const UniqueFd stdin_end(in[0]);
  const UniqueFd stdout_end(out[1]);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in[0], 0);
  posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  std::vector<char*> words{const_cast<char*>(path.c_str())};
  for (const auto& argument : arguments)
    words.push_back(const_cast<char*>(argument.c_str()));
  words.push_back(nullptr);
  const int error = ::posix_spawn(&pid_, path.c_str(), &actions, nullptr, words.data(), ::environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    std::fprintf(stderr, "victim: %s: error %d\n", path.c_str(), error);
    std::abort();
  }
}

Victim::Victim(Victim&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), to_(std::move(other.to_)), from_(std::move(other.from_))
{
}

bool Victim::call(std::size_t bytes)
{
  std::array<char, 4096> buffer{};
  buffer.fill('.');
  while (bytes > 0) {
    const auto some = std::min(bytes, buffer.size());
    if (::write(to_.get(), buffer.data(), some) != static_cast<ssize_t>(some))
      return false;
    for (std::size_t left = some; left > 0;) {
      const auto got = ::read(from_.get(), buffer.data(), left);
      if (got <= 0)
        return false;
      left -= static_cast<std::size_t>(got);
    }
    bytes -= some;
  }
  return true;
}

int Victim::stop()
{
  if (pid_ < 0)
    return 0;
  to_ = UniqueFd();
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  return status;
}

}  // namespace sonde::testing
