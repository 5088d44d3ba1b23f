// SPDX-License-Identifier: Apache-2.0
// The first bytes of a connection, kept until a protocol knows them as its own. Lives on the event
// loop's thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "sonde/socket.h"

#include "agent/protocols/protocol.hpp"
#include "agent/protocols/stream.hpp"

namespace sonde::protocols {

// What passes in a direction of the kernel, for a process of this role.
constexpr Direction direction_of(Role role, std::uint8_t kernel_direction)
{
  return (kernel_direction == SONDE_SOCKET_SENT) == (role == Role::kClient) ? Direction::kToServer
                                                                            : Direction::kToClient;
}
constexpr std::uint8_t kernel_direction_of(Role role, Direction direction)
{
  return (direction == Direction::kToServer) == (role == Role::kClient) ? SONDE_SOCKET_SENT
                                                                        : SONDE_SOCKET_RECEIVED;
}

class Recognition {
public:
  // Of each direction: what is looked at and kept in any case, and what is kept at most of a
  // connection that is joined, while all of these have no more than 16 MiB together.
  static constexpr std::size_t kMaxBytes = 16 << 10;
  static constexpr std::size_t kMostBytes = 256 << 10;
  static constexpr std::size_t kMaxItems = 256;

  struct Answer {
    Match match = Match::kNeedMore;
    const Protocol* protocol = nullptr;
    Role role = Role::kServer;
  };

  explicit Recognition(bool from_start) : from_start_(from_start) {}
  Recognition(const Recognition&) = delete;
  Recognition& operator=(const Recognition&) = delete;
  ~Recognition();

  void keep(std::uint8_t kernel_direction, const Item& item);
  // `hint`: the role that is tried first, if there is one.
  Answer ask(std::span<const Protocol* const> protocols, std::optional<Role> hint) const;
  bool from_start() const { return from_start_; }
  // What was kept of a direction begins with a record of TLS.
  bool looks_encrypted() const;

  // What was kept, in the order in which it came.
  template <typename Take>
  void replay(Take&& take) const
  {
    for (const auto& kept : items_) {
      Item item = kept.item;
      if (item.kind == Item::Kind::kBytes)
        item.bytes = std::string_view(bytes_[kept.direction]).substr(kept.offset, item.length);
      take(kept.direction, item);
    }
  }

private:
  struct Kept {
    Item item;
    std::uint8_t direction;
    std::uint32_t offset;
  };

  Match ask(std::span<const Protocol* const> protocols, Role role, Answer& answer) const;
  bool full() const;
  std::size_t room(const std::string& bytes) const;

  bool from_start_;
  std::array<std::string, SONDE_SOCKET_DIRECTIONS> bytes_;
  // How much of `bytes_` comes before the first hole.
  std::array<std::optional<std::size_t>, SONDE_SOCKET_DIRECTIONS> unbroken_;
  std::vector<Kept> items_;
};

}  // namespace sonde::protocols
