// SPDX-License-Identifier: Apache-2.0
#include "agent/web/messages.hpp"

#include <array>
#include <ctime>
#include <fmt/format.h>
#include <string>
#include <string_view>

#include <boost/asio/ip/address_v4.hpp>
#include <boost/asio/ip/address_v6.hpp>

#include "agent/web/parse.hpp"

namespace sonde::web {

namespace http = boost::beast::http;

namespace {

// Below this a gzip header and its checksum eat the gain.
constexpr std::size_t kSmallestGzip = 1024;

// RFC 9110 section 5.6.7, in the C locale's names whatever the process uses.
std::string http_date(std::time_t now)
{
  constexpr std::array<std::string_view, 7> kDays = {
      "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr std::array<std::string_view, 12> kMonths = {
      "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  std::tm utc{};
  gmtime_r(&now, &utc);
  return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT",
                     kDays[static_cast<std::size_t>(utc.tm_wday)],
                     utc.tm_mday,
                     kMonths[static_cast<std::size_t>(utc.tm_mon)],
                     utc.tm_year + 1900,
                     utc.tm_hour,
                     utc.tm_min,
                     utc.tm_sec);
}

// A list header may come in several lines, which mean the same as one (RFC 9110 section 5.3).
std::string joined(const Asked& asked, http::field name)
{
  std::string out;
  for (auto [line, end] = asked.equal_range(name); line != end; ++line) {
    if (!out.empty())
      out += ',';
    out.append(line->value());
  }
  return out;
}

void guard_page(http::response<Body>& message)
{
  // The page carries its own style and loads nothing; nobody else's page may frame it.
  message.set("Content-Security-Policy",
              "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; "
              "form-action 'none'; frame-ancestors 'none'");
  message.set(http::field::x_frame_options, "DENY");
  message.set("Referrer-Policy", "no-referrer");
}

}  // namespace

std::optional<Request> request_of(const Asked& asked)
{
  auto target = parse_target({asked.target().data(), asked.target().size()});
  if (!target || (asked.version() >= 11 && asked.count(http::field::host) != 1))
    return std::nullopt;
  Request request{.path = std::move(target->path),
                  .query = std::move(target->query),
                  .accept = joined(asked, http::field::accept),
                  .accept_encoding = joined(asked, http::field::accept_encoding),
                  .peer{}};
  switch (asked.method()) {
  case http::verb::get:
  case http::verb::head:
    request.method = Method::kGet;
    break;
  case http::verb::post:
    request.method = Method::kPost;
    break;
  default:
    request.method = Method::kOther;
  }
  return request;
}

http::response<Body> message_of(Response response, const Asked& asked)
{
  http::response<Body> message;
  message.version(11);
  message.result(response.status);
  message.set(http::field::date, http_date(std::time(nullptr)));
  message.set(http::field::content_type, response.content_type);
  message.set(http::field::vary, "Accept-Encoding");
  message.set("X-Content-Type-Options", "nosniff");
  if (response.content_type.starts_with("text/html"))
    guard_page(message);
  for (const auto& [name, value] : response.headers)
    message.set(name, value);

  // An HTTP/1.0 client knows no chunks, and the compressed length is not known beforehand.
  const bool gzip = response.body.size() >= kSmallestGzip && asked.version() >= 11 &&
                    accepts_gzip(joined(asked, http::field::accept_encoding));
  if (gzip) {
    message.set(http::field::content_encoding, "gzip");
    message.chunked(true);
  } else {
    message.content_length(response.body.size());
  }
  message.body() = {.text = std::move(response.body), .gzip = gzip};
  return message;
}

boost::asio::ip::address address_of(const boost::asio::ip::tcp::endpoint& endpoint)
{
  namespace ip = boost::asio::ip;
  auto address = endpoint.address();
  if (address.is_v6() && address.to_v6().is_v4_mapped())
    return ip::make_address_v4(ip::v4_mapped, address.to_v6());
  return address;
}

}  // namespace sonde::web
