// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/sample_declarations.hpp"

#include "agent/app/check.hpp"
#include "agent/app/commands.hpp"
#include "agent/base/unique_fd.hpp"

namespace sonde::app {
namespace {

using Arguments = std::vector<std::string_view>;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

// A loopback port that somebody listens on.
class TakenPort {
public:
  TakenPort() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0))
  {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(::bind(socket_.get(), generic, length), 0);
    EXPECT_EQ(::listen(socket_.get(), 1), 0);
    EXPECT_EQ(::getsockname(socket_.get(), generic, &length), 0);
    address_ = fmt::format("127.0.0.1:{}", ntohs(address.sin_port));
  }
  const std::string& address() const { return address_; }

private:
  UniqueFd socket_;
  std::string address_;
};

class TemporaryFile {
public:
  explicit TemporaryFile(std::string_view text)
      : path_(std::filesystem::temp_directory_path() / fmt::format("sonde_cli_{}.yml", ::getpid()))
  {
    std::ofstream(path_) << text;
  }
  ~TemporaryFile() { std::filesystem::remove(path_); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const std::string& path() const { return path_.native(); }

private:
  std::filesystem::path path_;
};

struct Outcome {
  int code;
  std::string out;
  std::string err;
};

Outcome dispatched(const Arguments& arguments, const Agent& agent = {})
{
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  const int code = dispatch(arguments, declarations(), agent);
  return {code, ::testing::internal::GetCapturedStdout(), ::testing::internal::GetCapturedStderr()};
}

const Agent kIdle{[](const Invocation&, const Settings&) { return Result<>(); },
                  [](const Settings&) { return std::vector<Hooks::Hook>(); }};

TEST(Check, AHookIsAttachedOrSaysWhyNot)
{
  const Hooks::Hook hooks[] = {
      {"run_queue", "tp_btf/sched_switch", true, "clock: run queue"},
      {"block_io", "tp_btf/block_io_start", false, "this kernel lacks it (before 6.5)"},
      {"block_io", "tp_btf/block_rq_issue", true, "fallback for block_io_start"},
      {"cpu", "tp_btf/sched_switch", false, "off: probe.cpu"},
  };
  const auto findings = check_hooks(hooks);
  ASSERT_EQ(findings.size(), 4U);
  EXPECT_EQ(findings[0].verdict, Verdict::kPass);
  EXPECT_EQ(findings[0].what, "attached (clock: run queue)");
  EXPECT_EQ(findings[1].verdict, Verdict::kWarn);
  EXPECT_THAT(findings[1].what, HasSubstr("before 6.5"));
  EXPECT_FALSE(findings[1].remedy.empty());
  EXPECT_EQ(findings[2].verdict, Verdict::kWarn);
  EXPECT_EQ(findings[3].verdict, Verdict::kPass);
}

TEST(Check, ACollectorIsTriedOnce)
{
  static constexpr CollectorInfo kGood{
      "loadavg",
      true,
      [](const Paths&, const Settings&, Sources&) -> Result<std::unique_ptr<Collector>> {
        class Good : public Collector {
          Result<> collect(Families& out) override
          {
            auto family = out.add("node_load1", metrics::Type::kGauge, "1m load average.");
            for (const auto* cpu : {"0", "1", "2"})
              family.sample({{"cpu", cpu}}, 1);
            return {};
          }
        };
        return std::make_unique<Good>();
      },
      {},
      {}};
  static constexpr CollectorInfo kBad{
      "filesystem",
      true,
      [](const Paths&, const Settings&, Sources&) -> Result<std::unique_ptr<Collector>> {
        return fail("include and exclude at once");
      },
      {},
      {}};
  const CollectorInfo* const all[] = {&kGood, &kBad};
  const auto settings = sample_declarations().settings({}, {});
  ASSERT_TRUE(settings);
  const auto findings = check_collectors(all, *settings);
  ASSERT_EQ(findings.size(), 2U);
  EXPECT_EQ(findings[0].what, "1 families, 3 series");
  EXPECT_EQ(findings[1].verdict, Verdict::kWarn);
  EXPECT_EQ(findings[1].what, "include and exclude at once");
}

TEST(Check, APortInUseFails)
{
  const TakenPort taken;
  const auto flag = fmt::format("--web.listen-address={}", taken.address());
  const auto outcome = dispatched({"check", flag}, kIdle);
  EXPECT_EQ(outcome.code, kExitFailed);
  EXPECT_THAT(outcome.out, HasSubstr("FAIL listen on " + taken.address()));
  EXPECT_THAT(outcome.out, HasSubstr("Address already in use"));
  EXPECT_EQ(dispatched({"check", "--web.listen-address=127.0.0.1:0"}, kIdle).code, kExitOk);
}

TEST(Check, AnInvalidConfigurationFailsAndTheRestIsStillLookedAt)
{
  const TemporaryFile file("colour: red\nlog.level: loud\n");
  const auto flag = fmt::format("--config.file={}", file.path());
  const auto outcome = dispatched({"check", flag, "--web.listen-address=127.0.0.1:0"}, kIdle);
  EXPECT_EQ(outcome.code, kExitFailed);
  EXPECT_THAT(outcome.out, HasSubstr(file.path() + ":1:1: unknown key \"colour\""));
  EXPECT_THAT(outcome.out, HasSubstr(file.path() + ":2:12: log.level"));
  EXPECT_THAT(outcome.out, HasSubstr("PASS kernel"));
}

TEST(Check, ANodeWhereNothingAttachesIsDegradedAndNotUnusable)
{
  const Agent agent{kIdle.run, [](const Settings&) -> Result<std::vector<Hooks::Hook>> {
                      return fail(EPERM, "create service_of");
                    }};
  const auto outcome = dispatched({"check", "--web.listen-address=127.0.0.1:0"}, agent);
  EXPECT_EQ(outcome.code, kExitOk);
  EXPECT_THAT(outcome.out,
              HasSubstr("create service_of: Operation not permitted: collectors only"));
}

TEST(Check, JsonIsOneDocument)
{
  const Finding findings[] = {{"kernel", Verdict::kPass, "6.12 \"x\""},
                              {"port", Verdict::kFail, "in use", "end it"}};
  EXPECT_THAT(findings_json(findings),
              HasSubstr(R"("passed":1,"warned":0,"failed":1,"checks":[)"
                        R"({"name":"kernel","verdict":"PASS","what":"6.12 \"x\"","remedy":""},)"
                        R"({"name":"port","verdict":"FAIL","what":"in use","remedy":"end it"}]})"));
  EXPECT_EQ(exit_code(findings), kExitFailed);
  EXPECT_EQ(exit_code(std::span(findings).first(1)), kExitOk);
}

