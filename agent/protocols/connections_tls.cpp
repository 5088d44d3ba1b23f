// SPDX-License-Identifier: Apache-2.0
// Connections that are seen within TLS: each lies over a socket that carries its ciphertext. And
// those of which a richer source counts the exchanges.
#include <algorithm>
#include <iterator>
#include <unordered_set>

#include "agent/protocols/connections_live.hpp"

namespace sonde::protocols {

namespace {

struct Given final : PeerSource {
  explicit Given(std::string_view text) : name(text) {}
  std::string_view peer() override { return name; }
  std::string_view name;
};

}  // namespace

// Its socket has become known, by its number, by its addresses, or by both.
void Connections::link(std::uint32_t place, const sonde_socket_opened& record)
{
  auto& entry = entries_[place];
  auto addresses = record;
  const bool addressed = record.remote_port != 0;
  const auto pair = addressed ? Addresses::of(record).key() : 0;
  const auto under = record.peer != 0 ? by_id_.find(record.peer)
                     : addressed      ? by_pair_.find(pair)
                                      : std::nullopt;
  const auto peer = under ? entries_[*under].id : record.peer;
  if (peer != 0) {
    const auto [first, last] = over_.equal_range(peer);
    if (std::none_of(first, last, [&](const auto& one) { return one.second == record.socket; }))
      over_.emplace(peer, record.socket);
  } else if (addressed && unmet_.size() < max_connections_) {
    unmet_[pair] = record.socket;
  }
  if (!addressed && under && entries_[*under].live)
    entries_[*under].live->addresses.write(addresses);
  if (addresses.remote_port == 0)
    return;
  entry.pair = Addresses::of(addresses).key();
  if (!entry.live)
    return;
  entry.live->link(addresses);
  entry.live->connection.hint_at(record.role);
}

// A socket that some waited for has been announced.
void Connections::meet(std::uint64_t pair, std::uint64_t socket)
{
  if (unmet_.empty())
    return;
  const auto found = unmet_.find(pair);
  if (found == unmet_.end())
    return;
  over_.emplace(socket, found->second);
  unmet_.erase(found);
}

// What passed over it ends as it did.
void Connections::end_over(const sonde_socket_closed& record)
{
  if (over_.empty())
    return;
  std::vector<std::uint64_t> ended;
  const auto [first, last] = over_.equal_range(record.socket);
  std::transform(
      first, last, std::back_inserter(ended), [](const auto& one) { return one.second; });
  over_.erase(first, last);
  for (const auto id : ended) {
    const auto place = by_id_.find(id);
    if (!place || entries_[*place].transport != SONDE_SOCKET_TLS)
      continue;
    const auto verdict = entries_[*place].verdict;
    auto end = record;
    end.socket = id;
    end.verdict = verdict;
    closed(end);
    verdicts_.free(verdict, id);
  }
}

void Connections::end_orphans(const std::function<bool(std::uint32_t)>& is_alive)
{
  std::unordered_set<std::uint64_t> linked;
  for (const auto& one : over_)
    linked.insert(one.second);
  std::vector<sonde_socket_closed> ended;
  for (const auto& entry : entries_) {
    if (entry.id == 0 || entry.transport != SONDE_SOCKET_TLS || linked.contains(entry.id))
      continue;
    const auto tgid = entry.live ? entry.live->connection.caller().tgid : entry.caller.tgid;
    if (!is_alive(tgid))
      ended.push_back({.record = {.kind = SONDE_KIND_SOCKET_CLOSED},
                       .socket = entry.id,
                       .how = SONDE_SOCKET_CLOSED_RESET,
                       .verdict = entry.verdict});
  }
  for (const auto& end : ended) {
    closed(end);
    verdicts_.free(end.verdict, end.socket);
  }
  std::erase_if(unmet_, [&](const auto& one) { return !by_id_.find(one.second); });
}

std::string_view Connections::service_across(const Addresses& addresses)
{
  const auto* service = service_of_pair(addresses.swapped().key());
  return service != nullptr ? std::string_view(service->name) : std::string_view{};
}

void Connections::record(const Caller& caller,
                         Role role,
                         std::string_view peer,
                         const std::function<void(SeriesRecorder&)>& to)
{
  Given given(peer);
  add(exchanges_, 1);
  recorder_.point_at(role, services_.owner_of(caller), given);
  to(recorder_);
}

void Connections::level(const Caller& caller,
                        std::string_view protocol,
                        const Activity& activity,
                        RaisedLevels& raised)
{
  const auto found = std::ranges::find(protocols_, protocol, &Protocol::name);
  if (found == protocols_.end())
    return;
  Given nobody({});
  recorder_.point_at(Role::kServer, services_.owner_of(caller), nobody);
  recorder_.move_levels(**found, activity, raised);
}

void Connections::claim(std::uint32_t tgid, Role role, std::string_view protocol, bool tls_only)
{
  give_up_claim(tgid, role, protocol);
  claims_[tgid].push_back({role, std::string(protocol), tls_only});
}

void Connections::give_up_claim(std::uint32_t tgid, Role role, std::string_view protocol)
{
  const auto found = claims_.find(tgid);
  if (found == claims_.end())
    return;
  std::erase_if(found->second, [&](const Claim& claim) {
    return claim.role == role && claim.protocol == protocol;
  });
  if (found->second.empty())
    claims_.erase(found);
}

bool Connections::is_claimed(const Connection& connection, const Protocol& protocol) const
{
  if (claims_.empty())
    return false;
  const auto found = claims_.find(connection.caller().tgid);
  if (found == claims_.end())
    return false;
  const bool tls = entries_[connection.place()].transport == SONDE_SOCKET_TLS;
  return std::ranges::any_of(found->second, [&](const Claim& claim) {
    return claim.role == connection.role() && (tls || !claim.tls_only) &&
           claim.protocol == protocol.name;
  });
}

}  // namespace sonde::protocols
