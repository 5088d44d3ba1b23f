// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>
#include <elf.h>
#include <map>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/elf_image.hpp"

#include "agent/base/file.hpp"
#include "agent/elf/go_binary.hpp"

namespace sonde::elf {
namespace {

using testing::HasSubstr;

// Everything that is asked of a program, for programs that answer with anything.
void ask_everything(std::span<const std::byte> image)
{
  const auto file = ElfFile::parse(image);
  if (!file)
    return;
  const auto binary = GoBinary::read(*file);
  if (!binary)
    return;
  binary->for_each_function([&](std::string_view, AddressRange range) {
    EXPECT_LE(range.begin, range.end);
    return true;
  });
  binary->for_each_struct([&](std::string_view, std::string_view, const GoType& type) {
    for (const auto& field : binary->fields_at(type.address))
      EXPECT_LE(field.offset, type.size);
    return true;
  });
  (void)binary->function("main.main");
  (void)binary->function_at(test::kCodeAddress);
  (void)binary->field("net/http.Request", "Method");
}

TEST(GoVersion, NumbersAreFoundInEveryFormOfVersion)
{
  EXPECT_EQ(parse_go_version("go1.26.8"), (GoVersion{1, 26, 8}));
  EXPECT_EQ(parse_go_version("go1.18"), (GoVersion{1, 18, 0}));
  EXPECT_EQ(parse_go_version("go1.27rc1"), (GoVersion{1, 27, 0}));
  EXPECT_EQ(parse_go_version("go1.24.4 X:synchashtriemap"), (GoVersion{1, 24, 4}));
  EXPECT_EQ(parse_go_version("devel go1.28-4d2f8a1 Mon Feb 2"), (GoVersion{1, 28, 0}));
  EXPECT_EQ(parse_go_version("devel +4d2f8a1"), std::nullopt);
  EXPECT_EQ(parse_go_version("go"), std::nullopt);
  EXPECT_EQ(parse_go_version(""), std::nullopt);
}

TEST(GoBinary, AProgramInCIsNoGoProgramAndThatCostsLittle)
{
  const auto file = ElfFile::open("/proc/self/exe");
  ASSERT_TRUE(file);
  EXPECT_FALSE(GoBuild::read(*file));
  EXPECT_LE(file->resident(), 1U << 20);
  EXPECT_EQ(GoBinary::read(*file).error().message(), "not a Go program");
}

TEST(GoBinary, TheLeastProgramHasItsFunctionsTypesAndModules)
{
  const auto image = test::go_image();
  const auto file = ElfFile::parse(image);
  ASSERT_TRUE(file) << file.error().message();
  const auto binary = GoBinary::read(*file);
  ASSERT_TRUE(binary) << binary.error().message();
  EXPECT_EQ(binary->build().version_text, "go1.26.8");
  EXPECT_EQ(binary->build().main.version, "v1.2.3");
  ASSERT_NE(binary->build().dependency("golang.org/x/net"), nullptr);
  EXPECT_EQ(binary->function("runtime.main"),
            (AddressRange{test::kCodeAddress + 32, test::kCodeAddress + 64}));
  EXPECT_EQ(binary->function_at(test::kCodeAddress + 40), "runtime.main");
  EXPECT_EQ(binary->function_at(test::kCodeAddress + 64), std::nullopt);
  EXPECT_EQ(binary->field_offset("net/http.Request", "Close").value_or(0), 16);
  EXPECT_NE(binary->type("net/http.Request")->pointer, 0);
}

TEST(GoBinary, EveryByteOfTheLeastProgramMayBeAnyOther)
{
  auto image = test::go_image();
  for (std::size_t i = 0; i < image.size(); ++i)
    for (const unsigned bits : {0xffU, 0x01U, 0x80U, 0x10U}) {
      image[i] ^= std::byte(bits);
      ask_everything(image);
      image[i] ^= std::byte(bits);
    }
}

TEST(GoBinary, TheLeastProgramMayEndAnywhere)
{
  const auto image = test::go_image();
  for (std::size_t size = 0; size < image.size(); ++size)
    ask_everything(std::span(image).first(size));
}

#ifdef SONDE_GO_SAMPLES

class GoSample : public testing::TestWithParam<const char*> {
protected:
  void SetUp() override
  {
    auto opened = ElfFile::open(std::filesystem::path(SONDE_GO_SAMPLES) / GetParam());
    ASSERT_TRUE(opened) << opened.error().message();
    file_.emplace(*std::move(opened));
    auto read = GoBinary::read(*file_);
    ASSERT_TRUE(read) << read.error().message();
    binary_.emplace(*std::move(read));
  }

