// SPDX-License-Identifier: Apache-2.0
// Requests within rustls as this machine's compiler lays its messages out: of 0.21 and 0.23, found
// by symbols and by the shape of vtables.
#include <arpa/inet.h>
#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "tests/bpf/tls_fixture.hpp"
#include "tests/support/victim.hpp"

#include "agent/base/unique_fd.hpp"

namespace sonde::testing {
namespace {

struct Built {
  const char* name;
  const char* path;  // empty where the compiler is missing
  bool strip;
};

class RustTls : public TlsNode, public ::testing::WithParamInterface<Built> {
protected:
  static constexpr std::size_t kRequests = 400;

  void SetUp() override
  {
    TlsNode::SetUp();
    if (*GetParam().path == '\0')
      GTEST_SKIP() << "rustc is missing";
    if (!IsSkipped() && !bpf::return_probes_are_safe())
      GTEST_SKIP() << "return probes are not safe here";
    std::filesystem::create_directory(folder_);
    std::filesystem::copy_file(GetParam().path, program());
    if (GetParam().strip) {
      EXPECT_EQ(std::system(fmt::format("strip {}", program()).c_str()), 0);
    }
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string program() const { return (folder_ / "rustls").native(); }

private:
  std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / fmt::format("sonde-rustls-{}", ::getpid());
};

std::string free_port()
{
  const UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  EXPECT_EQ(::bind(socket.get(), any, size), 0);
  EXPECT_EQ(::getsockname(socket.get(), any, &size), 0);
  return fmt::to_string(ntohs(address.sin_port));
}

TEST_P(RustTls, RequestsAreCountedOnceAtBothEnds)
{
  const auto port = free_port();
  Victim server(program(), {"serve", port});
  Victim client(program(), {"ask", port});
  ASSERT_TRUE(server.call());
  start(server.tgid(), client.tgid());
  if (IsSkipped() || HasFatalFailure())
    return;
  ASSERT_TRUE(client.call(kRequests));
  expect(kRequests);
}

TEST_P(RustTls, RequestsOnConnectionsThatAreOlderAreCountedFromThenOn)
{
  const auto port = free_port();
  Victim server(program(), {"serve", port});
  Victim client(program(), {"ask", port});
  // The tenth request of each connection is its last.
  ASSERT_TRUE(server.call() && client.call(5));
  start(server.tgid(), client.tgid());
  if (IsSkipped() || HasFatalFailure())
    return;
  ASSERT_TRUE(client.call(kRequests));
  expect(kRequests);
}

INSTANTIATE_TEST_SUITE_P(Builds,
                         RustTls,
                         ::testing::Values(Built{"Now", SONDE_RUSTLS_TARGET, false},
                                           Built{"NowStripped", SONDE_RUSTLS_TARGET, true},
                                           Built{"Old", SONDE_RUSTLS_OLD_TARGET, false},
                                           Built{"OldStripped", SONDE_RUSTLS_OLD_TARGET, true}),
                         [](const auto& built) { return built.param.name; });

}  // namespace
}  // namespace sonde::testing
