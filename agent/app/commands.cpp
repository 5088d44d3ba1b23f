// SPDX-License-Identifier: Apache-2.0
#include "agent/app/commands.hpp"

#include <algorithm>
#include <cstdio>
#include <fmt/format.h>

#include "agent/app/catalogue.hpp"
#include "agent/app/explain.hpp"
#include "agent/app/reference.hpp"
#include "agent/app/tail.hpp"
#include "agent/app/version.hpp"
#include "agent/base/log.hpp"
#include "agent/base/text.hpp"
#include "agent/collectors/sources.hpp"

namespace sonde::app {

namespace {

// A closed pipe (`sonde metrics | head`) or a full disk is the reader's affair, but not a success.
int print(const std::string& text)
{
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  return std::fflush(stdout) == 0 && written ? kExitOk : kExitFailed;
}

// `sonde: message`, a line each.
int refuse(const Error& error, int code)
{
  const auto message = error.message();
  std::string_view rest = message;
  do
    fmt::print(stderr, "sonde: {}\n", take_line(rest));
  while (!rest.empty());
  return code;
}

int check_config(const Invocation& invocation, const Declarations& declared)
{
  const auto settings = resolve_settings(declared, invocation);
  if (!settings)
    return refuse(settings.error(), kExitFailed);
  // What only the reader of several settings together can refuse.
  const auto paths = paths_of(*settings);
  Sources sources(paths);
  int code = kExitOk;
  for (const auto* info : collectors()) {
    if (!settings->flag(fmt::format("collector.{}", info->name)))
      continue;
    if (const auto created = info->create(paths, *settings, sources); !created) {
      code = refuse(Error(created.error())
                        .in(fmt::format("{}: collector {}", invocation.config_file, info->name)),
                    kExitFailed);
    }
  }
  return code == kExitOk ? print(fmt::format("{}: valid\n", invocation.config_file)) : code;
}

// A command that asks the running agent.
int ask(const Invocation& invocation,
        const Declarations& declared,
        Result<> (*command)(const Invocation&, const Settings&))
{
  const auto settings = resolve_settings(declared, invocation);
  if (!settings)
    return refuse(settings.error(), kExitFailed);
  if (settings->text("control.socket").empty())
    return refuse(Error::text("control.socket is empty: no agent can be asked"), kExitFailed);
  const auto done = command(invocation, *settings);
  return done ? kExitOk : refuse(done.error(), kExitFailed);
}

int run(const Invocation& invocation, const Declarations& declared, const Agent& agent)
{
  const auto settings = resolve_settings(declared, invocation);
  if (!settings)
    return refuse(settings.error(), kExitFailed);
  // Both are among the words that their settings name.
  log::configure(*log::parse_level(settings->text("log.level")),
                 *log::parse_format(settings->text("log.format")));
  if (const auto result = agent.run(invocation, *settings); !result)
    return refuse(result.error(), kExitFailed);
  return kExitOk;
}

}  // namespace

int dispatch(std::span<const std::string_view> arguments,
             const Declarations& declared,
             const Agent& agent)
{
  const auto invocation = parse_command_line(arguments, declared);
  if (!invocation)
    return refuse(invocation.error(), kExitUsage);
  switch (invocation->command) {
  case Command::kRun:
    return run(*invocation, declared, agent);
  case Command::kCheck: {
    const auto findings = check(declared, *invocation, agent.try_hooks);
    const int printed = print(invocation->json ? findings_json(findings) : findings_text(findings));
    return printed == kExitOk ? exit_code(findings) : printed;
  }
  case Command::kMetrics:
    return print(invocation->markdown ? catalogue_markdown(catalogue())
                                      : catalogue_text(catalogue()));
  case Command::kTail:
    return ask(*invocation, declared, tail);
  case Command::kExplain:
    return ask(*invocation, declared, explain);
  case Command::kConfigCheck:
    return check_config(*invocation, declared);
  case Command::kVersion:
    return print(version_text());
  case Command::kHelp:
    break;
  }
  return print(help_text(declared));
}

int dispatch(int argc, const char* const* argv, const Agent& agent)
{
  const std::vector<std::string_view> arguments(argv + std::min(argc, 1), argv + argc);
  return dispatch(arguments, declarations(), agent);
}

}  // namespace sonde::app
