// SPDX-License-Identifier: Apache-2.0
// A node for tests that load BPF programs: event loop on its own thread, shared maps, facts, hooks,
// default settings and services, put together as the agent does. Used from the test's thread.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "agent/base/event_loop.hpp"
#include "agent/base/settings.hpp"
#include "agent/bpf/facts.hpp"
#include "agent/bpf/shared_maps.hpp"
#include "agent/probes/executables.hpp"
#include "agent/probes/hooks.hpp"
#include "agent/probes/probe.hpp"
#include "agent/proc/services.hpp"

namespace sonde::testing {

// Services as a test says: place() puts a process into one, release() takes its slot away.
// `other`, `kernel` and `sonde` exist from the start.
class FixedServices : public Services {
public:
  explicit FixedServices(bpf::SharedMaps& maps);

  // The service's slot; made when it does not exist.
  std::uint16_t slot_named(const std::string& name);
  // Moves a process (its threads, not its children) and tells the observers.
  std::uint16_t place(std::uint32_t tgid, const std::string& name);
  // The service expires; the next new one takes its slot over.
  void release(const std::string& name);
  // What now_listening() was told.
  std::vector<std::uint32_t> listeners() const;

  std::shared_ptr<const ServiceTable> table() const override;
  std::uint16_t slot_of(std::uint32_t tgid) const override { return maps_.slot(tgid); }
  void now_listening(std::uint32_t tgid) override;
  void add_observer(SlotObserver& observer) override;
  void remove_observer(SlotObserver& observer) override;

private:
  bpf::SharedMaps& maps_;
  mutable std::mutex mutex_;
  std::shared_ptr<const ServiceTable> table_;
  std::map<std::uint16_t, std::uint16_t> generations_;
  std::vector<SlotObserver*> observers_;
  std::vector<std::uint32_t> listeners_;
};

class NodeFixture {
public:
  using MakeServices = std::function<std::unique_ptr<Services>(NodeFixture&)>;

  // The agent's own services, this process being the agent; settings override the defaults.
  static MakeServices discovered(std::map<std::string, std::string> settings = {});

  // Root and BPF are needed; a failure ends the process with its reason. Without `make` the
  // services are FixedServices.
  explicit NodeFixture(const MakeServices& make = nullptr, std::uint32_t ring_bytes = 2U << 20);
  ~NodeFixture();
  NodeFixture(const NodeFixture&) = delete;
  NodeFixture& operator=(const NodeFixture&) = delete;

  // Overrides a setting, as the command line would; before the family that reads it starts.
  void set(std::string_view key, std::string_view value);

  // Loads and attaches a family by its name; it stays until the fixture goes or stop().
  Result<Probe*> start(std::string_view family);
  void stop(std::string_view family);

  // Runs `work` on the loop's thread and waits for it.
  void on_loop(const std::function<void()>& work);

  // Everything the started families say to a scrape, on the calling thread as the web's do.
  std::string scrape();

  // `name{labels}` or `name` exactly as it is printed; nothing when there is no such line.
  static std::optional<double> value(std::string_view text, std::string_view series);
  // The sum of all samples of `name` whose label block contains each of `with`.
  static double
  sum(std::string_view text, std::string_view name, const std::vector<std::string>& with = {});

  // Repeats `holds` every few milliseconds until it is true; false when `limit` passed first.
  static bool eventually(const std::function<bool()>& holds,
                         std::chrono::milliseconds limit = std::chrono::seconds(10));

  EventLoop& loop() { return *loop_; }
  bpf::SharedMaps& maps() { return *maps_; }
  Facts& facts() { return *facts_; }
  Hooks& hooks() { return hooks_; }
  Settings& settings() { return settings_; }
  Services& services() { return *services_; }
  // Made by the settings of the moment it is first asked for, or a family starts.
  Executables& executables();
  // What the started families know of sockets; on the loop's thread.
  protocols::Connections* connections() const;
  // Only with the default services.
  FixedServices& fixed() { return dynamic_cast<FixedServices&>(*services_); }
  // The name of the service a process is in for the kernel's programs.
  std::string service_of(std::uint32_t tgid) const;

private:
  struct Started {
    std::unique_ptr<Host> host;
    std::unique_ptr<Probe> probe;
  };

  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<bpf::SharedMaps> maps_;
  std::unique_ptr<Facts> facts_;
  Hooks hooks_;
  Settings settings_;
  std::unique_ptr<Services> services_;
  std::unique_ptr<Executables> executables_;
  std::map<std::string, Started, std::less<>> started_;
  std::thread thread_;
};

}  // namespace sonde::testing
