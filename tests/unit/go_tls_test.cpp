// SPDX-License-Identifier: Apache-2.0
#include <filesystem>

#include <gtest/gtest.h>

#include "agent/elf/calls.hpp"
#include "agent/elf/go_tls.hpp"

#ifdef SONDE_GO_SAMPLES

namespace sonde::elf {
namespace {

class GoTlsOf : public ::testing::TestWithParam<const char*> {
protected:
  GoTlsOf() : file_(ElfFile::open(std::filesystem::path(SONDE_GO_SAMPLES) / GetParam())) {}

  Result<ElfFile> file_;
};

TEST_P(GoTlsOf, WhatIsReadIsTakenAtACallAndWhatIsWrittenAtTheBegin)
{
  ASSERT_TRUE(file_) << file_.error().message();
  const auto binary = GoBinary::read(*file_);
  ASSERT_TRUE(binary) << binary.error().message();
  const auto found = find_go_tls(*binary);
  ASSERT_TRUE(found) << found.error().message();
  ASSERT_TRUE(*found);
  const auto& tls = **found;
  const auto read = file_->address_of(tls.read);
  ASSERT_TRUE(read);
  EXPECT_EQ(binary->function_at(*read), "crypto/tls.(*Conn).Read");
  EXPECT_EQ(file_->read_at<std::uint8_t>(*read), 0xe8);
  EXPECT_EQ(tls.offset % 8, 0U);
  EXPECT_EQ(binary->function_at(tls.written.address), "crypto/tls.(*Conn).writeRecordLocked");
}

INSTANTIATE_TEST_SUITE_P(Samples, GoTlsOf, ::testing::Values("tls_plain", "tls_pie_stripped"));

TEST(GoTls, AProgramWithoutItHasNothingToFind)
{
  const auto file = ElfFile::open(std::filesystem::path(SONDE_GO_SAMPLES) / "plain");
  ASSERT_TRUE(file) << file.error().message();
  const auto binary = GoBinary::read(*file);
  ASSERT_TRUE(binary) << binary.error().message();
  const auto found = find_go_tls(*binary);
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_FALSE(*found);
}

bool only_http(const char* sample)
{
  const auto file = ElfFile::open(std::filesystem::path(SONDE_GO_SAMPLES) / sample);
  const auto binary = GoBinary::read(*file);
  return only_http_uses_tls(*binary);
}

TEST(GoTls, WhatOnlyServesAndAsksByNetHttpHasNoOtherUse)
{
  EXPECT_TRUE(only_http("web_stripped"));
  EXPECT_TRUE(only_http("web_pie_stripped"));
}

TEST(GoTls, WhatMakesConnectionsByItselfHasAnotherUse)
{
  EXPECT_FALSE(only_http("tls_plain"));
  EXPECT_FALSE(only_http("tls_pie_stripped"));
}

TEST(GoTls, AProgramWithoutItIsNotSureToHaveNoOtherUse)
{
  EXPECT_FALSE(only_http("plain"));
}

TEST(DirectCalls, NothingIsCalledFromBeyondTheFile)
{
  const auto file = ElfFile::open(std::filesystem::path(SONDE_GO_SAMPLES) / "plain");
  ASSERT_TRUE(file) << file.error().message();
  EXPECT_TRUE(direct_calls(*file, ~std::uint64_t{0} - 4, 16).empty());
  EXPECT_TRUE(direct_calls(*file, 0, ~std::uint64_t{0}).empty());
}

}  // namespace
}  // namespace sonde::elf

#endif
