// SPDX-License-Identifier: Apache-2.0
// The landing page: what this agent is, what it observes and where to read more, as one HTML
// document that loads nothing else.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace sonde::web {

struct Page {
  struct Probe {
    std::string probe;
    std::string hook;
    bool up = false;
    std::string reason;  // why it is not up, or which alternative is
  };

  struct Outlier {
    std::string when;  // as it is to be read: "12:03:11 UTC"
    std::string kind;  // "run queue", "block I/O"
    std::string service;
    std::string process;
    std::string duration;  // "120 ms"
  };

  std::string node;
  std::string version;
  std::string kernel_release;
  std::string metrics_path = "/metrics";
  std::vector<std::string> listen;
  std::chrono::seconds uptime{0};
  bool ready = true;
  std::size_t services = 0;
  std::vector<Probe> probes;
  std::vector<Outlier> outliers;  // newest first; the page shows the first 20
};

// Every text is escaped; links are relative, so that the page works below a path prefix too.
std::string render(const Page& page);

// For element content and quoted attributes; bytes that are not UTF-8 become U+FFFD.
std::string html_escaped(std::string_view text);

}  // namespace sonde::web
