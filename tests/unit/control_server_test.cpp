// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/control/conversation.hpp"
#include "agent/control/server.hpp"

namespace sonde::control {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Folder {
public:
  Folder()
  {
    std::string name = "/tmp/sonde_control_XXXXXX";
    path_ = ::mkdtemp(name.data());
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string operator/(std::string_view name) const { return (path_ / name).string(); }

private:
  std::filesystem::path path_;
};

mode_t mode_of(const std::string& path)
{
  struct stat found{};
  return ::lstat(path.c_str(), &found) == 0 ? found.st_mode & 07777U : 0;
}

// Remembers who asked what.
class Asked : public Answers {
public:
  void request(std::string_view line, Client& client) override
  {
    lines.emplace_back(line);
    clients.push_back(&client);
    if (line == "end") {
      client.line("one");
      client.done();
      EXPECT_FALSE(client.line("after the last"));
    } else if (line == "refuse") {
      client.refuse("not today");
    }
  }
  void gone(Client& client) override { std::erase(clients, &client); }

  std::vector<std::string> lines;
  std::vector<Client*> clients;
};

// A server whose loop runs for as long as a test wants it to.
class Served {
public:
  explicit Served(Server::Limits limits = {})
  {
    loop = *EventLoop::create();
    server = *Server::start(*loop, *Listener::open(path), asked, limits);
  }

