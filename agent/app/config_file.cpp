// SPDX-License-Identifier: Apache-2.0
#include "agent/app/config_file.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <functional>
#include <map>

#include "agent/app/yaml_tree.hpp"
#include "agent/base/file.hpp"
#include "agent/base/text.hpp"

namespace sonde::app {

namespace {

using Kind = YamlNode::Kind;

// Longer words are not compared with all keys, and longer texts not quoted in full.
constexpr std::size_t kMaxQuotedBytes = 100;
constexpr std::size_t kMaxErrorBytes = 400;

std::string in_quotes(std::string_view text)
{
  return '"' + valid_utf8(text, kMaxQuotedBytes) + '"';
}

std::string one_line(std::string_view text)
{
  auto line = valid_utf8(text, kMaxErrorBytes);
  std::ranges::replace_if(
      line, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }, ' ');
  return line;
}

std::string_view expected(SettingKind kind)
{
  switch (kind) {
  case SettingKind::kBool:
    return "true or false";
  case SettingKind::kInteger:
    return "a whole number";
  case SettingKind::kNumber:
    return "a number";
  case SettingKind::kDuration:
    return "a duration";
  case SettingKind::kText:
    return "a text";
  case SettingKind::kRegex:
    return "a regular expression";
  case SettingKind::kTexts:
    return "a list of texts";
  case SettingKind::kDurations:
    return "a list of durations";
  case SettingKind::kIntegers:
    return "a list of whole numbers";
  case SettingKind::kRecords:
    return "a list of maps";
  }
  return "a value";
}

std::string_view found(Kind kind)
{
  switch (kind) {
  case Kind::kNull:
    return "nothing";
  case Kind::kScalar:
    return "a single value";
  case Kind::kSequence:
    return "a list";
  case Kind::kMap:
    return "a map";
  }
  return "something else";
}

// Walks one tree. Every node it meets is counted: aliases may make a small tree look endless.
class Reader {
public:
  Reader(const YamlTree& tree, const Declarations& declared, Config& out)
      : tree_(tree), declared_(declared), out_(out), keys_(declared.keys())
  {
  }

  void read()
  {
    if (!tree_.root)
      return;
    const auto& root = tree_.nodes[*tree_.root];
    if (root.kind == Kind::kMap)
      read_map(root, {}, 1);
    else if (root.kind != Kind::kNull)
      complain(root, fmt::format("expected a map of settings, found {}", found(root.kind)));
  }

private:
  void complain(const YamlNode& at, std::string_view what)
  {
    if (stopped_)
      return;
    if (out_.errors.size() >= kMaxConfigErrors) {
      stop(at, "too many errors, the rest of the file was not read");
      return;
    }
    out_.errors.push_back({at.line, at.column, one_line(what)});
  }

  void stop(const YamlNode& at, std::string_view what)
  {
    if (!stopped_)
      out_.errors.push_back({at.line, at.column, std::string(what)});
    stopped_ = true;
  }

  // False when nothing more is to be read.
  bool visit(const YamlNode& node, std::size_t depth)
  {
    if (++visited_ > kMaxConfigNodes)
      stop(node, fmt::format("more than {} nodes, aliases followed", kMaxConfigNodes));
    else if (depth > kMaxConfigDepth)
      stop(node, fmt::format("nested deeper than {} levels, aliases followed", kMaxConfigDepth));
    return !stopped_;
  }

  // Calls `use(key node, value node)` for the pairs of a map whose keys are plain words.
  void each_pair(const YamlNode& map,
                 std::size_t depth,
                 const std::function<void(const YamlNode&, const YamlNode&)>& use)
  {
    for (std::size_t i = 0; i + 1 < map.children.size(); i += 2) {
      const auto& key = tree_.nodes[map.children[i]];
      if (!visit(key, depth))
        return;
      if (key.kind == Kind::kScalar)
        use(key, tree_.nodes[map.children[i + 1]]);
      else
        complain(key, fmt::format("expected a key, found {}", found(key.kind)));
    }
  }