TEST(Check, TextNamesTheRemedyBelowTheFinding)
{
  const Finding findings[] = {{"kernel", Verdict::kPass, "6.12"},
                              {"port", Verdict::kWarn, "in use", "end it"}};
  EXPECT_EQ(findings_text(findings),
            "PASS kernel  6.12\n"
            "WARN port    in use\n"
            "             -> end it\n"
            "1 passed, 1 warned, 0 failed\n");
}

struct Case {
  Arguments arguments;
  int code;
  std::string_view message;
};

TEST(Dispatch, EveryMistakeHasItsExitCodeAndOneLine)
{
  const TemporaryFile invalid("a: [\n");
  const auto config = fmt::format("--config.file={}", invalid.path());
  const Case table[] = {
      {{"frobnicate"}, kExitUsage, "sonde: unknown command \"frobnicate\"\n"},
      {{"--colour"}, kExitUsage, "sonde: unknown flag --colour"},
      {{"run", "--log.level=loud"}, kExitUsage, "sonde: --log.level: \"loud\" is none"},
      {{"version", "now"}, kExitUsage, "sonde: unexpected argument \"now\"\n"},
      {{"run", config}, kExitFailed, "sonde: "},
      {{"config", "check", invalid.path()}, kExitFailed, "sonde: "},
      {{"run", "--config.file=/does/not/exist"},
       kExitFailed,
       "sonde: /does/not/exist: open /does/not/exist: No such file or directory\n"},
  };
  for (const auto& [arguments, code, message] : table) {
    const auto outcome = dispatched(arguments, kIdle);
    EXPECT_EQ(outcome.code, code) << outcome.err;
    EXPECT_THAT(outcome.out, IsEmpty());
    EXPECT_THAT(outcome.err, StartsWith(std::string(message)));
    EXPECT_EQ(std::ranges::count(outcome.err, '\n'), 1) << outcome.err;
  }
}

TEST(Dispatch, AnErrorOfTheAgentIsExitCodeOne)
{
  const Agent agent{[](const Invocation&, const Settings&) -> Result<> {
                      return fail(EADDRINUSE, "listen on :7663");
                    },
                    {}};
  const auto outcome = dispatched({}, agent);
  EXPECT_EQ(outcome.code, kExitFailed);
  EXPECT_EQ(outcome.err, "sonde: listen on :7663: Address already in use\n");
}

TEST(Dispatch, CommandsThatOnlyPrintSucceed)
{
  const TemporaryFile valid("log.level: debug\n");
  for (const auto& arguments : {Arguments{"metrics"},
                                Arguments{"metrics", "--markdown"},
                                Arguments{"version"},
                                Arguments{"--version"},
                                Arguments{"--help"},
                                Arguments{"help"},
                                Arguments{"config", "check", valid.path()}}) {
    const auto outcome = dispatched(arguments);
    EXPECT_EQ(outcome.code, kExitOk);
    EXPECT_FALSE(outcome.out.empty());
    EXPECT_THAT(outcome.err, IsEmpty());
  }
  EXPECT_THAT(dispatched({"version"}).out, StartsWith("sonde " SONDE_VERSION));
  EXPECT_EQ(dispatched({"config", "check", valid.path()}).out, valid.path() + ": valid\n");
}

}  // namespace
}  // namespace sonde::app
