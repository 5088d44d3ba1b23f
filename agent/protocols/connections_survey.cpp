// SPDX-License-Identifier: Apache-2.0
// Looks at the table as a whole: what `sonde explain` shows, and which processes nothing is decoded
// of.
#include <algorithm>
#include <unordered_map>

#include "agent/protocols/connections_live.hpp"

namespace sonde::protocols {

ConnectionView Connections::view_of(const Entry& entry) const
{
  static_assert(sizeof(Entry) <= 64, "one for each ignored socket of the node");
  ConnectionView view{.tgid = entry.caller.tgid,
                      .pair = entry.pair,
                      .protocol = entry.state == kIgnored ? "ignored" : "unknown",
                      .unseen = entry.unseen,
                      .role = entry.role,
                      .transport = entry.transport};
  if (!entry.live) {
    const auto wish = sonde_socket_wish(SONDE_SOCKET_IGNORE, 0, 0, false, 0);
    view.wishes = {wish, wish};
    return view;
  }
  const auto& live = *entry.live;
  const auto& connection = live.connection;
  view.tgid = connection.caller().tgid;
  if (entry.state >= kRecognised)
    view.protocol = protocols_[entry.state - kRecognised]->name;
  view.unseen = connection.unseen();
  view.role = connection.known_role();
  view.addresses = &live.addresses;
  view.wishes = {connection.wish_of(SONDE_SOCKET_SENT), connection.wish_of(SONDE_SOCKET_RECEIVED)};
  view.exchanges = live.exchanges;
  view.lost_bytes = live.lost_bytes;
  return view;
}

void Connections::look(const std::function<void(const ConnectionView&)>& see) const
{
  for (const auto& entry : entries_)
    if (entry.id != 0)
      see(view_of(entry));
}

void Connections::survey()
{
  std::unordered_map<std::uint32_t, Unseen> processes;
  for (const auto& entry : entries_) {
    if (entry.id == 0)
      continue;
    const auto& caller = entry.live ? entry.live->connection.caller() : entry.caller;
    auto unseen = entry.live ? entry.live->connection.unseen() : entry.unseen;
    unseen = is_seen(unseen) ? Unseen::kNothing : unseen;
    const auto [known, fresh] = processes.try_emplace(caller.tgid, unseen);
    if (!fresh && known->second != Unseen::kNothing)
      known->second = unseen == Unseen::kNothing ? unseen : std::max(known->second, unseen);
  }
  std::array<std::uint64_t, kUnseenWords.size()> counts{};
  for (const auto& [tgid, unseen] : processes)
    ++counts.at(static_cast<std::size_t>(unseen));
  for (std::size_t reason = 0; reason < counts.size(); ++reason)
    unseen_processes_.at(reason).store(counts.at(reason), std::memory_order_relaxed);
}

}  // namespace sonde::protocols
