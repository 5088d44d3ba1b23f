// SPDX-License-Identifier: Apache-2.0
// What is told of calls of gRPC, and when; what they are recorded as.
#include <fmt/format.h>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/http2_text.hpp"
#include "tests/support/recorded.hpp"

namespace sonde::grpc {

extern const protocols::Protocol protocol;

}  // namespace sonde::grpc

namespace sonde::http2 {

extern const protocols::Protocol protocol;

namespace {

using namespace test::h2;
using protocols::Direction;
using protocols::Exchange;
using protocols::Role;
using testing::ElementsAre;
using testing::UnorderedElementsAre;

constexpr unsigned kEnd = kEndStream;

// What a decoder tells, as it does so.
struct Told : protocols::Sink {
  void exchange(const Exchange& exchange) override
  {
    lines.push_back(fmt::format("{} {}/{} {}-{} {}-{}",
                                exchange.status,
                                exchange.request_messages,
                                exchange.response_messages,
                                exchange.request_first_ns,
                                exchange.request_last_ns,
                                exchange.response_first_ns,
                                exchange.response_last_ns));
  }
  void progress(const Exchange& exchange) override
  {
    EXPECT_EQ(exchange.within, &grpc::protocol);
    lines.push_back(fmt::format(
        "{} +{}/{}", exchange.target, exchange.request_messages, exchange.response_messages));
  }
  void malformed(std::string_view reason) override { lines.emplace_back(reason); }

  std::vector<std::string> lines;
};

struct Timed {
  Writer asks;
  Writer answers;
  Told sink;
  std::unique_ptr<protocols::Decoder> decoder = protocol.decoder(true);

