// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/app/sd_notify.hpp"
#include "agent/base/clock.hpp"
#include "agent/base/text.hpp"

namespace sonde::app {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// What the service manager has: a bound datagram socket.
class Receiver {
public:
  explicit Receiver(std::string address)
      : address_(std::move(address)), socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0))
  {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    address_.copy(name.sun_path, sizeof(name.sun_path) - 1);
    const bool abstract = address_[0] == '@';
    if (abstract)
      name.sun_path[0] = '\0';
    const auto length = offsetof(sockaddr_un, sun_path) + address_.size() + (abstract ? 0 : 1);
    EXPECT_EQ(::bind(socket_.get(),
                     reinterpret_cast<const sockaddr*>(&name),
                     static_cast<socklen_t>(length)),
              0);
  }
  ~Receiver()
  {
    if (address_[0] == '/')
      std::filesystem::remove(address_);
  }
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;

  const std::string& address() const { return address_; }
  std::string next() const
  {
    std::string message(1024, '\0');
    const auto length = ::recv(socket_.get(), message.data(), message.size(), MSG_DONTWAIT);
    message.resize(length < 0 ? 0 : static_cast<std::size_t>(length));
    return message;
  }

private:
  std::string address_;
  UniqueFd socket_;
};

std::string path_address()
{
  return (std::filesystem::temp_directory_path() / fmt::format("sonde_notify_{}", ::getpid()))
      .string();
}

class Environment {
public:
  Environment(const char* name, const std::string& value) : name_(name)
  {
    ::setenv(name, value.c_str(), 1);
  }
  ~Environment() { ::unsetenv(name_); }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

private:
  const char* name_;
};

TEST(SdNotify, PathAndAbstractSocketsReceiveTheMessages)
{
  for (const auto& address : {path_address(), fmt::format("@sonde_notify_{}", ::getpid())}) {
    const Receiver receiver(address);
    const auto manager = ServiceManager::connect(address);
    ASSERT_TRUE(manager) << manager.error().message();
    EXPECT_TRUE(manager->listens());
    EXPECT_TRUE(manager->ready());
    EXPECT_EQ(receiver.next(), "READY=1");
    EXPECT_TRUE(manager->status("14 hooks attached\n2 not"));
    EXPECT_EQ(receiver.next(), "STATUS=14 hooks attached 2 not");
    EXPECT_TRUE(manager->alive());
    EXPECT_EQ(receiver.next(), "WATCHDOG=1");
    EXPECT_TRUE(manager->stopping());
    EXPECT_EQ(receiver.next(), "STOPPING=1");
  }
}

TEST(SdNotify, AReloadCarriesTheMonotonicClock)
{
  const Receiver receiver(path_address());
  const auto manager = ServiceManager::connect(receiver.address());
  ASSERT_TRUE(manager);
  const auto before = monotonic_ns() / 1000;
  EXPECT_TRUE(manager->reloading());
  const auto after = monotonic_ns() / 1000;
  const auto message = receiver.next();
  constexpr std::string_view kPrefix = "RELOADING=1\nMONOTONIC_USEC=";
  ASSERT_THAT(message, StartsWith(std::string(kPrefix)));
  const auto sent = parse_number<std::uint64_t>(std::string_view(message).substr(kPrefix.size()));
  ASSERT_TRUE(sent);
  EXPECT_GE(*sent, before);
  EXPECT_LE(*sent, after);
}

TEST(SdNotify, WithoutASocketNothingIsSentAndNothingFails)
{
  ::unsetenv("NOTIFY_SOCKET");
  const auto manager = ServiceManager::from_environment();
  ASSERT_TRUE(manager);
  EXPECT_FALSE(manager->listens());
  EXPECT_FALSE(manager->watchdog());
  EXPECT_TRUE(manager->ready());
}

TEST(SdNotify, TheWatchdogIsTakenWhenItIsMeantForThisProcess)
{
  const Receiver receiver(path_address());
  const Environment socket("NOTIFY_SOCKET", receiver.address());
  const Environment period("WATCHDOG_USEC", "30000000");
  {
    const Environment pid("WATCHDOG_PID", std::to_string(::getpid()));
    EXPECT_EQ(ServiceManager::from_environment()->watchdog(), std::chrono::seconds(30));
  }
  {
    const Environment pid("WATCHDOG_PID", std::to_string(::getpid() + 1));
    EXPECT_FALSE(ServiceManager::from_environment()->watchdog());
  }
  EXPECT_EQ(ServiceManager::from_environment()->watchdog(), std::chrono::seconds(30));
  const Environment nonsense("WATCHDOG_USEC", "soon");
  EXPECT_FALSE(ServiceManager::from_environment()->watchdog());
}

TEST(SdNotify, AnAddressThatCannotBeIsAnError)
{
  for (const auto* address : {"relative", "@", "/does/not/exist"})
    EXPECT_FALSE(ServiceManager::connect(address)) << address;
  EXPECT_FALSE(ServiceManager::connect("/" + std::string(200, 'x')));
  EXPECT_THAT(ServiceManager::connect("/does/not/exist").error().message(),
              HasSubstr("No such file or directory"));
}

TEST(SdNotify, AManagerThatHasGoneIsAnErrorAndNotASignal)
{
  std::optional<Receiver> receiver(std::in_place, path_address());
  const auto manager = ServiceManager::connect(receiver->address());
  ASSERT_TRUE(manager);
  receiver.reset();
  EXPECT_FALSE(manager->ready());
}

}  // namespace
}  // namespace sonde::app
