// SPDX-License-Identifier: Apache-2.0
// Exact paths and their handlers. Filled before the server starts, only read afterwards.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "agent/web/message.hpp"

namespace sonde::web {

class Router {
public:
  // HEAD comes with GET. A path has one handler per method; the last one added wins.
  Router& get(std::string path, Handler handler);
  Router& post(std::string path, Handler handler);

  // The handler's response; 404 for an unknown path, 405 with Allow for a method it lacks, 500
  // when the handler throws. Any thread.
  Response answer(const Request& request) const;

private:
  struct Route {
    Handler get;
    Handler post;
  };

  std::map<std::string, Route, std::less<>> routes_;
};

// A short text response, for errors; it gets a line feed at its end if it has none.
Response plain(unsigned status, std::string_view text);

}  // namespace sonde::web
