// SPDX-License-Identifier: Apache-2.0
// A node with a family of its own that counts the calls of hit() in copies of uprobe_target.
#pragma once

#include <atomic>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include <bpf/bpf.h>
#include <gtest/gtest.h>

#include "rust.skel.h"
#include "sonde/rust.h"
#include "tests/support/node_fixture.hpp"
#include "tests/support/victim.hpp"

#include "agent/bpf/shared_maps.hpp"
#include "agent/bpf/skeleton.hpp"
#include "agent/bpf/uprobes.hpp"
#include "agent/elf/elf_file.hpp"
#include "agent/probes/executables.hpp"

namespace sonde::testing {

// Borrows a program that counts by service.
class HitCounter : public UprobeUser {
public:
  static constexpr std::string_view kTarget = "uprobe_target";

  explicit HitCounter(NodeFixture& node) : node_(node)
  {
    auto opened = bpf::Skeleton<rust_bpf>::open();
    skeleton_.emplace(*std::move(opened));
    EXPECT_TRUE(node.maps().share_with((*skeleton_)->obj));
    const auto prepared = node.executables().prepare((*skeleton_)->obj);
    EXPECT_TRUE(prepared) << (prepared ? "" : prepared.error().message());
    const auto loaded = skeleton_->load();
    EXPECT_TRUE(loaded) << (loaded ? "" : loaded.error().message());
    rows_ = *bpf::Rows<sonde_panic_row>::create(
        bpf_map__fd((*skeleton_)->maps.panic_rows), node.maps().cpus(), SONDE_SLOTS);
    node_.on_loop([&] { node_.executables().add(*this); });
  }
  ~HitCounter() override
  {
    node_.on_loop([&] { node_.executables().remove(*this); });
  }

  std::uint64_t hits() const
  {
    std::uint64_t total = 0;
    for (unsigned slot = 0; slot < SONDE_SLOTS; ++slot)
      total += bpf::sum_rows(rows_, slot).go;
    return total;
  }

  std::string_view name() const override { return "hits"; }
  PlanResult plan(Subject& subject) override
  {
    if (!std::filesystem::path(subject.path()).filename().native().starts_with(kTarget))
      return std::unexpected(Refusal{});
    ++plans;
    ProbePlan plan;
    subject.elf().for_each_symbol([&](const elf::Symbol& symbol) {
      if (symbol.name != "hit")
        return true;
      plan.sites.push_back(
          {(*skeleton_)->progs.go_panic, *subject.elf().offset_of(symbol.address)});
      return false;
    });
    if (plan.sites.empty())
      return std::unexpected(Refusal{"no_symbols", "there is no hit()"});
    return plan;
  }
  void attached(const ProbedFile& file, const ProbePlan&) override
  {
    const std::scoped_lock lock(mutex_);
    files_[file.path] = 0;
  }
  void joined(const ProbedFile& file, const ProcessId&) override
  {
    const std::scoped_lock lock(mutex_);
    ++files_.at(file.path);
  }
  void left(const ProbedFile& file, const ProcessId&) override
  {
    const std::scoped_lock lock(mutex_);
    --files_.at(file.path);
  }
  void detached(const ProbedFile& file) override
  {
    const std::scoped_lock lock(mutex_);
    EXPECT_EQ(files_.at(file.path), 0);
    files_.erase(file.path);
  }

  // Attached files, and how many processes run them.
  std::map<std::string, int> files() const
  {
    const std::scoped_lock lock(mutex_);
    return files_;
  }

  std::atomic<int> plans = 0;

private:
  NodeFixture& node_;
  std::optional<bpf::Skeleton<rust_bpf>> skeleton_;
  bpf::Rows<sonde_panic_row> rows_;
  mutable std::mutex mutex_;
  std::map<std::string, int> files_;
};

class UprobeNode : public ::testing::Test {
protected:
  void SetUp() override
  {
    folder_ =
        std::filesystem::temp_directory_path() / ("sonde-uprobes-" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
    if (const auto kind = bpf::choose_uprobes(); !kind)
      GTEST_SKIP() << kind.error().message();
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string copy(const std::string& name)
  {
    const auto path = folder_ / (std::string(HitCounter::kTarget) + name);
    std::filesystem::copy_file(
        SONDE_UPROBE_TARGET, path, std::filesystem::copy_options::overwrite_existing);
    return path.native();
  }
  static bool eventually(const std::function<bool()>& holds)
  {
    return NodeFixture::eventually(holds);
  }

  std::filesystem::path folder_;
};

}  // namespace sonde::testing
