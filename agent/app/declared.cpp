// SPDX-License-Identifier: Apache-2.0
// The declarations of this build: one line per table that belongs to no family and no collector.
#include "agent/app/declarations.hpp"
#include "agent/proc/service_table.hpp"
#include "agent/protocols/recorder.hpp"

namespace sonde::app {

const Declarations& declarations()
{
  static const Declarations::Table kTables[] = {service_settings(), protocols::request_settings()};
  static const Declarations all(families(), collectors(), kTables);
  return all;
}

}  // namespace sonde::app