  Timed() { ask(client_start(), 1); }
  void ask(const std::string& bytes, std::uint64_t time_ns)
  {
    decoder->data(Direction::kToServer, {bytes, time_ns}, sink);
  }
  void answer(const std::string& bytes, std::uint64_t time_ns)
  {
    decoder->data(Direction::kToClient, {bytes, time_ns}, sink);
  }
};

TEST(Grpc, TellsOfMessagesWhileTheirCallGoesOn)
{
  Timed at;
  at.ask(at.asks.headers(1, call("/s/m")) + data(1, message("1") + message("2")), 10);
  at.answer(at.answers.headers(1, call_response()), 20);
  at.answer(data(1, message("a").substr(0, 4)), 30);
  at.answer(data(1, message("a").substr(4) + message("b")), 40);
  at.ask(data(1, message("3"), kEnd), 50);
  at.answer(data(1, message("c")) + at.answers.headers(1, call_trailers("0"), kEnd), 60);
  EXPECT_THAT(at.sink.lines,
              ElementsAre("/s/m +2/0", "/s/m +0/2", "/s/m +1/0", "OK 0/1 10-50 20-60"));
}

// The client's thread that reads may be seen before the one that wrote.
TEST(Grpc, TellsOfMessagesAlsoWhenAnswersWereSeenFirst)
{
  Timed at;
  at.answer(settings() + at.answers.headers(1, call_response()) + data(1, message("a")), 20);
  at.ask(at.asks.headers(1, call("/s/m")) + data(1, message("1")), 10);
  at.answer(data(1, message("b")), 30);
  at.ask(data(1, "", kEnd), 40);
  at.answer(at.answers.headers(1, call_trailers("0"), kEnd), 50);
  EXPECT_THAT(at.sink.lines, ElementsAre("/s/m +1/1", "/s/m +0/1", "OK 0/0 10-40 20-50"));
}

TEST(Grpc, ACancelAfterTheCallsOwnTimeIsItsDeadline)
{
  constexpr std::uint64_t kSecond = 1'000'000'000;
  struct Case {
    std::string timeout;
    std::uint64_t after_ns;
    std::string code;
  };
  for (const auto& [timeout, after_ns, code] : {Case{"500m", kSecond / 2, "DeadlineExceeded"},
                                                Case{"500m", kSecond / 4, "Canceled"},
                                                Case{"2S", 2 * kSecond + 1, "DeadlineExceeded"},
                                                Case{"2S", kSecond, "Canceled"},
                                                Case{"100000u", kSecond / 10, "DeadlineExceeded"},
                                                Case{"1M", 60 * kSecond, "DeadlineExceeded"},
                                                Case{"1M", 58 * kSecond, "Canceled"},
                                                Case{"1H", 3'600 * kSecond, "DeadlineExceeded"},
                                                Case{"99999999n", kSecond / 10, "DeadlineExceeded"},
                                                Case{"", 100 * kSecond, "Canceled"},
                                                Case{"1x", 100 * kSecond, "Canceled"},
                                                Case{"123456789S", 100 * kSecond, "Canceled"}}) {
    for (const bool by_client : {true, false}) {
      Timed at;
      at.ask(at.asks.headers(
                 1, call("/s/m", timeout.empty() ? Fields{} : Fields{{"grpc-timeout", timeout}})),
             10);
      if (by_client)
        at.ask(rst_stream(1, kCancel), 10 + after_ns);
      else
        at.answer(rst_stream(1, kCancel), 10 + after_ns);
      EXPECT_THAT(at.sink.lines, ElementsAre(fmt::format("{} 0/0 10-10 0-{}", code, 10 + after_ns)))
          << timeout;
    }
  }
}

TEST(GrpcRecord, CountsForBothSidesInTheirOwnFamilies)
{
  const Exchange exchange{.operation = "POST",
                          .target = "/demo.v1.Greeter/Say",
                          .status = "OK",
                          .request_first_ns = 100,
                          .response_last_ns = 350,
                          .request_messages = 2,
                          .response_messages = 3};
  test::Recorded server(Role::kServer);
  grpc::protocol.record(exchange, server);
  EXPECT_THAT(server.lines,
              UnorderedElementsAre("grpc_server_handled_total{demo.v1.Greeter,Say,OK} 1",
                                   "grpc_server_handling_seconds{demo.v1.Greeter,Say} 250",
                                   "grpc_server_msg_received_total{demo.v1.Greeter,Say} 2",
                                   "grpc_server_msg_sent_total{demo.v1.Greeter,Say} 3"));
  test::Recorded client(Role::kClient);
  grpc::protocol.record(exchange, client);
  EXPECT_THAT(client.lines,
              UnorderedElementsAre("grpc_client_handled_total{peer,demo.v1.Greeter,Say,OK} 1",
                                   "grpc_client_handling_seconds{peer,demo.v1.Greeter,Say} 250",
                                   "grpc_client_msg_received_total{demo.v1.Greeter,Say} 3",
                                   "grpc_client_msg_sent_total{demo.v1.Greeter,Say} 2"));
}

TEST(GrpcRecord, AConnectionThatEndsIsEachSidesOwnCode)
{
  const Exchange exchange{.target = "", .end = Exchange::End::kReset, .request_first_ns = 100};
  test::Recorded server(Role::kServer);
  grpc::protocol.record(exchange, server);
  EXPECT_THAT(server.lines, ElementsAre("grpc_server_handled_total{unknown,unknown,Canceled} 1"));
  test::Recorded client(Role::kClient);
  grpc::protocol.record(exchange, client);
  EXPECT_THAT(client.lines,
              ElementsAre("grpc_client_handled_total{peer,unknown,unknown,Unavailable} 1"));
}

TEST(GrpcRecord, AClientThatEndsTheConnectionHasCancelledItsCalls)
{
  const Exchange exchange{
      .target = "", .end = Exchange::End::kClientClosed, .request_first_ns = 100};
  test::Recorded client(Role::kClient);
  grpc::protocol.record(exchange, client);
  EXPECT_THAT(client.lines,
              ElementsAre("grpc_client_handled_total{peer,unknown,unknown,Canceled} 1"));
}

}  // namespace
}  // namespace sonde::http2
