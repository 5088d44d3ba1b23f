// SPDX-License-Identifier: Apache-2.0
// All sockets of the tap: records in, metrics out. Fed on the event loop's thread; collect() is the
// scraping thread's.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "sonde/socket.h"

#include "agent/metrics/series_store.hpp"
#include "agent/probes/probe.hpp"
#include "agent/protocols/addresses.hpp"
#include "agent/protocols/connection.hpp"
#include "agent/protocols/decode_errors.hpp"
#include "agent/protocols/recorder.hpp"
#include "agent/protocols/service_book.hpp"
#include "agent/protocols/socket_index.hpp"
#include "agent/protocols/unseen.hpp"

namespace sonde::protocols {

// The array of verdicts that the tap reads.
class Verdicts {
public:
  virtual ~Verdicts() = default;
  virtual void set(std::uint32_t index,
                   std::uint64_t socket,
                   sonde_socket_direction direction,
                   std::uint64_t wish) = 0;
  // The socket has closed: another may have its entry.
  virtual void free(std::uint32_t index, std::uint64_t socket) = 0;
};

// An exchange as it was recorded. Valid during the call.
struct Observed {
  const Protocol& protocol;
  Role role;
  const Service& service;
  std::string_view peer;   // empty for servers
  std::string_view route;  // template of the target; empty where the protocol has none
  const Exchange& exchange;
};

// A connection of the table, as `sonde explain` shows it. Valid during the call.
struct ConnectionView {
  std::uint32_t tgid;         // who used it last
  std::uint64_t pair;         // Addresses::key(); 0: AF_UNIX
  std::string_view protocol;  // or unknown, ignored
  Unseen unseen;
  std::uint8_t role;                     // enum sonde_socket_role
  std::uint8_t transport;                // enum sonde_socket_transport
  const Addresses* addresses = nullptr;  // of an ignored one only the key is known
  std::array<std::uint64_t, SONDE_SOCKET_DIRECTIONS> wishes{};
  std::uint64_t exchanges = 0;
  std::uint64_t lost_bytes = 0;
};

class Connections final : private ConnectionOwner {
public:
  struct Options {
    metrics::SeriesStore::Limits limits;
    RequestBounds bounds;
    std::size_t max_connections = 65'536;
    std::size_t max_lines = 40'000;  // of a whole scrape
  };
  static Result<Options> options(const Settings& settings);

  // Since the start. Any thread.
  struct Counts {
    std::uint64_t records = 0;
    std::uint64_t exchanges = 0;
    std::uint64_t malformed = 0;   // records that no tap of this build makes
    std::uint64_t unknown = 0;     // records with bytes of sockets that are not in the table
    std::uint64_t overflow = 0;    // sockets that found no room in it
    std::uint64_t lost_bytes = 0;  // wanted, but no record brought them
    std::uint64_t duplicates = 0;
    std::uint64_t claimed = 0;  // exchanges that a richer source counts
  };

  // `wake_in`: sweep() is wanted after this time. Everything must outlive the table.
  Connections(Services& services,
              Verdicts& verdicts,
              RouteSource& routes,
              Options options,
              std::function<void(std::chrono::nanoseconds)> wake_in,
              std::span<const Protocol* const> known = protocols::protocols());
  ~Connections();
  Connections(const Connections&) = delete;
  Connections& operator=(const Connections&) = delete;

  // A record of the ring, whichever of the three it is; false when it is none.
  bool record(std::span<const std::byte> bytes);
  void opened(const sonde_socket_opened& record);
  void bytes(const sonde_socket_bytes& record, std::string_view captured);
  // Plaintext that passes over the socket ends with it.
  void closed(const sonde_socket_closed& record);

  // For requests that another source than the sockets' bytes knows of: a recorder for the service
  // of the caller. Must not call back.
  void record(const Caller& caller,
              Role role,
              std::string_view peer,
              const std::function<void(SeriesRecorder&)>& to);
  // What a server of that protocol has under way, as such a source knows it. `raised` is what the
  // gauges have of it so far; nothing under way settles them.
  void level(const Caller& caller,
             std::string_view protocol,
             const Activity& activity,
             RaisedLevels& raised);
  // The service that such a caller belongs to, valid until the next call.
  metrics::SeriesOwner owner_of(const Caller& caller) { return services_.owner_of(caller); }
  // The name of the service at the other end of a connection between these addresses, as far as the
  // sockets show; empty otherwise. Valid until the next call.
  std::string_view service_across(const Addresses& addresses);
  RouteSource& routes() { return routes_; }
  const RequestBounds& bounds() const { return bounds_; }

  // Lets go what has waited for another record for long enough.
  void sweep(std::uint64_t now_ns);

  // Told of every exchange, on the loop's thread; must not call back.
  void on_exchange(std::function<void(const Observed&)> observer)
  {
    observer_ = std::move(observer);
  }

  // All of them, on the loop's thread.
  void look(const std::function<void(const ConnectionView&)>& see) const;
  // Counts the processes of which nothing is decoded, for the scrapes to come; on the loop's
  // thread.
  void survey();
  // Closes TLS connections of which no socket is known and whose process is gone; on the loop's
  // thread.
  void end_orphans(const std::function<bool(std::uint32_t)>& is_alive);

  // A richer source counts what processes do in this role, of a protocol by that name (a uprobe in
  // the program itself, which knows more of each request): their exchanges are not recorded, and
  // after some of them in a row nothing is read of the connection any more. On the loop's thread; a
  // claim that is given up counts no more from the next exchange on. `tls_only`: but for what
  // passes in plain text.
  void claim(std::uint32_t tgid, Role role, std::string_view protocol, bool tls_only = false);
  void give_up_claim(std::uint32_t tgid, Role role, std::string_view protocol);

