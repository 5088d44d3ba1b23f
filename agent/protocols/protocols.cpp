// SPDX-License-Identifier: Apache-2.0
// The table of all protocols, made from protocols.def.
#include "agent/protocols/protocol.hpp"

#define SONDE_PROTOCOL(name)                                                                       \
  namespace sonde::name {                                                                          \
  extern const protocols::Protocol protocol;                                                       \
  }
#include "agent/protocols/protocols.def"
#undef SONDE_PROTOCOL

namespace sonde::protocols {

std::span<const Protocol* const> protocols()
{
  static constexpr const Protocol* kProtocols[] = {
#define SONDE_PROTOCOL(name) &name::protocol,
#include "agent/protocols/protocols.def"
#undef SONDE_PROTOCOL
      nullptr,
  };
  return std::span(kProtocols).first(std::size(kProtocols) - 1);
}

}  // namespace sonde::protocols
