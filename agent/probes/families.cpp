// SPDX-License-Identifier: Apache-2.0
// The table of all probe families, made from families.def.
#include "agent/probes/probe.hpp"

#define SONDE_FAMILY(name)                                                                         \
  namespace sonde::name {                                                                          \
  extern const Family family;                                                                      \
  }
#include "agent/probes/families.def"
#undef SONDE_FAMILY

namespace sonde {

std::span<const Family* const> families()
{
  static constexpr const Family* kFamilies[] = {
#define SONDE_FAMILY(name) &name::family,
#include "agent/probes/families.def"
#undef SONDE_FAMILY
  };
  return kFamilies;
}

}  // namespace sonde
