// SPDX-License-Identifier: Apache-2.0
// HTTP/2 (RFC 9113), whose requests go into the families of HTTP, and calls of gRPC into theirs:
// recognition; http2_decoder.hpp does the rest.
#include "agent/protocols/http2_decoder.hpp"
#include "agent/protocols/http_counted.hpp"
#include "agent/protocols/protocol.hpp"

namespace sonde::http2 {

namespace {

using protocols::Direction;
using protocols::Exchange;
using protocols::Match;
using protocols::Recorder;

// The client's preface comes first, but the server's may be seen before it.
Match recognise_start(const protocols::Heads& heads)
{
  const auto seen = heads.to_server.substr(0, kClientPreface.size());
  if (!kClientPreface.starts_with(seen) ||
      begins_with_frames(heads.to_client, Direction::kToClient) == Match::kNo)
    return Match::kNo;
  return seen.size() == kClientPreface.size() ? Match::kYes : Match::kNeedMore;
}

Match recognise(const protocols::Heads& heads)
{
  if (heads.from_start)
    return recognise_start(heads);
  if (told_direction(heads.to_server) == Direction::kToClient ||
      told_direction(heads.to_client) == Direction::kToServer)
    return Match::kNo;
  const auto asked = heads.to_server.starts_with(kClientPreface)
                         ? Match::kYes
                         : begins_with_frames(heads.to_server, Direction::kToServer);
  const auto answered = begins_with_frames(heads.to_client, Direction::kToClient);
  if (asked == Match::kYes || answered == Match::kYes)
    return Match::kYes;
  return asked == Match::kNo || answered == Match::kNo ? Match::kNo : Match::kNeedMore;
}

void record(const Exchange& exchange, Recorder& recorder)
{
  const bool unknown = exchange.target.empty() && exchange.operation != "CONNECT";
  if (!unknown || recorder.role() == protocols::Role::kClient) {
    http1::record(exchange, recorder);
    return;
  }
  auto named = exchange;
  named.target = "unknown";
  http1::record_served(named, true, recorder);
}

}  // namespace

extern const protocols::Protocol protocol{
    .name = "http2",
    .recognise = recognise,
    .decoder = [](bool from_start) -> std::unique_ptr<protocols::Decoder> {
      return std::make_unique<Decoder>(from_start);
    },
    .record = record,
    .level = http1::level,
    .metrics = {},
    .group = "http",
};

}  // namespace sonde::http2
