// SPDX-License-Identifier: Apache-2.0
// The services of a node made of files, with the clock and the facts in the test's hands.
#include <filesystem>
#include <fstream>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/proc/service_table.hpp"

namespace sonde {
namespace {

constexpr std::uint32_t kSelf = 9000;

class ArrayMemory : public SlotMemory {
public:
  std::uint16_t slot(std::uint32_t tgid) const override
  {
    const auto found = slots.find(tgid);
    return found == slots.end() ? std::uint16_t{0} : found->second;
  }
  void set_slot(std::uint32_t tgid, std::uint16_t slot) override { slots[tgid] = slot; }
  void set_generation(std::uint16_t slot, std::uint16_t generation) override
  {
    generations[slot] = generation;
  }

  std::map<std::uint32_t, std::uint16_t> slots;
  std::map<std::uint16_t, std::uint16_t> generations;
};

class Watcher : public SlotObserver {
public:
  void slot_taken(std::uint16_t slot, std::uint16_t generation) override
  {
    told.push_back("taken " + std::to_string(slot) + "/" + std::to_string(generation));
  }
  void slot_released(std::uint16_t slot) override
  {
    told.push_back("released " + std::to_string(slot));
  }
  void process_moved(std::uint32_t tgid, std::uint16_t from, std::uint16_t to) override
  {
    told.push_back("moved " + std::to_string(tgid) + " " + std::to_string(from) + ">" +
                   std::to_string(to));
  }
  std::vector<std::string> told;
};

class ServicesTest : public ::testing::Test {
protected:
  ServicesTest() : root_(std::filesystem::path(::testing::TempDir()) / unique_name())
  {
    std::filesystem::create_directories(root_);
    const std::span<const Setting> tables[] = {service_settings()};
    settings_ = *Settings::defaults(tables);
  }
  ~ServicesTest() override { std::filesystem::remove_all(root_); }

  static std::string unique_name()
  {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    return std::string("sonde-") + test->name() + std::to_string(::getpid());
  }

  void set(std::string_view key, std::string_view text)
  {
    for (const auto& setting : service_settings())
      if (setting.key == key)
        settings_.set(setting, *parse_setting(setting, text), true);
  }

  void write(std::uint32_t tgid, const char* file, std::string_view text)
  {
    const auto folder = root_ / std::to_string(tgid);
    std::filesystem::create_directories(folder);
    std::ofstream(folder / file, std::ios::binary) << text;
  }

  // A process as /proc shows it.
  void process(std::uint32_t tgid,
               std::uint32_t parent,
               std::uint64_t start,
               std::string_view environment = "",
               std::string_view cgroup = "0::/\n",
               char state = 'S')
  {
    const auto flags = environment == "kernel" ? "2097152" : "0";
    write(tgid,
          "stat",
          std::to_string(tgid) + " (a) b) " + state + " " + std::to_string(parent) + " 0 0 0 0 " +
              flags + " 0 0 0 0 0 0 0 0 20 0 1 0 " + std::to_string(start) + " 0\n");
    write(tgid, "environ", environment);
    write(tgid, "cgroup", cgroup);
    write(tgid, "cmdline", "a");
  }

  void start()
  {
    auto memory = std::make_unique<ArrayMemory>();
    memory_ = memory.get();
    auto services = DiscoveredServices::create(
        settings_, proc::ProcFs(root_), std::move(memory), kSelf, [this] { return now_; });
    ASSERT_TRUE(services) << services.error().message();
    services_ = *std::move(services);
    services_->add_observer(watcher_);
  }

  void exec(std::uint32_t tgid, std::uint64_t start, std::string_view name, ProcessId parent = {})
  {
    ExecFact fact;
    fact.process = {tgid, start};
    fact.parent = parent;
    fact.traits.exe_name = "tool";
    fact.traits.declared_name = name;
    services_->executed(fact);
  }

  const Service* listed(std::string_view name)
  {
    table_ = services_->table();
    for (const auto& service : *table_)
      if (service.name == name)
        return &service;
    return nullptr;
  }
  std::string name_of(std::uint32_t tgid)
  {
    table_ = services_->table();
    for (const auto& service : *table_)
      if (service.slot == services_->slot_of(tgid))
        return service.name;
    return "?";
  }
  void advance(std::chrono::nanoseconds by) { now_ += static_cast<std::uint64_t>(by.count()); }

