// SPDX-License-Identifier: Apache-2.0
// What the web server answers to clients that behave: methods, errors, coding, keep-alive.
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/http_client.hpp"

#include "agent/web/server.hpp"

namespace sonde::web {
namespace {

using test::gunzip;
using test::HttpClient;
using testing::HasSubstr;

std::string big_text()
{
  std::string text;
  for (int i = 0; i < 40000; ++i)
    text += "node_cpu_seconds_total{cpu=\"" + std::to_string(i % 64) + "\"} " + std::to_string(i) +
            "\n";
  return text;
}

Router routes()
{
  Router router;
  router.get("/small", [](const Request&) { return plain(200, "small"); });
  router.get("/big", [](const Request&) { return plain(200, big_text()); });
  router.get("/page", [](const Request&) {
    return Response{.content_type = "text/html; charset=utf-8", .body = "<p>hi", .headers{}};
  });
  router.get("/peer", [](const Request& request) {
    return plain(200, request.peer + (request.from_loopback ? " loopback" : " remote"));
  });
  router.get("/query", [](const Request& request) {
    std::string text;
    for (const auto& [key, value] : request.query)
      text.append(key).append("=").append(value).append(";");
    return plain(200, text);
  });
  router.get("/throws",
             [](const Request&) -> Response { throw std::runtime_error("no such luck"); });
  router.post("/-/reload", [](const Request&) { return plain(200, "reloaded"); });
  return router;
}

class WebServer : public testing::Test {
protected:
  void SetUp() override
  {
    auto started = Server::start({.listen = {"127.0.0.1:0"}, .limits = {}}, routes());
    ASSERT_TRUE(started) << started.error().message();
    server_ = std::move(*started);
    port_ = server_->endpoints().at(0).port;
  }

  std::unique_ptr<Server> server_;
  std::uint16_t port_ = 0;
};

TEST_F(WebServer, AnswersAGetWithItsLengthAndKeepsTheConnection)
{
  HttpClient client(port_);
  for (int i = 0; i < 3; ++i) {
    const auto reply = client.get("/small");
    EXPECT_EQ(reply.status, 200);
    EXPECT_EQ(reply.body, "small\n");
    EXPECT_EQ(reply.headers.at("content-length"), "6");
    EXPECT_EQ(reply.headers.at("content-type"), "text/plain; charset=utf-8");
    EXPECT_EQ(reply.headers.at("x-content-type-options"), "nosniff");
    EXPECT_EQ(reply.headers.at("vary"), "Accept-Encoding");
  }
}

TEST_F(WebServer, AnswersHeadLikeGetWithoutABody)
{
  HttpClient client(port_);
  const auto head = client.ask("HEAD /big HTTP/1.1\r\nHost: node\r\n\r\n");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.headers.at("content-length"), std::to_string(big_text().size()));
  const auto packed =
      client.ask("HEAD /big HTTP/1.1\r\nHost: node\r\nAccept-Encoding: gzip\r\n\r\n");
  EXPECT_EQ(packed.headers.at("content-encoding"), "gzip");
  EXPECT_EQ(client.get("/small").body, "small\n") << "the connection is still in step";
}

TEST_F(WebServer, TellsAnUnknownPathFromAMethodThatIsNotAllowed)
{
  HttpClient client(port_);
  EXPECT_EQ(client.get("/nowhere").status, 404);
  EXPECT_EQ(client.get("/small/").status, 404);
  const auto get_only = client.ask("DELETE /small HTTP/1.1\r\nHost: node\r\n\r\n");
  EXPECT_EQ(get_only.status, 405);
  EXPECT_EQ(get_only.headers.at("allow"), "GET, HEAD");
  const auto post_only = client.get("/-/reload");
  EXPECT_EQ(post_only.status, 405);
  EXPECT_EQ(post_only.headers.at("allow"), "POST");
  EXPECT_EQ(client.ask("BREW /small HTTP/1.1\r\nHost: node\r\n\r\n").status, 405);
}

TEST_F(WebServer, TakesAPostWithASmallBody)
{
  HttpClient client(port_);
  const auto reply =
      client.ask("POST /-/reload HTTP/1.1\r\nHost: node\r\nContent-Length: 3\r\n\r\nabc");
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.body, "reloaded\n");
  EXPECT_EQ(client.get("/small").status, 200);
}

TEST_F(WebServer, DecodesThePathAndTheQuery)
{
  HttpClient client(port_);
  EXPECT_EQ(client.get("/query?collect[]=cpu&collect%5B%5D=a+b").body,
            "collect[]=cpu;collect[]=a b;\n");
  EXPECT_EQ(client.get("/sm%61ll").status, 200);
  EXPECT_EQ(client.get("http://node:7663/small").status, 200);
  EXPECT_EQ(client.get("/query?a=%zz").status, 400);
}

