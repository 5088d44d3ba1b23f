// SPDX-License-Identifier: Apache-2.0
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/conversation.hpp"
#include "tests/support/line_protocol.hpp"
#include "tests/support/socket_records.hpp"

#include "agent/protocols/connection.hpp"

namespace sonde::protocols {
namespace {

using test::Socket;

// One connection; what it says comes out as texts.
class Watched : public ConnectionOwner {
public:
  explicit Watched(sonde_socket_role role = SONDE_SOCKET_ROLE_SERVER, bool from_start = true)
      : socket_(1, role, 10), connection_(*this, 0, opened(from_start))
  {
  }

  std::span<const Protocol* const> protocols() const override { return test::line_protocols(); }
  void exchange(Connection& connection, const Exchange& exchange) override
  {
    static constexpr const char* kEnds[] = {"", " client", " server", " reset"};
    log.push_back(std::string(connection.role() == Role::kServer ? "s " : "c ") +
                  std::string(exchange.target) + kEnds[static_cast<int>(exchange.end)]);
  }
  void malformed(Connection&, std::string_view) override { ++malformed_; }
  void activity(Connection&, std::optional<Activity> activity) override
  {
    in_flight = activity ? static_cast<int>(activity->in_flight) : -1;
  }
  void wish(Connection&, sonde_socket_direction direction, std::uint64_t wish) override
  {
    wishes[direction] = wish;
    ++wishes_written;
  }

  sonde_socket_bytes make(sonde_socket_direction direction, std::size_t covered)
  {
    sonde_socket_bytes record{};
    record.record.ktime_ns = now_ns += 1000;
    record.position = socket_.position[direction];
    record.covered = static_cast<__u32>(covered);
    record.direction = static_cast<__u8>(direction);
    record.flags = SONDE_SOCKET_STARTS_CALL;
    record.tgid = 10;
    socket_.position[direction] += record.covered;
    return record;
  }
  void give(const sonde_socket_bytes& record, std::string_view bytes)
  {
    auto copy = record;
    copy.captured = static_cast<__u16>(bytes.size());
    connection_.take(copy, bytes, counts);
  }
  void sent(std::string_view bytes, std::size_t more = 0)
  {
    give(make(SONDE_SOCKET_SENT, bytes.size() + more), bytes);
  }
  void received(std::string_view bytes, std::size_t more = 0)
  {
    give(make(SONDE_SOCKET_RECEIVED, bytes.size() + more), bytes);
  }
  void end(sonde_socket_direction direction)
  {
    auto record = make(direction, 0);
    record.flags = SONDE_SOCKET_END;
    give(record, {});
  }
  void lose(sonde_socket_direction direction, std::uint32_t bytes)
  {
    socket_.position[direction] += bytes;
  }
  void pause(std::uint64_t ns)
  {
    now_ns += ns;
    connection_.sweep(now_ns, counts);
  }
  void close(sonde_socket_close how = SONDE_SOCKET_CLOSED_THERE)
  {
    connection_.close(how, now_ns += 1000, counts);
  }
  Connection& connection() { return connection_; }

  std::vector<std::string> log;
  std::uint64_t wishes[2] = {};
  int wishes_written = 0;
  int in_flight = -1;
  int malformed_ = 0;
  std::uint64_t now_ns = 1'000'000'000;
  Stream::Counts counts;

private:
  const sonde_socket_opened& opened(bool from_start)
  {
    socket_.opened.from_start = from_start ? 1 : 0;
    return socket_.opened;
  }

  Socket socket_;
  Connection connection_;
};

using Log = std::vector<std::string>;

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

// A conversation of exchanges in records: cut, neighbours swapped where two taps may be, and some
// lost. Only what the ring loses may cost an exchange, and nothing is ever invented.
class Shuffled {
public:
  explicit Shuffled(std::uint32_t seed) : random_(seed) {}

  Log run(bool swap, unsigned lose_one_in)
  {
    Watched one;
    Log asked;
    std::vector<std::pair<sonde_socket_bytes, std::string>> records;
    for (int i = 0; i < 30; ++i) {
      const auto name = std::to_string(i);
      cut(one, SONDE_SOCKET_RECEIVED, "Q " + name + "\n", records);
      cut(one, SONDE_SOCKET_SENT, "A " + name + "\n", records);
      asked.push_back("s " + name);
    }
    if (swap)
      for (std::size_t i = 0; i + 1 < records.size(); i += 2)
        if (random_() % 2 == 0)
          std::swap(records[i], records[i + 1]);
    for (const auto& [record, bytes] : records)
      if (lose_one_in == 0 || random_() % lose_one_in != 0)
        one.give(record, bytes);
    one.pause(Connection::kPatienceNs);
    one.pause(Connection::kPatienceNs);
    EXPECT_TRUE(test::is_subsequence(one.log, asked));
    return one.log;
  }

private:
  void cut(Watched& one,
           sonde_socket_direction direction,
           std::string_view bytes,
           std::vector<std::pair<sonde_socket_bytes, std::string>>& records)
  {
    bool first = true;
    while (!bytes.empty()) {
      const auto length = 1 + random_() % bytes.size();
      auto record = one.make(direction, length);
      record.flags = first ? SONDE_SOCKET_STARTS_CALL : 0;
      records.emplace_back(record, bytes.substr(0, length));
      bytes.remove_prefix(length);
      first = false;
    }
  }

  std::mt19937 random_;
};

TEST(Connection, MissesNothingHoweverRecordsAreCutAndNeighboursSwapped)
{
  for (std::uint32_t seed = 0; seed < 300; ++seed)
    ASSERT_EQ(Shuffled(seed).run(true, 0).size(), 30U) << seed;
}

TEST(Connection, InventsNothingWhereRecordsAreLost)
{
  std::size_t seen = 0;
  for (std::uint32_t seed = 0; seed < 300; ++seed)
    seen += Shuffled(seed).run(seed % 2 == 0, 10).size();
  EXPECT_GT(seen, 300U);
}

}  // namespace
}  // namespace sonde::protocols
