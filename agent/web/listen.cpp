// SPDX-License-Identifier: Apache-2.0
#include "agent/web/listen.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <string>

#include <boost/asio/ip/v6_only.hpp>

#include "agent/web/parse.hpp"

namespace sonde::web {

namespace {

using boost::asio::ip::tcp;
using boost::system::error_code;

// Asio leaves O_CLOEXEC out.
void close_on_exec(int fd)
{
  ::fcntl(fd, F_SETFD, FD_CLOEXEC);
}

tcp::acceptor
open_acceptor(boost::asio::io_context& io, const tcp::endpoint& at, bool dual, error_code& error)
{
  tcp::acceptor acceptor(io);
  acceptor.open(at.protocol(), error);
  if (!error) {
    close_on_exec(acceptor.native_handle());
    acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  }
  if (!error && at.protocol() == tcp::v6())
    acceptor.set_option(boost::asio::ip::v6_only(!dual), error);
  if (!error)
    acceptor.bind(at, error);
  if (!error)
    acceptor.listen(boost::asio::socket_base::max_listen_connections, error);
  return acceptor;
}

// The node lacks the address or its whole family, which is no error while another one works.
bool is_absent(const error_code& error)
{
  return error == boost::system::errc::address_family_not_supported ||
         error == boost::system::errc::address_not_available;
}

Failure refused(std::string_view text, const error_code& error)
{
  auto what = fmt::format("listen on {}", text);
  if (error.category() == boost::system::system_category())
    return fail(error.value(), std::move(what));
  return fail(fmt::format("{}: {}", what, error.message()));
}

Result<std::vector<tcp::endpoint>>
resolve(boost::asio::io_context& io, std::string_view text, const ListenAddress& wanted)
{
  error_code error;
  const auto literal = boost::asio::ip::make_address(wanted.host, error);
  if (!error)
    return std::vector{tcp::endpoint(literal, wanted.port)};
  tcp::resolver resolver(io);
  const auto found =
      resolver.resolve(wanted.host, std::to_string(wanted.port), tcp::resolver::passive, error);
  if (error)
    return refused(text, error);
  std::vector<tcp::endpoint> endpoints;
  for (const auto& entry : found)
    endpoints.push_back(entry.endpoint());
  return endpoints;
}

}  // namespace

Result<std::vector<tcp::acceptor>> listen_on(boost::asio::io_context& io, std::string_view text)
{
  const auto wanted = SONDE_TRY(parse_listen_address(text));
  const bool everywhere = wanted.host.empty();
  auto endpoints = everywhere ? std::vector{tcp::endpoint(tcp::v6(), wanted.port)}
                              : SONDE_TRY(resolve(io, text, wanted));
  std::vector<tcp::acceptor> acceptors;
  error_code absent;
  for (auto endpoint : endpoints) {
    error_code error;
    // All addresses of one name get the port the kernel chose for the first.
    if (wanted.port == 0 && !acceptors.empty())
      endpoint.port(acceptors.front().local_endpoint(error).port());
    auto acceptor = open_acceptor(io, endpoint, everywhere, error);
    if (everywhere && is_absent(error)) {
      error.clear();
      acceptor = open_acceptor(io, tcp::endpoint(tcp::v4(), wanted.port), false, error);
    }
    if (!error)
      acceptors.push_back(std::move(acceptor));
    else if (is_absent(error))
      absent = error;
    else
      return refused(text, error);
  }
  if (acceptors.empty())
    return refused(text, absent);
  return acceptors;
}

}  // namespace sonde::web
