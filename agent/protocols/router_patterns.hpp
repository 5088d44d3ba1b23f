// SPDX-License-Identifier: Apache-2.0
// The patterns of a service's own router, as a probe within the process has learned them, and which
// of them a path was routed by: the most specific one, as the routers themselves decide. Bounded.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "agent/protocols/route_source.hpp"

namespace sonde::protocols {

// The pattern's path as a label: without method and host, as otel's instrumentation has it.
std::string_view path_of_pattern(std::string_view pattern);

class RouterPatterns {
public:
  static constexpr std::size_t kMost = 1000;
  static constexpr std::size_t kMostExceptions = 256;

  RouterPatterns();
  RouterPatterns(RouterPatterns&&) noexcept;
  RouterPatterns& operator=(RouterPatterns&&) noexcept;
  RouterPatterns(const RouterPatterns&) = delete;
  RouterPatterns& operator=(const RouterPatterns&) = delete;
  ~RouterPatterns();

  // False when it was known, is no pattern or finds no room.
  bool add(PatternStyle style, std::string_view pattern);
  // The router has no pattern for this request, whatever the patterns say: another handler had it.
  void except(std::string_view method, std::string_view path);

  // The pattern that such a request is routed by. Valid as long as the object.
  struct Match {
    std::string_view label;  // empty: none
    bool below = false;      // it takes all that lies below a place
  };
  Match find(std::string_view method, std::string_view path) const;
  // Its label.
  std::string_view match(std::string_view method, std::string_view path) const
  {
    return find(method, path).label;
  }

  std::size_t size() const { return size_; }

private:
  struct Hash {
    using is_transparent = void;  // NOLINT(readability-identifier-naming)
    std::size_t operator()(std::string_view text) const
    {
      return std::hash<std::string_view>()(text);
    }
  };
  struct End {
    std::string method;  // empty: any
    std::string label;
    bool below = false;
  };
  // A place in the tree of segments.
  struct Node {
    std::unordered_map<std::string, std::unique_ptr<Node>, Hash, std::equal_to<>> names;
    std::map<std::string, std::unique_ptr<Node>> mixed;  // a name and a value: v{n}.json
    std::unique_ptr<Node> any;
    std::vector<End> ends;   // of paths that end here
    std::vector<End> below;  // of paths that go on in whatever way
  };

  static const End* end_for(const std::vector<End>& ends, std::string_view method);
  static const End* find(const Node& node, std::string_view method, std::string_view rest);
  static bool put(std::vector<End>& ends, End end);

  std::unique_ptr<Node> root_;
  std::unordered_map<std::string, std::uint8_t, Hash, std::equal_to<>> exceptions_;
  std::size_t size_ = 0;
};

}  // namespace sonde::protocols
