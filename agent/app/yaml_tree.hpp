// SPDX-License-Identifier: Apache-2.0
// A YAML document as a flat array of nodes with their positions, read within bounds.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sonde::app {

struct YamlNode {
  enum class Kind : std::uint8_t { kNull, kScalar, kSequence, kMap };

  Kind kind = Kind::kNull;
  int line = 0;  // from 1
  int column = 0;
  std::string scalar;
  // Indices into the tree; of a map key, value, key, value. An alias is the index of its anchor, so
  // that the same node, even an enclosing one, may be met several times.
  std::vector<std::size_t> children;
};

struct YamlError {
  int line = 0;
  int column = 0;
  std::string what;
};

struct YamlTree {
  std::vector<YamlNode> nodes;
  std::optional<std::size_t> root;  // none: an empty file
  std::optional<YamlError> error;
};

// Stops at the first syntax error, at the second document, and past `max_nodes` nodes or
// `max_depth` levels.
YamlTree parse_yaml(std::string_view text, std::size_t max_nodes, std::size_t max_depth);

}  // namespace sonde::app
