// SPDX-License-Identifier: Apache-2.0
#include "agent/app/options.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <iterator>
#include <optional>

#include <boost/program_options.hpp>

#include "agent/app/config_file.hpp"
#include "agent/base/text.hpp"

namespace sonde::app {

namespace po = boost::program_options;

namespace {

struct CommandWord {
  std::string_view word;
  Command command;
};

constexpr CommandWord kCommands[] = {
    {"run", Command::kRun},
    {"check", Command::kCheck},
    {"metrics", Command::kMetrics},
    {"tail", Command::kTail},
    {"explain", Command::kExplain},
    {"config", Command::kConfigCheck},
    {"version", Command::kVersion},
    {"help", Command::kHelp},
};

// Flags that are no settings, and the commands they belong to.
struct Switch {
  const char* name;
  bool Invocation::* member;
  std::string_view commands;
};

constexpr Switch kSwitches[] = {
    {"dry-run", &Invocation::dry_run, "run"},
    {"json", &Invocation::json, "check tail explain"},
    {"markdown", &Invocation::markdown, "metrics"},
};

// The same with a value.
struct Option {
  const char* name;
  std::string Invocation::* member;
  std::string_view commands;
};

constexpr Option kOptions[] = {
    {"service", &Invocation::service, "tail"},
    {"status", &Invocation::status, "tail"},
    {"limit", &Invocation::limit, "tail"},
};

// Whether the flag is one of the command's own.
Result<> belongs(std::string_view flag, std::string_view commands, Command command)
{
  std::string where;
  for (auto word = take_word(commands); !word.empty(); word = take_word(commands)) {
    if (std::ranges::find(kCommands, word, &CommandWord::word)->command == command)
      return {};
    where += fmt::format("{}`sonde {}`", where.empty() ? "" : ", ", word);
  }
  return fail(fmt::format("--{} belongs to {}", flag, where));
}

constexpr std::string_view kConfigFile = "config.file";

std::string did_you_mean(std::string_view word, std::span<const std::string_view> candidates)
{
  const auto guess = nearest(word, candidates);
  return guess ? fmt::format(", did you mean {}?", *guess) : std::string();
}

po::options_description describe(const Declarations& declared)
{
  po::options_description all;
  auto add = all.add_options();
  add("help,h", "")("version", "")(kConfigFile.data(), po::value<std::string>());
  for (const auto& flag : kSwitches)
    add(flag.name, "");
  for (const auto& option : kOptions)
    add(option.name, po::value<std::string>());
  for (const auto key : declared.keys()) {
    const std::string name(key);
    add(name.c_str(), po::value<std::string>());
    if (declared.find(key)->kind == SettingKind::kBool)
      add(("no-" + name).c_str(), "");
  }
  return all;
}

std::string unknown_flag(std::string_view flag, const Declarations& declared)
{
  std::vector<std::string> flags = {"--help", "--version", "--config.file"};
  for (const auto& known : kSwitches)
    flags.push_back(fmt::format("--{}", known.name));
  for (const auto& known : kOptions)
    flags.push_back(fmt::format("--{}", known.name));
  for (const auto key : declared.keys()) {
    flags.push_back(fmt::format("--{}", key));
    if (declared.find(key)->kind == SettingKind::kBool)
      flags.push_back(fmt::format("--no-{}", key));
  }
  const std::vector<std::string_view> candidates(flags.begin(), flags.end());
  const auto clipped = flag.substr(0, flag.find('=')).substr(0, 100);
  return fmt::format("unknown flag {}{}", clipped, did_you_mean(clipped, candidates));
}

// Two things that Boost does otherwise. It refuses an empty value behind the equal sign, which is
// how an exclude pattern is emptied: `--key=` becomes the two words `--key` and ``. And it takes
// the word behind a switch for its value: `--switch` becomes `--switch=true`.
std::vector<std::string> normalize(std::span<const std::string_view> arguments,
                                   const Declarations& declared)
{
  std::vector<std::string> words;
  for (const auto argument : arguments) {
    auto name = argument.starts_with("--") ? argument.substr(2) : std::string_view();
    const bool empty_value = name.ends_with('=');
    if (empty_value)
      name.remove_suffix(1);
    const auto* setting = declared.find(name);
    const bool is_switch = setting != nullptr && setting->kind == SettingKind::kBool;
    if (is_switch && !empty_value) {
      words.push_back(fmt::format("--{}=true", name));
    } else if (setting != nullptr && !is_switch && empty_value) {
      words.push_back(fmt::format("--{}", name));
      words.emplace_back();
    } else {
      words.emplace_back(argument);
    }
  }
  return words;
}

// The one place that calls Boost.Program_options, and catches what it throws.
Result<std::vector<po::option>> tokenize(std::span<const std::string_view> arguments,
                                         const Declarations& declared)
{
  try {
    const auto all = describe(declared);
    const int style = po::command_line_style::unix_style & ~po::command_line_style::allow_guessing;
    return po::command_line_parser(normalize(arguments, declared))
        .options(all)
        .style(style)
        .run()
        .options;
  } catch (const po::unknown_option& unknown) {
    return fail(unknown_flag(unknown.get_option_name(), declared));
  } catch (const std::exception& error) {
    return fail(error.what());
  }
}

// Fills an Invocation from Boost's tokens.
class Reader {
public:
  explicit Reader(const Declarations& declared) : declared_(declared) {}

