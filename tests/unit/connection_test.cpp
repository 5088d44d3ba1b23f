// SPDX-License-Identifier: Apache-2.0
#include <string>

#include <gtest/gtest.h>

#include "tests/support/watched_connection.hpp"

namespace sonde::protocols {
namespace {

TEST(Connection, IsRecognisedAndDecodedFromItsFirstByte)
{
  Watched one;
  one.received("Q a\n");
  one.sent("A a\n");
  one.received("Q b\nQ c\n");
  one.sent("A b\nE c\n");
  EXPECT_EQ(one.log, (Log{"s a", "s b", "s c"}));
  EXPECT_EQ(one.connection().protocol(), &test::line_protocol);
}

TEST(Connection, KeepsWhatIsTooShortToTellAndReplaysIt)
{
  Watched one;
  one.received("Q");
  EXPECT_EQ(one.connection().protocol(), nullptr);
  one.received(" a\n");
  one.sent("A a\n");
  EXPECT_EQ(one.log, Log{"s a"});
}

TEST(Connection, BelievesTheContentsMoreThanTheHint)
{
  Watched one(SONDE_SOCKET_ROLE_SERVER);
  one.sent("Q a\n");
  one.received("A a\n");
  EXPECT_EQ(one.log, Log{"c a"});
}

TEST(Connection, TakesTheFirstSpeakerForTheClientWhenNobodyKnows)
{
  Watched one(SONDE_SOCKET_ROLE_UNKNOWN);
  one.received("Q a\n");
  one.sent("A a\n");
  EXPECT_EQ(one.log, Log{"s a"});
}

TEST(Connection, BeginsAnewWhenItsSocketKnowsThatTheGuessWasWrong)
{
  Watched one(SONDE_SOCKET_ROLE_UNKNOWN, false);
  one.received("Q a\n");
  ASSERT_EQ(one.connection().role(), Role::kServer);
  one.connection().hint_at(SONDE_SOCKET_ROLE_CLIENT);
  one.sent("Q b\n");
  one.received("A b\n");
  EXPECT_EQ(one.log, Log{"c b"});
}

TEST(Connection, RecognisesAServerThatSpeaksFirst)
{
  Watched server(SONDE_SOCKET_ROLE_UNKNOWN);
  server.sent("HELLO\n");
  EXPECT_EQ(server.connection().protocol(), &test::hello_protocol);
  server.received("Q a\n");
  server.sent("A a\n");
  EXPECT_EQ(server.log, Log{"s a"});
  Watched client(SONDE_SOCKET_ROLE_CLIENT);
  client.received("HELLO\n");
  client.sent("Q a\n");
  client.received("A a\n");
  EXPECT_EQ(client.log, Log{"c a"});
}

TEST(Connection, IsIgnoredWhenNoProtocolKnowsIt)
{
  Watched one;
  one.received("GET / HTTP/1.1\r\n");
  one.sent("HTTP/1.1 200 OK\r\n");
  EXPECT_TRUE(one.connection().ignored());
  EXPECT_EQ(test::mode_of(one.wishes[0]), SONDE_SOCKET_IGNORE);
  EXPECT_EQ(test::mode_of(one.wishes[1]), SONDE_SOCKET_IGNORE);
  one.received("Q a\n");
  one.sent("A a\n");
  EXPECT_TRUE(one.log.empty());
}

TEST(Connection, IsIgnoredWhenItsHeadIsFullAndStillNobodysOwn)
{
  Watched one(SONDE_SOCKET_ROLE_CLIENT);
  for (int i = 0; i < 5; ++i)
    one.received(std::string(4096, 'H'));
  EXPECT_TRUE(one.connection().ignored());
}

TEST(Connection, JoinedInTheMiddleOfALongMessageWaitsForItsEnd)
{
  Watched one(SONDE_SOCKET_ROLE_SERVER, false);
  for (int i = 0; i < 100; ++i)
    one.sent("a long body\n");
  EXPECT_FALSE(one.connection().ignored());
  one.received("Q a\n");
  one.sent("A a\n");
  EXPECT_EQ(one.log, Log{"s a"});
}

TEST(Connection, JoinedInTheMiddleGetsMoreThanOneChance)
{
  Watched one(SONDE_SOCKET_ROLE_SERVER, false);
  one.received("est of a line\n");
  one.sent("A x\n");
  EXPECT_FALSE(one.connection().ignored());
  one.received("Q a\n");
  one.sent("A a\n");
  EXPECT_EQ(one.log, Log{"s a"});
  Watched rubbish(SONDE_SOCKET_ROLE_SERVER, false);
  for (int i = 0; i < 20; ++i) {
    rubbish.received("rubbish\n");
    rubbish.sent("rubbish\n");
  }
  EXPECT_TRUE(rubbish.connection().ignored());
}

TEST(Connection, HoldsAResponseWhoseRequestsTapHasNotFiredYet)
{
  Watched one;
  one.received("Q a\n");
  one.sent("A a\n");
  one.sent("A b\n");
  EXPECT_TRUE(one.connection().waits());
  one.received("Q b\n");
  EXPECT_FALSE(one.connection().waits());
  EXPECT_EQ(one.log, (Log{"s a", "s b"}));
}

TEST(Connection, LetsAResponseGoThatIsOlderThanItsRequestCouldBe)
{
  Watched one;
  one.received("Q a\n");
  one.sent("A a\n");
  one.sent("A b\n");
  one.now_ns += Connection::kSkewNs + 1;
  one.received("Q b\n");
  one.sent("A b\n");
  EXPECT_EQ(one.log, (Log{"s a", "s b"}));
  EXPECT_EQ(one.in_flight, 0);
}

TEST(Connection, FeedsWhatNobodyAskedForAfterItsPatience)
{
  Watched one;
  one.received("Q a\n");
  one.sent("A a\n");
  one.sent("rubbish\n");
  one.pause(Connection::kPatienceNs - 2000);
  EXPECT_EQ(one.malformed_, 0);
  one.pause(2000);
  EXPECT_EQ(one.malformed_, 1);
  EXPECT_FALSE(one.connection().waits());
  one.sent(std::string(16000, 'x'), Connection::kMaxWaitingBytes);
  EXPECT_FALSE(one.connection().waits());
}

TEST(Connection, TellsWhoEndedIt)
{
  const auto log_of = [](sonde_socket_role role, sonde_socket_close how) {
    Watched one(role);
    if (role == SONDE_SOCKET_ROLE_SERVER)
      one.received("Q a\n");
    else
      one.sent("Q a\n");
    one.close(how);
    EXPECT_EQ(one.in_flight, -1);
    return one.log.at(0);
  };
  EXPECT_EQ(log_of(SONDE_SOCKET_ROLE_SERVER, SONDE_SOCKET_CLOSED_HERE), "s a server");
  EXPECT_EQ(log_of(SONDE_SOCKET_ROLE_SERVER, SONDE_SOCKET_CLOSED_THERE), "s a client");
  EXPECT_EQ(log_of(SONDE_SOCKET_ROLE_CLIENT, SONDE_SOCKET_CLOSED_HERE), "c a client");
  EXPECT_EQ(log_of(SONDE_SOCKET_ROLE_CLIENT, SONDE_SOCKET_CLOSED_THERE), "c a server");
  EXPECT_EQ(log_of(SONDE_SOCKET_ROLE_SERVER, SONDE_SOCKET_CLOSED_RESET), "s a reset");
}

TEST(Connection, TakesNothingAfterItsEnd)
{
  Watched one;
  one.received("Q a\n");
  one.close();
  one.sent("A a\n");
  EXPECT_EQ(one.log, Log{"s a client"});
}

TEST(Connection, WishesForWhatTheDecoderWantsAndWritesOnlyChanges)
{
  Watched one;
  one.received("Q a\n");
  EXPECT_EQ(test::mode_of(one.wishes[SONDE_SOCKET_RECEIVED]), SONDE_SOCKET_FULL);
  EXPECT_EQ(one.wishes[SONDE_SOCKET_SENT],
            sonde_socket_wish(SONDE_SOCKET_HEAD_AND_TAIL, 256, 64, false, 0));
  const auto written = one.wishes_written;
  for (int i = 0; i < 10; ++i) {
    one.sent("A a\n");
    one.received("Q a\n");
  }
  EXPECT_EQ(one.wishes_written, written);
}

TEST(Connection, SkipsToAnAbsolutePositionAndTakesTheJumpForAHole)
{
  Watched one;
  one.received("Q a\nB 100000\n1234");
  // The request lies at 2000; its body begins 13 bytes later.
  EXPECT_EQ(one.wishes[SONDE_SOCKET_RECEIVED],
            sonde_socket_wish(SONDE_SOCKET_FULL, 256, 64, true, 102'013));
  one.sent("A a\n");
  one.lose(SONDE_SOCKET_RECEIVED, 100'000 - 4);
  one.received("Q b\n");
  one.sent("A b\n");
  EXPECT_EQ(one.log, (Log{"s a", "s b"}));
  EXPECT_EQ(one.counts.lost_bytes, 0U);
  EXPECT_EQ(one.wishes[SONDE_SOCKET_RECEIVED],
            sonde_socket_wish(SONDE_SOCKET_FULL, 256, 64, false, 0));
}

TEST(Connection, GivesUpADecoderThatFindsOnlyRubbishAndTriesOnceMore)
{
  Watched one;
  one.received("Q a\n");
  one.sent("A a\n");
  for (int i = 0; i < 6; ++i)
    one.received("rubbish\n");
  EXPECT_EQ(one.connection().protocol(), nullptr);
  EXPECT_FALSE(one.connection().ignored());
  one.received("Q b\n");
  one.sent("A b\n");
  EXPECT_EQ(one.log, (Log{"s a", "s b"}));
  for (int i = 0; i < 7; ++i)
    one.received("rubbish\n");
  EXPECT_TRUE(one.connection().ignored());
  EXPECT_EQ(one.in_flight, -1);
}

TEST(Connection, IsHandedOverToTheNamedProtocolWithTheRestOfTheBytes)
{
  Watched one(SONDE_SOCKET_ROLE_CLIENT);
  one.sent("Q a\n");
  one.received("A a\nS hello\nHELLO\n");
  EXPECT_EQ(one.connection().protocol(), &test::hello_protocol);
  one.sent("Q b\n");
  one.received("A b\n");
  EXPECT_EQ(one.log, (Log{"c a", "c b"}));
}

TEST(Connection, IsRecognisedAnewOrLeftAloneAsItsSuccessorSays)
{
  Watched unknown;
  unknown.received("Q a\n");
  unknown.sent("A a\n");
  unknown.received("Q b\n");
  unknown.sent("S unknown\nHELLO\n");
  EXPECT_EQ(unknown.connection().protocol(), &test::hello_protocol);
  Watched opaque;
  opaque.received("Q a\n");
  opaque.sent("S opaque\nHELLO\n");
  EXPECT_TRUE(opaque.connection().ignored());
  Watched game;
  for (int i = 0; i < 10 && !game.connection().ignored(); ++i) {
    game.received("Q a\n");
    game.sent("S lines\n");
  }
  EXPECT_TRUE(game.connection().ignored());
}

TEST(Connection, ShowsItsActivityAndTakesItBack)
{
  Watched one;
  one.received("Q a\nQ b\n");
  EXPECT_EQ(one.in_flight, 2);
  one.sent("A a\n");
  EXPECT_EQ(one.in_flight, 1);
  one.sent("A b\n");
  EXPECT_EQ(one.in_flight, 0);
  one.end(SONDE_SOCKET_RECEIVED);
  one.close();
  EXPECT_EQ(one.in_flight, -1);
}

}  // namespace
}  // namespace sonde::protocols
