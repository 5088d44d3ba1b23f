// SPDX-License-Identifier: Apache-2.0
// One socket: two streams, recognised, decoded, and what the tap is asked to capture of them. Owned
// by Connections, on the event loop's thread.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "sonde/socket.h"

#include "agent/protocols/protocol.hpp"
#include "agent/protocols/recognition.hpp"
#include "agent/protocols/recorder.hpp"
#include "agent/protocols/service_book.hpp"
#include "agent/protocols/stream.hpp"
#include "agent/protocols/unseen.hpp"

namespace sonde::protocols {

class Connection;

// What a connection needs of the table it is in.
class ConnectionOwner {
public:
  virtual std::span<const Protocol* const> protocols() const = 0;
  virtual void exchange(Connection& connection, const Exchange& exchange) = 0;
  virtual void progress(Connection& connection, const Exchange& exchange) = 0;
  virtual void malformed(Connection& connection, std::string_view reason) = 0;
  // Gauges; nothing when the connection has ended or is no longer decoded.
  virtual void activity(Connection& connection, std::optional<Activity> activity) = 0;
  virtual void
  wish(Connection& connection, sonde_socket_direction direction, std::uint64_t wish) = 0;

protected:
  ~ConnectionOwner() = default;
};

class Connection final : private Sink {
public:
  // How long what the server says may wait for the request that it answers.
  static constexpr std::uint64_t kPatienceNs = 10'000'000;
  static constexpr std::size_t kMaxWaitingBytes = 64 << 10;
  // A request whose tap is so much younger than a response cannot be what is answered.
  static constexpr std::uint64_t kSkewNs = 5'000'000;

  // `place`: the owner's, to know it by.
  Connection(ConnectionOwner& owner, std::uint32_t place, const sonde_socket_opened& opened);

  void take(const sonde_socket_bytes& record, std::string_view captured, Stream::Counts& counts);
  void close(sonde_socket_close how, std::uint64_t time_ns, Stream::Counts& counts);
  // Whether something waits for another record; sweep() lets it go when it has waited long enough.
  bool waits() const;
  void sweep(std::uint64_t now_ns, Stream::Counts& counts);

  // The role that its socket gives: as in its first record, where that did not know.
  void hint_at(std::uint8_t role);

  // Nobody looks at this one any more.
  bool ignored() const { return ignored_; }
  void ignore(Unseen why);
  // Why there is nothing to see at this moment.
  Unseen unseen() const;
  // What its bytes tell, or else the hint: enum sonde_socket_role.
  std::uint8_t known_role() const;
  // What the tap is asked for, as a word of sonde_socket_wish().
  std::uint64_t wish_of(sonde_socket_direction direction) const;
  // Null until it has been recognised.
  const Protocol* protocol() const { return protocol_; }
  Role role() const { return role_; }
  const Caller& caller() const { return caller_; }

  std::uint32_t place() const { return place_; }

private:
  class Out;

  void item(std::uint8_t kernel_direction, const Item& item);
  void recognise(std::uint8_t kernel_direction, const Item& item);
  void start(const Protocol& protocol, Role role, bool from_start);
  void recognise_anew(bool from_start);
  bool gives_up();
  void look_on();
  void want_heads();
  void decode(Direction direction, const Item& item);
  void wait(const Item& item);
  void release(bool all);
  void feed(Direction direction, const Item& item);
  void hand_over(Direction direction, const Item& item, std::size_t taken);
  void stop_decoding();
  void settle();
  void update_wish(Direction direction);
  void set_wish(std::uint8_t kernel_direction, std::uint64_t wish);
  bool failing() const;
  std::optional<Role> hint() const;

  void exchange(const Exchange& exchange) override;
  void progress(const Exchange& exchange) override { owner_.progress(*this, exchange); }
  void malformed(std::string_view reason) override;

  ConnectionOwner& owner_;
  std::uint32_t place_;
  std::array<Stream, SONDE_SOCKET_DIRECTIONS> streams_;
  std::array<std::uint64_t, SONDE_SOCKET_DIRECTIONS> wishes_{};
  std::unique_ptr<Recognition> recognition_;
  std::unique_ptr<Decoder> decoder_;
  const Protocol* protocol_ = nullptr;
  std::unique_ptr<std::deque<KeptItem>> waiting_;  // of the server
  std::size_t waiting_bytes_ = 0;
  Activity activity_;
  Caller caller_;
  std::uint32_t exchanges_ = 0;
  std::uint32_t malformed_ = 0;
  Role role_;
  std::uint8_t hint_;
  std::uint32_t looks_ = 0;
  std::uint8_t attempts_;                        // to recognise it
  std::uint8_t turn_ = SONDE_SOCKET_DIRECTIONS;  // who spoke last
  bool turned_ = false;                          // since the last attempt
  std::uint8_t handed_over_ = 0;
  bool joined_;         // in the middle
  bool shown_ = false;  // its activity
  bool ignored_ = false;
  bool wished_ = false;
  bool spoken_ = false;      // a byte has passed, seen or not
  bool unreadable_ = false;  // where the tap cannot see it
  bool encrypted_ = false;   // as the last attempt to recognise it saw
  Unseen unseen_ = Unseen::kNothing;
};

}  // namespace sonde::protocols
