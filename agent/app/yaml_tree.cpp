// SPDX-License-Identifier: Apache-2.0
#include "agent/app/yaml_tree.hpp"

#include <fmt/format.h>
#include <map>
#include <sstream>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

namespace sonde::app {

namespace {

// Builds the tree from yaml-cpp's events. Past a bound it records the error and takes no more.
class Builder : public YAML::EventHandler {
public:
  Builder(YamlTree& tree, std::size_t max_nodes, std::size_t max_depth)
      : tree_(tree), max_nodes_(max_nodes), max_depth_(max_depth)
  {
  }

  void OnDocumentStart(const YAML::Mark& /*mark*/) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override
  {
    add(YamlNode::Kind::kNull, mark, anchor, {});
  }
  void OnScalar(const YAML::Mark& mark,
                const std::string& /*tag*/,
                YAML::anchor_t anchor,
                const std::string& value) override
  {
    add(YamlNode::Kind::kScalar, mark, anchor, value);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override
  {
    const auto found = anchors_.find(anchor);
    if (found != anchors_.end())
      adopt(found->second);
    else
      refuse(mark, "alias of an unknown anchor");
  }
  void OnSequenceStart(const YAML::Mark& mark,
                       const std::string& /*tag*/,
                       YAML::anchor_t anchor,
                       YAML::EmitterStyle::value /*style*/) override
  {
    open(YamlNode::Kind::kSequence, mark, anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark,
                  const std::string& /*tag*/,
                  YAML::anchor_t anchor,
                  YAML::EmitterStyle::value /*style*/) override
  {
    open(YamlNode::Kind::kMap, mark, anchor);
  }
  void OnMapEnd() override { close(); }

private:
  void refuse(const YAML::Mark& mark, std::string what)
  {
    if (!tree_.error)
      tree_.error = YamlError{mark.line + 1, mark.column + 1, std::move(what)};
  }

  void adopt(std::size_t node)
  {
    if (tree_.error)
      return;
    if (open_.empty())
      tree_.root = node;
    else
      tree_.nodes[open_.back()].children.push_back(node);
  }

  void add(YamlNode::Kind kind, const YAML::Mark& mark, YAML::anchor_t anchor, std::string value)
  {
    if (tree_.nodes.size() >= max_nodes_)
      refuse(mark, fmt::format("more than {} nodes", max_nodes_));
    if (tree_.error)
      return;
    const auto index = tree_.nodes.size();
    tree_.nodes.push_back({kind, mark.line + 1, mark.column + 1, std::move(value), {}});
    if (anchor != 0)
      anchors_[anchor] = index;
    adopt(index);
  }

  void open(YamlNode::Kind kind, const YAML::Mark& mark, YAML::anchor_t anchor)
  {
    if (open_.size() >= max_depth_)
      refuse(mark, fmt::format("nested deeper than {} levels", max_depth_));
    add(kind, mark, anchor, {});
    open_.push_back(tree_.error ? 0 : tree_.nodes.size() - 1);
  }

  void close() { open_.pop_back(); }

  YamlTree& tree_;
  std::size_t max_nodes_;
  std::size_t max_depth_;
  std::vector<std::size_t> open_;
  std::map<YAML::anchor_t, std::size_t> anchors_;
};

}  // namespace

YamlTree parse_yaml(std::string_view text, std::size_t max_nodes, std::size_t max_depth)
{
  YamlTree tree;
  Builder builder(tree, max_nodes, max_depth);
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    if (parser.HandleNextDocument(builder) && !tree.error && parser.HandleNextDocument(builder) &&
        !tree.error)
      tree.error = YamlError{0, 0, "more than one YAML document"};
  } catch (const YAML::Exception& error) {
    // An error of ours came first in the file: the parser went on behind it.
    if (!tree.error)
      tree.error = YamlError{error.mark.line + 1, error.mark.column + 1, error.msg};
  } catch (const std::exception& error) {
    tree.error = YamlError{0, 0, error.what()};
  }
  return tree;
}

}  // namespace sonde::app
