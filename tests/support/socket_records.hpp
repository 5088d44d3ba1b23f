// SPDX-License-Identifier: Apache-2.0
// Records as the socket tap makes them, services of a test's own, and verdicts to look at.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sonde/socket.h"
#include "tests/support/line_protocol.hpp"

#include "agent/metrics/exposition.hpp"
#include "agent/protocols/connections.hpp"

namespace sonde::test {

class GivenServices : public Services {
public:
  GivenServices()
  {
    set(SONDE_SLOT_OTHER, 0, "other");
    set(SONDE_SLOT_AGENT, 0, "sonde");
  }

  void set(std::uint16_t slot, std::uint16_t generation, const std::string& name)
  {
    auto next = std::make_shared<ServiceTable>(*table_);
    std::erase_if(*next, [&](const Service& service) { return service.slot == slot; });
    next->push_back({slot, generation, name, "service=\"" + name + "\""});
    table_ = next;
    for (auto* observer : observers_)
      observer->slot_taken(slot, generation);
  }
  void release(std::uint16_t slot)
  {
    auto next = std::make_shared<ServiceTable>(*table_);
    std::erase_if(*next, [&](const Service& service) { return service.slot == slot; });
    table_ = next;
    for (auto* observer : observers_)
      observer->slot_released(slot);
  }
  void put(std::uint32_t tgid, std::uint16_t slot) { slots_[tgid] = slot; }

  std::shared_ptr<const ServiceTable> table() const override { return table_; }
  std::uint16_t slot_of(std::uint32_t tgid) const override
  {
    const auto found = slots_.find(tgid);
    return found == slots_.end() ? std::uint16_t{SONDE_SLOT_OTHER} : found->second;
  }
  void now_listening(std::uint32_t) override {}
  void add_observer(SlotObserver& observer) override { observers_.push_back(&observer); }
  void remove_observer(SlotObserver& observer) override { std::erase(observers_, &observer); }

private:
  std::shared_ptr<const ServiceTable> table_ = std::make_shared<ServiceTable>();
  std::map<std::uint32_t, std::uint16_t> slots_;
  std::vector<SlotObserver*> observers_;
};

class KeptVerdicts : public protocols::Verdicts {
public:
  void set(std::uint32_t index,
           std::uint64_t socket,
           sonde_socket_direction direction,
           std::uint64_t wish) override
  {
    auto& entry = entries[index];
    entry.socket = socket;
    entry.wish[direction] = wish;
    ++writes;
  }

  void free(std::uint32_t index, std::uint64_t socket) override
  {
    if (auto& entry = entries[index]; entry.socket == socket)
      entry = {};
  }

  std::map<std::uint32_t, sonde_socket_verdict> entries;
  std::size_t writes = 0;
};

inline std::uint32_t mode_of(std::uint64_t wish)
{
  return static_cast<std::uint32_t>(wish >> 32U & 7U);
}

class PathAsRoute : public protocols::RouteSource {
public:
  std::string_view
  route(const metrics::SeriesOwner&, std::string_view, std::string_view path) override
  {
    return path;
  }
  std::string_view
  routed(const metrics::SeriesOwner&, std::string_view, std::string_view pattern) override
  {
    return pattern;
  }
  void expect(const metrics::SeriesOwner&) override {}
  bool learn(const metrics::SeriesOwner&, protocols::PatternStyle, std::string_view) override
  {
    return false;
  }
  void unrouted(const metrics::SeriesOwner&, std::string_view, std::string_view) override {}
  void ask(std::weak_ptr<protocols::PatternSource>) override {}
};

// One socket, as its tap sees it. Positions and times go on by themselves.
struct Socket {
  sonde_socket_opened opened{};
  std::uint32_t position[SONDE_SOCKET_DIRECTIONS] = {1000, 2000};

