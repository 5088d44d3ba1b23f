// SPDX-License-Identifier: Apache-2.0
#include <map>

#include <gtest/gtest.h>

#include "tests/support/socket_records.hpp"

#include "agent/control/explanation.hpp"

namespace sonde::protocols {
namespace {

using test::Socket;
using test::Tap;

constexpr auto kServer = SONDE_SOCKET_ROLE_SERVER;
constexpr auto kClient = SONDE_SOCKET_ROLE_CLIENT;

constexpr std::string_view kRequest = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
constexpr std::string_view kResponse = "HTTP/1.1 204 No Content\r\n\r\n";

std::string client_hello()
{
  return std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11) + std::string(506, 'r');
}
std::string application_data()
{
  return std::string("\x17\x03\x03\x00\x40", 5) + std::string(64, 'r');
}

std::map<std::uint32_t, control::Explanation::Connection> look(const Tap& tap)
{
  std::map<std::uint32_t, control::Explanation::Connection> out;
  tap.connections.look(
      [&](const ConnectionView& view) { out[view.tgid] = control::explained(view); });
  return out;
}

std::string unseen(Tap& tap, std::string_view reason)
{
  tap.connections.survey();
  return tap.value("sonde_uninstrumented_processes{reason=\"" + std::string(reason) + "\"}");
}

TEST(Survey, GivesEachConnectionItsReason)
{
  Tap tap(Tap::options_of_tests(), protocols());
  std::vector<Socket> sockets;
  for (std::uint32_t i = 0; i < 7; ++i)
    sockets.emplace_back(i + 1, kServer, 10 + i);
  sockets[5].opened.from_start = 0;
  sockets[6].opened.slot = SONDE_SLOT_AGENT;
  for (const auto& socket : sockets)
    tap.open(socket);
  tap.received(sockets[1], kRequest);
  tap.sent(sockets[1], kResponse);
  tap.received(sockets[2], client_hello());
  tap.received(sockets[3], "\x01\x02\x03 whatever\n");
  auto unreadable = tap.record(sockets[4], SONDE_SOCKET_SENT, 4096);
  unreadable.flags |= SONDE_SOCKET_UNREADABLE;
  tap.connections.bytes(unreadable, {});
  for (int i = 0; i < 8; ++i)
    tap.received(sockets[5], application_data());

  auto seen = look(tap);
  EXPECT_EQ(seen[10].reason, "no_traffic_yet");
  EXPECT_EQ(seen[10].protocol, "unknown");
  EXPECT_EQ(seen[11].reason, "");
  EXPECT_EQ(seen[11].protocol, "http1");
  EXPECT_EQ(seen[11].exchanges, 1U);
  EXPECT_EQ(seen[12].reason, "encrypted");
  EXPECT_EQ(seen[12].protocol, "ignored");
  EXPECT_EQ(seen[12].captured, "nothing/nothing");
  EXPECT_EQ(seen[13].reason, "not_recognised");
  EXPECT_EQ(seen[14].reason, "io_uring_or_unreadable");
  EXPECT_EQ(seen[15].reason, "encrypted") << "joined in the middle";
  EXPECT_EQ(seen[16].reason, "own_process");
  EXPECT_EQ(seen[12].role, "server");

  EXPECT_EQ(unseen(tap, "no_traffic_yet"), "1");
  EXPECT_EQ(unseen(tap, "encrypted"), "2");
  EXPECT_EQ(unseen(tap, "not_recognised"), "1");
  EXPECT_EQ(unseen(tap, "io_uring_or_unreadable"), "1");
  EXPECT_EQ(unseen(tap, "malformed"), "0");
  EXPECT_EQ(unseen(tap, "own_process"), "none");
}

TEST(Survey, OneDecodedConnectionMakesAProcessInstrumented)
{
  Tap tap(Tap::options_of_tests(), protocols());
  Socket secret(1, kClient, 10);
  tap.open(secret);
  tap.sent(secret, client_hello());
  Socket idle(2, kClient, 10);
  tap.open(idle);
  EXPECT_EQ(unseen(tap, "encrypted"), "1") << "the reason that says most";
  EXPECT_EQ(unseen(tap, "no_traffic_yet"), "0");
  Socket plain(3, kServer, 10);
  tap.open(plain);
  tap.received(plain, kRequest);
  tap.sent(plain, kResponse);
  EXPECT_EQ(unseen(tap, "encrypted"), "0");
  tap.close(plain);
  tap.close(secret);
  EXPECT_EQ(unseen(tap, "encrypted"), "0");
  EXPECT_EQ(unseen(tap, "no_traffic_yet"), "1");
}

TEST(Survey, ShowsAddressesOnlyOfWhatIsFollowedAndTheKeyOfEverything)
{
  Tap tap(Tap::options_of_tests(), protocols());
  Socket plain(1, kServer, 10);
  plain.between(1, 80, 2, 40'000);
  tap.open(plain);
  Socket secret(2, kServer, 11);
  secret.between(1, 443, 2, 40'001);
  tap.open(secret);
  tap.received(secret, client_hello());
  auto seen = look(tap);
  EXPECT_EQ(seen[10].local, "10.0.0.1:80");
  EXPECT_EQ(seen[10].remote, "10.0.0.2:40000");
  EXPECT_EQ(seen[11].local, "");
  EXPECT_EQ(seen[11].pair, Addresses::of(secret.opened).key());
}

}  // namespace
}  // namespace sonde::protocols
