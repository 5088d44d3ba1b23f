// SPDX-License-Identifier: Apache-2.0
#include "tests/support/http2_conversations.hpp"

#include <string>

namespace sonde::test::h2 {

namespace {

constexpr unsigned kEnd = kEndStream;
constexpr auto kSay = "/demo.v1.Greeter/Say";

}  // namespace

Conversation browser()
{
  Connection at;
  const std::string depends = big_endian(3) + '\xc8';
  const auto prioritized = [&](std::uint32_t stream, const std::string& path) {
    return frame(
        1, kEnd | kEndHeaders | kPriority, stream, depends + at.asks.block(request("GET", path)));
  };
  at.ask({priority(3),
          priority(5),
          prioritized(15, "/?utm=1"),
          prioritized(17, "/app.js"),
          window_update(15)});
  at.answer({at.answers.headers(15, response("200", {{"content-type", "text/html"}})),
             data(15, "<html>")});
  at.ask({prioritized(19, "/style.css"), ping()});
  at.answer({at.answers.headers(17, response("200")),
             padded_data(17, "let a;", 200),
             at.answers.headers(19, response("304"), kEnd),
             frame(6, 1, 0, "12345678"),
             data(15, "</html>", kEnd)});
  at.answer({padded_data(17, "let b;", 0), padded_data(17, "", 7, kEnd)});
  return at.turns;
}

Conversation uploads()
{
  Connection at;
  const std::string block(20'000, 'u');
  at.ask({at.asks.headers(
      1,
      request("POST", "/orders?x=1", {{"expect", "100-continue"}, {"content-length", "20000"}}))});
  at.answer({at.answers.headers(1, {{":status", "100"}})});
  at.ask({data(1, block.substr(0, 16'384))});
  at.ask({data(1, block.substr(16'384), kEnd)});
  at.answer({window_update(0),
             window_update(1),
             at.answers.headers(1, {{":status", "103"}}),
             at.answers.headers(1, response("201", {{"location", "/orders/17"}}), kEnd)});
  at.answers.resize(256);
  at.asks.resize(0);
  at.ask({at.asks.headers_in_parts(
              3, request("PUT", "/files/a", {{"cookie", std::string(3'000, 'c')}}), 3),
          data(3, "part one, "),
          window_update(0)});
  at.answer({frame(0xa, 0, 0, "ALTSVC here"), frame(0xfb, 0xff, 3, "greased")});
  at.ask({data(3, "part two"), at.asks.headers(3, {{"checksum", "abc"}}, kEnd)});
  at.answer({at.answers.headers_in_parts(3, response("200", {{"vary", "accept"}}), 4),
             data(3, "stored"),
             at.answers.headers(3, {{"server-timing", "db;dur=2"}}, kEnd)});
  at.asks.resize(4096);
  at.answers.resize(4096);
  at.ask({at.asks.headers(5, request("HEAD", "/files/a"), kEnd),
          at.asks.headers(7, request("GET", "/files/a", {{"range", "bytes=0-9999"}}), kEnd)});
  at.answer({at.answers.headers(5, response("200", {{"content-length", "20000"}}), kEnd),
             at.answers.headers(7, response("206")),
             data(7, block.substr(0, 10'000), kEnd)});
  return at.turns;
}

Conversation unusual()
{
  Connection at;
  at.ask({at.asks.headers(1, request("GET", "/page"), kEnd)});
  at.answer({at.answers.push_promise(1, 2, request("GET", "/pushed.css")),
             at.answers.headers(2, response("200")),
             at.answers.headers(1, response("200")),
             data(2, "body{}", kEnd),
             data(1, "page", kEnd)});
  at.ask({rst_stream(2, kCancel)});
  at.ask({at.asks.headers(3, request("POST", "/big")), data(3, "first")});
  at.answer(
      {at.answers.headers(3, response("413")), data(3, "too big", kEnd), rst_stream(3, kNoError)});
  at.ask({data(3, "on its way"), at.asks.headers(5, request("GET", "/slow"), kEnd)});
  at.ask({rst_stream(5, kCancel), at.asks.headers(7, request("GET", "/broken"), kEnd)});
  at.answer(
      {at.answers.headers(7, response("200")), data(7, "half"), rst_stream(7, kInternalError)});
  at.ask({at.asks.headers(9, {{":method", "CONNECT"}, {":authority", "db.example.org:5432"}})});
  at.answer({at.answers.headers(9, {{":status", "200"}})});
  at.ask({data(9, "tunnel")});
  at.answer({data(9, "led", kEnd), goaway(11)});
  at.ask({at.asks.headers(11, request("GET", "/last"), kEnd),
          at.asks.headers(13, request("GET", "/retried"), kEnd)});
  at.answer({at.answers.headers(11, response("204"), kEnd)});
  return at.turns;
}

Conversation quickly_answered()
{
  Connection at;
  at.ask({at.asks.headers(1, {{":method", "CONNECT"}, {":authority", "example.org:443"}})});
  at.answer({at.answers.headers(1, {{":status", "200"}})});
  at.ask({at.asks.headers(3, request("GET", "/half"), kEnd)});
  at.answer(
      {at.answers.headers(3, response("200")), data(3, "half"), rst_stream(3, kInternalError)});
  at.ask({at.asks.headers(5, request("GET", "/none"), kEnd)});
  at.answer({rst_stream(5, kInternalError)});
  at.ask({at.asks.headers(7, request("POST", "/early"))});
  at.answer({at.answers.headers(7, response("413"), kEnd), rst_stream(7, kNoError)});
  at.ask({at.asks.headers(9, request("GET", "/last"), kEnd),
          at.asks.headers(11, request("GET", "/retried"), kEnd)});
  at.answer({goaway(9), at.answers.headers(9, response("200"), kEnd)});
  return at.turns;
}

Conversation unary_calls()
{
  Connection at;
  at.ask(
      {at.asks.headers(1, call(kSay, {{"grpc-timeout", "1S"}})), data(1, message("hello"), kEnd)});
  at.answer({window_update(0), ping()});
  at.answer({at.answers.headers(1, call_response()),
             data(1, message("hello back")),
             at.answers.headers(1, call_trailers("0"), kEnd)});
  at.ask({frame(6, 1, 0, "12345678"),
          window_update(0),
          at.asks.headers(3, call(kSay)),
          data(3, message("")),
          data(3, "", kEnd)});
  at.answer({at.answers.headers(
      3, {{":status", "200"}, {"content-type", "application/grpc"}, {"grpc-status", "5"}}, kEnd)});
  return at.turns;
}

Conversation streaming_calls()
{
  Connection at;
  const auto big = message(std::string(40'000, 'b'), true);
  at.ask({at.asks.headers(1, call("/demo.v1.Chat/Talk", {{"grpc-encoding", "gzip"}}))});
  at.answer({at.answers.headers(1, call_response())});
  at.ask({data(1, message("1") + message("22") + message("333").substr(0, 3))});
  at.ask({data(1, message("333").substr(3) + big.substr(0, 10'000))});
  at.answer({data(1, message("a").substr(0, 1)), data(1, message("a").substr(1))});
  at.ask({data(1, big.substr(10'000, 16'384))});
  at.ask({padded_data(1, big.substr(26'384), 99),
          at.asks.headers(3, call("/demo.v1.Chat/List")),
          data(3, message("all"), kEnd)});
  at.answer({at.answers.headers(3, call_response()),
             data(3, message("one") + message("two")),
             data(1, big.substr(0, 30)),
             data(3, message("three"))});
  at.answer({data(1, big.substr(30, 16'384))});
  at.answer({data(1, big.substr(16'414)), at.answers.headers(3, call_trailers("0"), kEnd)});
  at.ask({data(1, "", kEnd)});
  at.answer({at.answers.headers(1, {{"grpc-status", "10"}, {"grpc-message", "try again"}}, kEnd)});
  return at.turns;
}

Conversation calls_and_requests()
{
  Connection at;
  at.ask(
      {at.asks.headers(1, request("GET", "/healthz"), kEnd),
       at.asks.headers(3, call("/a.B/C", {{"x", "1"}})),
       at.asks.headers(5, request("POST", "/a.B/C", {{"content-type", "application/grpc-web"}})),
       at.asks.headers(7, request("POST", "/a.B/C", {{"content-type", "application/grpc+proto"}})),
       data(3, message("x"), kEnd),
       data(5, message("x"), kEnd),
       data(7, message("x"), kEnd)});
  const auto answer = [&at](std::uint32_t stream) {
    at.answer({at.answers.headers(stream, call_response()),
               data(stream, message("y")),
               at.answers.headers(stream, call_trailers("16"), kEnd)});
  };
  answer(7);
  at.answer({at.answers.headers(5, response("200", {{"content-type", "application/grpc-web"}})),
             data(5, message("y"), kEnd)});
  answer(3);
  at.answer({at.answers.headers(1, response("200")), data(1, "fine", kEnd)});
  return at.turns;
}

std::vector<Conversation> http_conversations()
{
  return {browser(), uploads(), unusual(), quickly_answered()};
}

std::vector<Conversation> call_conversations()
{
  return {unary_calls(), streaming_calls(), calls_and_requests()};
}

}  // namespace sonde::test::h2
