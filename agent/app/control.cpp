// SPDX-License-Identifier: Apache-2.0
#include "agent/app/control.hpp"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <unordered_set>

#include "agent/base/clock.hpp"
#include "agent/base/text.hpp"
#include "agent/control/fields.hpp"
#include "agent/proc/service_table.hpp"
#include "agent/protocols/connections.hpp"

namespace sonde::app {

namespace {

constexpr std::size_t kMostProcesses = 64;
constexpr std::size_t kMostConnections = 1000;
// To say what named a process, its files are read on the loop's thread.
constexpr std::size_t kMostNamed = 8;
constexpr auto kLookForTap = std::chrono::seconds(1);
constexpr std::string_view kSocketFamily = "socket";

}  // namespace

Result<std::unique_ptr<Control>> Control::start(Node& node, const std::string& path)
{
  std::unique_ptr<Control> self(new Control(node));
  auto* control = self.get();
  control->watch_tap_ = SONDE_TRY(node.loop().timer([control] { control->watch_tap(); }));
  auto listener = SONDE_TRY(control::Listener::open(path));
  control->server_ = SONDE_TRY(control::Server::start(
      node.loop(), std::move(listener), *control, control::Server::Limits{}));
  return self;
}

Control::~Control() = default;

void Control::request(std::string_view line, control::Client& client)
{
  const auto word = take_until(line, '\t');
  if (word == kTailWord)
    tail(line, client);
  else if (word == kExplainWord)
    explain(line, client);
  else
    client.refuse("the agent is of another version: it does not know what was asked");
}

void Control::gone(control::Client& client)
{
  tails_.remove(client);
  if (!tails_.empty())
    return;
  watch_tap_.disarm();
  if (auto* connections = node_.connections(); connections != nullptr)
    connections->on_exchange({});
}

void Control::tail(std::string_view line, control::Client& client)
{
  const auto request = control::read_tail(line);
  if (!request) {
    client.refuse(request.error().message());
    return;
  }
  if (const auto accepted = control::accept(*request, protocols::protocols()); !accepted) {
    client.refuse(accepted.error().message());
    return;
  }
  auto* connections = node_.connections();
  if (connections == nullptr) {
    client.refuse("no requests are seen: " + why_no_tap());
    return;
  }
  tails_.add(*request, client);
  watch_tap_.arm_every(kLookForTap);
  connections->on_exchange(
      [this](const protocols::Observed& seen) { tails_.show(seen, monotonic_ns(), wall_ns()); });
}

// The family may be detached while somebody watches.
void Control::watch_tap()
{
  if (node_.connections() == nullptr)
    tails_.end("no requests are seen any more: " + why_no_tap());
}

std::string Control::why_no_tap() const
{
  std::string why = "the probe family socket is not attached";
  for (const auto& hook : node_.hooks().all())
    if (hook.probe == kSocketFamily && !hook.up && !hook.reason.empty())
      return fmt::format("{} ({}: {})", why, hook.hook, hook.reason);
  return why;
}

void Control::explain(std::string_view subject, control::Client& client)
{
  std::vector<std::uint32_t> tgids;
  if (const auto tgid = parse_number<std::uint32_t>(subject)) {
    tgids.push_back(*tgid);
  } else if (auto* services = node_.services(); services != nullptr) {
    const auto table = services->table();
    const auto service = std::ranges::find(*table, subject, &Service::name);
    if (service == table->end()) {
      client.refuse(fmt::format("no service is called \"{}\"", control::printable(subject)));
      return;
    }
    tgids = services->processes_in(service->slot);
  } else {
    client.refuse("services are not known without BPF: ask for a process id; " + why_no_tap());
    return;
  }
  for (const auto& line : control::to_lines(explanation_of(tgids)))
    client.line(line);
  client.done();
}

control::Explanation Control::explanation_of(const std::vector<std::uint32_t>& tgids)
{
  control::Explanation out;
  auto* connections = node_.connections();
  auto* services = node_.services();
  out.attached = connections != nullptr;
  out.tap_reason = out.attached ? std::string() : why_no_tap();
  std::unordered_set<std::uint32_t> wanted;
  for (const auto tgid : tgids) {
    if (wanted.size() >= kMostProcesses) {
      ++out.more_processes;
      continue;
    }
    wanted.insert(tgid);
    control::Explanation::Process process{.tgid = tgid};
    if (services != nullptr) {
      const auto slot = services->slot_of(tgid);
      const auto table = services->table();
      const auto service = std::ranges::find(*table, slot, &Service::slot);
      process.service = service != table->end() ? service->name : std::string("other");
      process.own = slot == SONDE_SLOT_AGENT;
      if (slot != SONDE_SLOT_OTHER && out.processes.size() < kMostNamed)
        process.named_by = services->named_by(tgid, process.service);
    }
    out.processes.push_back(std::move(process));
    if (const auto* executables = node_.executables(); executables != nullptr)
      for (auto& one : executables->explain(tgid))
        out.uprobes.push_back({.tgid = tgid,
                               .family = std::string(one.family),
                               .file = std::move(one.file),
                               .sites = one.sites,
                               .reason = std::move(one.reason),
                               .text = std::move(one.text)});
  }
  if (connections != nullptr)
    connections->look([&](const protocols::ConnectionView& view) {
      if (!wanted.contains(view.tgid))
        return;
      if (out.connections.size() < kMostConnections)
        out.connections.push_back(control::explained(view));
      else
        ++out.more_connections;
    });
  return out;
}

}  // namespace sonde::app
