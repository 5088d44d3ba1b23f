// SPDX-License-Identifier: Apache-2.0
#include "agent/protocols/router_patterns.hpp"

#include <algorithm>
#include <optional>

#include "agent/base/text.hpp"

namespace sonde::protocols {

namespace {

constexpr std::size_t kMaxPattern = 128;
constexpr std::size_t kMaxPath = 1024;
constexpr std::size_t kMaxDepth = 32;

enum class Kind : std::uint8_t { kName, kMixed, kAny, kRest };

// What one segment of a pattern matches.
Kind kind_of(PatternStyle style, std::string_view segment)
{
  if (style == PatternStyle::kColons) {
    if (segment.starts_with('*'))
      return Kind::kRest;
    return segment.starts_with(':') ? Kind::kAny : Kind::kName;
  }
  const auto open = segment.find('{');
  if (style == PatternStyle::kBraces && segment == "*")
    return Kind::kRest;
  if (open == std::string_view::npos || segment == "{$}")
    return Kind::kName;
  if (segment.ends_with("...}") || segment.ends_with(":.*}") || segment.ends_with(":.+}"))
    return Kind::kRest;
  return open == 0 && segment.find('}') == segment.size() - 1 ? Kind::kAny : Kind::kMixed;
}

// Takes the next segment of "a/b/" ("a", "b", "" ); nothing after the last. Slashes within braces
// are of a regular expression.
std::optional<std::string_view> take_segment(std::string_view& rest, bool& last, bool braces)
{
  if (last)
    return std::nullopt;
  std::size_t depth = 0;
  std::size_t at = 0;
  for (; at < rest.size(); ++at) {
    if (braces && rest[at] == '{')
      ++depth;
    else if (braces && rest[at] == '}' && depth > 0)
      --depth;
    else if (rest[at] == '/' && depth == 0)
      break;
  }
  const auto segment = rest.substr(0, at);
  last = at >= rest.size();
  rest.remove_prefix(last ? at : at + 1);
  return segment;
}

// Whether a segment is the text around the pattern's values.
bool matches_mixed(std::string_view pattern, std::string_view segment)
{
  const auto open = pattern.find('{');
  const auto close = pattern.rfind('}');
  const auto before = pattern.substr(0, open);
  const auto after = close == std::string_view::npos ? "" : pattern.substr(close + 1);
  return segment.size() >= before.size() + after.size() && segment.starts_with(before) &&
         segment.ends_with(after);
}

std::string key_of(std::string_view method, std::string_view path)
{
  return std::string(method).append(" ").append(path.substr(0, kMaxPath));
}

}  // namespace

std::string_view path_of_pattern(std::string_view pattern)
{
  return pattern.substr(std::min(pattern.size(), pattern.find('/')));
}

RouterPatterns::RouterPatterns() : root_(std::make_unique<Node>()) {}
RouterPatterns::RouterPatterns(RouterPatterns&&) noexcept = default;
RouterPatterns& RouterPatterns::operator=(RouterPatterns&&) noexcept = default;
RouterPatterns::~RouterPatterns() = default;

bool RouterPatterns::put(std::vector<End>& ends, End end)
{
  const auto known = std::ranges::find(ends, end.method, &End::method);
  if (known != ends.end()) {
    const bool fresh = known->label != end.label;
    *known = std::move(end);
    return fresh;
  }
  ends.push_back(std::move(end));
  return true;
}

bool RouterPatterns::add(PatternStyle style, std::string_view pattern)
{
  const auto path = path_of_pattern(pattern);
  if (path.empty() || size_ >= kMost)
    return false;
  std::string_view method;
  if (const auto blank = pattern.find(' '); style == PatternStyle::kServeMux &&
                                            blank != std::string_view::npos &&
                                            blank < pattern.size() - path.size())
    method = pattern.substr(0, blank);
  const auto label = valid_utf8(path, kMaxPattern);
  auto rest = path.substr(1);
  bool last = false;
  auto* node = root_.get();
  std::size_t depth = 0;
  std::vector<End>* ends = nullptr;
  while (const auto segment = take_segment(rest, last, true)) {
    const bool subtree = (style == PatternStyle::kServeMux || style == PatternStyle::kPrefixes) &&
                         last && segment->empty();
    const auto kind = kind_of(style, *segment);
    if (subtree || kind == Kind::kRest || ++depth >= kMaxDepth) {
      ends = &node->below;
      break;
    }
    auto& next = kind == Kind::kAny     ? node->any
                 : kind == Kind::kMixed ? node->mixed[std::string(*segment)]
                 : *segment == "{$}"    ? node->names[""]
                                        : node->names[std::string(*segment)];
    if (!next)
      next = std::make_unique<Node>();
    node = next.get();
  }
  if (style == PatternStyle::kPrefixes && ends == nullptr) {
    put(node->ends, {std::string(method), std::string(label), true});
    ends = &node->below;
  }
  const bool fresh = put(ends != nullptr ? *ends : node->ends,
                         {std::string(method), std::string(label), ends != nullptr});
  size_ += fresh ? 1 : 0;
  return fresh;
}

void RouterPatterns::except(std::string_view method, std::string_view path)
{
  if (exceptions_.size() < kMostExceptions && !match(method, path).empty())
    exceptions_.emplace(key_of(method, path), std::uint8_t{0});
}

const RouterPatterns::End* RouterPatterns::end_for(const std::vector<End>& ends,
                                                   std::string_view method)
{
  const End* any = nullptr;
  const End* get = nullptr;
  for (const auto& end : ends) {
    if (end.method == method && !method.empty())
      return &end;
    if (end.method.empty())
      any = &end;
    if (end.method == "GET")
      get = &end;
  }
  return method == "HEAD" && get != nullptr ? get : any;
}

const RouterPatterns::End*
RouterPatterns::find(const Node& node, std::string_view method, std::string_view rest)
{
  bool last = false;
  auto after = rest;
  const auto segment = *take_segment(after, last, false);
  const auto down = [&](const Node& next) -> const End* {
    return last ? end_for(next.ends, method) : find(next, method, after);
  };
  if (const auto named = node.names.find(segment); named != node.names.end())
    if (const auto* found = down(*named->second))
      return found;
  for (const auto& [pattern, next] : node.mixed)
    if (matches_mixed(pattern, segment))
      if (const auto* found = down(*next))
        return found;
  if (node.any && !segment.empty())
    if (const auto* found = down(*node.any))
      return found;
  return end_for(node.below, method);
}

RouterPatterns::Match RouterPatterns::find(std::string_view method, std::string_view path) const
{
  path = path.substr(0, std::min(kMaxPath, path.find_first_of("?#")));
  if (!path.starts_with('/'))
    return {};
  if (!exceptions_.empty() && exceptions_.contains(key_of(method, path)))
    return {};
  const auto* found = find(*root_, method, path.substr(1));
  return found != nullptr ? Match{found->label, found->below} : Match{};
}

}  // namespace sonde::protocols
