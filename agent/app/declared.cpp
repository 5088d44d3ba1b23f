// SPDX-License-Identifier: Apache-2.0
// The declarations of this build: one line per table that belongs to no family and no collector.
#include "agent/app/declarations.hpp"
#include "agent/probes/executables.hpp"
#include "agent/proc/service_table.hpp"
#include "agent/protocols/protocol.hpp"
#include "agent/protocols/recorder.hpp"

namespace sonde::app {

const Declarations& declarations()
{
  static const auto kTables = [] {
    std::vector<Declarations::Table> tables = {
        service_settings(), protocols::request_settings(), executables_settings()};
    for (const auto* protocol : protocols::protocols())
      tables.push_back(protocol->settings);
    return tables;
  }();
  static const Declarations all(families(), collectors(), kTables);
  return all;
}

}  // namespace sonde::app