  // The scraping thread.
  void collect(Scrape& scrape);
  Counts counts() const;
  std::size_t size() const { return size_; }
  // Memory of one socket: an ignored one, and what a decoded one takes beyond that and its decoder.
  static std::size_t bytes_ignored();
  static std::size_t bytes_decoded();

private:
  struct Live;
  struct Entry {
    std::uint64_t id = 0;        // 0: free
    std::uint64_t pair = 0;      // of its addresses; 0: AF_UNIX
    std::unique_ptr<Live> live;  // none: ignored
    Caller caller;
    std::uint32_t verdict = 0;
    std::uint8_t state = 0;                         // counted as
    std::uint8_t role = SONDE_SOCKET_ROLE_UNKNOWN;  // of an ignored one
    std::uint8_t transport = SONDE_SOCKET_TCP;
    Unseen unseen = Unseen::kNothing;  // likewise
  };
  struct IdOf {
    const std::deque<Entry>* entries;
    std::uint64_t operator()(std::uint32_t place) const { return (*entries)[place].id; }
  };
  struct PairOf {
    const std::deque<Entry>* entries;
    std::uint64_t operator()(std::uint32_t place) const { return (*entries)[place].pair; }
  };
  using Count = std::atomic<std::uint64_t>;

  std::span<const Protocol* const> protocols() const override { return protocols_; }
  void exchange(Connection& connection, const Exchange& exchange) override;
  void progress(Connection& connection, const Exchange& exchange) override;
  void malformed(Connection& connection, std::string_view reason) override;
  void activity(Connection& connection, std::optional<Activity> activity) override;
  void wish(Connection& connection, sonde_socket_direction direction, std::uint64_t wish) override;

  ConnectionView view_of(const Entry& entry) const;
  bool is_claimed(const Connection& connection, const Protocol& protocol) const;
  void link(std::uint32_t place, const sonde_socket_opened& record);
  void meet(std::uint64_t pair, std::uint64_t socket);
  void end_over(const sonde_socket_closed& record);
  Live& live_of(const Connection& connection) { return *entries_[connection.place()].live; }
  const Service* service_at(std::optional<std::uint32_t> place);
  const Service* service_of_pair(std::uint64_t pair);
  void refuse(const sonde_socket_opened& record);
  void remove(std::uint32_t place);
  void after_record(std::uint32_t place);
  void count_as(Entry& entry, std::uint8_t state);
  void add_counts(const Stream::Counts& counts);
  void budget_lines();

  Verdicts& verdicts_;
  std::function<void(std::chrono::nanoseconds)> wake_in_;
  std::span<const Protocol* const> protocols_;
  std::size_t max_connections_;
  std::size_t max_lines_;
  RequestBounds bounds_;
  RouteSource& routes_;
  metrics::SeriesStore store_;
  SeriesRecorder recorder_;
  ServiceBook services_;
  DecodeErrors errors_;
  std::function<void(const Observed&)> observer_;

  std::deque<Entry> entries_;
  std::vector<std::uint32_t> free_;
  SocketIndex<IdOf> by_id_;
  SocketIndex<PairOf> by_pair_;
  // The last ones that closed, by their pair: sets of a few, of which the oldest goes.
  struct Closed {
    std::uint64_t pair = 0;
    Caller caller;
  };
  std::array<std::array<Closed, 8>, 512> closed_{};
  // TLS connections by the id of the socket that they pass through.
  std::unordered_multimap<std::uint64_t, std::uint64_t> over_;
  // Those whose socket is known by its addresses only, and has not been met.
  std::unordered_map<std::uint64_t, std::uint64_t> unmet_;
  struct Claim {
    Role role;
    std::string protocol;
    bool tls_only;
  };
  std::unordered_map<std::uint32_t, std::vector<Claim>> claims_;  // by process
  std::size_t size_ = 0;
  std::vector<std::uint32_t> waiting_;
  std::vector<std::uint32_t> swept_;

  // What an entry is counted as.
  static constexpr std::uint8_t kUnknown = 0;
  static constexpr std::uint8_t kIgnored = 1;
  static constexpr std::uint8_t kRecognised = 2;  // and the protocol's place in the table
  static constexpr std::size_t kStates = 64;
  std::array<Count, kStates> states_{};
  // Decoded processes and the agent itself are not shown.
  static constexpr auto kFirstUnseen = static_cast<std::size_t>(Unseen::kNoTraffic);
  std::array<Count, kUnseenWords.size()> unseen_processes_{};
  Count records_ = 0;
  Count exchanges_ = 0;
  Count malformed_ = 0;
  Count unknown_ = 0;
  Count overflow_ = 0;
  Count lost_bytes_ = 0;
  Count duplicates_ = 0;
  Count claimed_ = 0;
};

// Those of each protocol are its own.
inline constexpr metrics::Desc kConnectionMetrics[] = {
    {"sonde_connections",
     metrics::Type::kGauge,
     "Sockets that the tap follows, by the protocol they were recognised as; unknown: not yet, "
     "ignored: as none.",
     "protocol"},
    {"sonde_decode_errors_total",
     metrics::Type::kCounter,
     "Messages on connections of a protocol that cannot be of it, by reason.",
     "protocol reason"},
    {"sonde_uninstrumented_processes",
     metrics::Type::kGauge,
     "Processes that use stream sockets of which none is decoded, by the reason that says most; at "
     "most five seconds old.",
     "reason"},
};

}  // namespace sonde::protocols