TEST_F(WebServer, RefusesHttp11WithoutHostAndServesHttp10)
{
  EXPECT_EQ(HttpClient(port_).ask("GET /small HTTP/1.1\r\n\r\n").status, 400);
  HttpClient old(port_);
  const auto reply = old.ask("GET /big HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n");
  EXPECT_EQ(reply.status, 200);
  EXPECT_FALSE(reply.headers.contains("content-encoding")) << "1.0 knows no chunks";
  EXPECT_TRUE(old.closed_within(std::chrono::seconds(2)));
}

TEST_F(WebServer, CompressesWhatTheClientTakesCompressed)
{
  HttpClient client(port_);
  const auto packed = client.get("/big", "Accept-Encoding: gzip\r\n");
  EXPECT_EQ(packed.headers.at("content-encoding"), "gzip");
  EXPECT_EQ(packed.headers.at("transfer-encoding"), "chunked");
  EXPECT_FALSE(packed.headers.contains("content-length"));
  EXPECT_EQ(gunzip(packed.body), big_text());
  const auto raw = client.get("/big", "Accept-Encoding: gzip;q=0, identity\r\n");
  EXPECT_FALSE(raw.headers.contains("content-encoding"));
  EXPECT_EQ(raw.body, big_text());
  EXPECT_FALSE(
      client.get("/small", "Accept-Encoding: gzip\r\n").headers.contains("content-encoding"))
      << "too small to gain";
}

TEST_F(WebServer, GuardsHtmlAgainstForeignContent)
{
  const auto reply = HttpClient(port_).get("/page");
  EXPECT_THAT(reply.headers.at("content-security-policy"), HasSubstr("default-src 'none'"));
  EXPECT_EQ(reply.headers.at("x-frame-options"), "DENY");
}

TEST_F(WebServer, TurnsAHandlersExceptionIntoA500)
{
  HttpClient client(port_);
  EXPECT_EQ(client.get("/throws").status, 500);
  EXPECT_EQ(client.get("/small").status, 200);
}

TEST_F(WebServer, RefusesAnExpectationAtOnce)
{
  HttpClient client(port_);
  EXPECT_EQ(client
                .ask("POST /-/reload HTTP/1.1\r\nHost: node\r\nContent-Length: 9\r\n"
                     "Expect: 100-continue\r\n\r\n")
                .status,
            417);
}

TEST_F(WebServer, ClosesWhenTheClientAsksForIt)
{
  HttpClient client(port_);
  const auto reply = client.get("/small", "Connection: close\r\n");
  EXPECT_EQ(reply.headers.at("connection"), "close");
  EXPECT_TRUE(client.closed_within(std::chrono::seconds(2)));
}

TEST(WebListen, ServesBothAddressFamiliesWhereNoHostIsGiven)
{
  auto server = Server::start({.listen = {":0"}, .limits = {}}, routes());
  ASSERT_TRUE(server) << server.error().message();
  ASSERT_EQ((*server)->endpoints().size(), 1U);
  const auto port = (*server)->endpoints()[0].port;
  EXPECT_EQ(HttpClient(port, "127.0.0.1").get("/peer").body, "127.0.0.1 loopback\n");
  if (HttpClient six(port, "::1"); six.connected()) {
    EXPECT_EQ(six.get("/peer").body, "::1 loopback\n");
  }
}

TEST(WebListen, TakesSeveralAddressesAndNames)
{
  auto server = Server::start({.listen = {"127.0.0.1:0", "localhost:0"}, .limits = {}}, routes());
  ASSERT_TRUE(server) << server.error().message();
  ASSERT_GE((*server)->endpoints().size(), 2U);
  for (const auto& endpoint : (*server)->endpoints())
    EXPECT_EQ(HttpClient(endpoint.port, endpoint.address).get("/small").status, 200)
        << text_of(endpoint);
}

TEST(WebListen, SaysInOneLineThatAPortIsTaken)
{
  auto first = Server::start({.listen = {":0"}, .limits = {}}, routes());
  ASSERT_TRUE(first);
  const auto address = ":" + std::to_string((*first)->endpoints()[0].port);
  const auto second = Server::start({.listen = {address}, .limits = {}}, routes());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().message(), "listen on " + address + ": Address already in use");
}

TEST(WebListen, RefusesWhatIsNoAddress)
{
  const auto server = Server::start({.listen = {"7663"}, .limits = {}}, routes());
  ASSERT_FALSE(server);
  EXPECT_THAT(server.error().message(), HasSubstr("no port"));
}

}  // namespace
}  // namespace sonde::web
