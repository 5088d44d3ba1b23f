// SPDX-License-Identifier: Apache-2.0
#include "agent/probes/go_http_plan.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <fmt/format.h>
#include <initializer_list>

#include "agent/elf/calls.hpp"
#include "agent/elf/probe_site.hpp"
#include "agent/probes/go_peers.hpp"

namespace sonde::go_http {

namespace {

constexpr std::uint16_t kAbsent = SONDE_GO_ABSENT;

struct Found {
  const elf::GoBinary& binary;
  Plan& plan;

  // False where the program has no such function, or no place for a probe in it.
  bool add(Part part, Site site, const std::string& function, std::uint32_t cookie = 0) const
  {
    const auto range = binary.function(function);
    if (!range)
      return false;
    const auto place = elf::go_entry_site(binary.file(), *range);
    if (!place)
      return false;
    if (place->again_on_growth)
      cookie |= SONDE_UPROBE_COMES_AGAIN;
    plan.parts[static_cast<std::size_t>(part)].push_back({site, cookie, function, place->offset});
    return true;
  }

  // The callee's arguments are in their registers there.
  bool add_call(Part part, Site site, const std::string& caller, const std::string& callee) const
  {
    const auto address = call(caller, callee);
    const auto offset = address ? binary.file().offset_of(*address) : std::nullopt;
    if (offset)
      plan.parts[static_cast<std::size_t>(part)].push_back({site, 0, caller, *offset});
    return offset.has_value();
  }

  std::optional<std::uint64_t> call(const std::string& caller, const std::string& callee) const
  {
    const auto from = binary.function(caller);
    const auto to = binary.function(callee);
    if (!from || !to)
      return {};
    return elf::call_of(elf::direct_calls(binary.file(), from->begin, from->size()), to->begin);
  }

