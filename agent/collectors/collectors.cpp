// SPDX-License-Identifier: Apache-2.0
// The table of all collectors, made from collectors.def.
#include "agent/collectors/collector.hpp"

#define SONDE_COLLECTOR(name)                                                                      \
  namespace sonde::collectors_##name                                                               \
  {                                                                                                \
    extern const CollectorInfo info;                                                               \
  }
#include "agent/collectors/collectors.def"
#undef SONDE_COLLECTOR

namespace sonde {

std::span<const CollectorInfo* const> collectors()
{
  static constexpr const CollectorInfo* kCollectors[] = {
#define SONDE_COLLECTOR(name) &collectors_##name::info,
#include "agent/collectors/collectors.def"
#undef SONDE_COLLECTOR
  };
  return kCollectors;
}

}  // namespace sonde
