// SPDX-License-Identifier: Apache-2.0
#include "agent/web/router.hpp"

#include <exception>

namespace sonde::web {

namespace {

Response method_not_allowed(bool get, bool post)
{
  auto response = plain(405, "method not allowed");
  std::string allow = get ? "GET, HEAD" : "";
  if (post)
    allow += get ? ", POST" : "POST";
  response.headers.emplace_back("Allow", std::move(allow));
  return response;
}

Response call(const Handler& handler, const Request& request)
{
  // Sonde throws nothing, but a library below a handler may; one bad request is not the agent's
  // end.
  try {
    return handler(request);
  } catch (const std::exception& error) {
    return plain(500, error.what());
  }
}

}  // namespace

Response plain(unsigned status, std::string_view text)
{
  Response response{
      .status = status, .content_type = "text/plain; charset=utf-8", .body{}, .headers{}};
  response.body = text;
  if (!text.ends_with('\n'))
    response.body += '\n';
  return response;
}

Router& Router::get(std::string path, Handler handler)
{
  routes_[std::move(path)].get = std::move(handler);
  return *this;
}

Router& Router::post(std::string path, Handler handler)
{
  routes_[std::move(path)].post = std::move(handler);
  return *this;
}

Response Router::answer(const Request& request) const
{
  const auto found = routes_.find(request.path);
  if (found == routes_.end())
    return plain(404, "not found");
  const auto& [get, post] = found->second;
  if (request.method == Method::kGet && get)
    return call(get, request);
  if (request.method == Method::kPost && post)
    return call(post, request);
  return method_not_allowed(static_cast<bool>(get), static_cast<bool>(post));
}

}  // namespace sonde::web
