// SPDX-License-Identifier: Apache-2.0
#include "agent/app/node.hpp"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>

#include "agent/base/clock.hpp"
#include "agent/base/file.hpp"
#include "agent/base/log.hpp"
#include "agent/base/text.hpp"
#include "agent/bpf/features.hpp"
#include "agent/bpf/skeleton.hpp"
#include "agent/proc/service_table.hpp"

namespace sonde::app {

namespace {

constexpr std::uint32_t kDefaultPidMax = 4'194'304;

std::uint32_t read_pid_max(const Paths& paths)
{
  const auto text = read_file(paths.proc("sys/kernel/pid_max"));
  const auto value =
      text ? parse_number<std::uint32_t>(trim(*text)) : std::optional<std::uint32_t>();
  return value.value_or(kDefaultPidMax);
}

}  // namespace

Node::Node(const Settings& settings)
    : settings_(settings), outliers_(static_cast<std::size_t>(
                               std::max<std::int64_t>(settings.integer("outliers.keep"), 1)))
{
}

Node::~Node() = default;

Result<std::unique_ptr<Node>> Node::create(const Settings& settings, const Paths& paths)
{
  bpf::capture_messages();
  std::unique_ptr<Node> node(new Node(settings));
  node->loop_ = SONDE_TRY(EventLoop::create());
  const auto prepared = node->prepare_bpf(paths);
  const auto table = families();
  for (std::size_t i = 0; i < table.size(); ++i) {
    const auto& family = *table[i];
    if (!settings.flag(fmt::format("probe.{}", family.name)))
      node->hooks_.report(family.name, "all", false, "switched off by configuration");
    else if (!prepared)
      node->hooks_.report(family.name, "all", false, prepared.error().message());
    else
      node->start_family(family, static_cast<std::uint16_t>(i));
  }
  return node;
}

Result<> Node::prepare_bpf(const Paths& paths)
{
  if (!bpf::Features::kernel().has_btf())
    return fail("no BTF: this kernel was built without CONFIG_DEBUG_INFO_BTF, or "
                "/sys/kernel/btf/vmlinux cannot be read");
  maps_ = SONDE_TRY(bpf::SharedMaps::create(
      read_pid_max(paths), static_cast<std::uint32_t>(settings_.integer("facts.ring-bytes"))));
  facts_ = SONDE_TRY(Facts::open(*maps_, *loop_));
  facts_->on_outlier([this](const sonde_outlier& outlier) { keep_outlier(outlier); });
  services_ = SONDE_TRY(discover_services(settings_, paths.procfs, *maps_, *loop_));
  executables_ = SONDE_TRY(Executables::create(*loop_, settings_, hooks_, *maps_, paths.procfs));
  return {};
}

void Node::start_family(const Family& family, std::uint16_t number)
{
  auto running = std::make_unique<Running>(Running{&family,
                                                   Host{*loop_,
                                                        *services_,
                                                        settings_,
                                                        *maps_,
                                                        *facts_,
                                                        hooks_,
                                                        number,
                                                        executables_.get(),
                                                        [this] { return connections(); }},
                                                   nullptr,
                                                   {}});
  const auto before = hooks_.programs().size();
  auto probe = family.start(running->host);
  if (!probe) {
    hooks_.report(family.name, "all", false, probe.error().message());
    log::warn("probe family not started",
              {{"probe", std::string(family.name)}, {"reason", probe.error().message()}});
    return;
  }
  const auto programs = hooks_.programs();
  for (std::size_t i = before; i < programs.size(); ++i)
    running->programs.push_back(programs[i].fd);
  running->probe = *std::move(probe);
  probes_.push_back(std::move(running));
}

// The list changes on this very thread only.
protocols::Connections* Node::connections() const
{
  for (const auto& running : probes_)
    if (auto* connections = running->probe->connections(); connections != nullptr)
      return connections;
  return nullptr;
}

void Node::detach(const Family& family, const std::string& why)
{
  const std::scoped_lock lock(probes_mutex_);
  std::erase_if(probes_, [&](const auto& running) { return running->family == &family; });
  for (const auto& hook : hooks_.all())
    if (hook.probe == family.name && hook.up)
      hooks_.report(hook.probe, hook.hook, false, why);
  log::warn("probe family detached", {{"probe", std::string(family.name)}, {"reason", why}});
}

void Node::keep_outlier(const sonde_outlier& outlier)
{
  std::string service = "other";
  for (const auto& entry : *services_->table())
    if (entry.slot == outlier.slot)
      service = entry.name;
  // Where a request completes, whoever submitted it is known by number only.
  std::string command(outlier.comm, strnlen(outlier.comm, sizeof outlier.comm));
  if (command.empty() && outlier.tgid != 0)
    command = trim(read_file(fmt::format("/proc/{}/comm", outlier.tgid), 64).value_or(""));
  outliers_.add({.wall_ns = wall_ns(),
                 .family = std::string(families()[outlier.record.family]->name),
                 .service = std::move(service),
                 .command = std::move(command),
                 .tgid = outlier.tgid,
                 .pid = outlier.pid,
                 .what = outlier.what,
                 .value_ns = outlier.value});
}

void Node::apply(const Settings& settings)
{
  if (!services_)
    return;
  if (const auto applied = services_->apply(settings); !applied)
    log::error("services keep their rules", {{"reason", applied.error().message()}});
}

Result<> Node::self_check()
{
  for (const auto& running : probes_)
    SONDE_TRY(in(running->probe->self_check(), running->family->name));
  return {};
}

}  // namespace sonde::app
