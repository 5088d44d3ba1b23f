// SPDX-License-Identifier: Apache-2.0
// gRPC: the metrics of calls. They are streams of HTTP/2, whose decoder makes exchanges of them.
#include <algorithm>
#include <array>
#include <utility>

#include "agent/protocols/grpc_counted.hpp"

namespace sonde::grpc {

namespace {

using metrics::Desc;
using metrics::Type;
using protocols::Exchange;
using protocols::Recorder;
using protocols::Role;

constexpr Desc kMetrics[] = {
    {"grpc_server_handled_total",
     Type::kCounter,
     "gRPC calls that the service answered, by the code it gave. Seen on its sockets and within "
     "its TLS; of grpc-go in the program.",
     "service grpc_service grpc_method grpc_code"},
    {"grpc_server_handling_seconds",
     Type::kHistogram,
     "Time from the first byte of a gRPC call up to the last one of its status; of grpc-go from "
     "the moment it was taken.",
     "service grpc_service grpc_method"},
    {"grpc_client_handled_total",
     Type::kCounter,
     "gRPC calls of the service that ended, by the code it saw; of grpc-go peer is the target as "
     "the program wrote it where no connection was chosen.",
     "service peer grpc_service grpc_method grpc_code"},
    {"grpc_client_handling_seconds",
     Type::kHistogram,
     "Time from the first byte of a gRPC call of the service to the last one of its status; of "
     "grpc-go from the first attempt to its end.",
     "service peer grpc_service grpc_method"},
    {"grpc_server_msg_received_total",
     Type::kCounter,
     "Messages of gRPC calls that the service received from callers.",
     "service grpc_service grpc_method"},
    {"grpc_server_msg_sent_total",
     Type::kCounter,
     "Messages of gRPC calls that the service sent to callers.",
     "service grpc_service grpc_method"},
    {"grpc_client_msg_received_total",
     Type::kCounter,
     "Messages that the service received in its gRPC calls.",
     "service grpc_service grpc_method"},
    {"grpc_client_msg_sent_total",
     Type::kCounter,
     "Messages that the service sent in its gRPC calls, again with each attempt.",
     "service grpc_service grpc_method"},
};

// Those of one role.
struct Families {
  const Desc& handled;
  const Desc& handling;
  const Desc& received;
  const Desc& sent;
};
constexpr Families kServer{kMetrics[0], kMetrics[1], kMetrics[4], kMetrics[5]};
constexpr Families kClient{kMetrics[2], kMetrics[3], kMetrics[6], kMetrics[7]};

const Families& families(const Recorder& recorder)
{
  return recorder.role() == Role::kServer ? kServer : kClient;
}

// Values of grpc_service and grpc_method.
std::pair<std::string_view, std::string_view> names_of(std::string_view path)
{
  if (path.empty())
    return {"unknown", "unknown"};
  path.remove_prefix(path.starts_with('/') ? 1 : 0);
  const auto slash = path.rfind('/');
  if (slash == std::string_view::npos)
    return {"other", "other"};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

// Of a call whose connection ended first: what either side then reports. A client that ends it has
// cancelled its calls.
std::string_view code_of(const Exchange& exchange, const Recorder& recorder)
{
  if (exchange.end == Exchange::End::kComplete)
    return exchange.status;
  const bool canceled =
      recorder.role() == Role::kServer || exchange.end == Exchange::End::kClientClosed;
  return code_name(canceled ? kCanceled : kUnavailable);
}

void record_messages(const Exchange& exchange, Recorder& recorder)
{
  const bool server = recorder.role() == Role::kServer;
  record(Passed{.path = exchange.target,
                .received = server ? exchange.request_messages : exchange.response_messages,
                .sent = server ? exchange.response_messages : exchange.request_messages},
         recorder);
}

void record_call(const Exchange& exchange, Recorder& recorder)
{
  record_messages(exchange, recorder);
  const auto& to = families(recorder);
  const bool server = recorder.role() == Role::kServer;
  const auto [service, method] = names_of(exchange.target);
  const auto code = code_of(exchange, recorder);
  if (server)
    recorder.count(to.handled, {service, method, code});
  else
    recorder.count(to.handled, {recorder.peer(), service, method, code});
  if (exchange.request_first_ns == 0 || exchange.response_last_ns < exchange.request_first_ns)
    return;
  const auto took_ns = exchange.response_last_ns - exchange.request_first_ns;
  if (server)
    recorder.observe(to.handling, {service, method}, took_ns);
  else
    recorder.observe(to.handling, {recorder.peer(), service, method}, took_ns);
}

}  // namespace

std::string_view code_name(std::uint32_t code)
{
  constexpr std::array<std::string_view, kUnauthenticated + 1> kCodes = {"OK",
                                                                         "Canceled",
                                                                         "Unknown",
                                                                         "InvalidArgument",
                                                                         "DeadlineExceeded",
                                                                         "NotFound",
                                                                         "AlreadyExists",
                                                                         "PermissionDenied",
                                                                         "ResourceExhausted",
                                                                         "FailedPrecondition",
                                                                         "Aborted",
                                                                         "OutOfRange",
                                                                         "Unimplemented",
                                                                         "Internal",
                                                                         "Unavailable",
                                                                         "DataLoss",
                                                                         "Unauthenticated"};
  return code < kCodes.size() ? kCodes.at(code) : "Unknown";
}

void record(const Handled& handled, Recorder& recorder)
{
  const auto& to = families(recorder);
  const auto [service, method] = names_of(handled.path);
  const bool timed = std::ranges::any_of(handled.buckets, [](std::uint64_t n) { return n > 0; });
  if (recorder.role() == Role::kServer) {
    recorder.count(to.handled, {service, method, handled.code}, handled.calls);
    if (timed)
      recorder.merge(to.handling, {service, method}, handled.buckets, handled.sum_ns);
    return;
  }
  const auto peer = recorder.peer();
  recorder.count(to.handled, {peer, service, method, handled.code}, handled.calls);
  if (timed)
    recorder.merge(to.handling, {peer, service, method}, handled.buckets, handled.sum_ns);
}

void record(const Passed& passed, Recorder& recorder)
{
  const auto& to = families(recorder);
  const auto [service, method] = names_of(passed.path);
  if (passed.received > 0)
    recorder.count(to.received, {service, method}, passed.received);
  if (passed.sent > 0)
    recorder.count(to.sent, {service, method}, passed.sent);
}

extern const protocols::Protocol protocol{
    .name = "grpc",
    .recognise = [](const protocols::Heads&) { return protocols::Match::kNo; },
    .decoder = nullptr,
    .record = record_call,
    .level = nullptr,
    .metrics = kMetrics,
    .progress = record_messages,
    .target_is_name = true,
};

}  // namespace sonde::grpc
