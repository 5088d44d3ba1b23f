// SPDX-License-Identifier: Apache-2.0
#include "agent/proc/naming.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <re2/re2.h>

#include "agent/base/text.hpp"

namespace sonde::proc {

namespace {

constexpr std::array<std::string_view, 5> kSubjects = {
    "exe", "args", "cgroup", "unit", "container"};

std::string_view base_name(std::string_view path)
{
  return path.substr(path.rfind('/') + 1);
}

re2::StringPiece piece(std::string_view text)
{
  return {text.data(), text.size()};
}

std::string joined(const std::vector<std::string_view>& arguments)
{
  return fmt::format("{}", fmt::join(arguments, " "));
}

// How an interpreter is recognised, and which of its options take the next argument along.
struct Interpreter {
  std::string_view name;           // followed by nothing or a version
  std::string_view with_value;     // options whose value is the next argument, blank-separated
  std::string_view module;         // option whose value names the program
  std::string_view inline_code;    // options after which there is no script
  std::string_view commands = "";  // words before the script (deno run)
};

constexpr Interpreter kInterpreters[] = {
    {"python", "-W -X --check-hash-based-pycs", "-m", "-c"},
    {"pypy", "-W -X", "-m", "-c"},
    {"node",
     "-r --require --import --loader --experimental-loader -C --conditions",
     "",
     "-e --eval -p --print"},
    {"nodejs", "-r --require --import --loader -C --conditions", "", "-e --eval -p --print"},
    {"java",
     "-cp -classpath --class-path -p --module-path --add-modules --add-opens --add-exports "
     "--add-reads --upgrade-module-path",
     "-jar -m --module",
     ""},
    {"ruby", "-r -I -C -E", "", "-e"},
    {"php", "-c -d -z -S -t", "", "-r"},
    {"perl", "-I", "", "-e -E"},
    {"deno", "-c --config", "", "", "run serve task"},
    {"bun", "-c --config -r --preload", "", "-e --eval", "run"},
    {"sh", "-o", "", "-c"},
    {"bash", "-o -O --rcfile --init-file", "", "-c"},
    {"dash", "-o", "", "-c"},
    {"zsh", "-o", "", "-c"},
    {"ash", "-o", "", "-c"},
    {"lua", "-l", "", "-e"},
};

const Interpreter* interpreter_of(std::string_view exe)
{
  for (const auto& candidate : kInterpreters) {
    if (!exe.starts_with(candidate.name))
      continue;
    const auto version = exe.substr(candidate.name.size());
    if (version.find_first_not_of("0123456789.-") == std::string_view::npos)
      return &candidate;
  }
  return nullptr;
}

bool lists(std::string_view words, std::string_view word)
{
  for (auto next = take_word(words); !next.empty(); next = take_word(words))
    if (next == word)
      return true;
  return false;
}

// "app.py" of a script's path; the folder's name where the file's says nothing.
std::string script_name(std::string_view path)
{
  const auto file = base_name(path);
  const auto folder = path.substr(0, path.size() - file.size());
  for (const std::string_view plain :
       {"index.js", "main.js", "server.js", "app.js", "__main__.py", "manage.py", "index.php"})
    if (file == plain && folder.size() > 1) {
      const auto name = base_name(folder.substr(0, folder.size() - 1));
      if (!name.empty() && name != "." && name != "..")
        return fmt::format("{}/{}", name, file);
    }
  return std::string(file);
}

// What the interpreter runs; "" when its arguments do not tell.
std::string program_of(const Interpreter& interpreter,
                       const std::vector<std::string_view>& arguments)
{
  bool command = !interpreter.commands.empty();
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    const auto argument = arguments[i];
    if (argument.empty())
      continue;
    const auto next = i + 1 < arguments.size() ? arguments[i + 1] : std::string_view();
    if (lists(interpreter.module, argument)) {
      // -m module[/class]; a jar by its file name.
      return argument == "-jar" ? std::string(base_name(next))
                                : std::string(next.substr(0, next.find('/')));
    }
    if (lists(interpreter.inline_code, argument))
      return "";
    if (lists(interpreter.with_value, argument)) {
      ++i;
      continue;
    }
    if (argument.front() == '-')
      continue;
    if (command && lists(interpreter.commands, argument)) {
      command = false;
      continue;
    }
    // A class of java has no path, but a package: its last part says which.
    return interpreter.name == "java" ? std::string(argument.substr(argument.rfind('.') + 1))
                                      : script_name(argument);
  }
  return "";
}

}  // namespace

Result<NamingRules> NamingRules::compile(const std::vector<Record>& records)
{
  NamingRules rules;
  for (std::size_t i = 0; i < records.size(); ++i) {
    const auto where = fmt::format("services.rules[{}]", i);
    Rule rule;
    if (const auto name = records[i].find("name"); name != records[i].end())
      rule.name = name->second;
    if (rule.name.empty())
      return fail(where + ": \"name\" is missing");
    for (std::size_t subject = 0; subject < kSubjects.size(); ++subject) {
      const auto given = records[i].find(kSubjects[subject]);
      if (given == records[i].end() || given->second.empty())
        continue;
      auto regex = std::make_shared<const RE2>(given->second, RE2::Quiet);
      if (!regex->ok())
        return fail(fmt::format("{}: {}: {}", where, kSubjects[subject], regex->error()));
      rule.patterns.push_back({subject, std::move(regex)});
    }
    if (rule.patterns.empty())
      return fail(where + ": one of exe, args, cgroup, unit, container is needed");
    std::string why;
    if (!rule.patterns.front().regex->CheckRewriteString(rule.name, &why))
      return fail(where + ": name: " + why);
    rules.rules_.push_back(std::move(rule));
  }
  return rules;
}

std::optional<std::string> NamingRules::match(const Traits& traits) const
{
  if (rules_.empty())
    return std::nullopt;
  const auto arguments = joined(traits.arguments);
  const std::array<std::string_view, kSubjects.size()> subjects = {traits.executable,
                                                                   arguments,
                                                                   traits.cgroup_path,
                                                                   traits.cgroup.unit,
                                                                   traits.cgroup.container};
  const auto matches = [&](const Pattern& pattern) {
    return RE2::PartialMatch(piece(subjects[pattern.subject]), *pattern.regex);
  };
  for (const auto& rule : rules_) {
    if (!std::ranges::all_of(rule.patterns, matches))
      continue;
    const auto& first = rule.patterns.front();
    std::string name;
    if (RE2::Extract(piece(subjects[first.subject]), *first.regex, rule.name, &name) &&
        !name.empty())
      return name;
  }
  return std::nullopt;
}

std::string placed_name(const Traits& traits, const NamingRules& rules)
{
  if (auto name = rules.match(traits))
    return *std::move(name);
  if (!traits.declared_name.empty())
    return std::string(traits.declared_name);
  if (!traits.cgroup.container.empty())
    return std::string(traits.cgroup.short_container());
  return traits.cgroup.unit;
}

std::string application_name(const Traits& traits)
{
  const auto exe = traits.exe_name.empty() ? base_name(traits.executable) : traits.exe_name;
  if (const auto* interpreter = interpreter_of(exe); interpreter != nullptr)
    if (auto program = program_of(*interpreter, traits.arguments); !program.empty())
      return program;
  if (!traits.link_name.empty())
    return std::string(traits.link_name);
  return std::string(exe.empty() ? traits.comm : exe);
}

}  // namespace sonde::proc
