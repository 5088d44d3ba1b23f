// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>
#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/support/elf_image.hpp"

#include "agent/elf/elf_file.hpp"
#include "agent/elf/go_binary.hpp"

namespace sonde::elf {
namespace {

using test::Bytes;

UniqueFd memory_file(std::span<const std::byte> bytes)
{
  UniqueFd file(::memfd_create("elf", MFD_CLOEXEC));
  EXPECT_EQ(::write(file.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  return file;
}

Bytes two_segments()
{
  return test::elf_image({{0x401000, Bytes(64, std::byte{0x90}), PF_R | PF_X},
                          {0x600000, Bytes(32, std::byte{7}), PF_R | PF_W}});
}

TEST(ElfFile, ItsOwnProgramHasSymbolsSectionsAndLibraries)
{
  const auto file = ElfFile::open("/proc/self/exe");
  ASSERT_TRUE(file) << file.error().message();
  EXPECT_NE(file->section(".text"), nullptr);
  EXPECT_EQ(file->section(".nothing"), nullptr);
  const auto needed = file->needed();
  EXPECT_TRUE(std::ranges::any_of(needed, [](auto name) { return name.starts_with("libc.so"); }));
  std::uint64_t main_address = 0;
  std::uint64_t main_size = 0;
  file->for_each_symbol([&](const Symbol& symbol) {
    if (symbol.name != "main" || !symbol.function)
      return true;
    main_address = symbol.address;
    main_size = symbol.size;
    return false;
  });
  ASSERT_NE(main_address, 0);
  const auto offset = file->offset_of(main_address);
  ASSERT_TRUE(offset);
  EXPECT_EQ(file->address_of(*offset), main_address);
  EXPECT_EQ(file->bytes_at(main_address, main_size).size(), main_size);
}

TEST(ElfFile, WhatIsNoElfFileOf64BitsIsRefusedWithAReason)
{
  auto image = two_segments();
  EXPECT_FALSE(ElfFile::parse({}));
  EXPECT_FALSE(ElfFile::parse(std::span(image).first(63)));
  image[EI_CLASS] = std::byte{ELFCLASS32};
  EXPECT_EQ(ElfFile::parse(image).error().message(), "not an ELF file of 64 bits, little endian");
  image[0] = std::byte{'#'};
  EXPECT_EQ(ElfFile::parse(image).error().message(), "not an ELF file");
  EXPECT_FALSE(ElfFile::parse(test::elf_image({})));
  EXPECT_FALSE(ElfFile::open("/dev/null"));
  EXPECT_FALSE(ElfFile::open("/proc/self"));
}

TEST(ElfFile, AddressesOutsideOfSegmentsHaveNoBytes)
{
  const auto image = two_segments();
  const auto file = ElfFile::parse(image);
  ASSERT_TRUE(file) << file.error().message();
  EXPECT_EQ(file->read_at<std::uint8_t>(0x401000), 0x90);
  EXPECT_EQ(file->read_at<std::uint8_t>(0x60001f), 7);
  EXPECT_EQ(file->bytes_at(0x600000, 32).size(), 32);
  EXPECT_EQ(file->bytes_from(0x600018, 100).size(), 8);
  EXPECT_TRUE(file->bytes_at(0x600000, 33).empty());
  EXPECT_TRUE(file->bytes_at(0x600020, 1).empty());
  EXPECT_TRUE(file->bytes_at(0x400fff, 1).empty());
  EXPECT_TRUE(file->bytes_at(0, 1).empty());
  EXPECT_TRUE(file->bytes_at(~0ULL, 1).empty());
  EXPECT_TRUE(file->bytes_at(0x600001, ~0ULL).empty());
  EXPECT_TRUE(file->bytes(~0ULL, 2).empty());
  EXPECT_TRUE(file->bytes(2, ~0ULL).empty());
}

TEST(ElfFile, MemoryWithoutBytesIsInMemoryButNotInTheFile)
{
  auto image = two_segments();
  const std::uint64_t memory_size = 0x1000;
  std::memcpy(image.data() + sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr) +
                  offsetof(Elf64_Phdr, p_memsz),
              &memory_size,
              sizeof memory_size);
  const auto file = ElfFile::parse(image);
  ASSERT_TRUE(file);
  EXPECT_TRUE(file->in_memory(0x600fff));
  EXPECT_FALSE(file->in_memory(0x601000));
  EXPECT_EQ(file->offset_of(0x600fff), std::nullopt);
}

TEST(ElfFile, SegmentsThatLeadOutOfTheFileAreCutAtItsEnd)
{
  auto image = two_segments();
  image.resize(image.size() - 10);
  const auto file = ElfFile::parse(image);
  ASSERT_TRUE(file);
  EXPECT_EQ(file->bytes_from(0x600000, 100).size(), 22);
  EXPECT_TRUE(file->bytes_at(0x600000, 32).empty());
}

TEST(ElfFile, AFileThatIsTruncatedWhileItIsReadHasNothingThere)
{
  const auto image = test::elf_image({{0x401000, Bytes(1 << 20, std::byte{1}), PF_R | PF_X}});
  auto memory = memory_file(image);
  const auto file = ElfFile::open(UniqueFd(::dup(memory.get())));
  ASSERT_TRUE(file);
  EXPECT_EQ(file->read_at<std::uint8_t>(0x401000), 1);
  ASSERT_EQ(::ftruncate(memory.get(), 4096), 0);
  EXPECT_EQ(file->read_at<std::uint8_t>(0x401000), 1);
  EXPECT_EQ(file->read_at<std::uint8_t>(0x401000 + (1 << 19)), std::nullopt);
}

TEST(ElfFile, OnlyWhatIsAskedForIsRead)
{
  auto memory = memory_file(test::elf_image({{0x401000, Bytes(4096, std::byte{1}), PF_R | PF_X}}));
  ASSERT_EQ(::ftruncate(memory.get(), 4LL << 30), 0);
  const auto file = ElfFile::open(std::move(memory));
  ASSERT_TRUE(file) << file.error().message();
  EXPECT_EQ(file->bytes(3ULL << 30, 100'000).size(), 100'000);
  EXPECT_LE(file->resident(), 4ULL * 65536);
}

TEST(ElfFile, NoFileTakesAllMemory)
{
  auto image = test::elf_image({{0x401000, Bytes(4096, std::byte{1}), PF_R | PF_W}});
  const std::uint64_t size = 1ULL << 30;
  for (const auto field : {offsetof(Elf64_Phdr, p_filesz), offsetof(Elf64_Phdr, p_memsz)})
    std::memcpy(image.data() + sizeof(Elf64_Ehdr) + field, &size, sizeof size);
  auto memory = memory_file(image);
  ASSERT_EQ(::ftruncate(memory.get(), 2LL << 30), 0);
  const auto file = ElfFile::open(std::move(memory));
  ASSERT_TRUE(file);
  EXPECT_TRUE(file->pointers_to(0x401000).empty());
  EXPECT_FALSE(GoBinary::read(*file));
  EXPECT_EQ(file->read_at<std::uint8_t>(0x401000), 1);
  EXPECT_LE(file->resident(), 128U << 20);
}

TEST(ElfFile, ItMayBeMovedWhileSpansOfItAreHeld)
{
  auto first = ElfFile::open("/proc/self/exe");
  ASSERT_TRUE(first);
  const auto bytes = first->bytes(0, 4);
  const ElfFile second = std::move(*first);
  EXPECT_EQ(std::memcmp(bytes.data(), ELFMAG, SELFMAG), 0);
  EXPECT_EQ(second.bytes(0, 4).data(), bytes.data());
}

// A note of any owner in the place of the second segment.
std::string build_id_of(std::string_view owner, std::uint32_t type, std::string_view id)
{
  Bytes note;
  const auto add = [&](const void* data, std::size_t size) {
    const auto* begin = static_cast<const std::byte*>(data);
    note.insert(note.end(), begin, begin + size);
    note.resize((note.size() + 3) & ~std::size_t{3});
  };
  const Elf64_Nhdr header{.n_namesz = static_cast<Elf64_Word>(owner.size()),
                          .n_descsz = static_cast<Elf64_Word>(id.size()),
                          .n_type = type};
  add(&header, sizeof header);
  add(owner.data(), owner.size());
  add(id.data(), id.size());
  auto image = test::elf_image({{0x401000, Bytes(64), PF_R}, {0x600000, note, PF_R}});
  const std::uint32_t kind = PT_NOTE;
  std::memcpy(image.data() + sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr), &kind, sizeof kind);
  const auto file = ElfFile::parse(image);
  return file ? file->build_id() : file.error().message();
}

TEST(ElfFile, TheBuildIdIsTheLinkersOrGos)
{
  using namespace std::string_view_literals;
  EXPECT_EQ(build_id_of("GNU\0"sv, NT_GNU_BUILD_ID, "\x01\xab\x00\xff"sv), "01ab00ff");
  EXPECT_EQ(build_id_of("Go\0\0"sv, 4, "a/b/c/d"), "a/b/c/d");
  EXPECT_EQ(build_id_of("Go\0\0"sv, 5, "a/b/c/d"), "");
}

}  // namespace
}  // namespace sonde::elf
