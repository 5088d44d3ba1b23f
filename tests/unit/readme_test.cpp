// SPDX-License-Identifier: Apache-2.0
// The generated parts of README.md.
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "agent/app/catalogue.hpp"
#include "agent/app/markdown.hpp"
#include "agent/app/reference.hpp"
#include "agent/base/file.hpp"

namespace sonde::app {
namespace {

// README.md holds what the code says; SONDE_UPDATE_GOLDEN=1 writes it there.
void expect_block(std::string_view name, std::string_view lines)
{
  const auto path =
      std::filesystem::path(SONDE_TEST_DATA).parent_path().parent_path() / "README.md";
  const auto readme = read_file(path);
  ASSERT_TRUE(readme) << readme.error().message();
  const auto block = block_of(*readme, name);
  ASSERT_TRUE(block) << "README.md lacks <!-- " << name << " --> and <!-- /" << name << " -->";
  if (std::getenv("SONDE_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(path) << *with_block(*readme, name, lines);
    return;
  }
  EXPECT_TRUE(*block == lines) << "README.md's " << name
                               << " is not what the code says; refresh it with\n"
                                  "  SONDE_UPDATE_GOLDEN=1 unit_tests --gtest_filter='Readme.*'";
}

TEST(Readme, HoldsTheCatalogueOfMetrics)
{
  expect_block("catalogue", '\n' + catalogue_markdown(catalogue()) + '\n');
}

TEST(Readme, HoldsTheReferenceOfSettings)
{
  expect_block("settings", '\n' + settings_markdown(declarations()) + '\n');
}

}  // namespace
}  // namespace sonde::app
