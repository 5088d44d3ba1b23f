// SPDX-License-Identifier: Apache-2.0
// What was read of Go processes as client_golang would tell it.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "agent/metrics/exposition.hpp"
#include "agent/runtime/go_memory.hpp"

namespace sonde::go_runtime {

// One process, read.
struct Reading {
  std::string labels;      // service and pid, rendered
  std::string build;       // path, version, go_version
  std::string go_version;  // version
  runtime::GoSample sample;
};

// `pauses`: the four histograms of stopped worlds too.
void expose(metrics::Exposition& out, std::span<const Reading> readings, bool pauses);

}  // namespace sonde::go_runtime
