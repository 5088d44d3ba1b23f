// SPDX-License-Identifier: Apache-2.0
#include "agent/collectors/name_filter.hpp"

#include <fmt/format.h>

namespace sonde {

namespace {

// The value of `key`, or of its deprecated spelling.
Result<std::string>
pattern_of(const Settings& settings, std::string_view key, std::string_view old_key)
{
  if (old_key.empty() || settings.text(old_key).empty())
    return settings.text(key);
  if (settings.given(key))
    return fail(fmt::format("--{} and --{} are mutually exclusive", old_key, key));
  return settings.text(old_key);
}

Result<std::unique_ptr<const RE2>> compile(std::string_view key, const std::string& pattern)
{
  if (pattern.empty())
    return nullptr;
  auto compiled = std::make_unique<const RE2>(pattern, RE2::Quiet);
  if (!compiled->ok())
    return fail(fmt::format(
        "--{}: \"{}\" is not a regular expression: {}", key, pattern, compiled->error()));
  return compiled;
}

}  // namespace

Result<NameFilter> NameFilter::create(const Settings& settings, const Keys& keys)
{
  auto exclude = SONDE_TRY(pattern_of(settings, keys.exclude, keys.old_exclude));
  const auto include = SONDE_TRY(pattern_of(settings, keys.include, keys.old_include));
  const bool exclude_given =
      settings.given(keys.exclude) ||
      (!keys.old_exclude.empty() && !settings.text(keys.old_exclude).empty());
  if (!include.empty() && !exclude_given)
    exclude.clear();
  if (!include.empty() && !exclude.empty())
    return fail(fmt::format("--{} and --{} are mutually exclusive", keys.exclude, keys.include));

  NameFilter filter;
  filter.exclude_ = SONDE_TRY(compile(keys.exclude, exclude));
  filter.include_ = SONDE_TRY(compile(keys.include, include));
  return filter;
}

bool NameFilter::ignored(std::string_view name) const
{
  return (exclude_ && matches(*exclude_, name)) || (include_ && !matches(*include_, name));
}

bool matches(const RE2& pattern, std::string_view text)
{
  return RE2::PartialMatch(re2::StringPiece(text.data(), text.size()), pattern);
}

}  // namespace sonde