  Socket(std::uint64_t id, sonde_socket_role role, std::uint32_t tgid)
  {
    opened.record.kind = SONDE_KIND_SOCKET_OPENED;
    opened.socket = id;
    opened.verdict = static_cast<std::uint32_t>(id);
    opened.tgid = tgid;
    opened.role = static_cast<__u8>(role);
    opened.from_start = 1;
    std::copy(std::begin(position), std::end(position), opened.position);
  }
  // 10.0.0.<host>, in its mapped form.
  void between(std::uint8_t host, std::uint16_t port, std::uint8_t peer, std::uint16_t peer_port)
  {
    const std::uint8_t prefix[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0};
    std::ranges::copy(prefix, opened.local);
    std::ranges::copy(prefix, opened.remote);
    opened.local[15] = host;
    opened.remote[15] = peer;
    opened.local_port = port;
    opened.remote_port = peer_port;
  }
};

// A table of connections and everything around it.
class Tap {
public:
  explicit Tap(protocols::Connections::Options options = options_of_tests(),
               std::span<const protocols::Protocol* const> known = line_protocols())
      : connections(
            services,
            verdicts,
            routes,
            std::move(options),
            [this](std::chrono::nanoseconds) { ++wakes; },
            known)
  {
  }

  static protocols::Connections::Options options_of_tests()
  {
    const std::span<const Setting> tables[] = {protocols::request_settings()};
    const auto settings = Settings::defaults(tables).value();
    return {.limits = protocols::request_limits(settings),
            .bounds = protocols::request_bounds(settings).value()};
  }

  void open(const Socket& socket) { connections.opened(socket.opened); }
  // `covered`: more than the bytes when the tap captured only their head.
  sonde_socket_bytes record(Socket& socket, sonde_socket_direction direction, std::size_t covered)
  {
    sonde_socket_bytes record{};
    record.record.kind = SONDE_KIND_SOCKET_BYTES;
    record.record.ktime_ns = now_ns += 1000;
    record.socket = socket.opened.socket;
    record.position = socket.position[direction];
    record.covered = static_cast<__u32>(covered);
    record.direction = static_cast<__u8>(direction);
    record.flags = SONDE_SOCKET_STARTS_CALL;
    record.tgid = socket.opened.tgid;
    record.slot = socket.opened.slot;
    record.generation = socket.opened.generation;
    socket.position[direction] += record.covered;
    return record;
  }
  void pass(Socket& socket,
            sonde_socket_direction direction,
            std::string_view bytes,
            std::size_t more = 0)
  {
    auto one = record(socket, direction, bytes.size() + more);
    one.captured = static_cast<__u16>(bytes.size());
    connections.bytes(one, bytes);
  }
  void sent(Socket& socket, std::string_view bytes) { pass(socket, SONDE_SOCKET_SENT, bytes); }
  void received(Socket& socket, std::string_view bytes)
  {
    pass(socket, SONDE_SOCKET_RECEIVED, bytes);
  }
  void close(const Socket& socket, sonde_socket_close how = SONDE_SOCKET_CLOSED_THERE)
  {
    sonde_socket_closed record{};
    record.record.kind = SONDE_KIND_SOCKET_CLOSED;
    record.record.ktime_ns = now_ns += 1000;
    record.socket = socket.opened.socket;
    record.how = how;
    connections.closed(record);
  }

  // The value of one sample, 0 when there is none: value("x_total{service=\"a\"}").
  std::string value(std::string_view sample)
  {
    metrics::Exposition out;
    Scrape scrape{out, *services.table()};
    connections.collect(scrape);
    const auto body = out.body();
    const auto at = body.find("\n" + std::string(sample) + " ");
    if (at == std::string::npos)
      return "none";
    const auto start = at + sample.size() + 2;
    return body.substr(start, body.find('\n', start) - start);
  }

  GivenServices services;
  KeptVerdicts verdicts;
  PathAsRoute routes;
  std::uint64_t now_ns = 1'000'000'000;
  int wakes = 0;
  protocols::Connections connections;
};

}  // namespace sonde::test
