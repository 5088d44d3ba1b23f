// SPDX-License-Identifier: Apache-2.0
// The table of all collectors, made from collectors.def.
#include <unistd.h>

#include "agent/collectors/collector.hpp"

#define SONDE_COLLECTOR(name)                                                                      \
  namespace sonde::collectors_##name                                                               \
  {                                                                                                \
    extern const CollectorInfo info;                                                               \
  }
#include "agent/collectors/collectors.def"
#undef SONDE_COLLECTOR

namespace sonde {

std::filesystem::path Paths::net(std::string_view name) const
{
  const auto of_init = procfs / "1/net";
  if (::access(of_init.c_str(), X_OK) == 0)
    return of_init / name;
  return procfs / "net" / name;
}

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