  std::filesystem::path root_;
  Settings settings_;
  std::uint64_t now_ = 1'000'000'000;
  ArrayMemory* memory_ = nullptr;
  std::unique_ptr<DiscoveredServices> services_;
  Watcher watcher_;
  std::shared_ptr<const ServiceTable> table_;
};

TEST_F(ServicesTest, TheFirstLookNamesWhatRunsAndLeavesTheDeadOut)
{
  process(2, 0, 1, "kernel");
  process(10, 1, 5, std::string_view("A=b\0OTEL_SERVICE_NAME=api\0", 26));
  process(11, 10, 6, "", "0::/system.slice/web.service\n");
  process(12, 1, 7);
  process(13, 1, 8, std::string_view("OTEL_SERVICE_NAME=zombie\0", 25), "0::/\n", 'Z');
  process(kSelf, 1, 9);
  start();
  EXPECT_EQ(name_of(2), "kernel");
  EXPECT_EQ(name_of(10), "api");
  EXPECT_EQ(name_of(11), "web");
  EXPECT_EQ(name_of(12), "other");
  EXPECT_EQ(name_of(kSelf), "sonde");
  EXPECT_EQ(listed("zombie"), nullptr);
  EXPECT_EQ(services_->counts().repaired, 0U);
}

TEST_F(ServicesTest, AChildSharesTheServiceUntilItExecutesSomething)
{
  start();
  exec(10, 5, "api");
  services_->forked({{11, 6}, {10, 5}});
  EXPECT_EQ(name_of(11), "api");
  EXPECT_EQ(listed("api")->instances, 1U);
  exec(11, 6, "", {10, 5});
  EXPECT_EQ(name_of(11), "other");
}

TEST_F(ServicesTest, AnExitCountsInTheServiceAndOnlyOnce)
{
  start();
  exec(10, 5, "api");
  const auto slot = listed("api")->slot;
  EXPECT_EQ(services_->exited({{10, 5}, 0}), slot);
  EXPECT_EQ(services_->exited({{10, 5}, 0}), std::nullopt);
  EXPECT_EQ(listed("api")->instances, 0U);
}

TEST_F(ServicesTest, AnExitBeforeItsForkLeavesNothingBehind)
{
  start();
  EXPECT_EQ(services_->exited({{10, 5}, 0}), 0);
  services_->forked({{10, 5}, {1, 1}});
  EXPECT_EQ(services_->counts().processes, 0U);
}

TEST_F(ServicesTest, AReusedPidIsAnotherProcess)
{
  start();
  exec(10, 5, "api");
  // The exit was lost; the kernel has copied the slot of the new one's parent.
  memory_->set_slot(10, SONDE_SLOT_OTHER);
  services_->forked({{10, 900}, {1, 1}});
  EXPECT_EQ(listed("api")->instances, 0U);
  EXPECT_EQ(services_->counts().repaired, 1U);
  EXPECT_EQ(services_->counts().processes, 1U);
  // A late exit of the first does not touch the second.
  services_->exited({{10, 5}, 0});
  EXPECT_EQ(services_->counts().processes, 1U);
}

TEST_F(ServicesTest, WhoeverListensIsKnownByItsApplicationWithItsCopies)
{
  start();
  exec(10, 5, "");
  services_->forked({{11, 6}, {10, 5}});
  services_->forked({{12, 7}, {11, 6}});
  exec(13, 8, "", {10, 5});
  services_->now_listening(10);
  EXPECT_EQ(name_of(10), "tool");
  EXPECT_EQ(name_of(12), "tool");
  EXPECT_EQ(name_of(13), "other");
  EXPECT_EQ(listed("tool")->instances, 1U);
}

TEST_F(ServicesTest, AnExpiredSlotIsReusedWithANewGenerationAndObserversHear)
{
  set("services.max", "1");
  start();
  exec(10, 5, "one");
  services_->exited({{10, 5}, 0});
  advance(std::chrono::minutes(4));
  services_->tick(false);
  exec(11, 6, "two");  // no slot yet
  EXPECT_EQ(name_of(11), "other");
  EXPECT_EQ(services_->counts().folded, 1U);
  ASSERT_NE(listed("one"), nullptr);
  advance(std::chrono::minutes(1));
  services_->tick(false);
  EXPECT_EQ(listed("one"), nullptr);
  exec(12, 7, "three");
  EXPECT_EQ(name_of(12), "three");
  EXPECT_EQ(memory_->generations[3], 2);
  EXPECT_THAT(watcher_.told,
              ::testing::ElementsAre(
                  "taken 3/1", "moved 10 0>3", "released 3", "taken 3/2", "moved 12 0>3"));
}

TEST_F(ServicesTest, AServiceThatComesBackInTimeKeepsItsSlot)
{
  start();
  exec(10, 5, "api");
  services_->exited({{10, 5}, 0});
  advance(std::chrono::minutes(4));
  exec(11, 6, "api");
  advance(std::chrono::hours(1));
  services_->tick(false);
  ASSERT_NE(listed("api"), nullptr);
  EXPECT_EQ(listed("api")->generation, 1);
}

TEST_F(ServicesTest, ExpectedServicesExistWithoutAProcessForEver)
{
  set("services.expected", "billing");
  start();
  advance(std::chrono::hours(24));
  services_->tick(false);
  ASSERT_NE(listed("billing"), nullptr);
  EXPECT_EQ(listed("billing")->instances, 0U);
}

TEST_F(ServicesTest, ComparingWithProcRepairsWhatLostFactsBroke)
{
  start();
  exec(10, 5, "gone");
  process(20, 1, 6, std::string_view("OTEL_SERVICE_NAME=new\0", 22));
  services_->resync();
  EXPECT_EQ(name_of(20), "new");
  EXPECT_EQ(listed("gone")->instances, 1U);  // its exit may still be in the ring
  services_->resync();
  EXPECT_EQ(listed("gone")->instances, 0U);
  EXPECT_EQ(services_->counts().repaired, 2U);
  // The exit that comes after all is counted where the kernel saw it.
  EXPECT_EQ(services_->exited({{10, 5}, listed("gone")->slot}), listed("gone")->slot);
}

TEST_F(ServicesTest, AnOrphanBelongsToWhoeverAdoptedIt)
{
  process(10, 1, 5, std::string_view("OTEL_SERVICE_NAME=box\0", 22));
  start();
  services_->forked({{11, 6}, {10, 5}});
  services_->forked({{12, 7}, {11, 6}});
  process(12, 10, 7);
  services_->exited({{11, 6}, 0});
  services_->tick(false);
  EXPECT_EQ(listed("box")->instances, 1U);
}

TEST_F(ServicesTest, TwoNamesThatPrintTheSameAreOneService)
{
  start();
  const std::string stem(128, 'x');
  exec(10, 5, stem + "1");
  exec(11, 6, stem + "2");
  exec(12, 7, "bad\xff");
  EXPECT_EQ(services_->slot_of(10), services_->slot_of(11));
  EXPECT_EQ(name_of(12), "bad\xef\xbf\xbd");
}

TEST_F(ServicesTest, NewRulesRenameWhatRunsAndBadOnesChangeNothing)
{
  process(10, 1, 5, "", "0::/system.slice/web.service\n");
  start();
  const auto rules = [&](Record record) {
    settings_.set(service_settings().front(), std::vector<Record>{std::move(record)}, true);
    return services_->apply(settings_);
  };
  EXPECT_FALSE(rules({{"name", "x"}, {"unit", "("}}));
  EXPECT_EQ(name_of(10), "web");
  EXPECT_TRUE(rules({{"name", "front-\\1"}, {"unit", "(w.b)"}}));
  EXPECT_EQ(name_of(10), "front-web");
}

TEST_F(ServicesTest, IgnoredServicesStayInOther)
{
  set("services.ignore", "secret");
  start();
  exec(10, 5, "secret");
  EXPECT_EQ(name_of(10), "other");
  EXPECT_EQ(services_->counts().folded, 0U);
}

TEST_F(ServicesTest, AHundredThousandShortLivedProcessesLeaveNothingBehind)
{
  start();
  for (std::uint32_t i = 0; i < 100'000; ++i) {
    const ProcessId id{1000 + i % 30'000, i + 1};
    services_->forked({id, {1, 1}});
    exec(id.tgid, id.start_ticks, "job" + std::to_string(i % 1000));
    ASSERT_TRUE(services_->exited({id, 0}));
  }
  EXPECT_EQ(services_->counts().processes, 0U);
  EXPECT_EQ(services_->counts().folded, 75'000U);
  EXPECT_EQ(services_->table()->size(), 253U);
}

}  // namespace
}  // namespace sonde
