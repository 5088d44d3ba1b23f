// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>
#include <elf.h>
#include <link.h>
#include <openssl/ssl.h>
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "tests/support/elf_image.hpp"

#include "agent/elf/openssl.hpp"

namespace sonde::elf {
namespace {

using Function = OpensslSite::Function;
using Length = OpensslSite::Length;

// The libssl that this test runs with.
std::string own_library()
{
  std::string path;
  ::dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* data) {
        if (std::string_view(info->dlpi_name).contains("libssl.so"))
          *static_cast<std::string*>(data) = info->dlpi_name;
        return 0;
      },
      &path);
  return OPENSSL_VERSION_MAJOR >= 3 ? path : std::string();
}

std::optional<OpensslSite> site_of(const std::vector<OpensslSite>& sites, Function function)
{
  const auto found = std::ranges::find(sites, function, &OpensslSite::function);
  return found == sites.end() ? std::nullopt : std::optional(*found);
}

// What a program looks like that has it linked in and was stripped.
TEST(Openssl, LinkedInWithoutSymbolsItIsRefusedWithAReason)
{
  constexpr std::string_view kSource = "../ssl/ssl_lib.c";
  test::Bytes text(kSource.size());
  std::memcpy(text.data(), kSource.data(), kSource.size());
  const auto image = test::elf_image({{0x400000, text, PF_R}});
  const auto file = ElfFile::parse(image);
  ASSERT_TRUE(file) << file.error().message();
  const auto found = find_openssl(*file);
  ASSERT_FALSE(found);
  EXPECT_TRUE(found.error().message().contains("no symbols"));
}

TEST(Openssl, WhatReadsAndWritesIsTheFunctionThatBothInterfacesShare)
{
  ::SSL_CTX_free(::SSL_CTX_new(::TLS_method()));  // it is linked
  const auto path = own_library();
  if (path.empty())
    GTEST_SKIP() << "no libssl is mapped";
  const auto file = ElfFile::open(path);
  ASSERT_TRUE(file) << file.error().message();
  const auto sites = find_openssl(*file);
  ASSERT_TRUE(sites) << sites.error().message();
  const auto read = site_of(*sites, Function::kRead);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->length, Length::kBehindFourth);
  const auto write = site_of(*sites, Function::kWrite);
  ASSERT_TRUE(write);
  EXPECT_NE(write->length, Length::kReturned);
  EXPECT_NE(write->offset, read->offset);
  EXPECT_TRUE(site_of(*sites, Function::kHandshake));
  EXPECT_TRUE(site_of(*sites, Function::kFree));
  EXPECT_EQ(std::ranges::count(*sites, Function::kRead, &OpensslSite::function), 1);
  EXPECT_EQ(std::ranges::count(*sites, Function::kWrite, &OpensslSite::function), 1);
}

// Each offset is an instruction behind a call, and the stub jumps through a word.
TEST(Openssl, WhereAReadPassesThatBeganBeforeIsBehindTheCallsOfTheSharedFunction)
{
  ::SSL_CTX_free(::SSL_CTX_new(::TLS_method()));
  const auto path = own_library();
  if (path.empty())
    GTEST_SKIP() << "no libssl is mapped";
  const auto file = ElfFile::open(path);
  ASSERT_TRUE(file) << file.error().message();
  const auto waits = find_openssl_waits(*file);
  ASSERT_TRUE(waits);
  EXPECT_EQ(waits->returns.size(), 2);
  for (const auto offset : waits->returns)
    EXPECT_EQ(file->bytes(offset - 5, 1)[0], std::byte{0xe8});
  const auto stub = file->bytes(waits->copy, 16);
  EXPECT_TRUE(::memmem(stub.data(), stub.size(), "\xff\x25", 2) != nullptr);
}

}  // namespace
}  // namespace sonde::elf