  UniqueFd connect() const { return *connect_to(path, SOCK_NONBLOCK); }
  void run(std::chrono::milliseconds time = std::chrono::milliseconds(60))
  {
    auto timer = *loop->timer([this] { loop->stop(); });
    timer.arm_once(time);
    ASSERT_TRUE(loop->run());
  }
  // All that has come by now.
  static std::string take(const UniqueFd& fd)
  {
    std::string out;
    std::array<char, 4096> bytes{};
    for (;;) {
      const auto n = ::recv(fd.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
      if (n <= 0)
        return out;
      out.append(bytes.data(), static_cast<std::size_t>(n));
    }
  }
  static void say(const UniqueFd& fd, std::string_view text)
  {
    ASSERT_EQ(::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }

  Folder folder;
  std::string path = folder / "run/control.sock";
  Asked asked;
  std::unique_ptr<EventLoop> loop;
  std::unique_ptr<Server> server;
};

TEST(ControlListener, IsOpenToItsOwnUserOnlyAndGoneAtTheEnd)
{
  const Folder folder;
  const auto path = folder / "a/b/control.sock";
  {
    const auto listener = Listener::open(path);
    ASSERT_TRUE(listener) << listener.error().message();
    EXPECT_EQ(mode_of(path), 0600U);
    EXPECT_EQ(mode_of(folder / "a"), 0700U);
    EXPECT_EQ(mode_of(folder / "a/b"), 0700U);
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(ControlListener, TakesThePlaceOfAStaleSocketButNotOfOneThatAnswers)
{
  const Folder folder;
  const auto path = folder / "control.sock";
  const auto address = *address_of(path);
  {
    const UniqueFd dead(::socket(AF_UNIX, SOCK_STREAM, 0));
    ASSERT_EQ(::bind(dead.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }
  const auto first = Listener::open(path);
  ASSERT_TRUE(first) << first.error().message();
  const auto second = Listener::open(path);
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().message(), HasSubstr("already running"));
  EXPECT_TRUE(std::filesystem::exists(path)) << "a refused one must not remove it";
}

TEST(ControlListener, LeavesAFileThatIsNoSocketAlone)
{
  const Folder folder;
  const auto path = folder / "control.sock";
  std::ofstream(path) << "precious";
  EXPECT_THAT(Listener::open(path).error().message(), HasSubstr("is no socket"));
  EXPECT_TRUE(std::filesystem::exists(path));
  EXPECT_FALSE(Listener::open(folder / std::string(200, 'x')));
  EXPECT_FALSE(Listener::open("/proc/sonde/control.sock"));
}

TEST(ControlListener, DoesNotRemoveThePathOfItsSuccessor)
{
  const Folder folder;
  const auto path = folder / "control.sock";
  auto first = std::make_unique<Listener>(*Listener::open(path));
  std::filesystem::remove(path);
  const auto second = Listener::open(path);
  ASSERT_TRUE(second);
  first.reset();
  EXPECT_TRUE(std::filesystem::exists(path));
}

TEST(ControlServer, AnswersOneRequestOfEachClient)
{
  Served served;
  const auto one = served.connect();
  const auto other = served.connect();
  Served::say(one, "end\nsomething more\n");
  Served::say(other, "ref");
  served.run();
  Served::say(other, "use\n");
  served.run();
  EXPECT_THAT(served.asked.lines, ElementsAre("end", "refuse"));
  EXPECT_EQ(Served::take(one), "=one\n.\n");
  EXPECT_EQ(Served::take(other), "!not today\n");
  EXPECT_EQ(served.server->clients(), 0U);
  EXPECT_TRUE(served.asked.clients.empty());
}

TEST(ControlServer, RefusesARequestWithoutEnd)
{
  Served served;
  const auto fd = served.connect();
  Served::say(fd, std::string(1500, 'x'));
  served.run();
  EXPECT_EQ(Served::take(fd), "!the request is too long\n");
  EXPECT_TRUE(served.asked.lines.empty());
  EXPECT_EQ(served.server->clients(), 0U);
}

TEST(ControlServer, TurnsTheSeventeenthClientAway)
{
  Served served;
  std::vector<UniqueFd> clients;
  for (int i = 0; i < 17; ++i)
    clients.push_back(served.connect());
  served.run();
  EXPECT_EQ(served.server->clients(), 16U);
  EXPECT_EQ(Served::take(clients.back()), "!16 clients are being served already\n");
  clients.clear();
  served.run();
  EXPECT_EQ(served.server->clients(), 0U);
}

TEST(ControlServer, ForgetsAClientThatLeaves)
{
  Served served;
  auto fd = served.connect();
  Served::say(fd, "tail\n");
  served.run();
  ASSERT_EQ(served.asked.clients.size(), 1U);
  fd = UniqueFd();
  served.run();
  EXPECT_TRUE(served.asked.clients.empty());
}

TEST(ControlServer, ASlowReaderLosesLinesIsToldSoAndHoldsNobodyUp)
{
  Served served({.output_bytes = 10'000});
  const auto slow = served.connect();
  const auto quick = served.connect();
  Served::say(slow, "tail\n");
  Served::say(quick, "tail\n");
  served.run();
  ASSERT_EQ(served.asked.clients.size(), 2U);
  const std::string text(99, 'x');
  std::size_t sent_slow = 0;
  std::size_t sent_quick = 0;
  std::string heard_quick;
  for (int round = 0; round < 100; ++round) {
    for (int i = 0; i < 50; ++i) {
      sent_slow += served.asked.clients[0]->line(text) ? 1 : 0;
      sent_quick += served.asked.clients[1]->line(text) ? 1 : 0;
    }
    served.run(std::chrono::milliseconds(25));
    heard_quick += Served::take(quick);
  }
  EXPECT_EQ(sent_quick, 5000U);
  EXPECT_EQ(std::ranges::count(heard_quick, '\n'), 5000);
  EXPECT_LT(sent_slow, 5000U);
  std::string heard_slow;
  for (int i = 0; i < 10; ++i) {
    heard_slow += Served::take(slow);
    served.run();
  }
  EXPECT_THAT(heard_slow, HasSubstr(fmt::format("\n#{}\n", 5000 - sent_slow)));
  EXPECT_EQ(std::ranges::count(heard_slow, '='), static_cast<std::ptrdiff_t>(sent_slow));
}

TEST(ControlConversation, HandsOnLinesUntilTheLastOneAndNamesWhatIsWrong)
{
  Served served;
  std::vector<std::string> heard;
  Result<> ended;
  Result<> refused;
  std::thread other([&] {
    const auto take = [&](char kind, std::string_view text) {
      heard.push_back(kind + std::string(text));
      return true;
    };
    ended = converse(served.path, "end", take);
    refused = converse(served.path, "refuse", take);
    served.loop->stop();
  });
  ASSERT_TRUE(served.loop->run());
  other.join();
  EXPECT_TRUE(ended);
  EXPECT_THAT(heard, ElementsAre("=one"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message(), "not today");
  served.server.reset();
  const auto nobody = converse(served.path, "end", {});
  ASSERT_FALSE(nobody);
  EXPECT_EQ(nobody.error().message(), "no agent runs here: nobody listens on " + served.path);
}

}  // namespace
}  // namespace sonde::control
