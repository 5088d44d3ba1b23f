// SPDX-License-Identifier: Apache-2.0
#include "tests/support/http_client.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cctype>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <zlib.h>

#include "agent/base/text.hpp"

namespace sonde::test {

namespace {

constexpr timeval kPatience{.tv_sec = 10, .tv_usec = 0};

UniqueFd connect_to(const std::string& host, std::uint16_t port, int receive_buffer)
{
  const bool v6 = host.find(':') != std::string::npos;
  UniqueFd fd(::socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof(kPatience));
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof(kPatience));
  if (receive_buffer > 0)
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
  sockaddr_in6 six{};
  six.sin6_family = AF_INET6;
  six.sin6_port = htons(port);
  sockaddr_in four{};
  four.sin_family = AF_INET;
  four.sin_port = htons(port);
  const auto* address =
      v6 ? reinterpret_cast<const sockaddr*>(&six) : reinterpret_cast<const sockaddr*>(&four);
  const socklen_t size = v6 ? sizeof(six) : sizeof(four);
  ::inet_pton(v6 ? AF_INET6 : AF_INET,
              host.c_str(),
              v6 ? static_cast<void*>(&six.sin6_addr) : static_cast<void*>(&four.sin_addr));
  if (::connect(fd.get(), address, size) != 0)
    return {};
  return fd;
}

}  // namespace

HttpClient::HttpClient(std::uint16_t port, const std::string& host, int receive_buffer)
    : fd_(connect_to(host, port, receive_buffer))
{
}

bool HttpClient::send(std::string_view bytes) const
{
  while (!bytes.empty()) {
    const auto n = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0)
      return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

bool HttpClient::fill()
{
  std::array<char, 16384> piece{};
  const auto n = ended_ ? 0 : ::recv(fd_.get(), piece.data(), piece.size(), 0);
  if (n <= 0) {
    ended_ = true;
    return false;
  }
  buffer_.append(piece.data(), static_cast<std::size_t>(n));
  return true;
}

std::string HttpClient::take_line()
{
  for (;;) {
    if (const auto end = buffer_.find("\r\n"); end != std::string::npos) {
      auto line = buffer_.substr(0, end);
      buffer_.erase(0, end + 2);
      return line;
    }
    if (!fill())
      return {};
  }
}

std::string HttpClient::take(std::size_t size)
{
  while (buffer_.size() < size && fill())
    ;
  auto out = buffer_.substr(0, size);
  buffer_.erase(0, size);
  return out;
}

Reply HttpClient::receive(bool head)
{
  Reply reply;
  const auto status_line = take_line();
  if (!status_line.starts_with("HTTP/1."))
    return {};
  for (;;) {
    const auto line = take_line();
    if (line.empty())
      break;
    std::string_view value = line;
    std::string name(take_until(value, ':'));
    std::ranges::transform(
        name, name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    reply.headers[name] = trim(value);
  }
  if (!head && reply.headers.contains("transfer-encoding")) {
    while (!ended_) {
      const auto size = parse_hex(take_line()).value_or(0);
      reply.body += take(size);
      take_line();
      if (size == 0)
        break;
    }
  } else if (!head) {
    const auto size = parse_number<std::size_t>(reply.headers["content-length"]).value_or(0);
    reply.body = take(size);
    ended_ = ended_ || reply.body.size() < size;
  }
  // A response cut short is none.
  if (ended_ && reply.headers.empty())
    return {};
  if (reply.headers.contains("content-length") && !head &&
      reply.headers["content-length"] != std::to_string(reply.body.size()))
    return {};
  reply.status = parse_number<int>(status_line.substr(9, 3)).value_or(0);
  return reply;
}

Reply HttpClient::get(std::string_view target, std::string_view headers)
{
  std::string request = "GET ";
  request.append(target).append(" HTTP/1.1\r\nHost: node\r\n").append(headers).append("\r\n");
  return ask(request);
}

bool HttpClient::closed_within(std::chrono::milliseconds time) const
{
  const auto end = std::chrono::steady_clock::now() + time;
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        end - std::chrono::steady_clock::now());
    pollfd wait{.fd = fd_.get(), .events = POLLIN, .revents = 0};
    if (left.count() <= 0 || ::poll(&wait, 1, static_cast<int>(left.count())) <= 0)
      return false;
    std::array<char, 16384> piece{};
    if (::recv(fd_.get(), piece.data(), piece.size(), MSG_DONTWAIT) <= 0)
      return true;
  }
}

void HttpClient::reset()
{
  const linger hard{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
  fd_ = UniqueFd();
}

std::string gunzip(std::string_view compressed)
{
  z_stream stream{};
  if (inflateInit2(&stream, MAX_WBITS + 16) != Z_OK)
    return "no memory";
  std::string out;
  std::array<char, 65536> piece{};
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(compressed.data()));
  stream.avail_in = static_cast<uInt>(compressed.size());
  int result = Z_OK;
  while (result == Z_OK) {
    stream.next_out = reinterpret_cast<Bytef*>(piece.data());
    stream.avail_out = static_cast<uInt>(piece.size());
    result = inflate(&stream, Z_NO_FLUSH);
    out.append(piece.data(), piece.size() - stream.avail_out);
  }
  inflateEnd(&stream);
  return result == Z_STREAM_END && stream.avail_in == 0 ? out : "not a whole gzip stream";
}

}  // namespace sonde::test
