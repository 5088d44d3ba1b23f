// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/sample_declarations.hpp"

#include "agent/app/options.hpp"
#include "agent/app/reference.hpp"

namespace sonde::app {
namespace {

using Arguments = std::vector<std::string_view>;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Result<Invocation> parse(const Arguments& arguments)
{
  return parse_command_line(arguments, sample_declarations());
}

Settings settings_of(const Arguments& arguments)
{
  auto invocation = parse(arguments);
  EXPECT_TRUE(invocation) << invocation.error().message();
  auto settings = resolve_settings(sample_declarations(), *invocation);
  EXPECT_TRUE(settings) << settings.error().message();
  return *std::move(settings);
}

TEST(Options, WithoutArgumentsSondeRunsWithDefaults)
{
  const auto invocation = parse({});
  ASSERT_TRUE(invocation);
  EXPECT_EQ(invocation->command, Command::kRun);
  const auto settings = settings_of({});
  EXPECT_THAT(settings.texts("web.listen-address"), ElementsAre(":7663"));
  EXPECT_EQ(settings.text("web.telemetry-path"), "/metrics");
  EXPECT_EQ(settings.integer("series.max"), 40'000);
  EXPECT_EQ(settings.integer("facts.ring-bytes"), 2 << 20);
  EXPECT_DOUBLE_EQ(settings.number("bpf.max-cpu-ratio"), 0);
  EXPECT_TRUE(settings.flag("probe.run_queue"));
  EXPECT_TRUE(settings.flag("collector.loadavg"));
  EXPECT_FALSE(settings.flag("collector.perf"));
  EXPECT_FALSE(settings.given("web.listen-address"));
}

TEST(Options, EachCommandIsUnderstood)
{
  EXPECT_EQ(parse({"run"})->command, Command::kRun);
  EXPECT_EQ(parse({"check", "--json"})->command, Command::kCheck);
  EXPECT_TRUE(parse({"check", "--json"})->json);
  EXPECT_TRUE(parse({"metrics", "--markdown"})->markdown);
  EXPECT_EQ(parse({"version"})->command, Command::kVersion);
  EXPECT_EQ(parse({"config", "check", "a.yml"})->command, Command::kConfigCheck);
  EXPECT_EQ(parse({"config", "check", "a.yml"})->config_file, "a.yml");
  EXPECT_EQ(parse({"config", "check", "--config.file=a.yml"})->config_file, "a.yml");
  EXPECT_TRUE(parse({"--dry-run"})->dry_run);
  const auto tail = parse({"tail", "sql", "--service=shop api", "--status=5xx", "--limit=3"});
  ASSERT_TRUE(tail) << tail.error().message();
  EXPECT_EQ(tail->command, Command::kTail);
  EXPECT_EQ(tail->subject, "sql");
  EXPECT_EQ(tail->service, "shop api");
  EXPECT_EQ(tail->status, "5xx");
  EXPECT_EQ(tail->limit, "3");
  EXPECT_EQ(parse({"tail"})->subject, "");
  EXPECT_EQ(parse({"explain", "812", "--json"})->command, Command::kExplain);
  EXPECT_EQ(parse({"explain", "812"})->subject, "812");
}

TEST(Options, HelpAndVersionGoBeforeEverythingElse)
{
  EXPECT_EQ(parse({"check", "--help"})->command, Command::kHelp);
  EXPECT_EQ(parse({"-h", "nonsense"})->command, Command::kHelp);
  EXPECT_EQ(parse({"--version"})->command, Command::kVersion);
  EXPECT_EQ(parse({"--version", "--help"})->command, Command::kHelp);
}

TEST(Options, EverySettingIsAFlagOfItsOwnKey)
{
  const auto settings = settings_of({"--run_queue.bounds=2us 3ms",
                                     "--run_queue.outlier",
                                     "1s",
                                     "--bpf.max-cpu-ratio=0.25",
                                     "--series.max=50k",
                                     "--http.size-bounds=1Ki 1Mi"});
  EXPECT_THAT(settings.durations("run_queue.bounds"),
              ElementsAre(std::chrono::nanoseconds(2'000), std::chrono::nanoseconds(3'000'000)));
  EXPECT_EQ(settings.duration("run_queue.outlier"), std::chrono::seconds(1));
  EXPECT_DOUBLE_EQ(settings.number("bpf.max-cpu-ratio"), 0.25);
  EXPECT_EQ(settings.integer("series.max"), 50'000);
  EXPECT_THAT(settings.integers("http.size-bounds"), ElementsAre(1024, 1048576));
  EXPECT_TRUE(settings.given("series.max"));
}

TEST(Options, ASwitchIsGivenInFourWays)
{
  EXPECT_TRUE(settings_of({"--collector.perf"}).flag("collector.perf"));
  EXPECT_TRUE(settings_of({"--collector.perf=true"}).flag("collector.perf"));
  EXPECT_FALSE(settings_of({"--no-collector.loadavg"}).flag("collector.loadavg"));
  EXPECT_FALSE(settings_of({"--probe.run_queue=false"}).flag("probe.run_queue"));
  EXPECT_FALSE(settings_of({"--no-probe.run_queue"}).flag("probe.run_queue"));
}

TEST(Options, ASwitchDoesNotSwallowTheCommandBehindIt)
{
  EXPECT_EQ(parse({"--collector.perf", "check"})->command, Command::kCheck);
}

TEST(Options, DisableDefaultsLeavesTheCollectorsThatWereAskedFor)
{
  const auto settings = settings_of({"--collector.disable-defaults", "--collector.loadavg"});
  EXPECT_TRUE(settings.flag("collector.loadavg"));
  EXPECT_FALSE(settings.flag("collector.filesystem"));
}

TEST(Options, ListsGrowByRepeatingTheFlag)
{
  const auto settings =
      settings_of({"--web.listen-address=127.0.0.1:1", "--web.listen-address=[::1]:2"});
  EXPECT_THAT(settings.texts("web.listen-address"), ElementsAre("127.0.0.1:1", "[::1]:2"));
}

TEST(Options, AnEmptyPatternIsAValue)
{
  const auto settings = settings_of({"--collector.filesystem.mount-points-exclude="});
  EXPECT_EQ(settings.text("collector.filesystem.mount-points-exclude"), "");
  EXPECT_TRUE(settings.given("collector.filesystem.mount-points-exclude"));
}

struct Bad {
  Arguments arguments;
  std::string_view message;
};

TEST(Options, WhatIsWrongIsSaidInOneLine)
{
  const Bad table[] = {
      {{"chek"}, "unknown command \"chek\", did you mean check?"},
      {{"frobnicate"}, "unknown command \"frobnicate\""},
      {{"run", "again"}, "unexpected argument \"again\""},
      {{"config"}, "the command is `sonde config check FILE`"},
      {{"config", "check"}, "config check: no file is given"},
      {{"config", "check", "a", "b"}, "unexpected argument \"b\""},
      {{"config", "check", "a", "--config.file=b"}, "--config.file is given twice"},
      {{"--config.file="}, "--config.file"},
      {{"--web.listen-adress=:1"},
       "unknown flag --web.listen-adress, did you mean --web.listen-address?"},
      {{"--no-colector.loadavg"},
       "unknown flag --no-colector.loadavg, did you mean --no-collector.loadavg?"},
      {{"--web.listen"}, "unknown flag --web.listen"},
      {{"--no-log.level"}, "unknown flag --no-log.level"},
      {{"-x"}, "unknown flag -x"},
      {{"--log.level"}, "the required argument for option '--log.level' is missing"},
      {{"--log.level=loud"}, "--log.level: \"loud\" is none of debug, info, warn, error"},
      {{"--log.format=xml"}, "--log.format: \"xml\" is none of logfmt, json"},
      {{"--log.level=errors"},
       "--log.level: \"errors\" is none of debug, info, warn, error, did you mean error?"},
      {{"--log.level=info", "--log.level=warn"}, "--log.level is given twice"},
      {{"--collector.perf", "--no-collector.perf"}, "--collector.perf is given twice"},
      {{"--no-collector.perf=true"}, "does not take any arguments"},
      {{"--collector.perf=maybe"}, "--collector.perf: \"maybe\" is neither true nor false"},
      {{"--series.max=many"}, "--series.max: \"many\" is not a whole number"},
      {{"--series.max=10"}, "--series.max: 10 is not between 1000 and 10000000"},
      {{"--facts.ring-bytes=3Mi"},
       "--facts.ring-bytes: 3145728 is not a power of two between 64Ki and 1Gi"},
      {{"--bpf.max-cpu-ratio=-1"}, "--bpf.max-cpu-ratio: -1 is not between 0 and 64"},
      {{"--bpf.max-cpu-ratio=nan"}, "--bpf.max-cpu-ratio: \"nan\" is not a number"},
      {{"--web.telemetry-path=metrics"},
       "--web.telemetry-path: \"metrics\" is not a path such as /metrics"},
      {{"--web.listen-address=7663"},
       "--web.listen-address: listen address \"7663\": no port, as in \":7663\""},
      {{"--web.listen-address=:70000"}, "the port is not a number from 0 to 65535"},
      {{"--web.listen-address=::1:80"}, "an IPv6 address stands in brackets"},
      {{"--path.procfs="}, "--path.procfs: a path cannot be empty"},
      {{"--run_queue.outlier=5"},
       "--run_queue.outlier: \"5\" is not a duration such as 250us, 5m or 1h30m"},
      {{"--run_queue.bounds=2ms 1ms"}, "--run_queue.bounds: histogram bounds must be above zero"},
      {{"--services.rules=x"}, "records can only be given in the configuration file"},
      {{"--collector.filesystem.mount-points-exclude=("}, "is not a regular expression"},
      {{"version", "--json"}, "--json belongs to `sonde check`"},
      {{"check", "--dry-run"}, "--dry-run belongs to `sonde run`"},
      {{"check", "--status=5xx"}, "--status belongs to `sonde tail`"},
      {{"explain"}, "the command is `sonde explain PID` or `sonde explain SERVICE`"},
      {{"explain", "1", "2"}, "unexpected argument \"2\""},
      {{"tail", "http", "sql"}, "unexpected argument \"sql\""},
      {{"tail", "--limit=0"}, "--limit: \"0\" is no number of lines"},
      {{"tail", "--service="}, "--service"},
      {{"tail", "--service=a\tb"}, "--service: a word of at most 200 bytes is needed"},
      {{"--control.socket=run.sock"},
       "--control.socket: \"run.sock\" is not an absolute path of at most 107 bytes"},
  };
  for (const auto& bad : table) {
    const auto result = parse(bad.arguments);
    ASSERT_FALSE(result) << fmt::format("{}", fmt::join(bad.arguments, " "));
    EXPECT_THAT(result.error().message(), HasSubstr(bad.message));
    EXPECT_EQ(result.error().message().find('\n'), std::string::npos);
  }
}

TEST(Options, HelpNamesEverySettingWithItsDefault)
{
  const auto text = help_text(sample_declarations());
  for (const auto key : sample_declarations().keys())
    EXPECT_THAT(text, HasSubstr(key));
  EXPECT_THAT(text, HasSubstr("(:7663)"));
  EXPECT_THAT(text, HasSubstr("--[no-]collector.loadavg\n"));
}

}  // namespace
}  // namespace sonde::app