  void read_map(const YamlNode& map, const std::string& prefix, std::size_t depth)
  {
    if (!visit(map, depth))
      return;
    each_pair(map, depth, [&](const YamlNode& key, const YamlNode& value) {
      if (key.scalar.size() > kMaxQuotedBytes)
        complain(key, fmt::format("unknown key {}...", in_quotes(key.scalar)));
      else
        read_pair(prefix.empty() ? key.scalar : prefix + "." + key.scalar, key, value, depth);
    });
  }

  void
  read_pair(const std::string& path, const YamlNode& key, const YamlNode& value, std::size_t depth)
  {
    const bool section = declared_.is_section(path);
    const auto* setting = declared_.find(path);
    if (section && value.kind == Kind::kMap) {
      read_map(value, path, depth + 1);
    } else if (setting != nullptr) {
      if (remember(path, key))
        read_setting(*setting, value, depth + 1);
    } else if (!section) {
      unknown(path, key);
    } else if (value.kind != Kind::kNull) {
      // A section all of whose keys are commented out is null.
      complain(value, fmt::format("{}: expected a map, found {}", path, found(value.kind)));
    }
  }

  bool remember(const std::string& path, const YamlNode& key)
  {
    const auto [first, fresh] = seen_.emplace(path, &key);
    if (!fresh)
      complain(key,
               fmt::format("{} is given twice, first at {}:{}",
                           path,
                           first->second->line,
                           first->second->column));
    return fresh;
  }

  void unknown(const std::string& path, const YamlNode& key)
  {
    const auto guess = stopped_ ? std::nullopt : nearest(path, keys_);
    complain(key,
             fmt::format("unknown key {}{}",
                         in_quotes(path),
                         guess ? fmt::format(", did you mean \"{}\"?", *guess) : ""));
  }

  void read_setting(const Setting& setting, const YamlNode& node, std::size_t depth)
  {
    const auto errors = out_.errors.size();
    auto value = read_any(setting, node, depth);
    if (out_.errors.size() != errors || stopped_ || !value)
      return;
    if (auto accepted = accept_value(setting, *value); !accepted) {
      complain(node, std::move(accepted).error().in(setting.key).message());
      return;
    }
    out_.values.push_back({&setting, *std::move(value)});
  }

  std::optional<Settings::Value>
  read_any(const Setting& setting, const YamlNode& node, std::size_t depth)
  {
    if (!visit(node, depth))
      return std::nullopt;
    switch (setting.kind) {
    case SettingKind::kTexts:
      return read_list<std::string>(
          setting, node, depth, [](const std::string& text) { return Result<std::string>(text); });
    case SettingKind::kDurations:
      return read_list<std::chrono::nanoseconds>(setting, node, depth, parse_duration);
    case SettingKind::kIntegers:
      return read_list<std::int64_t>(setting, node, depth, parse_quantity);
    case SettingKind::kRecords:
      return read_records(setting, node, depth);
    default:
      break;
    }
    if (node.kind != Kind::kScalar) {
      mismatch(setting, node);
      return std::nullopt;
    }
    auto value = parse_setting(setting, node.scalar);
    if (value)
      return *std::move(value);
    complain(node, std::move(value).error().in(setting.key).message());
    return std::nullopt;
  }

  void mismatch(const Setting& setting, const YamlNode& node)
  {
    complain(
        node,
        fmt::format(
            "{}: expected {}, found {}", setting.key, expected(setting.kind), found(node.kind)));
  }