  std::uint16_t offset(std::string_view type, std::string_view field) const
  {
    const auto found = binary.field_offset(type, field);
    return found && *found < kAbsent ? static_cast<std::uint16_t>(*found) : kAbsent;
  }
  std::uint16_t size(std::string_view type) const
  {
    const auto found = binary.type(type);
    return found ? static_cast<std::uint16_t>(std::min<std::uint64_t>(found->size, SONDE_GO_COPY))
                 : std::uint16_t{0};
  }
};

bool within_copy(std::uint16_t offset, std::uint16_t bytes)
{
  return offset <= SONDE_GO_COPY - bytes;
}

void find_requests(const Found& found, sonde_go_http_binary& out)
{
  constexpr std::string_view kRequest = "net/http.Request";
  constexpr std::string_view kResponse = "net/http.response";
  out.request_method = found.offset(kRequest, "Method");
  out.request_url = found.offset(kRequest, "URL");
  out.request_pattern = found.offset(kRequest, "Pattern");
  out.request_pat = found.offset(kRequest, "pat");
  out.request_headers = found.offset(kRequest, "Header");
  out.request_tls = found.offset(kRequest, "TLS");
  out.request_length = found.offset(kRequest, "ContentLength");
  out.request_size = found.size(kRequest);
  out.pat_text = found.offset("net/http.pattern", "str");
  out.url_path = found.offset("net/url.URL", "Path");
  out.response_request = found.offset(kResponse, "req");
  out.response_status = found.offset(kResponse, "status");
  out.response_written = found.offset(kResponse, "written");
  out.response_conn = found.offset(kResponse, "conn");
  out.response_size = found.size(kResponse);
  out.conn_hijacked = found.offset("net/http.conn", "hijackedv");
  if (!within_copy(out.request_pattern, 16))
    out.request_pattern = kAbsent;
  if (out.pat_text == kAbsent || !within_copy(out.request_pat, 8))
    out.request_pat = kAbsent;
}

// What is wrong with the offsets that nothing goes without.
std::string_view missing(const sonde_go_http_binary& offsets)
{
  if (!within_copy(offsets.request_method, 16) || !within_copy(offsets.request_url, 8) ||
      !within_copy(offsets.request_tls, 8) || !within_copy(offsets.request_length, 8) ||
      offsets.url_path == kAbsent)
    return "net/http.Request is not as it was known";
  if (!within_copy(offsets.response_request, 8) || !within_copy(offsets.response_status, 8) ||
      !within_copy(offsets.response_written, 8))
    return "net/http.response is not as it was known";
  return {};
}

void find_http2(const Found& found,
                sonde_go_http_binary& all,
                sonde_go_http2& out,
                const std::string& package,
                const std::string& prefix,
                std::uint32_t cookie)
{
  const auto state = fmt::format("{}.{}responseWriterState", package, prefix);
  out.writer_state = found.offset(fmt::format("{}.{}responseWriter", package, prefix), "rws");
  out.status = found.offset(state, "status");
  out.written = found.offset(state, "wroteBytes");
  out.request = found.offset(state, "req");
  // A request that is not net/http's: the one of its handler is taken.
  if (const auto request = found.binary.field(state, "req");
      request && found.binary.type_string(request->type) != "*http.Request")
    out.request = kAbsent;
  if (out.writer_state == kAbsent || out.status == kAbsent || out.written == kAbsent)
    return;
  const auto method = [&](std::string_view type, std::string_view name) {
    return fmt::format("{}.(*{}{}).{}", package, prefix, type, name);
  };
  if (!found.add(Part::kServing, Site::kHttp2End, method("responseWriter", "handlerDone"), cookie))
    return;
  if (cookie == SONDE_GO_SITE_X_NET)
    found.add(Part::kServing, Site::kHttp2Start, method("serverConn", "runHandler"));
  // What runHandler defers recovers only where the handler has not returned.
  if (found.add_call(Part::kServing,
                     Site::kHttp2Done,
                     method("serverConn", "runHandler.func1"),
                     "runtime.gorecover"))
    all.http2_done = 1;
  if (!found.add(Part::kWatching, Site::kHttp2Begins, method("Server", "ServeConn")))
    found.add(Part::kWatching, Site::kHttp2Begins, method("Server", "serveConn"));
}

void find_server(const Found& found, Plan& plan)
{
  auto& out = plan.offsets;
  found.add(Part::kServing, Site::kStart, "net/http.serverHandler.ServeHTTP");
  found.add(Part::kServing, Site::kEnd, "net/http.(*response).finishRequest");
  if (out.response_conn != kAbsent && out.conn_hijacked != kAbsent)
    found.add(Part::kServing, Site::kConnectionEnd, "net/http.(*conn).serve.func1");
  out.routine_number = found.offset("runtime.g", "goid");
  out.http2_done = 0;
  out.since_ns = 0;
  out.http2[0].writer_state = out.http2[1].writer_state = kAbsent;
  find_http2(found, out, out.http2[0], "net/http", "http2", 0);
  if (out.http2[0].writer_state == kAbsent)  // from Go 1.27 on
    find_http2(found, out, out.http2[0], "net/http/internal/http2", "", 0);
  find_http2(found, out, out.http2[1], "golang.org/x/net/http2", "", SONDE_GO_SITE_X_NET);
  found.add(Part::kLearning, Site::kHeader, "net/http.(*response).WriteHeader");
  found.add(Part::kWatching, Site::kTlsBegins, "crypto/tls.(*Conn).serverHandshake");
}

// While a handler runs, or is about to.
void find_captures(const Found& found, Part part)
{
  found.add(part, Site::kHandler, "net/http.HandlerFunc.ServeHTTP");
  if (part != Part::kRouting)
    return;
  for (const auto* function : {"net/http.(*response).WriteHeader",
                               "net/http.(*timeoutWriter).writeHeaderLocked",
                               "net/http.(*http2responseWriterState).writeHeader",
                               "net/http/internal/http2.(*responseWriterState).writeHeader",
                               "golang.org/x/net/http2.(*responseWriterState).writeHeader"})
    found.add(part, Site::kCapture, function);
}

// Routers that keep the pattern to themselves.
void find_routers(const Found& found, sonde_go_http_binary& out)
{
  bool any = false;
  const auto add = [&](Site site, const std::string& function) {
    any = found.add(Part::kRouting, site, function) || any;
  };
  const std::string gin = "github.com/gin-gonic/gin.";
  const auto next = gin + "(*Context).Next", route = gin + "(*Engine).handleHTTPRequest";
  out.gin_path = found.offset(gin + "Context", "fullPath");
  out.gin_request = found.offset(gin + "Context", "Request");
  // Up to gin 1.9 the one is small enough to be compiled into the other.
  if (out.gin_path != kAbsent &&
      !(found.call(route, next) && found.add(Part::kRouting, Site::kGin, next)))
    add(Site::kGinRoute, route);
  for (const std::string package :
       {"github.com/go-chi/chi/v5", "github.com/go-chi/chi/v4", "github.com/go-chi/chi"}) {
    out.chi_patterns = found.offset(package + ".Context", "RoutePatterns");
    if (out.chi_patterns == kAbsent)
      continue;
    add(Site::kChi, package + ".(*node).FindRoute");
    break;
  }
  constexpr std::string_view kGorilla = "github.com/gorilla/mux";
  out.gorilla_route = found.offset(fmt::format("{}.RouteMatch", kGorilla), "Route");
  out.gorilla_path = found.offset(fmt::format("{}.Route", kGorilla), "routeConf.regexp.path");
  out.gorilla_template = found.offset(fmt::format("{}.routeRegexp", kGorilla), "template");
  out.gorilla_type = found.offset(fmt::format("{}.routeRegexp", kGorilla), "regexpType");
  if (out.gorilla_route != kAbsent && out.gorilla_path != kAbsent &&
      out.gorilla_template != kAbsent)
    add(Site::kGorilla, fmt::format("{}.(*Router).Match", kGorilla));
  for (const std::string package : {"github.com/labstack/echo/v4", "github.com/labstack/echo"}) {
    out.echo_path = found.offset(package + ".context", "path");
    out.echo_request = found.offset(package + ".context", "request");
    if (out.echo_path == kAbsent)
      continue;
    add(Site::kEcho, package + ".(*Router).Find");
    break;
  }
  if (any)
    find_captures(found, Part::kRouting);
  if ((out.request_pattern != kAbsent || out.request_pat != kAbsent) &&
      found.add(Part::kServeMux, Site::kServeMux, "net/http.(*ServeMux).ServeHTTP"))
    find_captures(found, Part::kServeMux);
}

// Of one of the HTTP/2 clients: "http2" is before the names of the one that is bundled.
void find_http2_client(const Found& found,
                       sonde_go_http2& out,
                       const std::string& package,
                       const std::string& prefix,
                       std::uint32_t cookie)
{
  const auto type = [&](std::string_view name) {
    return fmt::format("{}.{}{}", package, prefix, name);
  };
  const auto method = [&](std::string_view of, std::string_view name) {
    return fmt::format("{}.(*{}{}).{}", package, prefix, of, name);
  };
  if (!found.binary.function(method("clientStream", "doRequest")))
    return;
  // From Go 1.27 on it has types of its own for both.
  const bool own = found.binary.type(type("ClientRequest")).has_value();
  out.sent_method = found.offset(own ? type("ClientRequest") : "net/http.Request", "Method");
  out.got = found.offset(type("clientStream"), "res");
  out.got_status = found.offset(own ? type("ClientResponse") : "net/http.Response", "StatusCode");
  out.client_conn = found.offset(type("clientStream"), "cc");
  out.conn = found.offset(type("ClientConn"), "tconn");
  for (const auto offset : {out.sent_method, out.got, out.got_status, out.client_conn, out.conn})
    if (offset == kAbsent)
      return;
  if (!found.add(Part::kCalling,
                 Site::kHttp2ClientEnd,
                 method("clientStream", "cleanupWriteRequest"),
                 cookie))
    return;
  found.add(Part::kCalling, Site::kHttp2ClientStart, method("clientStream", "doRequest"), cookie);
  found.add(Part::kWatching, Site::kClientBegins, method("Transport", "newClientConn"));
}

void find_client(const Found& found, sonde_go_http_binary& out)
{
  out.conn = go_conn_of(found.binary);
  find_http2_client(found, out.http2[0], "net/http", "http2", 0);
  find_http2_client(found, out.http2[0], "net/http/internal/http2", "", 0);
  find_http2_client(found, out.http2[1], "golang.org/x/net/http2", "", SONDE_GO_SITE_X_NET);
  out.sent_request = found.offset("net/http.transportRequest", "Request");
  out.got_request = found.offset("net/http.Response", "Request");
  out.got_status = found.offset("net/http.Response", "StatusCode");
  out.pool_address = found.offset("net/http.persistConn", "cacheKey.addr");
  out.pool_tls = found.offset("net/http.persistConn", "tlsState");
  out.pool_conn = found.offset("net/http.persistConn", "conn");
  for (const auto offset : {out.sent_request,
                            out.got_request,
                            out.got_status,
                            out.pool_address,
                            out.pool_tls,
                            out.pool_conn})
    if (offset == kAbsent)
      return;
  if (!found.add(Part::kCalling, Site::kClientStart, "net/http.(*persistConn).roundTrip"))
    return;
  // Servers call readTransfer, too.
  found.add_call(
      Part::kCalling, Site::kClientEnd, "net/http.ReadResponse", "net/http.readTransfer");
  found.add(Part::kWatching, Site::kClientBegins, "crypto/tls.(*Conn).clientHandshake");
}

}  // namespace

std::expected<Plan, Refusal> make_plan(const elf::GoBinary& binary)
{
  const bool serves = binary.function("net/http.(*conn).serve").has_value();
  const bool calls =
      binary.function("net/http.(*persistConn).roundTrip").has_value() ||
      binary.function("golang.org/x/net/http2.(*clientStream).doRequest").has_value();
  if (!serves && !calls)
    return std::unexpected(Refusal{});
  Plan plan{};
  std::memset(&plan.offsets, 0xff, sizeof plan.offsets);
  const Found found{binary, plan};
  find_requests(found, plan.offsets);
  if (const auto why = missing(plan.offsets); serves && !why.empty())
    return std::unexpected(Refusal{"unknown_types", std::string(why)});
  if (serves) {
    find_server(found, plan);
    find_routers(found, plan.offsets);
  }
  if (calls)
    find_client(found, plan.offsets);
  for (const auto& part : plan.parts)
    if (!part.empty())
      return plan;
  return std::unexpected(
      Refusal{"no_probe_site", "no instruction that the kernel emulates in net/http's functions"});
}

bool sees_all_of_http(const Plan& plan, const elf::GoBinary& binary)
{
  const auto sees = [&](Part part, std::string_view function) {
    return !binary.function(function) || !plan.parts[static_cast<std::size_t>(part)].empty();
  };
  return sees(Part::kServing, "net/http.(*conn).serve") &&
         sees(Part::kCalling, "net/http.(*persistConn).roundTrip");
}

}  // namespace sonde::go_http
