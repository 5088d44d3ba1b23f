// SPDX-License-Identifier: Apache-2.0
// A tree of path segments. Values are replaced before they enter it (route_segments.hpp). Where
// more names come to one place than routes have, the rare ones are slugs: the place is folded, and
// a name enters only after it was seen again and again.
#include "agent/protocols/routes.hpp"

#include <algorithm>
#include <array>

#include "agent/base/text.hpp"
#include "agent/protocols/route_segments.hpp"

namespace sonde::protocols {

namespace {

constexpr std::size_t kMaxTemplate = 128;
constexpr std::size_t kMaxCandidates = 4;  // folded places of a service that may find names again
constexpr std::uint32_t kFirstBar = 3;     // times a name is seen before it is one
constexpr std::uint32_t kSeenAgain = 2;
constexpr std::uint32_t kMaxBar = 1U << 28;
constexpr std::uint32_t kBarDecay = 1U << 20;  // paths after which a raised bar is halved
constexpr std::size_t kFewSlugs = 8;    // rare names that are worth a fold when room is short
constexpr std::uint64_t kRecent = 128;  // of the latest additions
constexpr std::size_t kRecentWeight = 16;
constexpr std::size_t kManyNames = 32;
constexpr std::uint64_t kRetry = 64;
constexpr std::string_view kOther = "other";

bool is_placeholder(std::string_view name)
{
  return name.starts_with('{') && name.ends_with('}');
}

}  // namespace

// Counts names that are not in the tree. Where there is no room for another, the rarest give way,
// the oldest of them first.
class Routes::Candidates {
public:
  std::uint32_t hit(std::uint64_t hash)
  {
    auto& set = sets_[(hash >> 32) % kSets];
    const auto tag = static_cast<std::uint32_t>(hash) | 1U;
    auto least = set.next;
    for (std::size_t n = 0; n < kWays; ++n) {
      const auto way = (set.next + n) % kWays;
      if (set.tags[way] == tag) {
        set.counts[way] = static_cast<std::uint8_t>(std::min(set.counts[way] + 1, 255));
        return set.counts[way];
      }
      if (set.counts[way] < set.counts[least])
        least = static_cast<std::uint8_t>(way);
    }
    if (set.counts[least] > 1) {
      --set.counts[least];
      return 0;
    }
    set.tags[least] = tag;
    set.counts[least] = 1;
    set.next = static_cast<std::uint8_t>((least + 1) % kWays);
    return 1;
  }

private:
  static constexpr std::size_t kSets = 512;
  static constexpr std::size_t kWays = 8;
  struct Set {
    std::array<std::uint32_t, kWays> tags{};
    std::array<std::uint8_t, kWays> counts{};
    std::uint8_t next = 0;
  };
  std::array<Set, kSets> sets_{};
};

struct Routes::Node {
  std::unordered_map<std::string, std::unique_ptr<Node>, Hash, std::equal_to<>> children;
  std::unique_ptr<Candidates> candidates;
  std::string_view name;
  std::string text;  // the template of the path that ends here
  std::uint64_t hits = 0;
  std::uint32_t bar = 0;        // hits that make a name; 0: not folded
  std::uint32_t since_bar = 0;  // names asked for since the bar was set
  std::uint32_t literals = 0;
  std::uint64_t born = 0;
  bool literal = false;
};

Routes::Routes(std::span<const std::string> patterns) : Routes(patterns, Limits()) {}

Routes::Routes(std::span<const std::string> patterns, Limits limits)
    : limits_(limits), root_(std::make_unique<Node>())
{
  for (const auto& text : patterns) {
    Pattern pattern = {.text = valid_utf8(text, kMaxTemplate)};
    for (const auto& segment : Segments(text))
      pattern.segments.emplace_back(segment);
    if (!pattern.segments.empty() &&
        (pattern.segments.back() == "*" || pattern.segments.back().ends_with("...}"))) {
      pattern.segments.pop_back();
      pattern.rest = true;
    }
    patterns_.push_back(std::move(pattern));
  }
}

Routes::~Routes() = default;

std::string_view Routes::of(std::string_view path)
{
  if (path.empty() || path == "*")
    return path;
  if (!path.starts_with('/'))
    return kOther;
  if (const auto* pattern = pattern_of(path))
    return pattern->text;
  auto route = learned(path);
  // Making room is not cheap, and where there is none to make, most new paths would ask for it.
  if (route.empty() && full_++ % kRetry == 0 && relieve()) {
    full_ = 0;
    route = learned(path);
  }
  return route.empty() ? kOther : route;
}

std::string_view Routes::configured(std::string_view path) const
{
  const auto* pattern = pattern_of(path);
  return pattern != nullptr ? std::string_view(pattern->text) : std::string_view();
}

const Routes::Pattern* Routes::pattern_of(std::string_view path) const
{
  if (patterns_.empty())
    return nullptr;
  const Segments segments(path);
  const auto found = std::ranges::find_if(patterns_, [&](const Pattern& pattern) {
    const auto wanted = pattern.segments.size();
    if (pattern.rest ? segments.size() < wanted : segments.size() != wanted)
      return false;
    return std::equal(pattern.segments.begin(),
                      pattern.segments.end(),
                      segments.begin(),
                      [](const std::string& name, std::string_view segment) {
                        return name == segment || is_placeholder(name);
                      });
  });
  return found == patterns_.end() ? nullptr : &*found;
}

// The template of the path, or nothing where there is no room for it.
std::string_view Routes::learned(std::string_view path)
{
  text_.clear();
  auto* node = root_.get();
  for (const auto segment : Segments(path)) {
    auto name = generalised(segment, scratch_);
    const bool cut = text_.size() + 1 + name.size() + 1 + kAnyRest.size() > kMaxTemplate;
    if (cut)
      name = kAnyRest;
    node = child(*node, name);
    if (node == nullptr)
      return {};
    text_.append("/").append(node->name);
    if (cut)
      break;
  }
  if (!node->text.empty())
    return node->text;
  if (templates_ >= limits_.templates)
    return {};
  ++templates_;
  node->text = text_.empty() ? "/" : text_;
  return node->text;
}

Routes::Node* Routes::child(Node& node, std::string_view name)
{
  if (const auto found = node.children.find(name); found != node.children.end()) {
    ++found->second->hits;
    return found->second.get();
  }
  if (is_placeholder(name))
    return add(node, name, false);
  if (node.bar == 0) {
    if (node.literals < limits_.literals)
      return add(node, name, true);
    fold(node, limits_.literals * 7 / 8);
  }
  if (!promotes(node, name))
    return child(node, kAnySlug);
  auto* const promoted = add(node, name, true);
  if (promoted != nullptr)
    promoted->hits = node.bar;
  return promoted;
}

Routes::Node* Routes::add(Node& node, std::string_view name, bool literal)
{
  if (nodes_ >= limits_.nodes)
    return nullptr;
  auto [at, added] = node.children.emplace(std::string(name), std::make_unique<Node>());
  auto& made = *at->second;
  made.name = at->first;
  made.hits = 1;
  made.born = ++births_;
  made.literal = literal;
  node.literals += literal ? 1 : 0;
  ++nodes_;
  return &made;
}

// Whether a name that came to a folded place has been seen often enough to be one.
bool Routes::promotes(Node& node, std::string_view name)
{
  if (!node.candidates)
    return false;
  if (++node.since_bar >= kBarDecay) {
    node.since_bar = 0;
    node.bar = std::max(kFirstBar, node.bar / 2);
  }
  const auto hits = node.candidates->hit(Hash()(name));
  if (hits < std::min(node.bar, 255U) || templates_ >= limits_.templates)
    return false;
  // So many names that are seen again are no routes, either: ask for more.
  if (node.literals >= limits_.literals) {
    fold(node, limits_.literals * 7 / 8);
    return false;
  }
  return true;
}

// Takes the rarest names for slugs, so that at most `most` stay.
void Routes::fold(Node& node, std::size_t most)
{
  // Before the first fold every name had the same chance: twice is more than slugs are seen.
  auto needed = node.bar == 0 ? kSeenAgain : std::min(node.bar * 4, kMaxBar);
  const auto frequent = [&] {
    return static_cast<std::size_t>(std::ranges::count_if(node.children, [&](const auto& one) {
      return one.second->literal && one.second->hits >= needed;
    }));
  };
  while (needed < kMaxBar && frequent() > most)
    needed *= 2;
  node.bar = std::max(kFirstBar, needed);
  node.since_bar = 0;
  for (auto at = node.children.begin(); at != node.children.end();) {
    auto& one = *at->second;
    if (!one.literal || one.hits >= needed) {
      ++at;
      continue;
    }
    remove(one);
    --node.literals;
    at = node.children.erase(at);
  }
  if (!node.candidates && candidates_ < kMaxCandidates) {
    node.candidates = std::make_unique<Candidates>();
    ++candidates_;
  }
}

// Gives back what the node and those below it were counted for.
void Routes::remove(Node& node)
{
  for (auto& [name, one] : node.children)
    remove(*one);
  --nodes_;
  templates_ -= node.text.empty() ? 0 : 1;
  candidates_ -= node.candidates ? 1 : 0;
}

// Folds the place with the most rare names, where slugs keep coming rather than where routes have
// come; failing that, one whose many names all lead on.
bool Routes::relieve()
{
  Node* rare_at = nullptr;
  Node* wide_at = nullptr;
  std::size_t most = 0;
  std::size_t widest = kManyNames - 1;
  const auto visit = [&](auto&& self, Node& node) -> void {
    std::size_t rare = 0;
    std::size_t recent = 0;
    std::size_t leading_on = 0;
    for (auto& [name, one] : node.children) {
      const bool seen_once = one->literal && one->hits < kSeenAgain;
      rare += seen_once ? 1 : 0;
      recent += seen_once && births_ - one->born < kRecent ? 1 : 0;
      leading_on += one->literal && !one->children.empty() ? 1 : 0;
      self(self, *one);
    }
    const auto weight = rare + (recent * kRecentWeight);
    if (rare >= kFewSlugs && weight > most) {
      most = weight;
      rare_at = &node;
    }
    if (leading_on > widest && leading_on * 2 > node.literals) {
      widest = leading_on;
      wide_at = &node;
    }
  };
  visit(visit, *root_);
  if (rare_at == nullptr && wide_at == nullptr)
    return false;
  auto& node = rare_at != nullptr ? *rare_at : *wide_at;
  fold(node, rare_at != nullptr ? node.literals : node.literals / 2);
  return true;
}

}  // namespace sonde::protocols
