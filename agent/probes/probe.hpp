// SPDX-License-Identifier: Apache-2.0
// A probe family: one file of BPF programs, loaded, attached, and read at each scrape.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.hpp"
#include "agent/base/settings.hpp"
#include "agent/metrics/desc.hpp"
#include "agent/metrics/exposition.hpp"
#include "agent/probes/hooks.hpp"
#include "agent/proc/services.hpp"

namespace sonde {

class EventLoop;
class Executables;
class Facts;
namespace bpf {
class SharedMaps;
}
namespace protocols {
class Connections;
}

// What a probe may lean on. References only: the agent owns all of it and outlives every probe.
struct Host {
  EventLoop& loop;
  Services& services;
  const Settings& settings;
  bpf::SharedMaps& maps;
  Facts& facts;          // ring records by family
  Hooks& hooks;          // where each hook's fate is reported
  std::uint16_t family;  // this family's number, for its programs' rodata
  // Where uprobes plug in; null where the agent has none.
  Executables* executables = nullptr;
  // What records requests, null without the tap of sockets; on the loop's thread.
  std::function<protocols::Connections*()> connections = {};
};

// Losses of one family since it started: reasons are its own, bounded words.
struct Loss {
  std::string_view reason;
  std::uint64_t count;
};

// Everything a probe says to one scrape.
struct Scrape {
  metrics::Exposition& out;
  const ServiceTable& services;
};

// A loaded and attached family. Constructed = attached, destroyed = detached.
class Probe {
public:
  Probe() = default;
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;
  virtual ~Probe() = default;

  // Adds this family's metrics to one scrape. Calls never overlap each other, but run beside the
  // event loop's thread.
  virtual void collect(Scrape& scrape) = 0;

  // For sonde_events_total{source=family} and sonde_events_lost_total{source=family,reason}.
  // Called after collect(), from the same thread.
  virtual std::uint64_t events() const = 0;
  virtual std::vector<Loss> losses() const { return {}; }

  // What it knows of sockets, where it is the one that does; for the loop's thread.
  virtual protocols::Connections* connections() { return nullptr; }

  // Fails until the probe's own events have been seen to come through; on the loop's thread.
  virtual Result<> self_check() { return {}; }
};

// One line of families.def: the constant each family's file defines.
struct Family {
  std::string_view name;
  // Attaches what this kernel allows and reports each hook. Fails when nothing could be attached.
  Result<std::unique_ptr<Probe>> (*start)(Host& host);
  std::span<const metrics::Desc> metrics;
  std::span<const Setting> settings = {};
};

std::span<const Family* const> families();

}  // namespace sonde