  Result<> take(const po::option& option)
  {
    if (option.string_key.empty()) {
      words_.insert(words_.end(), option.value.begin(), option.value.end());
      return {};
    }
    std::string_view name = option.string_key;
    if (name == "help" || name == "version") {
      instead_ = name == "help" ? Command::kHelp : instead_.value_or(Command::kVersion);
      return {};
    }
    for (const auto& flag : kSwitches)
      if (name == flag.name) {
        out_.*flag.member = true;
        return {};
      }
    for (const auto& known : kOptions)
      if (name == known.name)
        return take_option(known, option.value.front());
    if (option.value.empty())
      return take_setting(name.substr(std::string_view("no-").size()), "false");
    if (name == kConfigFile)
      return take_config_file(option.value.front());
    return take_setting(name, option.value.front());
  }

  Result<Invocation> finish() &&
  {
    if (instead_) {
      out_.command = *instead_;
      return std::move(out_);
    }
    SONDE_TRY(take_command());
    for (const auto& flag : kSwitches)
      if (out_.*flag.member)
        SONDE_TRY(belongs(flag.name, flag.commands, out_.command));
    for (const auto& option : kOptions)
      if (!(out_.*option.member).empty())
        SONDE_TRY(belongs(option.name, option.commands, out_.command));
    return std::move(out_);
  }

private:
  // Short words without control characters: they go to the agent in one line.
  Result<> take_option(const Option& option, const std::string& value)
  {
    constexpr std::size_t kMostBytes = 200;
    if (!(out_.*option.member).empty())
      return fail(fmt::format("--{} is given twice", option.name));
    if (value.empty() || value.size() > kMostBytes || has_control(value))
      return fail(
          fmt::format("--{}: a word of at most {} bytes is needed", option.name, kMostBytes));
    const bool number = parse_number<std::uint32_t>(value).value_or(0) > 0;
    if (std::string_view(option.name) == "limit" && !number)
      return fail(fmt::format("--limit: \"{}\" is no number of lines", value));
    out_.*option.member = value;
    return {};
  }

  static bool has_control(std::string_view text)
  {
    return std::ranges::any_of(text, [](unsigned char c) { return c < 0x20 || c == 0x7f; });
  }

  // PID or service of explain, the protocol of tail.
  Result<std::size_t> take_subject()
  {
    if (words_.size() < 2)
      return out_.command == Command::kTail
                 ? Result<std::size_t>(1)
                 : fail("the command is `sonde explain PID` or `sonde explain SERVICE`");
    if (words_[1].empty() || words_[1].size() > 200 || has_control(words_[1]))
      return fail("a word of at most 200 bytes is needed");
    out_.subject = words_[1];
    return 2;
  }

  Result<> take_config_file(const std::string& value)
  {
    if (!out_.config_file.empty())
      return fail("--config.file is given twice");
    if (value.empty())
      return fail("--config.file: the name is empty");
    out_.config_file = value;
    return {};
  }

  Result<> take_setting(std::string_view key, const std::string& text)
  {
    const auto& setting = *declared_.find(key);
    auto value = read_value(setting, text);
    if (!value)
      return Failure(std::move(value).error().in(fmt::format("--{}", key)));
    const auto before = std::ranges::find(out_.flags, &setting, &Assignment::setting);
    if (before == out_.flags.end()) {
      out_.flags.push_back({&setting, *std::move(value)});
      return {};
    }
    // Lists grow by repeating the flag, as exporters have it.
    auto* list = std::get_if<std::vector<std::string>>(&before->value);
    if (list == nullptr)
      return fail(fmt::format("--{} is given twice", key));
    auto& more = std::get<std::vector<std::string>>(*value);
    list->insert(list->end(), more.begin(), more.end());
    return {};
  }

  Result<> take_command()
  {
    if (words_.empty())
      return {};
    const auto found = std::ranges::find(kCommands, words_[0], &CommandWord::word);
    if (found == std::end(kCommands)) {
      std::vector<std::string_view> known;
      for (const auto& command : kCommands)
        known.push_back(command.word);
      const auto word = std::string_view(words_[0]).substr(0, 100);
      return fail(fmt::format("unknown command \"{}\"{}", word, did_you_mean(word, known)));
    }
    out_.command = found->command;
    std::size_t used = 1;
    if (found->command == Command::kConfigCheck) {
      if (words_.size() < 2 || words_[1] != "check")
        return fail("the command is `sonde config check FILE`");
      used = 2;
      if (words_.size() > 2)
        SONDE_TRY(take_config_file(words_[used++]));
      else if (out_.config_file.empty())
        return fail("config check: no file is given");
    }
    if (found->command == Command::kTail || found->command == Command::kExplain)
      used = SONDE_TRY(take_subject());
    if (words_.size() > used)
      return fail(fmt::format("unexpected argument \"{}\"", words_[used].substr(0, 100)));
    return {};
  }

  const Declarations& declared_;
  Invocation out_;
  std::optional<Command> instead_;  // --help, --version
  std::vector<std::string> words_;
};

}  // namespace

Result<Invocation> parse_command_line(std::span<const std::string_view> arguments,
                                      const Declarations& declared)
{
  Reader reader(declared);
  for (const auto& option : SONDE_TRY(tokenize(arguments, declared)))
    SONDE_TRY(reader.take(option));
  return std::move(reader).finish();
}

Result<Settings> resolve_settings(const Declarations& declared, const Invocation& invocation)
{
  if (invocation.config_file.empty())
    return declared.settings({}, invocation.flags);
  const auto file = read_config(invocation.config_file, declared);
  if (!file.errors.empty())
    return fail(render_errors(invocation.config_file, file.errors));
  return declared.settings(file.values, invocation.flags);
}

}  // namespace sonde::app
