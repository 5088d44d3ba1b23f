// SPDX-License-Identifier: Apache-2.0
// What a route's handler gets and gives: one HTTP request and its response, free of any library.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace sonde::web {

enum class Method : std::uint8_t { kGet, kPost, kOther };

// Decoded keys and values; a key may occur several times: collect[]=cpu&collect[]=stat.
using Query = std::multimap<std::string, std::string, std::less<>>;

struct Request {
  Method method = Method::kGet;  // HEAD arrives as kGet; its body is left out when it is sent
  std::string path;              // percent-decoded, without the query
  Query query;
  std::string accept;  // empty when the client sent none
  std::string accept_encoding;
  std::string peer;  // address without port; IPv4 in its own form on a dual-stack socket too
  bool from_loopback = false;
};

struct Response {
  unsigned status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;  // beyond those the server sets
};

// Runs on a web thread, on several at once; may block for some milliseconds.
using Handler = std::function<Response(const Request&)>;

}  // namespace sonde::web
