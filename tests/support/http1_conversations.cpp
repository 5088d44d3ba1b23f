// SPDX-License-Identifier: Apache-2.0
#include "tests/support/http1_conversations.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace sonde::test {

namespace {

const std::string kLast = "0\r\n\r\n";

// Text of other protocols and of HTTP itself, as bodies carry it.
const std::string kQuoted = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
                            "GET /inside HTTP/1.1\r\nHost: x\r\n\r\n*1\r\n$4\r\nPING\r\n"
                            "PUB a 3\r\nabc\r\n0\r\n\r\nSELECT 1;";

Http1Case go_server()
{
  const auto ok = [](const std::string& body) {
    return server(fmt::format("HTTP/1.1 200 OK\r\nDate: Thu, 26 Nov 2026 03:00:00 GMT\r\n"
                              "Content-Length: {}\r\nContent-Type: text/plain; charset=utf-8\r\n"
                              "\r\n{}",
                              body.size(),
                              body));
  };
  const auto get = [](const std::string& target) {
    return client("GET " + target +
                  " HTTP/1.1\r\nHost: shop:8080\r\nUser-Agent: Go-http-client/1.1\r\n"
                  "Accept-Encoding: gzip\r\n\r\n");
  };
  return {"Go net/http, keep-alive",
          {get("/users/17?full=1"),
           ok("seventeen"),
           get("/"),
           ok("x"),
           client("POST /orders HTTP/1.1\r\nHost: shop:8080\r\nContent-Length: 7\r\n\r\n{\"a\":1}"),
           server("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"),
           client("DELETE /orders/9#part HTTP/1.1\r\nHost: shop\r\n\r\n"),
           server("HTTP/1.1 204 No Content\r\nDate: x\r\n\r\n"),
           get("/missing"),
           server("HTTP/1.1 404 Not Found\r\nContent-Length: 19\r\nX-Content-Type-Options: nosniff"
                  "\r\n\r\n404 page not found\n"),
           get("/last"),
           ok("")},
          {{"GET /users/17 200 0/9",
            "GET / 200 0/1",
            "POST /orders 201 7/0",
            "DELETE /orders/9 204 0/0",
            "GET /missing 404 0/19",
            "GET /last 200 0/0"},
           {},
           0,
           {}}};
}

Http1Case chunked_bodies()
{
  return {"chunks, extensions and trailers both ways",
          {client("POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
                  "Trailer: X-Sum\r\n\r\n"),
           client(chunk("first") + chunk("second part")),
           client(chunk(kQuoted) + "0\r\nX-Sum: 12\r\nX-More: a\r\n\r\n"),
           server("HTTP/1.1 200 OK\r\ntransfer-encoding:  Chunked \r\n\r\n"
                  "5;name=value;other=\"quo ted\"\r\nhello\r\n"),
           server("000A \r\n0123456789\r\n" + chunk(kQuoted)),
           server("0;last\r\nServer-Timing: db;dur=53\r\n\r\n"),
           client("GET /events HTTP/1.1\r\nHost: a\r\n\r\n"),
           server("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"),
           server(chunk("data: 1\n\n")),
           server(chunk("data: 2\n\n")),
           server(kLast),
           client("HEAD /events HTTP/1.1\r\nHost: a\r\n\r\n"),
           server("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
           client("GET /after HTTP/1.1\r\nHost: a\r\n\r\n"),
           server("HTTP/1.1 304 Not Modified\r\nContent-Length: 512\r\nETag: \"1\"\r\n\r\n")},
          {{fmt::format("POST /upload 200 {}/{}", 16 + kQuoted.size(), 15 + kQuoted.size()),
            "GET /events 200 0/18",
            "HEAD /events 200 0/0",
            "GET /after 304 0/0"},
           {},
           0,
           {}}};
}

Http1Case nginx_static()
{
  const std::string page(70'000, 'p');
  return {"nginx: head and body in two writes, HEAD, 304, 206, large bodies",
          {client("GET /static/page.html HTTP/1.1\r\nHost: n\r\n\r\n"),
           server("HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nContent-Length: 70000\r\n"
                  "Connection: keep-alive\r\nAccept-Ranges: bytes\r\n\r\n"),
           server(page),
           client("HEAD /static/page.html HTTP/1.1\r\nHost: n\r\n\r\n"),
           server("HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n"),
           client("GET /static/page.html HTTP/1.1\r\nRange: bytes=0-3\r\n\r\n"),
           server("HTTP/1.1 206 Partial Content\r\nContent-Length: 4\r\n"
                  "Content-Range: bytes 0-3/70000\r\n\r\npppp"),
           client("PUT /dav/file HTTP/1.1\r\nHost: n\r\nContent-Length: 70000\r\n\r\n" + page),
           server("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nyes"),
           client("PROPFIND /dav/ HTTP/1.1\r\nHost: n\r\nDepth: 1\r\nContent-Length: 0\r\n\r\n"),
           server("HTTP/1.1 207 Multi-Status\r\nContent-Length: 2, 2\r\n\r\n<>")},
          {{"GET /static/page.html 200 0/70000",
            "HEAD /static/page.html 200 0/0",
            "GET /static/page.html 206 0/4",
            "PUT /dav/file 200 70000/3",
            "PROPFIND /dav/ 207 0/2"},
           {},
           0,
           {}}};
}

Http1Case expect_continue()
{
  return {"100-continue, 103 early hints, then the final response",
          {client("POST /big HTTP/1.1\r\nHost: c\r\nContent-Length: 10\r\n"
                  "Expect: 100-continue\r\n\r\n"),
           server("HTTP/1.1 100 Continue\r\n\r\n"),
           client("0123456789"),
           server("HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
                  "HTTP/1.1 102 Processing\r\n\r\n"
                  "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
           client("POST /refused HTTP/1.1\r\nHost: c\r\nContent-Length: 4\r\n"
                  "Expect: 100-continue\r\n\r\n"),
           server("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n"),
           client("body"),
           client("GET /next HTTP/1.1\r\nHost: c\r\n\r\n"),
           server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")},
          {{"POST /big 200 10/2", "POST /refused 417 4/0", "GET /next 200 0/0"}, {}, 0, {}}};
}

Http1Case pipelined()
{
  return {"a pipeline, answered in fewer and other pieces",
          {client("GET /1 HTTP/1.1\r\nHost: p\r\n\r\nHEAD /2 HTTP/1.1\r\nHost: p\r\n\r\n"
                  "POST /3 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /4 HTTP/1.1\r\n\r\n"),
           server("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1HTTP/1.1 200 OK\r\n"
                  "Content-Length: 22\r\n\r\nHTTP/1.1 500 Internal Server Error\r\n"),
           server("Transfer-Encoding: chunked\r\n\r\n" + chunk("333") + kLast +
                  "HTTP/1.1 204 No Content\r\n\r\n"),
           client("GET /5 HTTP/1.1\r\n\r\nGET /6 HTTP/1.1\r\n\r\n"),
           server("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfive!"),
           server("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsix!")},
          {{"GET /1 200 0/1",
            "HEAD /2 200 0/0",
            "POST /3 500 3/3",
            "GET /4 204 0/0",
            "GET /5 200 0/5",
            "GET /6 200 0/4"},
           {},
           0,
           {}}};
}

Http1Case python_http_server()
{
  return {"python http.server: HTTP/1.0, the body ends with the connection",
          {client("GET /listing/ HTTP/1.1\r\nHost: localhost:8000\r\n\r\n"),
           server("HTTP/1.0 200 OK\r\nServer: SimpleHTTP/0.6 Python/3.11.2\r\n"
                  "Content-type: text/html\r\n\r\n"),
           server(kQuoted),
           server("the end")},
          {{fmt::format("GET /listing/ 200 0/{}", kQuoted.size() + 7)}, {}, 0, {}}};
}

Http1Case http10_keep_alive()
{
  return {"ApacheBench: HTTP/1.0 keep-alive",
          {client("GET /a HTTP/1.0\r\nConnection: Keep-Alive\r\nHost: b\r\n\r\n"),
           server("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc"),
           client("GET /b HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"),
           server("HTTP/1.0 503 Service Unavailable\r\nCache-Control: no-cache\r\n"
                  "Content-Type: text/html\r\n\r\n<html>")},
          {{"GET /a 200 0/3", "GET /b 503 0/6"}, {}, 0, {}}};
}

Http1Case odd_but_valid()
{
  return {
      "empty lines before requests, bare LF, obs-fold, absolute form, asterisk, odd methods",
      {client("\r\n\r\nGET /crlf HTTP/1.1\r\nHost: o\r\n\r\n"),
       server("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"),
       client("GET /lf HTTP/1.1\nHost: o\n\n"),
       server("HTTP/1.1 200 OK\nContent-Length: 2\n\nlf"),
       client("GET http://o:80/abs/olute?q=http://x/ HTTP/1.1\r\nHost: o\r\n\r\n"),
       server("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"),
       client("GET http://o?q HTTP/1.1\r\nX-Folded: a\r\n\tb\r\n c\r\nContent-Length:\r\n 2\r\n"
              "\r\nhi"),
       server("HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n\tchunked\r\n\r\n" + chunk("z") + kLast),
       client("OPTIONS * HTTP/1.1\r\nHost: o\r\n\r\n"),
       server("HTTP/1.1 200 OK\r\nAllow: GET\r\nContent-Length: 0\r\n\r\n"),
       client("BREW /pot HTTP/1.1\r\nHost: o\r\n\r\n"),
       server("HTTP/1.1 418 I'm a teapot\r\nContent-Length: 0\r\n\r\n"),
       client("get /lower HTTP/1.1\r\n\r\n"),
       server("HTTP/1.1 999 Request Denied\r\nContent-Length: 0\r\n\r\n"),
       client("GET /last HTTP/1.1\r\n\r\n"),
       server("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nuntil the close")},
      {{"GET /crlf 200 0/0",
        "GET /lf 200 0/2",
        "GET /abs/olute 200 0/0",
        "GET / 200 2/1",
        "OPTIONS * 200 0/0",
        "other /pot 418 0/0",
        "other /lower 999 0/0",
        "GET /last 200 0/15"},
       {},
       0,
       {}}};
}

Http1Case large_heads()
{
  return {"heads and targets far over 16 KiB",
          {client("GET /search?q=" + std::string(9'000, 'q') + " HTTP/1.1\r\nCookie: " +
                  std::string(40'000, 'c') + "\r\nX-A: " + std::string(5'000, 'a') + "\r\n\r\n"),
           server("HTTP/1.1 200 OK\r\nSet-Cookie: " + std::string(20'000, 's') +
                  "\r\nContent-Length: 2\r\nX-B: b\r\n\r\nok"),
           client("GET /" + std::string(3'000, 'l') + " HTTP/1.1\r\n\r\n"),
           server("HTTP/1.1 414 URI Too Long\r\nContent-Length: 0\r\n\r\n")},
          {{"GET /search 200 0/2", "GET /" + std::string(1'023, 'l') + " 414 0/0"}, {}, 0, {}}};
}

Http1Case websocket_upgrade()
{
  return {"an upgrade to WebSocket counts once and hands the rest over",
          {client("GET / HTTP/1.1\r\nHost: w\r\n\r\n"),
           server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
           client("GET /chat?room=1 HTTP/1.1\r\nHost: w\r\nUpgrade: websocket\r\n"
                  "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"),
           server("HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\n"
                  "Connection: Upgrade\r\n\r\n\x81\x05hello"),
           client("\x81\x85maskbytes")},
          {{"GET / 200 0/0", "GET /chat 101"}, {}, 18, "websocket"}};
}

Http1Case refused_upgrade()
{
  return {
      "an upgrade that is not taken up",
      {client("GET /h2 HTTP/1.1\r\nHost: u\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ\r\n\r\n"),
       server("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nplai"),
       client("GET /next HTTP/1.1\r\nHost: u\r\n\r\n"),
       server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
       client("GET /h2 HTTP/1.1\r\nHost: u\r\nUpgrade: h2c\r\n\r\n"),
       server("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n")},
      {{"GET /h2 200 0/4", "GET /next 200 0/0", "GET /h2 101"}, {}, 0, "unknown"}};
}

Http1Case connect_tunnel()
{
  return {"CONNECT refused, then granted",
          {client("CONNECT db.example:5432 HTTP/1.1\r\nHost: db.example:5432\r\n\r\n"),
           server("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 3\r\n\r\nno\n"),
           client("CONNECT db.example:5432 HTTP/1.1\r\nProxy-Authorization: Basic eDp5\r\n\r\n"),
           server("HTTP/1.1 200 Connection established\r\n\r\n"),
           client("\x16\x03\x01tls"),
           server("\x16\x03\x03tls")},
          {{"CONNECT  407 0/3", "CONNECT  200"}, {}, 12, "opaque"}};
}

Http1Case early_response()
{
  return {"413 before the body is there, then the connection ends",
          {client("POST /huge HTTP/1.1\r\nHost: e\r\nContent-Length: 1000000\r\n\r\n"),
           client(std::string(3'000, 'h')),
           server("HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 4\r\n\r\n"
                  "huge"),
           client(std::string(2'000, 'h'))},
          {{"POST /huge 413 5000/4"}, {}, 0, {}}};
}

Http1Case early_response_and_more()
{
  const std::string half(3'000, 'h');
  return {"nginx and lighttpd: refused before the body is there, which is then read and dropped",
          {client("POST /static HTTP/1.1\r\nHost: e\r\nContent-Length: 6000\r\n\r\n"),
           client(half),
           server("HTTP/1.1 405 Not Allowed\r\nContent-Length: 4\r\n\r\nnone"),
           client(half),
           client("POST /static HTTP/1.1\r\nHost: e\r\nTransfer-Encoding: chunked\r\n\r\n"),
           server("HTTP/1.1 405 Not Allowed\r\nTransfer-Encoding: chunked\r\n\r\n"),
           server(chunk("none") + kLast),
           client(chunk(half) + kLast + "GET /next HTTP/1.1\r\nHost: e\r\n\r\n"),
           server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
           client("PUT /last HTTP/1.1\r\nHost: e\r\nContent-Length: 6000\r\n\r\n" + half),
           server("HTTP/1.0 403 Forbidden\r\n\r\nno")},
          {{"POST /static 405 6000/4",
            "POST /static 405 3000/4",
            "GET /next 200 0/0",
            "PUT /last 403 3000/2"},
           {},
           0,
           {}}};
}

Http1Case aborts()
{
  return {
      "one response is cut short, one request not answered, one not even complete",
      {client("GET /ok HTTP/1.1\r\n\r\n"),
       server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
       client("GET /cut HTTP/1.1\r\n\r\nGET /unanswered HTTP/1.1\r\n\r\nGET /half HTTP/1.1\r\nHo"),
       server("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")},
      {{"GET /ok 200 0/0", "GET /cut 200 0/4 server_closed", "GET /unanswered  0/0 server_closed"},
       {},
       0,
       {}}};
}

Http1Case unasked_responses()
{
  return {"HAProxy: 408 on a connection that says nothing, after one that did",
          {client("GET /ok HTTP/1.1\r\n\r\n"),
           server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
           server("HTTP/1.1 408 Request Time-out\r\nContent-length: 3\r\nConnection: close\r\n\r\n"
                  "408")},
          {{"GET /ok 200 0/0"}, {}, 0, {}}};
}

}  // namespace

std::string chunk(const std::string& data)
{
  return fmt::format("{:x}\r\n{}\r\n", data.size(), data);
}

const std::vector<Http1Case>& http1_cases()
{
  static const std::vector<Http1Case> kCases = {go_server(),
                                                chunked_bodies(),
                                                nginx_static(),
                                                expect_continue(),
                                                pipelined(),
                                                python_http_server(),
                                                http10_keep_alive(),
                                                odd_but_valid(),
                                                large_heads(),
                                                websocket_upgrade(),
                                                refused_upgrade(),
                                                connect_tunnel(),
                                                early_response(),
                                                early_response_and_more(),
                                                aborts(),
                                                unasked_responses()};
  return kCases;
}

// The sizes are a word of their own that begins with a digit; the slash of a target is elsewhere.
std::string without_sizes(const std::string& line)
{
  const auto slash = line.rfind('/');
  if (slash == std::string::npos)
    return line;
  const auto blank = line.rfind(' ', slash);
  if (line[blank + 1] < '0' || line[blank + 1] > '9')
    return line;
  const auto end = line.find(' ', slash);
  return line.substr(0, blank) + (end == std::string::npos ? "" : line.substr(end));
}

std::vector<std::string> without_sizes(std::vector<std::string> lines)
{
  for (auto& line : lines)
    line = without_sizes(line);
  return lines;
}

}  // namespace sonde::test
