// SPDX-License-Identifier: Apache-2.0
#include "agent/control/conversation.hpp"

#include <array>
#include <csignal>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/text.hpp"
#include "agent/control/listener.hpp"
#include "agent/control/server.hpp"

namespace sonde::control {

namespace {

enum class Heard { kMore, kEnough };

Failure unreachable(const Error& error, const std::string& path)
{
  const auto code = error.code().value();
  if (code == ENOENT || code == ECONNREFUSED)
    return fail("no agent runs here: nobody listens on " + path);
  if (code == EACCES || code == EPERM)
    return fail("not allowed to ask the agent: " + path +
                " is open to the agent's own user and root only");
  return Failure(Error(error).in("ask the agent"));
}

// Both are for ending well while it lasts.
class Interrupts {
public:
  Interrupts()
  {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set, &before_);
    fd_ = UniqueFd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  }
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;
  ~Interrupts()
  {
    signalfd_siginfo info{};
    while (fd_ && ::read(fd_.get(), &info, sizeof info) > 0)
      ;
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  int fd() const { return fd_.get(); }

private:
  sigset_t before_{};
  UniqueFd fd_;
};

// Takes the whole lines off `bytes`.
Result<Heard> hear(std::string& bytes, const TakeLine& take)
{
  std::size_t used = 0;
  for (;;) {
    const auto end = bytes.find('\n', used);
    if (end == std::string::npos)
      break;
    const auto line = std::string_view(bytes).substr(used, end - used);
    used = end + 1;
    if (line.empty())
      continue;
    if (line.front() == kError)
      return fail(std::string(line.substr(1)));
    if (line.front() == kDone || !take(line.front(), line.substr(1)))
      return Heard::kEnough;
  }
  bytes.erase(0, used);
  return Heard::kMore;
}

}  // namespace

Result<> converse(const std::string& path, const std::string& request, const TakeLine& take)
{
  const auto connection = connect_to(path);
  if (!connection)
    return unreachable(connection.error(), path);
  const auto line = request + "\n";
  // Who is not served is told so before it asks.
  if (::send(connection->get(), line.data(), line.size(), MSG_NOSIGNAL) < 0 && errno != EPIPE)
    return fail(errno, "ask the agent");
  const Interrupts interrupts;
  std::array<pollfd, 3> sources{
      {{connection->get(), POLLIN, 0}, {interrupts.fd(), POLLIN, 0}, {STDOUT_FILENO, 0, 0}}};
  std::string heard;
  std::array<char, 16 << 10> bytes{};
  for (;;) {
    if (::poll(sources.data(), sources.size(), -1) < 0) {
      if (errno == EINTR)
        continue;
      return fail(errno, "poll");
    }
    if (sources[1].revents != 0 || (sources[2].revents & POLLERR) != 0)
      return {};
    if (sources[0].revents == 0)
      continue;
    const auto n = ::recv(connection->get(), bytes.data(), bytes.size(), 0);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return fail("the agent has ended");
    heard.append(bytes.data(), static_cast<std::size_t>(n));
    if (SONDE_TRY(hear(heard, take)) == Heard::kEnough)
      return {};
  }
}

}  // namespace sonde::control
