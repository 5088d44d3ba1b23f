// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/elf_image.hpp"

#include "agent/elf/probe_site.hpp"

namespace sonde::elf {
namespace {

using Code = std::vector<std::uint8_t>;
using testing::HasSubstr;

enum class Language : std::uint8_t { kGo, kC };

// "+6 push", "+4 jcc again", or the reason.
std::string site_of(const Code& code, Language language, std::uint16_t machine = 62)
{
  const auto image = test::code_image(code, machine);
  const auto file = ElfFile::parse(image);
  const AddressRange range{test::kCodeAddress, test::kCodeAddress + code.size()};
  const auto site =
      language == Language::kGo ? go_entry_site(*file, range) : c_entry_site(*file, range);
  if (!site)
    return site.error().message();
  EXPECT_EQ(file->offset_of(site->address), site->offset);
  constexpr const char* names[] = {"push", "jcc", "jmp", "call", "nop"};
  return "+" + std::to_string(site->address - test::kCodeAddress) + " " +
         names[static_cast<std::size_t>(site->instruction)] +
         (site->again_on_growth ? " again" : "");
}

std::string go(const Code& code)
{
  return site_of(code, Language::kGo);
}
std::string c(const Code& code)
{
  return site_of(code, Language::kC);
}

constexpr auto kNone = "has no emulated instruction";

TEST(ProbeSite, InGoItIsThePushBehindTheCheckOfTheStack)
{
  // cmp rsp, [r14+16]; jbe; push rbp; mov rbp, rsp
  EXPECT_EQ(go({0x49, 0x3b, 0x66, 0x10, 0x76, 0x20, 0x55, 0x48, 0x89, 0xe5}), "+6 push");
  // The same with a far jump.
  EXPECT_EQ(go({0x49, 0x3b, 0x66, 0x10, 0x0f, 0x86, 0x00, 0x02, 0, 0, 0x55, 0xc3}), "+10 push");
  // lea r12, [rsp-0x48]; cmp r12, [r14+16]; jbe; push rbp
  EXPECT_EQ(go({0x4c, 0x8d, 0x64, 0x24, 0xb8, 0x4d, 0x3b, 0x66, 0x10, 0x76, 0x20, 0x55, 0xc3}),
            "+11 push");
  // lea r12, [rsp-0x1048]; …
  EXPECT_EQ(go({0x4c,
                0x8d,
                0xa4,
                0x24,
                0xb8,
                0xef,
                0xff,
                0xff,
                0x4d,
                0x3b,
                0x66,
                0x10,
                0x76,
                0x20,
                0x55,
                0xc3}),
            "+14 push");
  // mov r12, rsp; sub r12, 0x10000; jb; cmp r12, [r14+16]; jbe; push rbp
  EXPECT_EQ(go({0x49, 0x89, 0xe4, 0x49, 0x81, 0xec, 0,    0,    1,    0,
                0x72, 0x30, 0x4d, 0x3b, 0x66, 0x10, 0x76, 0x20, 0x55, 0xc3}),
            "+18 push");
  // No check: push rbp at once.
  EXPECT_EQ(go({0x55, 0x48, 0x89, 0xe5, 0x5d, 0xc3}), "+0 push");
}

TEST(ProbeSite, BeforeGo121ItIsTheCheckOfTheStackItself)
{
  // cmp rsp, [r14+16]; jbe; sub rsp, 0x38; mov [rsp+0x30], rbp; xor eax, eax
  EXPECT_EQ(go({0x49, 0x3b, 0x66, 0x10, 0x76, 0x20, 0x48, 0x83, 0xec, 0x38, 0x48,
                0x89, 0x6c, 0x24, 0x30, 0x31, 0xc0, 0xe8, 0,    0,    0,    0}),
            "+4 jcc again");
  // … a condition on the arguments before they change is better: test rax, rax; jne
  EXPECT_EQ(go({0x49, 0x3b, 0x66, 0x10, 0x76, 0x20, 0x48, 0x83, 0xec, 0x38, 0x48,
                0x89, 0x6c, 0x24, 0x30, 0x48, 0x85, 0xc0, 0x75, 0x02, 0x31, 0xc0}),
            "+18 jcc");
}

TEST(ProbeSite, AJumpThatIsNoCheckOfTheStackIsASiteLikeAnyOther)
{
  // cmp rax, rbx; jbe
  EXPECT_EQ(go({0x48, 0x39, 0xd8, 0x76, 0x02, 0x31, 0xc0, 0xc3}), "+3 jcc");
}

TEST(ProbeSite, WhereAnArgumentChangesFirstThereIsNone)
{
  EXPECT_THAT(go({0x48, 0x31, 0xd8, 0xc3}), HasSubstr(kNone));        // xor rax, rbx; ret
  EXPECT_THAT(go({0xb0, 0x01, 0x55, 0xc3}), HasSubstr(kNone));        // mov al, 1: in part
  EXPECT_THAT(go({0x4d, 0x89, 0xf6, 0x55, 0xc3}), HasSubstr(kNone));  // mov r14, r14: g
  EXPECT_EQ(go({0x31, 0xd2, 0x55, 0xc3}), "+2 push");          // xor edx, edx: no argument in Go
  EXPECT_THAT(c({0x31, 0xd2, 0x55, 0xc3}), HasSubstr(kNone));  // but the third in C
  EXPECT_EQ(c({0x31, 0xc0, 0x55, 0xc3}), "+2 push");           // xor eax, eax
  EXPECT_THAT(c({0xf3, 0xa4, 0x55, 0xc3}), HasSubstr(kNone));  // rep movsb: DI, SI, CX unnamed
  EXPECT_THAT(c({0x48, 0x0f, 0x44, 0xfe, 0x55, 0xc3}),
              HasSubstr(kNone));  // cmove rdi, rsi: perhaps
}

TEST(ProbeSite, InCItIsTheFirstEmulatedInstruction)
{
  EXPECT_EQ(c({0xf3, 0x0f, 0x1e, 0xfa, 0x55, 0xc3}), "+4 push");  // endbr64; push rbp
  EXPECT_EQ(c({0x41, 0x57, 0x41, 0x56, 0xc3}), "+0 push");        // push r15
  EXPECT_EQ(c({0x48, 0x83, 0xec, 0x08, 0x48, 0x85, 0xff, 0x74, 0x10, 0xc3}),
            "+7 jcc");  // sub; test; je
  EXPECT_EQ(c({0x48, 0x83, 0xec, 0x08, 0xe8, 0, 0, 0, 0, 0xc3}), "+4 call");
  EXPECT_EQ(c({0xe9, 0, 1, 0, 0}), "+0 jmp");
  EXPECT_EQ(c({0x90, 0xc3}), "+0 nop");
}

TEST(ProbeSite, WhatOldKernelsSingleStepIsNoSite)
{
  EXPECT_THAT(c({0xc3}), HasSubstr(kNone));                          // ret
  EXPECT_THAT(c({0x0f, 0x1f, 0x44, 0, 0, 0xc3}), HasSubstr(kNone));  // a long nop
  EXPECT_THAT(c({0x66, 0x90, 0xc3}), HasSubstr(kNone));              // a nop with a prefix
  EXPECT_THAT(c({0xff, 0x35, 0, 0, 0, 0, 0xc3}), HasSubstr(kNone));  // push [rip]
  EXPECT_THAT(c({0x6a, 0x01, 0xc3}), HasSubstr(kNone));              // push 1
  EXPECT_THAT(c({0xff, 0xe0}), HasSubstr(kNone));                    // jmp rax
}

TEST(ProbeSite, WhatACallPassesMoreThanOnceIsNoSite)
{
  // cmp byte [rdi+rax], 0; je out; inc rax; jmp to the first but one byte
  EXPECT_THAT(
      c({0x31, 0xc0, 0x80, 0x3c, 0x07, 0x00, 0x74, 0x05, 0x48, 0xff, 0xc0, 0xeb, 0xf5, 0xc3}),
      HasSubstr("more than once"));
  // What follows cannot be decoded, so nobody knows where it jumps.
  EXPECT_THAT(c({0x55, 0x06, 0xc3}), HasSubstr("more than once"));
}

TEST(ProbeSite, AFunctionThatIsNotThereIsRefused)
{
  const auto image = test::code_image({0x55, 0xc3});
  const auto file = ElfFile::parse(image);
  EXPECT_FALSE(c_entry_site(*file, {test::kCodeAddress, test::kCodeAddress}));
  EXPECT_FALSE(c_entry_site(*file, {test::kCodeAddress, test::kCodeAddress + 3}));
  EXPECT_FALSE(c_entry_site(*file, {1, 2}));
  EXPECT_FALSE(c_entry_site(*file, {0, ~0ULL}));
  EXPECT_THAT(site_of({0x55, 0xc3}, Language::kC, 183), HasSubstr("x86-64 only"));
}

#ifdef SONDE_GO_SAMPLES

TEST(ProbeSite, MostFunctionsOfARealProgramHaveOneAndItIsAnEmulatedInstruction)
{
  for (const auto* build : {"plain", "stripped", "pie_stripped"}) {
    const auto file = ElfFile::open(std::filesystem::path(SONDE_GO_SAMPLES) / build);
    ASSERT_TRUE(file);
    const auto binary = GoBinary::read(*file);
    ASSERT_TRUE(binary);
    std::size_t found = 0;
    binary->for_each_function([&](std::string_view name, AddressRange range) {
      const auto site = go_entry_site(*file, range);
      if (!site)
        return true;
      ++found;
      EXPECT_TRUE(range.contains(site->address));
      const auto first = file->bytes(site->offset, 1);
      EXPECT_FALSE(first.empty()) << name;
      if (site->instruction == SiteInstruction::kCall) {
        EXPECT_EQ(first[0], std::byte{0xe8}) << name;
      }
      return true;
    });
    EXPECT_GE(found, binary->function_count() * 3 / 4) << build;
    const auto nine = go_entry_site(*file, binary->function("main.nine").value());
    ASSERT_TRUE(nine) << nine.error().message();
    EXPECT_EQ(nine->again_on_growth, binary->version() < (GoVersion{1, 21, 0}));
    EXPECT_FALSE(go_entry_site(*file, binary->function("main.leaf").value()));
  }
}

#endif

}  // namespace
}  // namespace sonde::elf
