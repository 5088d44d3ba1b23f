// SPDX-License-Identifier: Apache-2.0
#include "agent/control/server.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/socket.h>

namespace sonde::control {

class Server::Session final : public Client {
public:
  Session(Server& server, UniqueFd fd) : server_(server), fd_(std::move(fd)) {}

  Result<> watch()
  {
    // By edges: one watch for both directions, and no call for a client that does not read.
    watch_ = SONDE_TRY(server_.loop_.watch(
        fd_.get(), EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, [this] { on_ready(); }));
    return {};
  }
  bool asked() const { return asked_; }
  // False when it is over.
  bool flush();

  bool line(std::string_view text) override;
  void done() override { last(kDone, ""); }
  void refuse(std::string_view why) override { last(kError, why); }

private:
  void on_ready();
  bool read();
  void take(std::string_view bytes);
  void last(char kind, std::string_view text);
  void tell_left();
  void append(char kind, std::string_view text)
  {
    output_ += kind;
    output_.append(text).append("\n");
    server_.arm();
  }
  std::size_t waiting() const { return output_.size() - written_; }

  Server& server_;
  UniqueFd fd_;
  std::string input_;
  std::string output_;
  std::size_t written_ = 0;
  std::uint64_t left_ = 0;
  bool asked_ = false;
  bool closing_ = false;
  EventLoop::Watch watch_;
};

bool Server::Session::line(std::string_view text)
{
  if (closing_)
    return false;
  if (waiting() + text.size() > server_.limits_.output_bytes) {
    ++left_;
    return false;
  }
  tell_left();
  append(kText, text);
  return true;
}

void Server::Session::tell_left()
{
  if (left_ > 0)
    append(kLeft, std::to_string(left_));
  left_ = 0;
}

void Server::Session::last(char kind, std::string_view text)
{
  if (closing_)
    return;
  tell_left();
  // A reason may come from libbpf, with lines of its own.
  std::string one(text);
  std::ranges::replace(one, '\n', ' ');
  append(kind, one);
  closing_ = true;
}

void Server::Session::on_ready()
{
  const bool open = read();
  if (!flush() || !open)
    server_.drop(*this);
}

// False at the end of the stream.
bool Server::Session::read()
{
  std::array<char, 512> bytes{};
  for (;;) {
    const auto n = ::recv(fd_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (n > 0)
      take({bytes.data(), static_cast<std::size_t>(n)});
    else if (n == 0 || (errno != EINTR && errno != EAGAIN))
      return false;
    else if (errno == EAGAIN)
      return true;
  }
}

// What follows the request is nobody's.
void Server::Session::take(std::string_view bytes)
{
  if (asked_ || closing_)
    return;
  const auto end = bytes.find('\n');
  input_ += bytes.substr(0, end);
  if (input_.size() > server_.limits_.request_bytes) {
    refuse("the request is too long");
    return;
  }
  if (end == std::string_view::npos)
    return;
  asked_ = true;
  server_.answers_.request(input_, *this);
  input_.clear();
}

bool Server::Session::flush()
{
  while (waiting() > 0) {
    const auto n =
        ::send(fd_.get(), output_.data() + written_, waiting(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0 && errno == EAGAIN) {
      output_.erase(0, std::exchange(written_, 0));
      return true;
    }
    if (n < 0)
      return false;
    written_ += static_cast<std::size_t>(n);
  }
  output_.clear();
  written_ = 0;
  tell_left();
  return !closing_;
}

Server::Server(EventLoop& loop, Listener listener, Answers& answers, Limits limits)
    : loop_(loop), listener_(std::move(listener)), answers_(answers), limits_(limits)
{
}

Server::~Server()
{
  while (!clients_.empty())
    drop(clients_.front());
}

Result<std::unique_ptr<Server>>
Server::start(EventLoop& loop, Listener listener, Answers& answers, Limits limits)
{
  std::unique_ptr<Server> server(new Server(loop, std::move(listener), answers, limits));
  auto* self = server.get();
  server->turn_ = SONDE_TRY(loop.timer([self] { self->flush(); }));
  server->watch_ = SONDE_TRY(loop.watch(self->listener_.fd(), EPOLLIN, [self] { self->accept(); }));
  return server;
}

std::size_t Server::clients() const
{
  return clients_.size();
}

// One at a time: the loop comes back as long as there are more.
void Server::accept()
{
  UniqueFd fd(::accept4(listener_.fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!fd)
    return;
  if (clients_.size() >= limits_.clients) {
    const auto why =
        fmt::format("{}{} clients are being served already\n", kError, clients_.size());
    [[maybe_unused]] const auto sent =
        ::send(fd.get(), why.data(), why.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    return;
  }
  auto& session = clients_.emplace_back(*this, std::move(fd));
  if (!session.watch())
    clients_.pop_back();
}

void Server::arm()
{
  if (!std::exchange(turn_armed_, true))
    turn_.arm_once(limits_.turn);
}

void Server::flush()
{
  turn_armed_ = false;
  for (auto session = clients_.begin(); session != clients_.end();) {
    auto& one = *session++;
    if (!one.flush())
      drop(one);
  }
}

void Server::drop(Session& session)
{
  if (session.asked())
    answers_.gone(session);
  clients_.remove_if([&](const Session& one) { return &one == &session; });
}

}  // namespace sonde::control
