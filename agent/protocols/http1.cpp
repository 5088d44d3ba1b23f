// SPDX-License-Identifier: Apache-2.0
// HTTP/1.0 and 1.1 (RFC 9110, RFC 9112): recognition and metrics; http1_decoder.hpp does the rest.
#include <algorithm>
#include <utility>

#include "agent/protocols/http1_decoder.hpp"
#include "agent/protocols/http1_start_line.hpp"
#include "agent/protocols/http_counted.hpp"
#include "agent/protocols/protocol.hpp"

namespace sonde::http1 {

namespace {

using metrics::Desc;
using metrics::Type;
using protocols::Exchange;
using protocols::Match;
using protocols::Recorder;
using protocols::Role;

constexpr Desc kMetrics[] = {
    {"http_requests_total",
     Type::kCounter,
     "HTTP responses the service completed, seen on its sockets or within its TLS, in Go programs "
     "that serve TLS or HTTP/2 in their runtime; interim responses are none, an upgrade counts "
     "once, path is a bounded route "
     "template.",
     "service method path status"},
    {"http_requests_aborted_total",
     Type::kCounter,
     "HTTP requests to the service whose connection ended before the response did, seen on its "
     "sockets, or whose Go handler panicked; reason says which side ended it.",
     "service method path reason"},
    {"http_request_duration_seconds",
     Type::kHistogram,
     "Time from the read that delivered a request's first byte to the write of its response's last "
     "byte; time in the socket's queues before and after is not in it. Of requests seen within a "
     "Go program: the handler's time.",
     "service method path"},
    {"http_response_first_byte_seconds",
     Type::kHistogram,
     "Time from the read that delivered a request's first byte to the write of its final "
     "response's first byte; absent where that was not seen.",
     "service method path"},
    {"http_request_size_bytes",
     Type::kHistogram,
     "Bytes of request bodies as on the wire, chunk framing excluded; bodies whose framing could "
     "not be followed and upgrades are left out.",
     "service method path"},
    {"http_response_size_bytes",
     Type::kHistogram,
     "Bytes of response bodies as on the wire, chunk framing excluded; bodies whose framing could "
     "not be followed and upgrades are left out.",
     "service method path"},
    {"http_requests_in_flight",
     Type::kGauge,
     "HTTP requests the service has read the head of and not yet answered in full.",
     "service"},
    {"http_client_requests_total",
     Type::kCounter,
     "HTTP responses the service received in full from a peer, seen on its own sockets; those that "
     "Go's client received by TLS, HTTP/1, count with their head.",
     "service peer method status"},
    {"http_client_requests_aborted_total",
     Type::kCounter,
     "HTTP requests of the service whose connection ended before the response did, seen on its own "
     "sockets; reason says which side ended it.",
     "service peer method reason"},
    {"http_client_request_duration_seconds",
     Type::kHistogram,
     "Time from the write of a request's first byte to the read that delivered its response's last "
     "byte.",
     "service peer method"},
};

constexpr const Desc& kRequests = kMetrics[0];
constexpr const Desc& kAborted = kMetrics[1];
constexpr const Desc& kDuration = kMetrics[2];
constexpr const Desc& kFirstByte = kMetrics[3];
constexpr const Desc& kRequestSize = kMetrics[4];
constexpr const Desc& kResponseSize = kMetrics[5];
constexpr const Desc& kInFlight = kMetrics[6];
constexpr const Desc& kClientRequests = kMetrics[7];
constexpr const Desc& kClientAborted = kMetrics[8];
constexpr const Desc& kClientDuration = kMetrics[9];

std::string_view reason_of(Exchange::End end)
{
  switch (end) {
  case Exchange::End::kClientClosed:
    return "client_closed";
  case Exchange::End::kReset:
    return "reset";
  default:
    return "server_closed";
  }
}

Match recognise(const protocols::Heads& heads)
{
  const auto request = begins_request(heads.to_server);
  const auto response = begins_response(heads.to_client);
  if (heads.from_start) {
    // A server that speaks first is none of HTTP's, but a response's tap may fire before its
    // request's.
    return response == Match::kNo ? Match::kNo : request;
  }
  if (request == Match::kYes || response == Match::kYes)
    return Match::kYes;
  const bool undecided = (request == Match::kNeedMore && !heads.to_server.empty()) ||
                         (response == Match::kNeedMore && !heads.to_client.empty());
  const bool nothing = heads.to_server.empty() && heads.to_client.empty();
  return undecided || nothing ? Match::kNeedMore : Match::kNo;
}

void observe_between(const Desc& family,
                     Recorder::Values values,
                     std::uint64_t from_ns,
                     std::uint64_t to_ns,
                     Recorder& recorder)
{
  if (from_ns != 0 && to_ns >= from_ns)
    recorder.observe(family, values, to_ns - from_ns);
}

void record_routed(const Exchange& exchange,
                   std::string_view path,
                   bool request_size_known,
                   Recorder& recorder)
{
  const auto method = exchange.operation;
  if (exchange.end != Exchange::End::kComplete) {
    recorder.count(kAborted, {method, path, reason_of(exchange.end)});
    return;
  }
  recorder.count(kRequests, {method, path, exchange.status});
  const auto first_ns = exchange.request_first_ns;
  observe_between(kDuration, {method, path}, first_ns, exchange.response_last_ns, recorder);
  observe_between(kFirstByte, {method, path}, first_ns, exchange.response_first_ns, recorder);
  if (!exchange.sizes_known)
    return;
  if (request_size_known)
    recorder.observe(kRequestSize, {method, path}, exchange.request_bytes);
  recorder.observe(kResponseSize, {method, path}, exchange.response_bytes);
}

void record_called(const Exchange& exchange, Recorder& recorder)
{
  const auto method = exchange.operation;
  const auto peer = recorder.peer();
  if (exchange.end != Exchange::End::kComplete) {
    recorder.count(kClientAborted, {peer, method, reason_of(exchange.end)});
    return;
  }
  recorder.count(kClientRequests, {peer, method, exchange.status});
  observe_between(kClientDuration,
                  {peer, method},
                  exchange.request_first_ns,
                  exchange.response_last_ns,
                  recorder);
}

void merge(const Desc& family,
           Recorder::Values values,
           const Distribution& distribution,
           Recorder& recorder)
{
  if (std::ranges::any_of(distribution.buckets, [](std::uint64_t n) { return n > 0; }))
    recorder.merge(family, values, distribution.buckets, distribution.sum);
}

}  // namespace

void record(const Exchange& exchange, Recorder& recorder)
{
  if (recorder.role() == Role::kServer)
    record_routed(exchange, recorder.route(exchange.operation, exchange.target), true, recorder);
  else
    record_called(exchange, recorder);
}

void level(const protocols::Activity& activity, std::int64_t by, Recorder& recorder)
{
  if (recorder.role() == Role::kServer && activity.in_flight > 0)
    recorder.adjust(kInFlight, {}, by * static_cast<std::int64_t>(activity.in_flight));
}

std::string_view known_method(std::string_view method)
{
  return bounded_method(method);
}

void record(const Served& served, Recorder& recorder)
{
  const auto [method, path] = std::pair(served.method, served.route);
  recorder.count(kRequests, {method, path, served.status}, served.requests);
  merge(kDuration, {method, path}, served.durations, recorder);
  merge(kRequestSize, {method, path}, served.request_sizes, recorder);
  merge(kResponseSize, {method, path}, served.response_sizes, recorder);
}

void record(const Called& called, Recorder& recorder)
{
  const auto peer = recorder.peer();
  recorder.count(kClientRequests, {peer, called.method, called.status}, called.requests);
  merge(kClientDuration, {peer, called.method}, called.durations, recorder);
}

void record_served(const Exchange& exchange, bool request_size_known, Recorder& recorder)
{
  record_routed(exchange, exchange.target, request_size_known, recorder);
}

extern const protocols::Protocol protocol{
    .name = "http1",
    .recognise = recognise,
    .decoder = [](bool from_start) -> std::unique_ptr<protocols::Decoder> {
      return std::make_unique<Decoder>(from_start);
    },
    .record = record,
    .level = level,
    .metrics = kMetrics,
    .group = "http",
};

}  // namespace sonde::http1
