// SPDX-License-Identifier: Apache-2.0
#include "agent/web/connections.hpp"

#include <algorithm>

namespace sonde::web {

namespace {

std::size_t index_of(Phase phase)
{
  return static_cast<std::size_t>(phase);
}

}  // namespace

void Connections::enter(Connection& connection)
{
  {
    const std::scoped_lock lock(mutex_);
    auto& list = lists_[index_of(connection.phase_)];
    connection.place_ = list.insert(list.end(), &connection);
    connection.listed_ = true;
    ++count_;
  }
  make_room(&connection);
}

void Connections::move(Connection& connection, Phase phase, std::size_t bytes)
{
  {
    const std::scoped_lock lock(mutex_);
    if (!connection.listed_)
      return;
    auto& list = lists_[index_of(phase)];
    list.splice(list.end(), lists_[index_of(connection.phase_)], connection.place_);
    connection.phase_ = phase;
    bytes_ = bytes_ - connection.bytes_ + bytes;
    connection.bytes_ = bytes;
  }
  make_room(&connection);
}

void Connections::leave(Connection& connection)
{
  const std::scoped_lock lock(mutex_);
  if (!connection.listed_)
    return;
  lists_[index_of(connection.phase_)].erase(connection.place_);
  connection.listed_ = false;
  bytes_ -= connection.bytes_;
  --count_;
}

// Too many bytes: only those who hold some are asked to go.
std::shared_ptr<Connection> Connections::take_oldest(const Connection* but)
{
  const bool for_bytes = count_ <= most_ && bytes_ > most_bytes_;
  for (const auto phase : {Phase::kIdle, Phase::kReading, Phase::kWriting}) {
    if (for_bytes && phase != Phase::kWriting)
      continue;
    auto& list = lists_[index_of(phase)];
    for (auto place = list.begin(); place != list.end(); ++place) {
      auto& connection = **place;
      auto owner = connection.weak_from_this().lock();
      // No owner: it is being destroyed by another thread and about to leave by itself.
      if (&connection == but || !owner)
        continue;
      list.erase(place);
      connection.listed_ = false;
      bytes_ -= connection.bytes_;
      --count_;
      ++closed_for_others_;
      return owner;
    }
  }
  return nullptr;
}

void Connections::make_room(const Connection* but)
{
  for (;;) {
    std::shared_ptr<Connection> victim;
    {
      const std::scoped_lock lock(mutex_);
      if (count_ <= most_ && bytes_ <= most_bytes_)
        return;
      victim = take_oldest(but);
    }
    // Outside of the lock: dropping the last reference leaves the table once more.
    if (!victim)
      return;
    victim->close();
  }
}

bool Connections::close_one()
{
  std::shared_ptr<Connection> victim;
  {
    const std::scoped_lock lock(mutex_);
    victim = take_oldest(nullptr);
  }
  if (!victim)
    return false;
  victim->close();
  return true;
}

std::size_t Connections::count() const
{
  const std::scoped_lock lock(mutex_);
  return count_;
}

std::uint64_t Connections::closed_for_others() const
{
  const std::scoped_lock lock(mutex_);
  return closed_for_others_;
}

}  // namespace sonde::web
