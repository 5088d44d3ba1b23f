// SPDX-License-Identifier: Apache-2.0
#include "agent/probes/tcp_metrics.hpp"

#include <array>
#include <string_view>

namespace sonde::tcp {

namespace {

enum Index : std::uint8_t {
  kNodeConnect,
  kConnect,
  kNodeRtt,
  kRtt,
  kOpened,
  kClosed,
  kFailures,
  kConnections,
  kRetransmits,
  kSent,
  kReceived,
  kResets,
  kDrops,
};

constexpr std::array<std::string_view, SONDE_TCP_ROLES> kRoles = {R"(role="client")",
                                                                  R"(role="server")"};
constexpr std::array<std::string_view, SONDE_TCP_CLOSES> kCloses = {
    R"(reason="fin")", R"(reason="reset")", R"(reason="timeout")"};
constexpr std::array<std::string_view, SONDE_TCP_FAILURES> kFailureReasons = {
    R"(reason="refused")", R"(reason="timeout")", R"(reason="unreachable")"};
constexpr std::array<std::string_view, SONDE_TCP_DIRECTIONS> kDirections = {
    R"(direction="sent")", R"(direction="received")"};

struct State {
  unsigned number;
  std::string_view label;
  bool client;
  bool server;
};

// Numbers and names of include/net/tcp_states.h.
constexpr State kStates[] = {
    {1, R"(state="established")", true, true},
    {2, R"(state="syn_sent")", true, false},
    {4, R"(state="fin_wait1")", true, true},
    {5, R"(state="fin_wait2")", true, true},
    {8, R"(state="close_wait")", true, true},
    {9, R"(state="last_ack")", true, true},
    {10, R"(state="listen")", false, true},
    {11, R"(state="closing")", true, true},
};

void expose_live(Scrape& scrape, const Figures& figures)
{
  scrape.out.begin(kMetrics[kConnections]);
  for (const auto& service : scrape.services) {
    if (!figures.row(service))
      continue;
    const auto& live = figures.live(service);
    for (const auto& state : kStates) {
      if (state.client)
        scrape.out.sample({service.labels, kRoles[SONDE_TCP_CLIENT], state.label},
                          std::uint64_t{live.count[SONDE_TCP_CLIENT][state.number]});
      if (state.server)
        scrape.out.sample({service.labels, kRoles[SONDE_TCP_SERVER], state.label},
                          std::uint64_t{live.count[SONDE_TCP_SERVER][state.number]});
    }
  }
}

// Every service's samples of one family, written by `write(labels, row)`.
template <typename Write>
void each(Scrape& scrape, const Figures& figures, Index index, Write write)
{
  scrape.out.begin(kMetrics[index]);
  for (const auto& service : scrape.services)
    if (const auto row = figures.row(service))
      write(service.labels, *row);
}

void expose_lives(Scrape& scrape, const Figures& figures)
{
  auto& out = scrape.out;
  each(scrape, figures, kOpened, [&](const auto& labels, const auto& row) {
    for (unsigned role = 0; role < SONDE_TCP_ROLES; ++role)
      out.sample({labels, kRoles[role]}, std::uint64_t{row.opened[role]});
  });
  each(scrape, figures, kClosed, [&](const auto& labels, const auto& row) {
    for (unsigned role = 0; role < SONDE_TCP_ROLES; ++role)
      for (unsigned why = 0; why < SONDE_TCP_CLOSES; ++why)
        out.sample({labels, kRoles[role], kCloses[why]}, std::uint64_t{row.closed[role][why]});
  });
  each(scrape, figures, kFailures, [&](const auto& labels, const auto& row) {
    for (unsigned why = 0; why < SONDE_TCP_FAILURES; ++why)
      out.sample({labels, kFailureReasons[why]}, std::uint64_t{row.connect_failures[why]});
  });
  each(scrape, figures, kResets, [&](const auto& labels, const auto& row) {
    for (unsigned way = 0; way < SONDE_TCP_DIRECTIONS; ++way)
      out.sample({labels, kDirections[way]}, std::uint64_t{row.resets[way]});
  });
}

}  // namespace

void expose(Scrape& scrape, const Figures& figures)
{
  auto& out = scrape.out;
  out.begin(kMetrics[kNodeConnect]);
  out.histogram({}, figures.bounds, figures.node.connect);
  each(scrape, figures, kConnect, [&](const auto& labels, const auto& row) {
    out.histogram({labels}, figures.bounds, row.connect);
  });
  out.begin(kMetrics[kNodeRtt]);
  out.histogram({}, figures.bounds, figures.node.rtt);
  each(scrape, figures, kRtt, [&](const auto& labels, const auto& row) {
    out.histogram({labels}, figures.bounds, row.rtt);
  });
  expose_lives(scrape, figures);
  if (figures.live)
    expose_live(scrape, figures);
  each(scrape, figures, kRetransmits, [&](const auto& labels, const auto& row) {
    out.sample({labels}, std::uint64_t{row.retransmits});
  });
  each(scrape, figures, kSent, [&](const auto& labels, const auto& row) {
    out.sample({labels}, std::uint64_t{row.sent});
  });
  each(scrape, figures, kReceived, [&](const auto& labels, const auto& row) {
    out.sample({labels}, std::uint64_t{row.received});
  });
  if (figures.reasons == nullptr)
    return;
  out.begin(kMetrics[kDrops]);
  for (const auto& reason : figures.reasons->counted)
    out.sample({reason.label}, std::uint64_t{figures.drops.count[reason.number]});
}

}  // namespace sonde::tcp
