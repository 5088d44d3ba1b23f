// SPDX-License-Identifier: Apache-2.0
#include "agent/app/listen_address.hpp"

#include <fmt/format.h>
#include <memory>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "agent/base/text.hpp"
#include "agent/base/unique_fd.hpp"

namespace sonde::app {

namespace {

Result<> listen_on(const addrinfo& candidate, std::string_view host, std::uint16_t port)
{
  const auto name = fmt::format("listen on {}:{}", host, port);
  const UniqueFd socket(::socket(candidate.ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket)
    return fail(errno, name);
  // As the server does: connections in TIME_WAIT of an agent that has just ended do not count.
  const int on = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (::bind(socket.get(), candidate.ai_addr, candidate.ai_addrlen) < 0 ||
      ::listen(socket.get(), 1) < 0)
    return fail(errno, name);
  return {};
}

}  // namespace

Result<ListenAddress> parse_listen_address(std::string_view text)
{
  const auto refused = [&](std::string_view why) {
    return fail(fmt::format("\"{}\" is not an address such as :7663 or [::1]:7663: {}", text, why));
  };
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos)
    return refused("it has no port");
  const auto port = parse_number<std::uint16_t>(text.substr(colon + 1));
  if (!port)
    return refused("the port is not a number up to 65535");
  auto host = text.substr(0, colon);
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed)
    host = host.substr(1, host.size() - 2);
  else if (host.find_first_of(":[]") != std::string_view::npos)
    return refused("an IPv6 address stands in brackets");
  if (host.find_first_of(" \t/@") != std::string_view::npos || (bracketed && host.empty()))
    return refused("the host is no address and no name");
  return ListenAddress{std::string(host), *port};
}

Result<> try_to_listen(const ListenAddress& address)
{
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const auto port = std::to_string(address.port);
  const char* host = address.host.empty() ? nullptr : address.host.c_str();
  if (const int error = ::getaddrinfo(host, port.c_str(), &hints, &found); error != 0)
    return fail(fmt::format("resolve \"{}\": {}", address.host, ::gai_strerror(error)));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, &::freeaddrinfo);
  Result<> first;
  for (const auto* candidate = found; candidate != nullptr; candidate = candidate->ai_next) {
    auto result = listen_on(*candidate, address.host, address.port);
    // A node without IPv6 resolves "" to :: as well.
    if (!result && result.error().code().value() != EAFNOSUPPORT)
      return result;
  }
  return first;
}

}  // namespace sonde::app
