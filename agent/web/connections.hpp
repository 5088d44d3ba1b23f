// SPDX-License-Identifier: Apache-2.0
// Every open connection by what it waits for, oldest first: where room is short, the one that is
// least missed goes. Any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>

namespace sonde::web {

class Connection;

// In the order in which connections give way.
enum class Phase : std::uint8_t {
  kIdle,      // between requests, or not a byte of one has come
  kReading,   // a request has begun
  kWriting,   // a response is being sent
  kHandling,  // a handler runs; never closed for another
};

class Connections {
public:
  Connections(std::size_t most, std::size_t most_bytes) : most_(most), most_bytes_(most_bytes) {}

  // Closes the oldest connection that does not run a handler; false when there is none.
  bool close_one();

  std::size_t count() const;
  std::uint64_t closed_for_others() const;

private:
  friend class Connection;
  using Lists = std::array<std::list<Connection*>, 4>;

  void enter(Connection& connection);
  void move(Connection& connection, Phase phase, std::size_t bytes);
  void leave(Connection& connection);
  std::shared_ptr<Connection> take_oldest(const Connection* but);
  void make_room(const Connection* but);

  const std::size_t most_;
  const std::size_t most_bytes_;
  mutable std::mutex mutex_;
  Lists lists_;
  std::size_t count_ = 0;
  std::size_t bytes_ = 0;  // of responses that wait for their readers
  std::uint64_t closed_for_others_ = 0;
};

// A place in the table, from construction to destruction. Whoever derives is owned by the
// operations that are under way on its socket, hence shared.
class Connection : public std::enable_shared_from_this<Connection> {
public:
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  virtual ~Connection() { table_.leave(*this); }

  // Closes the socket soon; any thread.
  virtual void close() = 0;

protected:
  explicit Connection(Connections& table) : table_(table) { table_.enter(*this); }

  // `bytes` is what the connection holds in memory meanwhile.
  void enter_phase(Phase phase, std::size_t bytes = 0) { table_.move(*this, phase, bytes); }

private:
  friend class Connections;

  Connections& table_;
  Phase phase_ = Phase::kIdle;
  bool listed_ = false;
  std::size_t bytes_ = 0;
  std::list<Connection*>::iterator place_;
};

}  // namespace sonde::web
