// SPDX-License-Identifier: Apache-2.0
// What the running agent answers on its control socket: `sonde tail` and `sonde explain`. On the
// event loop's thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "agent/app/node.hpp"
#include "agent/base/result.hpp"
#include "agent/control/explanation.hpp"
#include "agent/control/server.hpp"
#include "agent/control/tails.hpp"

namespace sonde::app {

class Control final : private control::Answers {
public:
  // Fails when the path cannot be had; the agent goes on without. `node` outlives it.
  static Result<std::unique_ptr<Control>> start(Node& node, const std::string& path);
  ~Control() override;
  Control(const Control&) = delete;
  Control& operator=(const Control&) = delete;

private:
  explicit Control(Node& node) : node_(node) {}

  void request(std::string_view line, control::Client& client) override;
  void gone(control::Client& client) override;
  void tail(std::string_view request, control::Client& client);
  void explain(std::string_view subject, control::Client& client);
  control::Explanation explanation_of(const std::vector<std::uint32_t>& tgids);
  void watch_tap();
  std::string why_no_tap() const;

  Node& node_;
  control::Tails tails_;
  EventLoop::Timer watch_tap_;  // while somebody watches
  std::unique_ptr<control::Server> server_;
};

// The words before the tab of a request.
inline constexpr std::string_view kTailWord = "tail";
inline constexpr std::string_view kExplainWord = "explain";

}  // namespace sonde::app
