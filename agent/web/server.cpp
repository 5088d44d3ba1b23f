// SPDX-License-Identifier: Apache-2.0
#include "agent/web/server.hpp"

#include <algorithm>
#include <csignal>
#include <deque>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "agent/web/listen.hpp"
#include "agent/web/session.hpp"

namespace sonde::web {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

// Between two attempts to accept while the process has no descriptor left: long enough not to spin,
// short enough for a scrape. After a connection was closed for it, its descriptor is free at once.
constexpr std::chrono::milliseconds kAcceptPause{50};
constexpr std::chrono::milliseconds kClosePause{1};

bool lacks_descriptors(const boost::system::error_code& error)
{
  return error == boost::system::errc::too_many_files_open ||
         error == boost::system::errc::too_many_files_open_in_system;
}

// accept(2) takes a descriptor before it looks for a connection, so that a lack of descriptors does
// not mean that somebody waits.
bool somebody_waits(tcp::acceptor& acceptor)
{
  pollfd wait{.fd = acceptor.native_handle(), .events = POLLIN, .revents = 0};
  return ::poll(&wait, 1, 0) > 0;
}

// Signals belong to the main thread; threads inherit the mask they are started under.
class AllSignalsBlocked {
public:
  AllSignalsBlocked()
  {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  AllSignalsBlocked(const AllSignalsBlocked&) = delete;
  AllSignalsBlocked& operator=(const AllSignalsBlocked&) = delete;
  ~AllSignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

private:
  sigset_t before_{};
};

}  // namespace

// Every web thread has a loop of its own and a descriptor of every listening socket. A connection
// stays with the thread that accepted it: nothing is handed over, locked or woken for a request,
// and a thread whose handler takes long accepts nothing.
//
// Members die in reverse: the threads are joined first, then the pending operations, which own the
// sessions, go with the loops, then what the sessions refer to.
class Server::Core {
public:
  Core(const Options& options, Router router)
      : serving_{.limits = options.limits, .router = std::move(router)},
        loops_(std::max(options.threads, 1U))
  {
  }
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;
  ~Core()
  {
    for (auto& loop : loops_)
      loop.io.stop();
    threads_.clear();
  }

  Result<> listen(const std::vector<std::string>& addresses);
  Result<> run();

  const std::vector<Endpoint>& endpoints() const { return endpoints_; }
  const Connections& connections() const { return serving_.connections; }

private:
  struct Listener {
    tcp::acceptor acceptor;
    asio::steady_timer pause;
  };
  struct Loop {
    asio::io_context io{1};
    std::deque<Listener> listeners;
  };

  static Result<> share(tcp::acceptor& acceptor, Loop& with);
  void accept(Listener& listener);
  void accept_later(Listener& listener, const boost::system::error_code& why);

  Serving serving_;
  std::deque<Loop> loops_;
  std::vector<Endpoint> endpoints_;
  std::vector<std::jthread> threads_;
};

Result<> Server::Core::listen(const std::vector<std::string>& addresses)
{
  auto& first = loops_.front();
  for (const auto& address : addresses) {
    for (auto& acceptor : SONDE_TRY(listen_on(first.io, address))) {
      boost::system::error_code error;
      const auto bound = acceptor.local_endpoint(error);
      endpoints_.push_back({.address = bound.address().to_string(), .port = bound.port()});
      for (std::size_t i = 1; i < loops_.size(); ++i)
        SONDE_TRY(in(share(acceptor, loops_[i]), "listen on " + address));
      first.listeners.push_back(
          {.acceptor = std::move(acceptor), .pause = asio::steady_timer(first.io)});
    }
  }
  if (endpoints_.empty())
    return fail("no listen address");
  return {};
}

// A second descriptor of the same socket: whichever thread is free takes the next connection.
Result<> Server::Core::share(tcp::acceptor& acceptor, Loop& with)
{
  const int fd = ::fcntl(acceptor.native_handle(), F_DUPFD_CLOEXEC, 0);
  if (fd < 0)
    return fail(errno, "duplicate the socket");
  boost::system::error_code error;
  tcp::acceptor shared(with.io);
  shared.assign(acceptor.local_endpoint(error).protocol(), fd, error);
  if (error) {
    ::close(fd);
    return fail(error.value(), "share the socket");
  }
  with.listeners.push_back({.acceptor = std::move(shared), .pause = asio::steady_timer(with.io)});
  return {};
}

Result<> Server::Core::run()
{
  const AllSignalsBlocked blocked;
  try {
    for (auto& loop : loops_) {
      for (auto& listener : loop.listeners)
        accept(listener);
      auto& thread = threads_.emplace_back([&loop] { loop.io.run(); });
      pthread_setname_np(thread.native_handle(),
                         fmt::format("sonde-web-{}", threads_.size() - 1).c_str());
    }
  } catch (const std::system_error& error) {
    return fail(error.code().value(), "start a web thread");
  }
  return {};
}

void Server::Core::accept(Listener& listener)
{
  listener.acceptor.async_accept([this, &listener](const boost::system::error_code& error,
                                                   tcp::socket socket) {
    if (error) {
      accept_later(listener, error);
      return;
    }
    ::fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC);
    // Shared: the session's pending operations own it.
    std::make_shared<Session<boost::beast::tcp_stream>>(boost::beast::tcp_stream(std::move(socket)),
                                                        serving_)
        ->start();
    accept(listener);
  });
}

void Server::Core::accept_later(Listener& listener, const boost::system::error_code& why)
{
  if (why == asio::error::operation_aborted)
    return;
  const bool freed = lacks_descriptors(why) && somebody_waits(listener.acceptor) &&
                     serving_.connections.close_one();
  listener.pause.expires_after(freed ? kClosePause : kAcceptPause);
  listener.pause.async_wait([this, &listener](const boost::system::error_code& error) {
    if (!error)
      accept(listener);
  });
}

std::string text_of(const Endpoint& endpoint)
{
  const bool v6 = endpoint.address.find(':') != std::string::npos;
  return fmt::format("{}{}{}:{}", v6 ? "[" : "", endpoint.address, v6 ? "]" : "", endpoint.port);
}

Result<std::unique_ptr<Server>> Server::start(const Options& options, Router router)
{
  auto core = std::make_unique<Core>(options, std::move(router));
  if (auto listening = core->listen(options.listen); !listening)
    return Failure(std::move(listening).error());
  if (auto running = core->run(); !running)
    return Failure(std::move(running).error());
  return std::unique_ptr<Server>(new Server(std::move(core)));
}

Server::Server(std::unique_ptr<Core> core) : core_(std::move(core)) {}
Server::~Server() = default;

const std::vector<Endpoint>& Server::endpoints() const
{
  return core_->endpoints();
}
std::size_t Server::connections() const
{
  return core_->connections().count();
}
std::uint64_t Server::evictions() const
{
  return core_->connections().closed_for_others();
}

}  // namespace sonde::web
