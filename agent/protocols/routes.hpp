// SPDX-License-Identifier: Apache-2.0
// The route templates of one service: configured ones, and those learned from the paths that come.
// Whatever comes, the number of templates and the memory are bounded.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace sonde::protocols {

class Routes {
public:
  struct Limits {
    std::size_t templates = 300;  // in use at a time; what does not fit is `other`
    std::size_t literals = 256;   // names at one place of a path before they are taken for slugs
    std::size_t nodes = 4096;
  };

  // A pattern is a path with `{name}` for one segment and `*` or `{name...}` at the end for the
  // rest: /users/{id}, /static/*. The first that matches is the template, word for word.
  explicit Routes(std::span<const std::string> patterns = {});
  Routes(std::span<const std::string> patterns, Limits limits);
  ~Routes();

  // The template of a raw path, at most 128 bytes; the text is valid until the next call.
  std::string_view of(std::string_view path);

  // The configured pattern that matches, word for word; empty for none.
  std::string_view configured(std::string_view path) const;

  std::size_t templates() const { return templates_; }

private:
  struct Node;
  class Candidates;
  struct Hash {
    using is_transparent = void;  // NOLINT(readability-identifier-naming)
    std::size_t operator()(std::string_view text) const
    {
      return std::hash<std::string_view>()(text);
    }
  };
  struct Pattern {
    std::string text;
    std::vector<std::string> segments;
    bool rest = false;
  };

  const Pattern* pattern_of(std::string_view path) const;
  std::string_view learned(std::string_view path);
  Node* child(Node& node, std::string_view name);
  Node* add(Node& node, std::string_view name, bool literal);
  bool promotes(Node& node, std::string_view name);
  void fold(Node& node, std::size_t most);
  void remove(Node& node);
  bool relieve();

  Limits limits_;
  std::vector<Pattern> patterns_;
  std::unique_ptr<Node> root_;
  std::size_t templates_ = 0;
  std::size_t nodes_ = 0;
  std::size_t candidates_ = 0;
  std::uint64_t births_ = 0;
  std::uint64_t full_ = 0;  // paths that found no room since the last attempt to make some
  std::string scratch_;
  std::string text_;
};

}  // namespace sonde::protocols
