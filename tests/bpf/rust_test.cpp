// SPDX-License-Identifier: Apache-2.0
// Panics of real Rust and Go programs, with symbols and stripped.
#include <algorithm>
#include <cstdlib>
#include <fmt/format.h>
#include <stdexcept>

#include <gtest/gtest.h>

#include "tests/bpf/uprobe_fixture.hpp"

namespace sonde::testing {
namespace {

struct Built {
  const char* name;
  const char* path;  // empty where its compiler is missing
  bool strip;
};

class Panics : public UprobeNode, public ::testing::WithParamInterface<Built> {
protected:
  void SetUp() override
  {
    UprobeNode::SetUp();
    if (*GetParam().path == '\0')
      GTEST_SKIP() << "its compiler is missing";
  }

  // A copy, stripped where that is the case.
  std::string program()
  {
    const auto path = folder_ / GetParam().name;
    std::filesystem::copy_file(GetParam().path, path);
    if (GetParam().strip) {
      EXPECT_EQ(std::system(fmt::format("strip {}", path.native()).c_str()), 0);
    }
    return path.native();
  }
  bool attached(std::uint32_t tgid)
  {
    std::vector<Executables::Explained> explained;
    node_.on_loop([&] { explained = node_.executables().explain(tgid); });
    std::size_t sites = 0;
    for (const auto& one : explained)
      sites += one.sites;
    return sites > 0;
  }
  double panics(std::string_view language)
  {
    return NodeFixture::sum(
        node_.scrape(), fmt::format("{}_panics_total", language), {R"(service="panicky")"});
  }

  NodeFixture node_;
};

class RustPanics : public Panics {};
class GoPanics : public Panics {};

std::string name_of(const ::testing::TestParamInfo<Built>& built)
{
  return built.param.name;
}

INSTANTIATE_TEST_SUITE_P(Builds,
                         RustPanics,
                         ::testing::Values(Built{"WithSymbols", SONDE_RUST_TARGET, false},
                                           Built{"Stripped", SONDE_RUST_TARGET, true}),
                         name_of);
INSTANTIATE_TEST_SUITE_P(Builds,
                         GoPanics,
                         ::testing::Values(Built{"WithSymbols", SONDE_GO_TARGET, false},
                                           Built{"Stripped", SONDE_GO_TARGET, true}),
                         name_of);

TEST_P(RustPanics, AreCountedOnceEach)
{
  const auto path = program();
  ASSERT_TRUE(node_.start("process"));
  ASSERT_TRUE(node_.start("rust"));
  Victim victim(path);
  node_.fixed().place(victim.tgid(), "panicky");
  ASSERT_TRUE(eventually([&] { return attached(victim.tgid()); }));
  EXPECT_EQ(panics("rust"), 0);
  ASSERT_TRUE(victim.call(1000));
  EXPECT_EQ(panics("rust"), 1000);
  const auto info = fmt::format(R"(service="panicky",pid="{}",rustc="1.)", victim.tgid());
  EXPECT_TRUE(node_.scrape().contains(info)) << node_.scrape();
  victim.stop();
  EXPECT_TRUE(eventually([&] { return !node_.scrape().contains(info); }));
  EXPECT_EQ(panics("rust"), 1000);
}

TEST_P(GoPanics, AreCountedOnceEach)
{
  const auto path = program();
  ASSERT_TRUE(node_.start("process"));
  ASSERT_TRUE(node_.start("rust"));
  Victim victim(path);
  node_.fixed().place(victim.tgid(), "panicky");
  ASSERT_TRUE(eventually([&] { return attached(victim.tgid()); }));
  ASSERT_TRUE(victim.call(1000));
  EXPECT_EQ(panics("go"), 1000);
}

TEST_F(UprobeNode, StrippedProgramsWhosePanicsAbortSayThatTheyAreNotCounted)
{
  const std::string path = SONDE_RUST_ABORTING_TARGET;
  if (path.empty())
    GTEST_SKIP() << "rustc is missing";
  NodeFixture node;
  ASSERT_TRUE(node.start("process"));
  ASSERT_TRUE(node.start("rust"));
  const Victim victim(path);
  std::string text;
  ASSERT_TRUE(eventually([&] {
    std::vector<Executables::Explained> explained;
    node.on_loop([&] { explained = node.executables().explain(victim.tgid()); });
    for (const auto& one : explained)
      if (!one.library)
        text = one.text;
    return text.starts_with("rustc");
  }));
  EXPECT_TRUE(text.contains("stripped, panic=abort: panics are not counted")) << text;
}

TEST_F(UprobeNode, ExceptionsOfCppAreNoPanics)
{
  // A program that is stripped has the exceptions of all programs looked at.
  if (*SONDE_RUST_TARGET == '\0')
    GTEST_SKIP() << "rustc is missing";
  const auto path = (folder_ / "rust").native();
  std::filesystem::copy_file(SONDE_RUST_TARGET, path);
  ASSERT_EQ(std::system(fmt::format("strip {}", path).c_str()), 0);
  NodeFixture node;
  ASSERT_TRUE(node.start("process"));
  ASSERT_TRUE(node.start("rust"));
  Victim victim(path);
  ASSERT_TRUE(eventually([&] {
    std::vector<Executables::Explained> explained;
    node.on_loop([&] { explained = node.executables().explain(victim.tgid()); });
    return std::ranges::any_of(explained, [](const auto& one) { return one.sites > 0; });
  }));
  for (int i = 0; i < 10; ++i)
    EXPECT_THROW(throw std::runtime_error("no panic"), std::runtime_error);
  EXPECT_EQ(NodeFixture::sum(node.scrape(), "rust_panics_total"), 0);
  ASSERT_TRUE(victim.call(3));
  EXPECT_EQ(NodeFixture::sum(node.scrape(), "rust_panics_total"), 3);
}

}  // namespace
}  // namespace sonde::testing