  std::optional<ElfFile> file_;
  std::optional<GoBinary> binary_;
};

INSTANTIATE_TEST_SUITE_P(Builds,
                         GoSample,
                         testing::Values("plain", "stripped", "pie_stripped"),
                         [](const auto& build) { return std::string(build.param); });

TEST_P(GoSample, BuildInformationIsThePrograms)
{
  const auto& build = binary_->build();
  EXPECT_EQ(build.command, "example.test/sample");
  EXPECT_EQ(build.main.path, "example.test/sample");
  EXPECT_THAT(build.settings, testing::Contains(testing::Pair("CGO_ENABLED", "0")));
  EXPECT_GE(build.version, (GoVersion{1, 18, 0}));
  EXPECT_FALSE(file_->build_id().empty());
}

TEST_P(GoSample, FieldsAreWhereTheCompilerPutsThem)
{
  const std::map<std::string, std::pair<std::uint64_t, GoKind>> expected = {
      {"First", {0, GoKind::kBool}},
      {"Text", {8, GoKind::kString}},
      {"Inner", {24, GoKind::kStruct}},
      {"Node", {32, GoKind::kStruct}},
      {"Next", {64, GoKind::kPointer}},
      {"Any", {72, GoKind::kInterface}},
      {"Slice", {88, GoKind::kSlice}},
      {"Table", {112, GoKind::kMap}},
      {"Wait", {120, GoKind::kInt64}},
      {"Fn", {128, GoKind::kFunc}},
      {"Array", {136, GoKind::kArray}},
      {"inner", {144, GoKind::kStruct}},
      {"Node2", {152, GoKind::kPointer}},
  };
  const auto fields = binary_->fields("main.Outer");
  ASSERT_TRUE(fields) << fields.error().message();
  ASSERT_EQ(fields->size(), expected.size());
  for (const auto& field : *fields) {
    const auto& [offset, kind] = expected.at(std::string(field.name));
    EXPECT_EQ(field.offset, offset) << field.name;
    EXPECT_EQ(field.kind, kind) << field.name;
    EXPECT_EQ(field.embedded, field.name == "inner" || field.name == "Node2") << field.name;
  }
  EXPECT_EQ(binary_->type("main.Outer")->size, 160);
}

TEST_P(GoSample, PathsGoThroughStructsHeldByValueOnly)
{
  EXPECT_EQ(binary_->field_offset("main.Outer", "Node.Value").value_or(0), 40);
  EXPECT_EQ(binary_->field_offset("main.Outer", "inner.B").value_or(0), 148);
  EXPECT_THAT(binary_->field("main.Outer", "Next.Text").error().message(), HasSubstr("no struct"));
  EXPECT_THAT(binary_->field("main.Outer", "Gone").error().message(), HasSubstr("no such field"));
  EXPECT_FALSE(binary_->field("main.Outer", ""));
  EXPECT_THAT(binary_->field("main.Gone", "Text").error().message(), HasSubstr("no such type"));
}

TEST_P(GoSample, PackagesAreKnownByPathAndGenericTypesByTheirArguments)
{
  EXPECT_EQ(binary_->field_offset("example.test/sample/dots.v3.Node", "Next").value_or(0), 24);
  EXPECT_FALSE(binary_->type("dots.Node"));
  EXPECT_EQ(
      binary_->field_offset("main.Pair[example.test/sample/dots%2ev3.Node]", "Count").value_or(0),
      32);
}

TEST_P(GoSample, AStructThatIsNothingButAPointerIsAStruct)
{
  const auto handle = binary_->type("main.Handle");
  ASSERT_TRUE(handle) << handle.error().message();
  EXPECT_EQ(handle->kind, GoKind::kStruct);
  EXPECT_EQ(binary_->field("main.Handle", "Outer")->kind, GoKind::kPointer);
}

TEST_P(GoSample, TypesOfTheSameNameAreRefused)
{
  EXPECT_THAT(binary_->type("main.twin").error().message(), HasSubstr("more than one"));
}

TEST_P(GoSample, PointerTypesAndNamedTypesThatAreNoStructsAreKnown)
{
  const auto node = binary_->type("example.test/sample/dots.v3.Node");
  ASSERT_TRUE(node);
  ASSERT_NE(node->pointer, 0);
  EXPECT_EQ(binary_->type_string(node->pointer), "*dots.Node");
  const auto state = binary_->type("main.state");
  ASSERT_TRUE(state) << state.error().message();
  EXPECT_EQ(state->kind, GoKind::kUint32);
  EXPECT_EQ(state->size, 4);
}

TEST_P(GoSample, FunctionsAreThoseOfTheProgram)
{
  const auto function = binary_->function("main.nine");
  ASSERT_TRUE(function);
  EXPECT_TRUE(binary_->text().contains(function->begin));
  EXPECT_EQ(binary_->function_at(function->begin + 1), "main.nine");
  EXPECT_FALSE(binary_->function("main.ten"));
  EXPECT_FALSE(binary_->function(""));
  std::size_t count = 0;
  std::uint64_t last = 0;
  binary_->for_each_function([&](std::string_view name, AddressRange range) {
    EXPECT_FALSE(name.empty());
    EXPECT_GE(range.begin, last);
    last = range.begin;
    ++count;
    return true;
  });
  EXPECT_EQ(count, binary_->function_count());
}

TEST_P(GoSample, ZeroedSectionHeadersChangeNothing)
{
  const auto text = read_file(std::filesystem::path(SONDE_GO_SAMPLES) / GetParam(), 1 << 26);
  ASSERT_TRUE(text);
  std::string image = *text;
  Elf64_Ehdr header;
  std::memcpy(&header, image.data(), sizeof header);
  std::fill_n(image.begin() + static_cast<std::ptrdiff_t>(header.e_shoff),
              std::size_t{header.e_shnum} * header.e_shentsize,
              '\0');
  const auto file = ElfFile::parse(std::as_bytes(std::span(image)));
  ASSERT_TRUE(file);
  const auto binary = GoBinary::read(*file);
  ASSERT_TRUE(binary) << binary.error().message();
  EXPECT_EQ(binary->type_count(), binary_->type_count());
  EXPECT_EQ(binary->function("main.nine"), binary_->function("main.nine"));
}

TEST_P(GoSample, ItsTablesMayBeAnything)
{
  auto text = read_file(std::filesystem::path(SONDE_GO_SAMPLES) / GetParam(), 1 << 26);
  ASSERT_TRUE(text);
  std::mt19937 random(1);
  const auto types = file_->offset_of(binary_->types().begin).value();
  for (int round = 0; round < 20; ++round) {
    std::string image = *text;
    for (int i = 0; i < 2000; ++i)
      image[types + (random() % binary_->types().size())] = static_cast<char>(random());
    ask_everything(std::as_bytes(std::span(image)));
  }
}

TEST(GoSamples, FunctionsAreWhereTheSymbolsAre)
{
  const auto file = ElfFile::open(std::filesystem::path(SONDE_GO_SAMPLES) / "plain");
  ASSERT_TRUE(file);
  const auto binary = GoBinary::read(*file);
  ASSERT_TRUE(binary);
  std::size_t compared = 0;
  std::map<std::string_view, std::vector<std::uint64_t>> symbols;
  file->for_each_symbol([&](const Symbol& symbol) {
    if (symbol.function)
      symbols[symbol.name.substr(0, symbol.name.find(".abi"))].push_back(symbol.address);
    return true;
  });
  for (const auto& [name, addresses] : symbols)
    if (const auto function = binary->function(name)) {
      EXPECT_THAT(addresses, testing::Contains(function->begin)) << name;
      ++compared;
    }
  EXPECT_GE(compared, 1000);
}

#endif

}  // namespace
}  // namespace sonde::elf
