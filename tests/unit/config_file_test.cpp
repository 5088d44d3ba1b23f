// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/sample_declarations.hpp"

#include "agent/app/config_file.hpp"
#include "agent/app/options.hpp"

namespace sonde::app {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using namespace std::chrono_literals;

Config parse(std::string_view text)
{
  return parse_config(text, sample_declarations());
}

std::string errors_of(std::string_view text)
{
  return render_errors("sonde.yml", parse(text).errors);
}

Settings settings_of(std::string_view text)
{
  const auto config = parse(text);
  EXPECT_THAT(render_errors("sonde.yml", config.errors), IsEmpty());
  return *sample_declarations().settings(config.values, {});
}

TEST(ConfigFile, NestedMapsAndDottedKeysMeanTheSame)
{
  for (const auto* text :
       {"run_queue: {bounds: [2us, 3ms], outlier: 1s}\n",
        "run_queue.bounds: [2us, 3ms]\nrun_queue.outlier: 1s\n",
        "run_queue:\n  bounds:\n    - 2us\n    - 3ms\nrun_queue.outlier: 1s\n"}) {
    const auto settings = settings_of(text);
    EXPECT_THAT(settings.durations("run_queue.bounds"), ElementsAre(2us, 3ms)) << text;
    EXPECT_EQ(settings.duration("run_queue.outlier"), 1s) << text;
    EXPECT_TRUE(settings.given("run_queue.outlier"));
  }
}

TEST(ConfigFile, AnEmptyFileIsValid)
{
  for (const auto* text :
       {"", "\n", "# nothing\n", "---\n", "{}", "~", "web:\n  # commented out\n"})
    EXPECT_THAT(errors_of(text), IsEmpty()) << text;
}

TEST(ConfigFile, EveryKindIsRead)
{
  const auto settings = settings_of(R"(
web:
  listen-address: ":9999"        # a list of one
log: {level: debug}
series.max: 50k
bpf.max-cpu-ratio: 0.02
http.size-bounds: [1Ki, 2Ki]
services:
  expected: [api, "name with blanks"]
  rules:
    - {executable: /usr/bin/api, name: api}
    - executable: 5
collector:
  filesystem: false
  filesystem.mount-points-exclude: ""
)");
  EXPECT_THAT(settings.texts("web.listen-address"), ElementsAre(":9999"));
  EXPECT_EQ(settings.text("log.level"), "debug");
  EXPECT_EQ(settings.integer("series.max"), 50'000);
  EXPECT_DOUBLE_EQ(settings.number("bpf.max-cpu-ratio"), 0.02);
  EXPECT_THAT(settings.integers("http.size-bounds"), ElementsAre(1024, 2048));
  EXPECT_THAT(settings.texts("services.expected"), ElementsAre("api", "name with blanks"));
  EXPECT_FALSE(settings.flag("collector.filesystem"));
  EXPECT_EQ(settings.text("collector.filesystem.mount-points-exclude"), "");
  EXPECT_THAT(settings.records("services.rules"),
              ElementsAre(Record{{"executable", "/usr/bin/api"}, {"name", "api"}},
                          Record{{"executable", "5"}}));
}

TEST(ConfigFile, AFlagGoesBeforeTheFile)
{
  const std::vector<std::string_view> arguments = {"--series.max=60000"};
  const auto flags = parse_command_line(arguments, sample_declarations());
  ASSERT_TRUE(flags);
  const auto file = parse("series.max: 50000\nlog.level: warn\n");
  const auto settings = sample_declarations().settings(file.values, flags->flags);
  ASSERT_TRUE(settings);
  EXPECT_EQ(settings->integer("series.max"), 60'000);
  EXPECT_EQ(settings->text("log.level"), "warn");
}

TEST(ConfigFile, AnchorsAndAliasesWork)
{
  const auto settings =
      settings_of("run_queue.outlier: &limit 3ms\nrun_queue.bounds: [1ms, *limit]\n");
  EXPECT_THAT(settings.durations("run_queue.bounds"), ElementsAre(1ms, 3ms));
}

struct Bad {
  std::string_view text;
  std::string_view message;
};

TEST(ConfigFile, ErrorsSayWhereAndWhat)
{
  const Bad table[] = {
      {"web:\n  listen-adress: :1\n",
       "sonde.yml:2:3: unknown key \"web.listen-adress\", did you mean \"web.listen-address\"?"},
      {"colour: red\n", "sonde.yml:1:1: unknown key \"colour\""},
      {"log.level: info\nlog:\n  level: warn\n",
       "sonde.yml:3:3: log.level is given twice, first at 1:1"},
      {"log: {level: info, level: warn}\n",
       "sonde.yml:1:20: log.level is given twice, first at 1:7"},
      {"log: {level: info}\nlog: {level: warn}\n",
       "sonde.yml:2:7: log.level is given twice, first at 1:7"},
      {"series:\n  max: [1, 2]\n",
       "sonde.yml:2:8: series.max: expected a whole number, found a list"},
      {"series: {max: {a: b}}\n", "series.max: expected a whole number, found a map"},
      {"series:\n  max:\n", "series.max: expected a whole number, found nothing"},
      {"series.max: ~\n", "sonde.yml:1:13: series.max: expected a whole number, found nothing"},
      {"series.max: lots\n", "sonde.yml:1:13: series.max: \"lots\" is not a whole number"},
      {"series: 5\n", "sonde.yml:1:9: series: expected a map, found a single value"},
      {"facts.ring-bytes: 3000000\n", "sonde.yml:1:19: facts.ring-bytes: 3000000 is not a power"},
      {"run_queue.bounds: [1ms, [2ms]]\n",
       "sonde.yml:1:25: run_queue.bounds: expected a list of durations, found a list"},
      {"run_queue.bounds: [1ms, soon]\n", "sonde.yml:1:25: run_queue.bounds: \"soon\" is not a"},
      {"run_queue.bounds: [2ms, 1ms]\n", "sonde.yml:1:19: run_queue.bounds: histogram bounds"},
      {"run_queue.bounds: {a: 1ms}\n", "run_queue.bounds: expected a list of durations, found"},
      {"services.rules: {name: api}\n", "services.rules: expected a list of maps, found a map"},
      {"services.rules: [api]\n", "services.rules: expected a list of maps, found a single value"},
      {"services.rules: [{nam: api}]\n",
       "sonde.yml:1:19: services.rules: unknown key \"nam\", did you mean \"name\"?"},
      {"services.rules: [{name: [api]}]\n", "services.rules: name: expected a single value"},
      {"services.rules: [{name: a, name: b}]\n", "services.rules: name is given twice"},
      {"- a\n- b\n", "sonde.yml:1:1: expected a map of settings, found a list"},
      {"plain\n", "expected a map of settings, found a single value"},
      {"? [a]\n: b\n", "sonde.yml:1:3: expected a key, found a list"},
      {"log: {level: info\n", "sonde.yml:2:1: end of map flow not found"},
      {"a: b: c\n", "sonde.yml:1:5: illegal map value"},
      {"log.level: info\n---\nlog.level: warn\n", "sonde.yml: more than one YAML document"},
      {"log.level: *none\n", "sonde.yml:1:12: the referenced anchor is not defined"},
      {"log.level: \"two\\nlines\"\n", "log.level: \"two lines\" is none of"},
  };
  for (const auto& bad : table)
    EXPECT_THAT(errors_of(bad.text), HasSubstr(bad.message)) << bad.text;
}

TEST(ConfigFile, AllErrorsAreReportedInTheOrderOfTheFile)
{
  const auto config = parse("a: 1\nseries.max: x\nlog.level: loud\nlog.format: json\nb: 2\n");
  ASSERT_EQ(config.errors.size(), 4U);
  EXPECT_EQ(config.errors[0].line, 1);
  EXPECT_EQ(config.errors[1].line, 2);
  EXPECT_EQ(config.errors[2].line, 3);
  EXPECT_EQ(config.errors[3].line, 5);
}

TEST(ConfigFile, ManyErrorsAreCutOff)
{
  std::string text;
  for (int i = 0; i < 10'000; ++i)
    text += fmt::format("key{}: 1\n", i);
  const auto config = parse(text);
  ASSERT_EQ(config.errors.size(), kMaxConfigErrors + 1);
  EXPECT_THAT(config.errors.back().what, HasSubstr("too many errors"));
}

TEST(ConfigFile, SizeNodesAndDepthAreBounded)
{
  EXPECT_THAT(errors_of(std::string(kMaxConfigBytes + 1, '#')), HasSubstr("larger than 1048576"));
  std::string list = "services.expected: [";
  for (std::size_t i = 0; i < kMaxConfigNodes; ++i)
    list += "a,";
  EXPECT_THAT(errors_of(list + "]"), HasSubstr("more than 100000 nodes"));
  const auto deep = "services.expected: " + std::string(40, '[') + std::string(40, ']');
  EXPECT_THAT(errors_of(deep), HasSubstr("nested deeper than 32 levels"));
}

TEST(ConfigFile, AliasesCannotMultiplyWithoutBound)
{
  std::string laughs = "a: &a [x,x,x,x,x,x,x,x,x,x]\n";
  for (char level = 'b'; level < 'k'; ++level) {
    const auto before = std::string("*") + static_cast<char>(level - 1);
    laughs += fmt::format("{}: &{} [", level, level);
    for (int i = 0; i < 10; ++i)
      laughs += before + ",";
    laughs += "]\n";
  }
  laughs += "services.expected: *j\n";
  EXPECT_THAT(errors_of(laughs), HasSubstr("services.expected: expected a list of texts"));

  EXPECT_THAT(errors_of("web: &w\n  web: *w\n"), HasSubstr("unknown key \"web.web\""));
  std::string wide = "services.rules:\n  - &r {name: a}\n";
  for (std::size_t i = 0; i < kMaxConfigNodes / 2; ++i)
    wide += "  - *r\n";
  EXPECT_THAT(errors_of(wide), HasSubstr("more than 100000 nodes, aliases followed"));
}

TEST(ConfigFile, AFileThatCannotBeReadIsAnError)
{
  const auto missing = read_config("/does/not/exist.yml", sample_declarations());
  EXPECT_THAT(render_errors("x.yml", missing.errors), HasSubstr("No such file or directory"));
  const auto folder = read_config("/", sample_declarations());
  EXPECT_THAT(render_errors("/", folder.errors), HasSubstr("Is a directory"));
}

TEST(ConfigFile, ResolvingReportsEveryErrorOfTheFile)
{
  const auto path =
      std::filesystem::temp_directory_path() / fmt::format("sonde_config_{}.yml", ::getpid());
  std::ofstream(path) << "a: 1\nlog.level: loud\n";
  Invocation invocation;
  invocation.config_file = path;
  const auto settings = resolve_settings(sample_declarations(), invocation);
  std::filesystem::remove(path);
  ASSERT_FALSE(settings);
  EXPECT_THAT(settings.error().message(), HasSubstr(":1:1: unknown key \"a\"\n"));
  EXPECT_THAT(settings.error().message(), HasSubstr(":2:12: log.level: "));
}

}  // namespace
}  // namespace sonde::app
