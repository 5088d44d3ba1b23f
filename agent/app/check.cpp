// SPDX-License-Identifier: Apache-2.0
#include "agent/app/check.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#include <boost/asio/io_context.hpp>

#include "agent/app/check_node.hpp"
#include "agent/app/config_file.hpp"
#include "agent/app/version.hpp"
#include "agent/base/text.hpp"
#include "agent/collectors/sources.hpp"
#include "agent/web/listen.hpp"

namespace sonde::app {

namespace {

std::string_view word(Verdict verdict)
{
  switch (verdict) {
  case Verdict::kPass:
    return "PASS";
  case Verdict::kWarn:
    return "WARN";
  case Verdict::kFail:
    return "FAIL";
  }
  return "FAIL";
}

std::ptrdiff_t count(std::span<const Finding> findings, Verdict verdict)
{
  return std::ranges::count(findings, verdict, &Finding::verdict);
}

Node this_node(const Settings& settings)
{
  utsname name{};
  ::uname(&name);
  rlimit memlock{};
  ::getrlimit(RLIMIT_MEMLOCK, &memlock);
  return {paths_of(settings),
          name.release,
          name.machine,
          memlock.rlim_cur,
          settings.number("bpf.max-cpu-ratio")};
}

void add(std::vector<Finding>& findings, std::vector<Finding> more)
{
  findings.insert(
      findings.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

Finding check_collector(const CollectorInfo& info, const Settings& settings)
{
  Finding finding{fmt::format("collector {}", info.name), Verdict::kPass, {}};
  const auto failed = [&](const Error& error) {
    finding.verdict = Verdict::kWarn;
    finding.what = error.message();
    finding.remedy = fmt::format("mend it, or --no-collector.{}", info.name);
    return finding;
  };
  const auto paths = paths_of(settings);
  Sources sources(paths);
  auto collector = info.create(paths, settings, sources);
  if (!collector)
    return failed(collector.error());
  Families families;
  sources.begin_scrape();
  if (const auto result = (*collector)->collect(families); !result) {
    if (result.error().code() != std::errc::no_message_available)
      return failed(result.error());
    finding.what = "this kernel has nothing to tell";
    return finding;
  }
  finding.what = fmt::format("{} families, {} series", families.families(), families.samples());
  return finding;
}

}  // namespace

Paths paths_of(const Settings& settings)
{
  return {settings.text("path.procfs"),
          settings.text("path.sysfs"),
          settings.text("path.rootfs"),
          settings.text("path.udev.data")};
}

std::vector<Finding> check_configuration(const Invocation& invocation, const Declarations& declared)
{
  if (invocation.config_file.empty())
    return {{"configuration", Verdict::kPass, "no file, built-in defaults"}};
  const auto file = read_config(invocation.config_file, declared);
  std::vector<Finding> findings;
  for (const auto& error : file.errors)
    findings.push_back({"configuration",
                        Verdict::kFail,
                        render_errors(invocation.config_file, {&error, 1}),
                        "`sonde --help` names every key"});
  if (findings.empty())
    findings.push_back(
        {"configuration",
         Verdict::kPass,
         fmt::format("{}: {} settings", invocation.config_file, file.values.size())});
  return findings;
}

std::vector<Finding> check_listening(const Settings& settings)
{
  std::vector<Finding> findings;
  for (const auto& text : settings.texts("web.listen-address")) {
    boost::asio::io_context io;
    const auto result = web::listen_on(io, text);
    const auto name = fmt::format("listen on {}", text);
    if (result)
      findings.push_back({name, Verdict::kPass, "free"});
    else
      findings.push_back({name,
                          Verdict::kFail,
                          result.error().message(),
                          "end what listens there (`ss -ltnp` names it), or choose another "
                          "--web.listen-address"});
  }
  return findings;
}

std::vector<Finding> check_collectors(std::span<const CollectorInfo* const> collectors,
                                      const Settings& settings)
{
  std::vector<Finding> findings;
  for (const auto* info : collectors) {
    if (settings.flag(fmt::format("collector.{}", info->name)))
      findings.push_back(check_collector(*info, settings));
  }
  return findings;
}

std::vector<Finding> check_hooks(std::span<const Hooks::Hook> hooks)
{
  std::vector<Finding> findings;
  for (const auto& hook : hooks) {
    Finding finding{fmt::format("hook {} {}", hook.probe, hook.hook), Verdict::kPass, "attached"};
    if (hook.up) {
      if (!hook.reason.empty())
        finding.what += fmt::format(" ({})", hook.reason);
      if (hook.reason.starts_with("fallback"))
        finding.verdict = Verdict::kWarn;
    } else if (hook.reason.starts_with("off")) {
      finding.what = hook.reason;
    } else {
      finding.verdict = Verdict::kWarn;
      finding.what = fmt::format("not attached: {}", hook.reason);
      finding.remedy = "deploy/README.md says what is lost, and which kernels have it";
    }
    findings.push_back(std::move(finding));
  }
  return findings;
}

std::vector<Finding>
check(const Declarations& declared, const Invocation& invocation, const TryHooks& try_hooks)
{
  auto findings = check_configuration(invocation, declared);
  // An invalid file is reported; the rest of the node is looked at with what the flags say.
  auto settings = resolve_settings(declared, invocation);
  if (!settings)
    settings = declared.settings({}, invocation.flags);
  if (!settings) {
    findings.push_back({"settings", Verdict::kFail, settings.error().message()});
    return findings;
  }
  add(findings, check_node(this_node(*settings)));
  add(findings, check_listening(*settings));
  add(findings, check_collectors(collectors(), *settings));
  if (!try_hooks)
    return findings;
  const auto hooks = try_hooks(*settings);
  if (hooks)
    add(findings, check_hooks(*hooks));
  else
    findings.push_back({"probes",
                        Verdict::kWarn,
                        fmt::format("{}: collectors only", hooks.error().message()),
                        "see the capabilities and kernel types above"});
  return findings;
}

std::string findings_text(std::span<const Finding> findings)
{
  std::size_t width = 0;
  for (const auto& finding : findings)
    width = std::max(width, finding.name.size());
  std::string out;
  for (const auto& finding : findings) {
    out += fmt::format("{} {:<{}}  {}\n", word(finding.verdict), finding.name, width, finding.what);
    if (!finding.remedy.empty())
      out += fmt::format("     {:<{}}  -> {}\n", "", width, finding.remedy);
  }
  return out + fmt::format("{} passed, {} warned, {} failed\n",
                           count(findings, Verdict::kPass),
                           count(findings, Verdict::kWarn),
                           count(findings, Verdict::kFail));
}

std::string findings_json(std::span<const Finding> findings)
{
  std::string checks;
  for (const auto& finding : findings)
    checks += fmt::format(R"({}{{"name":{},"verdict":"{}","what":{},"remedy":{}}})",
                          checks.empty() ? "" : ",",
                          json_quoted(finding.name),
                          word(finding.verdict),
                          json_quoted(finding.what),
                          json_quoted(finding.remedy));
  return fmt::format(R"({{"version":{},"passed":{},"warned":{},"failed":{},"checks":[{}]}})"
                     "\n",
                     json_quoted(version()),
                     count(findings, Verdict::kPass),
                     count(findings, Verdict::kWarn),
                     count(findings, Verdict::kFail),
                     checks);
}

int exit_code(std::span<const Finding> findings)
{
  return count(findings, Verdict::kFail) == 0 ? kExitOk : kExitFailed;
}

}  // namespace sonde::app
