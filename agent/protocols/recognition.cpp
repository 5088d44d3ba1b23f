// SPDX-License-Identifier: Apache-2.0
#include "agent/protocols/recognition.hpp"

#include <algorithm>

namespace sonde::protocols {

namespace {

// Of all connections together, beyond what each may keep in any case.
constexpr std::size_t kBudget = 16U << 20U;
thread_local std::size_t kept_beyond = 0;

std::size_t beyond(std::size_t bytes)
{
  return bytes - std::min(bytes, Recognition::kMaxBytes);
}

// So many items without a yes, and the role that nobody expected may have it.
constexpr std::size_t kEnough = 8;

// RFC 8446 section 5.1: type, version 3.x, length. Only a hello opens a connection.
bool is_tls_record(std::string_view bytes, bool first)
{
  constexpr unsigned kMostBytes = (1U << 14U) + 2048;
  if (bytes.size() < 5)
    return false;
  const auto byte = [&](std::size_t at) { return unsigned{static_cast<unsigned char>(bytes[at])}; };
  const auto length = byte(3) << 8U | byte(4);
  const bool record = byte(0) >= 20 && byte(0) <= 23 && byte(1) == 3 && byte(2) <= 4 &&
                      length > 0 && length <= kMostBytes;
  if (!record || !first)
    return record;
  const bool hello = bytes.size() < 6 || byte(5) == 1 || byte(5) == 2;
  return byte(0) == 22 && hello;
}

}  // namespace

bool Recognition::looks_encrypted() const
{
  return std::ranges::any_of(
      bytes_, [this](const auto& bytes) { return is_tls_record(bytes, from_start_); });
}

Recognition::~Recognition()
{
  for (const auto& bytes : bytes_)
    kept_beyond -= beyond(bytes.size());
}

// A pipeline of a client that is joined is known by its answers only, and these come behind it.
std::size_t Recognition::room(const std::string& bytes) const
{
  if (from_start_)
    return kMaxBytes - std::min(kMaxBytes, bytes.size());
  const auto left = kBudget - std::min(kBudget, kept_beyond);
  const auto most = std::min(kMostBytes, std::max(kMaxBytes, bytes.size()) + left);
  return most - std::min(most, bytes.size());
}

void Recognition::keep(std::uint8_t kernel_direction, const Item& item)
{
  auto& bytes = bytes_.at(kernel_direction);
  auto& unbroken = unbroken_.at(kernel_direction);
  if (item.kind == Item::Kind::kHole && bytes.empty() && !unbroken)
    from_start_ = false;
  else if (item.kind == Item::Kind::kHole && !unbroken)
    unbroken = bytes.size();

  Item kept = item;
  const auto offset = static_cast<std::uint32_t>(bytes.size());
  if (item.kind == Item::Kind::kBytes) {
    const auto taken = item.bytes.substr(0, room(bytes));
    kept.length = taken.size();
    kept_beyond -= beyond(bytes.size());
    bytes += taken;
    kept_beyond += beyond(bytes.size());
    kept.bytes = {};
  }
  if (items_.size() < kMaxItems)
    items_.push_back({kept, kernel_direction, offset});
  if (kept.length < item.length && items_.size() < kMaxItems) {
    if (!unbroken)
      unbroken = bytes.size();
    items_.push_back(
        {{.kind = Item::Kind::kHole, .time_ns = item.time_ns, .length = item.length - kept.length},
         kernel_direction,
         0});
  }
}

bool Recognition::full() const
{
  return items_.size() >= kMaxItems ||
         std::ranges::any_of(
             bytes_,
             [this](const auto& bytes) { return from_start_ && bytes.size() >= kMaxBytes; }) ||
         std::ranges::any_of(unbroken_, [](const auto& end) { return end.has_value(); });
}

Match Recognition::ask(std::span<const Protocol* const> protocols, Role role, Answer& answer) const
{
  const auto head = [&](Direction direction) {
    const auto at = kernel_direction_of(role, direction);
    return std::string_view(bytes_[at])
        .substr(0, std::min(unbroken_[at].value_or(kMaxBytes), kMaxBytes));
  };
  const Heads heads{.to_server = head(Direction::kToServer),
                    .to_client = head(Direction::kToClient),
                    .from_start = from_start_};
  auto best = Match::kNo;
  for (const auto* protocol : protocols) {
    const auto match = protocol->recognise(heads);
    if (match == Match::kYes) {
      answer = {.match = match, .protocol = protocol, .role = role};
      return match;
    }
    if (match == Match::kNeedMore)
      best = match;
  }
  return best;
}

Recognition::Answer Recognition::ask(std::span<const Protocol* const> protocols,
                                     std::optional<Role> hint) const
{
  Answer answer;
  // Without a hint the one that spoke first is taken for the client.
  const auto spoke = std::ranges::find(
      items_, Item::Kind::kBytes, [](const Kept& kept) { return kept.item.kind; });
  if (spoke == items_.end())
    return items_.size() < kMaxItems ? answer : Answer{.match = Match::kNo};
  const auto first =
      hint.value_or(spoke->direction == SONDE_SOCKET_SENT ? Role::kClient : Role::kServer);
  const auto second = first == Role::kClient ? Role::kServer : Role::kClient;
  const auto likely = ask(protocols, first, answer);
  if (likely == Match::kYes && (hint || from_start_))
    return answer;
  Answer other;
  const auto unlikely = ask(protocols, second, other);
  const bool waits = !full() && items_.size() < kEnough;
  if (likely == Match::kYes && unlikely == Match::kYes && waits)
    return {};
  if (likely == Match::kYes)
    return answer;
  const bool patient = likely == Match::kNeedMore && waits;
  if (unlikely == Match::kYes && !patient)
    return other;
  const bool open = likely == Match::kNeedMore || unlikely != Match::kNo;
  return {.match = open && !full() ? Match::kNeedMore : Match::kNo};
}

}  // namespace sonde::protocols
