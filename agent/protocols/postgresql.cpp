// SPDX-License-Identifier: Apache-2.0
// PostgreSQL, protocol 3: how a connection is recognised, and its metrics.
#include <algorithm>

#include "agent/protocols/postgresql_decoder.hpp"
#include "agent/protocols/protocol.hpp"

namespace sonde::postgresql {

namespace {

using metrics::Desc;
using metrics::Type;
using protocols::Activity;
using protocols::Exchange;
using protocols::Heads;
using protocols::Match;
using protocols::Recorder;
using protocols::Role;

constexpr std::string_view kSystem = "postgresql";

constexpr Desc kMetrics[] = {
    {"database_query_duration_seconds",
     Type::kHistogram,
     "From the first byte of a statement written (with an extended query: of its Bind, or of the "
     "Parse before it) to the last byte of its CommandComplete or ErrorResponse read. Its verb, "
     "and "
     "the first table after FROM, INTO, UPDATE, COPY or TABLE. From socket traffic.",
     "service peer system query_type table"},
    {"database_errors_total",
     Type::kCounter,
     "Errors that databases answered, by SQLSTATE, those of a refused or ended connection too.",
     "service peer system sqlstate"},
    {"database_connections_active",
     Type::kGauge,
     "Connections to databases that are in a query or in a transaction.",
     "service peer system"},
    {"database_connections_idle",
     Type::kGauge,
     "Connections to databases that wait for their next query.",
     "service peer system"},
    {"database_server_query_duration_seconds",
     Type::kHistogram,
     "From the read that delivered a statement's first byte to the last byte of its answer "
     "written. "
     "From socket traffic.",
     "service system query_type"},
    {"database_server_errors_total",
     Type::kCounter,
     "Errors that this database answered, by SQLSTATE.",
     "service system sqlstate"},
};

constexpr const Desc& kDuration = kMetrics[0];
constexpr const Desc& kErrors = kMetrics[1];
constexpr const Desc& kActive = kMetrics[2];
constexpr const Desc& kIdle = kMetrics[3];
constexpr const Desc& kServerDuration = kMetrics[4];
constexpr const Desc& kServerErrors = kMetrics[5];

// A connection's first eight bytes.
Match recognise_start(std::string_view bytes)
{
  constexpr std::string_view kLongest("\0\0", 2);  // no startup message has 64 KiB
  if (!kLongest.starts_with(bytes.substr(0, 2)))
    return Match::kNo;
  if (bytes.size() < 8)
    return bytes.size() > 4 && bytes[4] != '\0' && bytes[4] != '\x04' ? Match::kNo
                                                                      : Match::kNeedMore;
  const auto length = big_endian(bytes);
  const auto code = big_endian(bytes.substr(4));
  if (code == 80877103 || code == 80877104)  // SSLRequest, GSSENCRequest
    return length == 8 ? Match::kYes : Match::kNo;
  if (code == 80877102)  // CancelRequest
    return length >= 16 && length <= 272 ? Match::kYes : Match::kNo;
  if (code >> 16 != 3 || (code & 0xffff) > 99 || length < 9 || length > 10'000)
    return Match::kNo;
  // Names and values: other protocols that begin with a length have a number here.
  const auto parameters = bytes.substr(8);
  const auto name = parameters.substr(0, parameters.find('\0'));
  if (name.size() > 63 || !std::ranges::all_of(name, [](char c) {
        return (c >= 'a' && c <= 'z') || c == '_' || c == '.';
      }))
    return Match::kNo;
  if (name.size() == parameters.size())
    return Match::kNeedMore;
  return name.size() < 2 ? Match::kNo : Match::kYes;
}

// An older connection: a call of whole requests, and responses that fit where there are any; or the
// end of a response.
Match recognise_middle(const Heads& heads)
{
  if (find_tail(heads.to_client).type != 0)
    return Match::kYes;
  if (heads.to_server.empty())
    return Match::kNeedMore;
  if (!looks_like_requests(heads.to_server))
    return heads.to_server.size() < 5 ? Match::kNeedMore : Match::kNo;
  if (heads.to_client.empty())
    return Match::kNeedMore;
  if (!looks_like_response(heads.to_client))
    return Match::kNo;
  return heads.to_client.size() < 5 ? Match::kNeedMore : Match::kYes;
}

Match recognise(const Heads& heads)
{
  if (!heads.from_start)
    return recognise_middle(heads);
  if (heads.to_server.empty())
    // The client speaks first, but its request may be seen after the answer.
    return heads.to_client.empty() || std::string_view("NSGRE").contains(heads.to_client.front())
               ? Match::kNeedMore
               : Match::kNo;
  return recognise_start(heads.to_server);
}

void record(const Exchange& exchange, Recorder& recorder)
{
  if (exchange.end != Exchange::End::kComplete)
    return;
  const bool timed = !exchange.operation.empty() && exchange.request_first_ns != 0 &&
                     exchange.response_last_ns >= exchange.request_first_ns;
  const auto duration_ns = exchange.response_last_ns - exchange.request_first_ns;
  if (recorder.role() == Role::kServer) {
    if (timed)
      recorder.observe(kServerDuration, {kSystem, exchange.operation}, duration_ns);
    if (!exchange.status.empty())
      recorder.count(kServerErrors, {kSystem, exchange.status});
    return;
  }
  const auto peer = recorder.peer();
  if (timed)
    recorder.observe(kDuration, {peer, kSystem, exchange.operation, exchange.target}, duration_ns);
  if (!exchange.status.empty())
    recorder.count(kErrors, {peer, kSystem, exchange.status});
}

void level(const Activity& activity, std::int64_t by, Recorder& recorder)
{
  if (recorder.role() == Role::kServer)
    return;
  const bool active = activity.in_flight > 0 || activity.in_transaction;
  recorder.adjust(active ? kActive : kIdle, {recorder.peer(), kSystem}, by);
}

}  // namespace

extern const protocols::Protocol protocol{
    .name = "postgresql",
    .recognise = recognise,
    .decoder = [](bool from_start) -> std::unique_ptr<protocols::Decoder> {
      return std::make_unique<PostgresqlDecoder>(from_start);
    },
    .record = record,
    .level = level,
    .metrics = kMetrics,
    .group = "sql",
    .target_is_name = true,
};

}  // namespace sonde::postgresql
