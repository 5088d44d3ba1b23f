// SPDX-License-Identifier: Apache-2.0
// Requests within Go's crypto/tls: tests/go/tls at both ends, its connections wrapped at one.
#include <array>
#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "tests/bpf/tls_fixture.hpp"

#include "agent/base/unique_fd.hpp"

#ifdef SONDE_GO_SAMPLES

namespace sonde::testing {
namespace {

// A program that is told and tells by lines; killed and reaped by the destructor.
class Program {
public:
  Program(const std::string& name, std::vector<std::string> arguments)
  {
    std::array<int, 2> in{};
    std::array<int, 2> out{};
    if (::pipe2(in.data(), O_CLOEXEC) != 0 || ::pipe2(out.data(), O_CLOEXEC) != 0)
      std::abort();
    arguments.insert(arguments.begin(), std::filesystem::path(SONDE_GO_SAMPLES) / name);
    std::vector<char*> words;
    for (auto& argument : arguments)
      words.push_back(argument.data());
    words.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(in[0], 0);
      ::dup2(out[1], 1);
      ::execv(words[0], words.data());
      _exit(1);
    }
    ::close(in[0]);
    ::close(out[1]);
    to_ = UniqueFd(in[1]);
    from_ = UniqueFd(out[0]);
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  ~Program()
  {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

  std::uint32_t tgid() const { return static_cast<std::uint32_t>(pid_); }
  void go_on() const { EXPECT_EQ(::write(to_.get(), "\n", 1), 1); }
  std::string line() const
  {
    std::string text;
    for (char byte = 0; ::read(from_.get(), &byte, 1) == 1 && byte != '\n';)
      text += byte;
    return text;
  }

private:
  pid_t pid_ = -1;
  UniqueFd to_;
  UniqueFd from_;
};

class TlsOfGo : public TlsNode, public ::testing::WithParamInterface<const char*> {};

TEST_P(TlsOfGo, RequestsOnConnectionsThatAreOlderAreCountedFromThenOn)
{
  const Program server(GetParam(), {"serve"});
  const Program client(GetParam(), {"ask", server.line(), "8", "40"});
  ASSERT_EQ(client.line(), "ready");
  start(server.tgid(), client.tgid());
  if (IsSkipped() || HasFatalFailure())
    return;
  client.go_on();
  ASSERT_EQ(client.line(), "done");
  expect(8 * 40);
}

TEST_P(TlsOfGo, RequestsOnNewConnectionsAreCountedFromTheFirst)
{
  const Program server(GetParam(), {"serve"});
  const auto address = server.line();
  {
    const Program before(GetParam(), {"ask", address, "1", "0"});
    ASSERT_EQ(before.line(), "ready");
    start(server.tgid(), before.tgid());
  }
  if (IsSkipped() || HasFatalFailure())
    return;
  const Program client(GetParam(), {"ask", address, "8", "40"});
  node_.fixed().place(client.tgid(), "client");
  // Its probes belong to the file, which has them.
  ASSERT_EQ(client.line(), "ready");
  client.go_on();
  ASSERT_EQ(client.line(), "done");
  NodeFixture::eventually([&] { return servers(node_.scrape()) >= 8 * 40 + 8; });
  const auto text = node_.scrape();
  EXPECT_EQ(servers(text), 8 * 40 + 8);
}

INSTANTIATE_TEST_SUITE_P(Programs,
                         TlsOfGo,
                         ::testing::Values("tls_plain", "tls_pie_stripped"),
                         [](const auto& name) { return std::string(name.param); });

}  // namespace
}  // namespace sonde::testing

#endif