  // A sequence of scalars, or one scalar alone.
  template <typename T, typename Parse>
  std::optional<Settings::Value>
  read_list(const Setting& setting, const YamlNode& node, std::size_t depth, Parse parse)
  {
    std::vector<T> items;
    const auto take = [&](const YamlNode& item) {
      if (item.kind != Kind::kScalar) {
        mismatch(setting, item);
        return;
      }
      auto value = parse(item.scalar);
      if (value)
        items.push_back(*std::move(value));
      else
        complain(item, std::move(value).error().in(setting.key).message());
    };
    if (node.kind != Kind::kSequence)
      take(node);
    else
      for (const auto child : node.children) {
        if (!visit(tree_.nodes[child], depth + 1))
          return std::nullopt;
        take(tree_.nodes[child]);
      }
    return Settings::Value(std::move(items));
  }

  std::optional<Settings::Value>
  read_records(const Setting& setting, const YamlNode& node, std::size_t depth)
  {
    if (node.kind != Kind::kSequence) {
      mismatch(setting, node);
      return std::nullopt;
    }
    std::vector<Record> records;
    for (const auto child : node.children) {
      const auto& item = tree_.nodes[child];
      if (!visit(item, depth + 1))
        return std::nullopt;
      if (item.kind == Kind::kMap)
        records.push_back(read_record(setting, item, depth + 2));
      else
        mismatch(setting, item);
    }
    return Settings::Value(std::move(records));
  }

  Record read_record(const Setting& setting, const YamlNode& map, std::size_t depth)
  {
    std::vector<std::string_view> fields;
    auto rest = setting.fields;
    for (auto field = take_word(rest); !field.empty(); field = take_word(rest))
      fields.push_back(field);
    Record record;
    each_pair(map, depth, [&](const YamlNode& key, const YamlNode& value) {
      if (!visit(value, depth))
        return;
      if (std::ranges::find(fields, key.scalar) == fields.end()) {
        const auto guess =
            key.scalar.size() > kMaxQuotedBytes ? std::nullopt : nearest(key.scalar, fields);
        complain(key,
                 fmt::format("{}: unknown key {}{}",
                             setting.key,
                             in_quotes(key.scalar),
                             guess ? fmt::format(", did you mean \"{}\"?", *guess) : ""));
      } else if (value.kind != Kind::kScalar) {
        complain(value,
                 fmt::format("{}: {}: expected a single value, found {}",
                             setting.key,
                             key.scalar,
                             found(value.kind)));
      } else if (!record.emplace(key.scalar, value.scalar).second) {
        complain(key, fmt::format("{}: {} is given twice", setting.key, key.scalar));
      }
    });
    return record;
  }

  const YamlTree& tree_;
  const Declarations& declared_;
  Config& out_;
  std::vector<std::string_view> keys_;
  std::map<std::string, const YamlNode*, std::less<>> seen_;
  std::size_t visited_ = 0;
  bool stopped_ = false;
};

}  // namespace

Config parse_config(std::string_view text, const Declarations& declared)
{
  Config config;
  if (text.size() > kMaxConfigBytes) {
    config.errors.push_back({0, 0, fmt::format("larger than {} bytes", kMaxConfigBytes)});
    return config;
  }
  const auto tree = parse_yaml(text, kMaxConfigNodes, kMaxConfigDepth);
  if (tree.error) {
    config.errors.push_back({tree.error->line, tree.error->column, one_line(tree.error->what)});
    return config;
  }
  Reader(tree, declared, config).read();
  return config;
}

Config read_config(const std::string& path, const Declarations& declared)
{
  const auto text = read_file(path, kMaxConfigBytes);
  if (text)
    return parse_config(*text, declared);
  return {{}, {{0, 0, text.error().message()}}};
}

std::string render_errors(std::string_view path, std::span<const ConfigError> errors)
{
  std::string text;
  for (const auto& error : errors) {
    if (!text.empty())
      text += '\n';
    text += error.line > 0 ? fmt::format("{}:{}:{}: {}", path, error.line, error.column, error.what)
                           : fmt::format("{}: {}", path, error.what);
  }
  return text;
}

}  // namespace sonde::app
