// SPDX-License-Identifier: Apache-2.0
#include "tests/support/node_fixture.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <fstream>
#include <future>
#include <unistd.h>

#include "agent/app/declarations.hpp"
#include "agent/base/text.hpp"
#include "agent/bpf/skeleton.hpp"
#include "agent/metrics/labels.hpp"
#include "agent/proc/service_table.hpp"

namespace sonde::testing {

namespace {

template <typename T>
T must(Result<T> result)
{
  if (!result) {
    fmt::print(stderr, "node fixture: {}\n", result.error().message());
    std::abort();
  }
  return *std::move(result);
}

const Setting* find_setting(std::string_view key)
{
  for (const auto table : app::declarations().tables())
    for (const auto& setting : table)
      if (setting.key == key)
        return &setting;
  return nullptr;
}

std::uint32_t read_pid_max()
{
  std::uint32_t pid_max = 4'194'304;
  std::ifstream("/proc/sys/kernel/pid_max") >> pid_max;
  return pid_max;
}

}  // namespace

FixedServices::FixedServices(bpf::SharedMaps& maps) : maps_(maps)
{
  ServiceTable table;
  for (const auto& [slot, name] : std::initializer_list<std::pair<std::uint16_t, const char*>>{
           {SONDE_SLOT_OTHER, "other"}, {SONDE_SLOT_KERNEL, "kernel"}, {SONDE_SLOT_AGENT, "sonde"}})
    table.push_back({slot, 0, name, metrics::label_block({{"service", name}}), 1});
  table_ = std::make_shared<const ServiceTable>(std::move(table));
}

std::uint16_t FixedServices::slot_named(const std::string& name)
{
  const std::scoped_lock lock(mutex_);
  auto table = *table_;
  for (const auto& service : table)
    if (service.name == name)
      return service.slot;
  std::uint16_t slot = SONDE_SLOT_DYNAMIC;
  const auto taken = [&] { return std::ranges::find(table, slot, &Service::slot) != table.end(); };
  while (taken())
    ++slot;
  const auto generation = ++generations_[slot];
  maps_.set_generation(slot, generation);
  for (auto* observer : observers_)
    observer->slot_taken(slot, generation);
  table.push_back({slot, generation, name, metrics::label_block({{"service", name}}), 1});
  table_ = std::make_shared<const ServiceTable>(std::move(table));
  return slot;
}

std::uint16_t FixedServices::place(std::uint32_t tgid, const std::string& name)
{
  const auto slot = slot_named(name);
  const std::scoped_lock lock(mutex_);
  const auto from = maps_.slot(tgid);
  maps_.set_slot(tgid, slot);
  if (from != slot)
    for (auto* observer : observers_)
      observer->process_moved(tgid, from, slot);
  return slot;
}

void FixedServices::release(const std::string& name)
{
  const std::scoped_lock lock(mutex_);
  auto table = *table_;
  const auto found = std::ranges::find(table, name, &Service::name);
  if (found == table.end())
    return;
  for (auto* observer : observers_)
    observer->slot_released(found->slot);
  table.erase(found);
  table_ = std::make_shared<const ServiceTable>(std::move(table));
}

std::vector<std::uint32_t> FixedServices::listeners() const
{
  const std::scoped_lock lock(mutex_);
  return listeners_;
}

std::shared_ptr<const ServiceTable> FixedServices::table() const
{
  const std::scoped_lock lock(mutex_);
  return table_;
}

void FixedServices::now_listening(std::uint32_t tgid)
{
  const std::scoped_lock lock(mutex_);
  listeners_.push_back(tgid);
}

void FixedServices::add_observer(SlotObserver& observer)
{
  const std::scoped_lock lock(mutex_);
  observers_.push_back(&observer);
}

void FixedServices::remove_observer(SlotObserver& observer)
{
  const std::scoped_lock lock(mutex_);
  std::erase(observers_, &observer);
}

NodeFixture::NodeFixture(const MakeServices& make, std::uint32_t ring_bytes)
    : loop_(must(EventLoop::create())),
      maps_(must(bpf::SharedMaps::create(read_pid_max(), ring_bytes))),
      facts_(must(Facts::open(*maps_, *loop_))),
      settings_(must(app::declarations().settings({}, {})))
{
  bpf::capture_messages();
  services_ = make ? make(*this) : std::make_unique<FixedServices>(*maps_);
  thread_ = std::thread([this] {
    if (const auto ran = loop_->run(); !ran)
      fmt::print(stderr, "node fixture: {}\n", ran.error().message());
  });
}

NodeFixture::MakeServices NodeFixture::discovered(std::map<std::string, std::string> settings)
{
  return [settings = std::move(settings)](NodeFixture& node) -> std::unique_ptr<Services> {
    for (const auto& [key, value] : settings)
      node.set(key, value);
    return must(discover_services(node.settings(), "/proc", node.maps(), node.loop()));
  };
}

std::string NodeFixture::service_of(std::uint32_t tgid) const
{
  const auto slot = maps_->slot(tgid);
  const auto table = services_->table();
  const auto found = std::ranges::find(*table, slot, &Service::slot);
  return found == table->end() ? std::string() : found->name;
}

NodeFixture::~NodeFixture()
{
  on_loop([this] {
    started_.clear();
    executables_.reset();
  });
  loop_->stop();
  thread_.join();
}

protocols::Connections* NodeFixture::connections() const
{
  for (const auto& [name, one] : started_)
    if (one.probe)
      if (auto* connections = one.probe->connections(); connections != nullptr)
        return connections;
  return nullptr;
}

Executables& NodeFixture::executables()
{
  if (!executables_)
    on_loop([this] {
      executables_ = must(Executables::create(*loop_, settings_, hooks_, *maps_, "/proc"));
    });
  return *executables_;
}

void NodeFixture::set(std::string_view key, std::string_view value)
{
  const auto* setting = find_setting(key);
  if (setting == nullptr) {
    fmt::print(stderr, "node fixture: no setting {}\n", key);
    std::abort();
  }
  settings_.set(*setting, must(parse_setting(*setting, value)), /*given=*/true);
}

Result<Probe*> NodeFixture::start(std::string_view name)
{
  const auto all = families();
  const auto found = std::ranges::find(all, name, [](const auto* family) { return family->name; });
  if (found == all.end())
    return fail(fmt::format("no family {}", name));
  Started started;
  started.host = std::make_unique<Host>(*loop_,
                                        *services_,
                                        settings_,
                                        *maps_,
                                        *facts_,
                                        hooks_,
                                        static_cast<std::uint16_t>(found - all.begin()),
                                        &executables(),
                                        [this] { return connections(); });
  Result<std::unique_ptr<Probe>> probe;
  on_loop([&] { probe = (*found)->start(*started.host); });
  started.probe = SONDE_TRY(std::move(probe));
  auto* result = started.probe.get();
  started_.insert_or_assign(std::string(name), std::move(started));
  return result;
}

void NodeFixture::stop(std::string_view family)
{
  on_loop([&] {
    if (const auto found = started_.find(family); found != started_.end())
      started_.erase(found);
  });
}

void NodeFixture::on_loop(const std::function<void()>& work)
{
  std::promise<void> done;
  loop_->post([&] {
    work();
    done.set_value();
  });
  done.get_future().wait();
}

std::string NodeFixture::scrape()
{
  metrics::Exposition out;
  const auto table = services_->table();
  Scrape scrape{out, *table};
  for (auto& [name, started] : started_)
    started.probe->collect(scrape);
  return out.body();
}

std::optional<double> NodeFixture::value(std::string_view text, std::string_view series)
{
  while (!text.empty()) {
    const auto line = take_line(text);
    if (line.size() > series.size() && line.starts_with(series) && line[series.size()] == ' ')
      return parse_number<double>(line.substr(series.size() + 1));
  }
  return std::nullopt;
}

double
NodeFixture::sum(std::string_view text, std::string_view name, const std::vector<std::string>& with)
{
  double total = 0;
  while (!text.empty()) {
    const auto line = take_line(text);
    const auto blank = line.rfind(' ');
    if (blank == std::string_view::npos || line.substr(0, line.find_first_of("{ ")) != name)
      continue;
    const auto labels = line.substr(name.size(), blank - name.size());
    if (std::ranges::all_of(with, [&](const auto& label) { return labels.contains(label); }))
      total += parse_number<double>(line.substr(blank + 1)).value_or(0);
  }
  return total;
}

bool NodeFixture::eventually(const std::function<bool()>& holds, std::chrono::milliseconds limit)
{
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > deadline)
      return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

}  // namespace sonde::testing
