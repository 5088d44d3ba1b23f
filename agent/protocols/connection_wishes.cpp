// SPDX-License-Identifier: Apache-2.0
// What a connection asks the tap to capture, and why there may be nothing to see.
#include <algorithm>

#include "agent/protocols/connection.hpp"

namespace sonde::protocols {

namespace {

// Positions are compared modulo 2^32: a farther one would lie behind.
constexpr std::uint64_t kFarthestSkip = std::uint64_t{1} << 30U;

constexpr std::uint32_t kMostLooks = 4096;

sonde_socket_mode mode_of(Appetite::Mode mode)
{
  switch (mode) {
  case Appetite::Mode::kHead:
    return SONDE_SOCKET_HEAD;
  case Appetite::Mode::kHeadAndTail:
    return SONDE_SOCKET_HEAD_AND_TAIL;
  case Appetite::Mode::kFull:
    return SONDE_SOCKET_FULL;
  case Appetite::Mode::kNothing:
    break;
  }
  return SONDE_SOCKET_SIZES;
}

std::uint32_t up_to(std::uint32_t bytes, std::uint32_t most)
{
  return std::min((bytes + 15) / 16 * 16, most / 16 * 16);
}

}  // namespace

// A connection joined in the middle of a long message is looked at until somebody else speaks, and
// a few more times: what is not recognised then is of no known protocol.
bool Connection::gives_up()
{
  attempts_ = static_cast<std::uint8_t>(attempts_ - (turned_ ? 1 : 0));
  turned_ = false;
  return attempts_ == 0 || ++looks_ >= kMostLooks;
}

// Until something is recognised.
void Connection::look_on()
{
  set_wish(SONDE_SOCKET_SENT, sonde_socket_look_wish());
  set_wish(SONDE_SOCKET_RECEIVED, sonde_socket_look_wish());
}

void Connection::want_heads()
{
  for (std::uint8_t direction = 0; direction < wishes_.size(); ++direction) {
    streams_.at(direction).unwanted_until(0);
    set_wish(direction, sonde_socket_first_wish());
  }
}

void Connection::ignore(Unseen why)
{
  stop_decoding();
  ignored_ = true;
  unseen_ = why;
  const auto wish = sonde_socket_wish(SONDE_SOCKET_IGNORE, 0, 0, false, 0);
  for (std::uint8_t direction = 0; direction < wishes_.size(); ++direction)
    set_wish(direction, wish);
}

Unseen Connection::unseen() const
{
  if (ignored_)
    return unseen_;
  if (protocol_ != nullptr)
    return Unseen::kNothing;
  if (encrypted_ || (recognition_ != nullptr && recognition_->looks_encrypted()))
    return Unseen::kEncrypted;
  if (unreadable_)
    return Unseen::kUnreadable;
  return spoken_ ? Unseen::kUndecided : Unseen::kNoTraffic;
}

std::uint8_t Connection::known_role() const
{
  if (protocol_ == nullptr)
    return hint_;
  return role_ == Role::kClient ? SONDE_SOCKET_ROLE_CLIENT : SONDE_SOCKET_ROLE_SERVER;
}

std::uint64_t Connection::wish_of(sonde_socket_direction direction) const
{
  return wished_ ? wishes_.at(direction) : sonde_socket_first_wish();
}

void Connection::update_wish(Direction direction)
{
  auto appetite = decoder_->appetite(direction);
  const auto at = kernel_direction_of(role_, direction);
  if (appetite.of_sender && at == SONDE_SOCKET_RECEIVED)
    appetite = {.mode = Appetite::Mode::kFull, .chunks = appetite.chunks, .skip = appetite.skip};
  auto& stream = streams_[at];
  // From where the decoder stands: what waits has not reached it.
  const auto here =
      stream.position() - (direction == Direction::kToClient ? waiting_bytes_ : std::size_t{0});
  const auto until = here + std::min(appetite.skip, kFarthestSkip);
  const bool nothing = appetite.mode == Appetite::Mode::kNothing;
  const auto limit = appetite.limit > 0 ? appetite.limit : std::uint32_t{SONDE_SOCKET_HEAD_LIMIT};
  stream.unwanted_until(nothing ? ~std::uint64_t{0} : until);
  set_wish(at,
           sonde_socket_wish(mode_of(appetite.mode) |
                                 (appetite.per_turn ? std::uint32_t{SONDE_SOCKET_PER_TURN} : 0U) |
                                 (appetite.chunks ? std::uint32_t{SONDE_SOCKET_CHUNKS} : 0U),
                             nothing ? 0 : up_to(limit, 0xffff * 16),
                             up_to(appetite.tail, 0xff * 16),
                             appetite.skip > 0,
                             appetite.skip > 0 ? Stream::wire_position(until) : 0));
}

void Connection::set_wish(std::uint8_t kernel_direction, std::uint64_t wish)
{
  if (wishes_.at(kernel_direction) == wish && wished_)
    return;
  if (!wished_) {
    // The entry may be another socket's still: both words at once.
    wished_ = true;
    const auto other =
        kernel_direction == SONDE_SOCKET_SENT ? SONDE_SOCKET_RECEIVED : SONDE_SOCKET_SENT;
    wishes_.at(other) = sonde_socket_first_wish();
    owner_.wish(*this, other, sonde_socket_first_wish());
  }
  wishes_.at(kernel_direction) = wish;
  owner_.wish(*this, static_cast<sonde_socket_direction>(kernel_direction), wish);
}

}  // namespace sonde::protocols
