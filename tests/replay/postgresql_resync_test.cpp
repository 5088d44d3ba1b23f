// SPDX-License-Identifier: Apache-2.0
// PostgreSQL joined in the middle, captured in part, malformed: how the decoder goes on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/replay/postgresql_text.hpp"
#include "tests/support/conversation.hpp"

namespace sonde::postgresql {

extern const protocols::Protocol protocol;

namespace {

using protocols::Appetite;
using protocols::Direction;
using protocols::Exchange;
using test::client;
using test::Conversation;
using test::server;
using testing::ElementsAre;
using testing::IsEmpty;

class Collect : public protocols::Sink {
public:
  void exchange(const Exchange& exchange) override
  {
    lines.push_back(std::string(exchange.operation) + ' ' + std::string(exchange.target) + ' ' +
                    std::string(exchange.status));
  }
  void malformed(std::string_view reason) override { lines.emplace_back(reason); }

  std::vector<std::string> lines;
};

std::vector<std::string> said(const test::Outcome& outcome)
{
  std::vector<std::string> lines;
  for (const auto& line : outcome.exchanges)
    lines.push_back(line.substr(0, line.rfind(' ')));
  return lines;
}

Conversation begun(Conversation rest)
{
  Conversation all = {client(startup()), server(message('R', be32(0)) + ready())};
  all.insert(all.end(), rest.begin(), rest.end());
  return all;
}

// A result in the server's writes of 8 KiB.
Conversation result_of(std::size_t rows, const std::string& end)
{
  std::string all = columns();
  for (std::size_t i = 0; i < rows; ++i)
    all += row("some text of a row that is not short");
  all += end;
  Conversation turns;
  for (std::size_t at = 0; at < all.size(); at += 8192)
    turns.push_back(server(all.substr(at, 8192)));
  return turns;
}

TEST(PostgresqlResync, ReadsALargeResultFromItsEnd)
{
  for (const auto& end : {complete("SELECT 10000") + ready(), error("57014") + ready()}) {
    auto conversation = begun({client(query("select * from big"))});
    for (const auto& turn : result_of(10'000, end))
      conversation.push_back(turn);
    conversation.push_back(client(query("update t set a = 1")));
    conversation.push_back(server(complete("UPDATE 1") + ready()));
    EXPECT_EQ(test::replay_by_appetite(protocol, conversation),
              test::replay(protocol, conversation));
  }
}

TEST(PostgresqlResync, ReadsALargeResultWhoseEndLiesAcrossTwoCalls)
{
  for (const auto& end : {complete("SELECT 10000") + ready(), error("57014") + ready()}) {
    for (std::size_t last = 1; last <= end.size(); ++last) {
      auto conversation = begun({client(query("select * from big"))});
      for (const auto& turn : result_of(10'000, {}))
        conversation.push_back(turn);
      conversation.back().bytes += end.substr(0, end.size() - last);
      conversation.push_back(server(end.substr(end.size() - last)));
      conversation.push_back(client(query("update t set a = 1")));
      conversation.push_back(server(complete("UPDATE 1") + ready()));
      EXPECT_EQ(test::replay_by_appetite(protocol, conversation),
                test::replay(protocol, conversation))
          << last;
    }
  }
}

TEST(PostgresqlResync, ReadsALargeSuspendedResultFromItsEnd)
{
  auto conversation = begun({client(parse("", "select * from big") + bind_to("", "") +
                                    describe('P', "") + execute("", 5000) + sync())});
  for (const auto& turn : result_of(5000, message('s') + ready('T')))
    conversation.push_back(turn);
  // The answers to Parse and Bind.
  conversation[3].bytes = parsed() + bound() + conversation[3].bytes;
  conversation.push_back(client(execute("", 5000) + sync()));
  conversation.push_back(server(row("x") + complete("SELECT 1") + ready('T')));
  const auto whole = test::replay(protocol, conversation);
  EXPECT_THAT(said(whole), ElementsAre("select big "));
  EXPECT_EQ(test::replay_by_appetite(protocol, conversation), whole);
}

TEST(PostgresqlResync, AsksForTheEndsOfALargeResultOnly)
{
  const auto decoder = protocol.decoder(true);
  Collect sink;
  decoder->data(Direction::kToServer, {startup() + query("select * from big"), 1}, sink);
  EXPECT_EQ(decoder->appetite(Direction::kToClient).mode, Appetite::Mode::kFull);
  EXPECT_TRUE(decoder->expects_response());
  decoder->data(Direction::kToClient, {message('R', be32(0)) + ready(), 2}, sink);
  EXPECT_EQ(decoder->activity(), (protocols::Activity{.in_flight = 1}));
  for (const auto& turn : result_of(2000, ""))
    decoder->data(Direction::kToClient, {turn.bytes, 3}, sink);
  // Of each turn: answers to the next requests may pass the tap before it hears of the end.
  EXPECT_EQ(decoder->appetite(Direction::kToClient).mode, Appetite::Mode::kHeadAndTail);
  EXPECT_GE(decoder->appetite(Direction::kToClient).limit, 32U << 10);
  for (const auto direction : {Direction::kToClient, Direction::kToServer})
    EXPECT_TRUE(decoder->appetite(direction).per_turn);
  decoder->data(Direction::kToClient, {complete("SELECT 2000") + ready('T'), 4}, sink);
  EXPECT_EQ(decoder->appetite(Direction::kToClient).mode, Appetite::Mode::kFull);
  EXPECT_TRUE(decoder->appetite(Direction::kToServer).per_turn);
  EXPECT_EQ(decoder->activity(), (protocols::Activity{.in_transaction = true}));
  EXPECT_FALSE(decoder->expects_response());
}

TEST(PostgresqlResync, PassesLargeMessagesWithoutTheirBytes)
{
  const std::string value(400'000, 'v');
  const auto whole_bind = bind_to("", "", value);
  const auto conversation =
      begun({client(parse("", "insert into t values ($1)") + whole_bind.substr(0, 100)),
             client(whole_bind.substr(100) + execute("") + sync()),
             server(parsed() + bound() + complete("INSERT 0 1") + ready()),
             client(query("select a from t")),
             server(columns() + row(value).substr(0, 1000)),
             server(row(value).substr(1000) + complete("SELECT 1") + ready())});
  const auto whole = test::replay(protocol, conversation);
  EXPECT_THAT(said(whole), ElementsAre("insert t ", "select t "));
  EXPECT_EQ(test::replay_by_appetite(protocol, conversation), whole);

  const auto decoder = protocol.decoder(true);
  Collect sink;
  decoder->data(Direction::kToServer, {startup() + whole_bind.substr(0, 100), 1}, sink);
  EXPECT_EQ(decoder->appetite(Direction::kToServer).skip, whole_bind.size() - 100);
}

TEST(PostgresqlResync, SaysNothingOfATextThatWasNotCaptured)
{
  const auto decoder = protocol.decoder(true);
  Collect sink;
  const auto ask = [&](const std::string& bytes, std::size_t from, std::size_t to) {
    decoder->data(Direction::kToServer, {std::string_view(bytes).substr(0, from), 1}, sink);
    decoder->hole(Direction::kToServer, to - from, 2, sink);
    decoder->data(Direction::kToServer, {std::string_view(bytes).substr(to), 3, false}, sink);
  };
  const auto answer = [&](const std::string& bytes) {
    decoder->data(Direction::kToClient, {bytes, 4}, sink);
  };
  decoder->data(Direction::kToServer, {startup(), 1}, sink);
  answer(message('R', be32(0)) + ready());
  // Settled before the hole; not settled; more statements behind it.
  ask(query("insert into t values (1)"), 27, 28);
  answer(complete("INSERT 0 1") + ready());
  ask(query("select a, b from t"), 13, 15);
  answer(complete("SELECT 1") + ready());
  ask(query("delete from t where a in (1); delete from u"), 30, 40);
  answer(complete("DELETE 1") + complete("DELETE 2") + ready());
  // The name of a prepared statement, and with it which one is executed.
  ask(parse("name", "select 1 from a"), 6, 8);
  decoder->data(Direction::kToServer, {bind_to("", "name") + execute("") + sync(), 3}, sink);
  answer(parsed() + bound() + complete("SELECT 1") + ready());
  ask(parse("", "select 1 from a") + bind_to("", "") + execute("") + sync(), 29, 30);
  answer(parsed() + bound() + complete("SELECT 1") + ready());
  decoder->closed(Exchange::End::kServerClosed, 5, sink);
  EXPECT_THAT(sink.lines, ElementsAre("insert t ", "delete t "));
}

TEST(PostgresqlResync, TakesTheVerbOfAnOlderStatementFromItsTag)
{
  const Conversation conversation = {
      server(row("of a result") + complete("SELECT 1") + ready()),
      client(bind_to("", "older") + describe('P', "") + execute("") + sync()),
      server(bound() + columns() + complete("SELECT 0") + ready()),
      client(bind_to("", "older") + execute("") + sync()),
      server(bound() + error("23505") + ready()),
      client(describe('S', "older") + sync()),
      server(parameters() + columns() + ready()),
      client(execute("portal", 1) + sync()),
      server(row("1") + complete("FETCH 1") + ready('T')),
      client(query("insert into t values (1)")),
      server(complete("INSERT 0 1") + ready('T'))};
  const auto outcome = test::replay(protocol, conversation, false);
  EXPECT_THAT(said(outcome),
              ElementsAre("select unknown ", "other unknown 23505", "fetch unknown ", "insert t "));
  EXPECT_THAT(outcome.malformed, IsEmpty());
}

TEST(PostgresqlResync, FindsTheNextRequestWhenItJoinsInTheMiddle)
{
  const Conversation conversation = {
      client("the end of some value" + message('c')),
      server("the end of some row" + complete("COPY 1")),
      client(message('d', "data of a copy")),
      client("Q" + be32(3)),
      client(query("select 1").substr(0, 3)),
      client(query("select 1 from t")),
      server(columns() + complete("SELECT 0") + ready()),
      client(query("select 1 from u")),
      server(columns() + complete("SELECT 0") + ready()),
  };
  const auto outcome = test::replay(protocol, conversation, false);
  EXPECT_THAT(said(outcome), ElementsAre("select t ", "select u "));
  EXPECT_THAT(outcome.malformed, IsEmpty());
}

// As libpq's pipeline mode writes them.
TEST(PostgresqlResync, JoinsAPipelineThatIsWrittenInManyCalls)
{
  Conversation batch;
  std::string answers;
  for (int i = 0; i < 3; ++i) {
    batch.push_back(client(bind_to("", "s") + describe('P', "") + execute("")));
    answers += bound() + columns() + row("1") + complete("SELECT 1");
  }
  batch.push_back(client(sync()));
  batch.push_back(server(answers + ready()));
  Conversation twice = batch;
  twice.insert(twice.end(), batch.begin(), batch.end());
  const auto outcome = test::replay(protocol, twice, false);
  EXPECT_THAT(said(outcome), testing::Each("select unknown "));
  EXPECT_EQ(outcome.exchanges.size(), 6U);
  EXPECT_THAT(outcome.malformed, IsEmpty());

  // What is joined in the middle of a batch is found again with the next one.
  twice.erase(twice.begin(), twice.begin() + 2);
  twice.insert(twice.end(), batch.begin(), batch.end());
  twice.insert(twice.end(), batch.begin(), batch.end());
  EXPECT_THAT(said(test::replay(protocol, twice, false)), testing::Contains("select unknown ").Times(testing::Ge(6)));
}

TEST(PostgresqlResync, GoesOnAfterAnswersThatNobodyAskedFor)
{
  for (const auto& unasked :
       {complete("SELECT 1") + ready(), parsed() + ready(), ready(), message('s') + ready()}) {
    const auto outcome = test::replay(protocol,
                                      begun({client(query("select 1 from a")),
                                             server(complete("SELECT 0") + ready() + unasked),
                                             client(query("select 1 from b")),
                                             server(complete("SELECT 0") + ready()),
                                             client(query("select 1 from c")),
                                             server(complete("SELECT 0") + ready())}));
    EXPECT_THAT(said(outcome), ElementsAre("select a ", "select c "));
    EXPECT_THAT(outcome.malformed, ElementsAre("unasked_response"));
  }
}

TEST(PostgresqlResync, NamesWhatCannotBePostgresqlAndGoesOn)
{
  const Conversation after = {server(complete("SELECT 0") + ready()),
                              client(query("select 1 from b")),
                              server(complete("SELECT 0") + ready()),
                              client(query("select 1 from c")),
                              server(complete("SELECT 0") + ready())};
  const std::tuple<std::string, std::string, std::string> cases[] = {
      {"GET / HTTP/1.1\r\n", "", "request_type"},
      {"Q" + be32(2), "", "request_length"},
      {"S" + be32(5) + "x", "", "request_length"},
      {query("select 1"), "HTTP/1.1 200 OK", "response_length"},
      {query("select 1"), "?" + be32(9), "response_type"},
      {query("select 1"), "Z" + be32(4), "response_length"},
  };
  for (const auto& [request, response, reason] : cases) {
    auto conversation = begun({client(request)});
    if (!response.empty())
      conversation.push_back(server(response));
    conversation.insert(conversation.end(), after.begin(), after.end());
    const auto outcome = test::replay(protocol, conversation);
    EXPECT_THAT(outcome.malformed, ElementsAre(reason));
    EXPECT_THAT(said(outcome), ElementsAre("select c "));
  }
  EXPECT_THAT(test::replay(protocol, {client("GET / HTTP/1.1\r\n")}).malformed,
              ElementsAre("startup"));
  EXPECT_THAT(test::replay(protocol, {client(ssl_request()), server("?")}).malformed,
              ElementsAre("encryption"));
}

TEST(PostgresqlResync, BoundsWhatAConnectionCanHold)
{
  std::string many;
  for (int i = 0; i < 70'000; ++i)
    many += bind_to("", "s");
  EXPECT_THAT(test::replay(protocol, begun({client(many)})).malformed, ElementsAre("backlog"));

  std::string statements;
  std::string answers;
  for (int i = 0; i < 5000; ++i) {
    statements += "delete from t;";
    answers += complete("DELETE 1");
  }
  const auto outcome =
      test::replay(protocol, begun({client(query(statements)), server(answers + ready())}));
  EXPECT_EQ(outcome.exchanges.size(), 5000);
  EXPECT_THAT(outcome.exchanges.back(), testing::StartsWith("delete unknown"));

  Conversation names;
  for (int i = 0; i < 1100; ++i)
    names.push_back(client(parse("s" + std::to_string(i), "select 1 from t")));
  names.push_back(
      client(bind_to("", "s0") + execute("") + bind_to("", "s1099") + execute("") + sync()));
  std::string all;
  for (int i = 0; i < 1100; ++i)
    all += parsed();
  names.push_back(
      server(all + bound() + complete("SELECT 1") + bound() + complete("SELECT 1") + ready()));
  EXPECT_THAT(said(test::replay(protocol, begun(names))),
              ElementsAre("select unknown ", "select t "));
}

}  // namespace
}  // namespace sonde::postgresql
