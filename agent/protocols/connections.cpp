// SPDX-License-Identifier: Apache-2.0
#include "agent/protocols/connections.hpp"

#include <algorithm>

#include "agent/metrics/labels.hpp"
#include "agent/protocols/connections_live.hpp"

namespace sonde::protocols {

namespace {

using metrics::Type;

// What a scrape holds beside requests: node families and Sonde's own, and the kernel's families of
// each service. With 250 services that is 36,000 lines, which leaves 4,000 of 40,000.
constexpr std::size_t kLinesOfNode = 2'000;
constexpr std::size_t kLinesOfService = 136;

sonde_socket_close how_of(const sonde_socket_closed& record)
{
  return record.how < SONDE_SOCKET_CLOSED_RESET ? static_cast<sonde_socket_close>(record.how)
                                                : SONDE_SOCKET_CLOSED_RESET;
}

template <typename Record>
const Record* cast(std::span<const std::byte> bytes)
{
  return bytes.size() >= sizeof(Record) ? reinterpret_cast<const Record*>(bytes.data()) : nullptr;
}

}  // namespace

Result<Connections::Options> Connections::options(const Settings& settings)
{
  return Options{.limits = request_limits(settings),
                 .bounds = SONDE_TRY(request_bounds(settings)),
                 .max_connections = static_cast<std::size_t>(
                     std::max<std::int64_t>(settings.integer("socket.max_connections"), 1)),
                 .max_lines = static_cast<std::size_t>(settings.integer("series.max"))};
}

Connections::Connections(Services& services,
                         Verdicts& verdicts,
                         RouteSource& routes,
                         Options options,
                         std::function<void(std::chrono::nanoseconds)> wake_in,
                         std::span<const Protocol* const> known)
    : verdicts_(verdicts), wake_in_(std::move(wake_in)),
      protocols_(known.first(std::min(known.size(), kStates - kRecognised))),
      max_connections_(options.max_connections), max_lines_(options.max_lines),
      bounds_(std::move(options.bounds)), routes_(routes),
      store_(options.limits, bounds_.durations, bounds_.sizes), recorder_(store_, routes),
      services_(services, [this](std::uint16_t slot) { store_.drop_slot(slot); }),
      by_id_(IdOf{&entries_}), by_pair_(PairOf{&entries_})
{
}

Connections::~Connections() = default;

std::size_t Connections::bytes_ignored()
{
  // Both indexes are at most three quarters full, and at least half of that.
  return sizeof(Entry) + 2 * sizeof(std::uint32_t) * 8 / 3;
}

std::size_t Connections::bytes_decoded()
{
  return sizeof(Live);
}

bool Connections::record(std::span<const std::byte> bytes_of_record)
{
  const auto* head = cast<sonde_record>(bytes_of_record);
  if (head != nullptr && head->kind == SONDE_KIND_SOCKET_BYTES) {
    const auto* record = cast<sonde_socket_bytes>(bytes_of_record);
    if (record != nullptr && record->direction < SONDE_SOCKET_DIRECTIONS &&
        record->captured <= bytes_of_record.size() - sizeof *record) {
      bytes(*record,
            {reinterpret_cast<const char*>(bytes_of_record.data()) + sizeof *record,
             record->captured});
      return true;
    }
  } else if (head != nullptr && head->kind == SONDE_KIND_SOCKET_OPENED) {
    if (const auto* record = cast<sonde_socket_opened>(bytes_of_record); record != nullptr) {
      opened(*record);
      return true;
    }
  } else if (head != nullptr && head->kind == SONDE_KIND_SOCKET_CLOSED) {
    if (const auto* record = cast<sonde_socket_closed>(bytes_of_record); record != nullptr) {
      closed(*record);
      return true;
    }
  }
  add(malformed_, 1);
  return false;
}

void Connections::opened(const sonde_socket_opened& record)
{
  add(records_, 1);
  if (const auto known = by_id_.find(record.socket)) {
    if (record.transport == SONDE_SOCKET_TLS && entries_[*known].transport == SONDE_SOCKET_TLS) {
      link(*known, record);
      return;
    }
    remove(*known);
  }
  if (record.socket == 0 || size_ >= max_connections_) {
    refuse(record);
    return;
  }
  budget_lines();
  if (free_.empty()) {
    free_.push_back(static_cast<std::uint32_t>(entries_.size()));
    entries_.emplace_back();
  }
  const auto place = free_.back();
  free_.pop_back();
  ++size_;
  auto& entry = entries_[place];
  entry.id = record.socket;
  if (record.transport != SONDE_SOCKET_UNIX && record.transport != SONDE_SOCKET_TLS)
    entry.pair = Addresses::of(record).key();
  entry.verdict = record.verdict;
  entry.transport = record.transport;
  entry.state = kUnknown;
  entry.live = std::make_unique<Live>(*this, place, record);
  add(states_[kUnknown], 1);
  by_id_.insert(entry.id, place);
  if (record.transport == SONDE_SOCKET_TLS) {
    link(place, record);
  } else if (entry.pair != 0) {
    by_pair_.insert(entry.pair, place);
    meet(entry.pair, entry.id);
  } else if (const auto peer = by_id_.find(record.peer)) {
    // The end that was announced first could not know this one.
    if (auto& other = entries_[*peer].live; other && other->peer_id == 0)
      other->peer_id = record.socket;
  }
  if (record.slot == SONDE_SLOT_AGENT)
    entry.live->connection.ignore(Unseen::kOwn);
  after_record(place);
}

void Connections::refuse(const sonde_socket_opened& record)
{
  add(overflow_, 1);
  const auto wish = sonde_socket_wish(SONDE_SOCKET_IGNORE, 0, 0, false, 0);
  verdicts_.set(record.verdict, record.socket, SONDE_SOCKET_SENT, wish);
  verdicts_.set(record.verdict, record.socket, SONDE_SOCKET_RECEIVED, wish);
}

void Connections::bytes(const sonde_socket_bytes& record, std::string_view captured)
{
  add(records_, 1);
  const auto place = by_id_.find(record.socket);
  if (!place) {
    add(unknown_, record.covered > 0 ? 1 : 0);
    return;
  }
  auto* live = entries_[*place].live.get();
  if (live == nullptr)
    return;
  Stream::Counts counts;
  if (record.slot == SONDE_SLOT_AGENT)
    live->connection.ignore(Unseen::kOwn);
  live->connection.take(record, captured, counts);
  live->lost_bytes += counts.lost_bytes;
  add_counts(counts);
  after_record(*place);
}

void Connections::closed(const sonde_socket_closed& record)
{
  add(records_, 1);
  end_over(record);
  const auto place = by_id_.find(record.socket);
  if (!place)
    return;
  Stream::Counts counts;
  if (auto& live = entries_[*place].live)
    live->connection.close(how_of(record), record.record.ktime_ns, counts);
  add_counts(counts);
  remove(*place);
}

void Connections::sweep(std::uint64_t now_ns)
{
  swept_.swap(waiting_);
  for (const auto place : swept_) {
    auto* live = entries_[place].live.get();
    if (live == nullptr || !live->listed)
      continue;
    live->listed = false;
    Stream::Counts counts;
    live->connection.sweep(now_ns, counts);
    live->lost_bytes += counts.lost_bytes;
    add_counts(counts);
    after_record(place);
  }
  swept_.clear();
}

// What the record has made of the connection.
void Connections::after_record(std::uint32_t place)
{
  auto& entry = entries_[place];
  auto& live = *entry.live;
  if (live.claimed >= Live::kEnoughClaimed)
    live.connection.ignore(Unseen::kClaimed);
  if (live.connection.ignored()) {
    entry.caller = live.connection.caller();
    entry.unseen = live.connection.unseen();
    entry.role = live.connection.known_role();
    recorder_.settle_levels(live.raised);
    entry.live.reset();
    count_as(entry, kIgnored);
    return;
  }
  const auto* protocol = live.connection.protocol();
  if (protocol == nullptr) {
    count_as(entry, kUnknown);
  } else if (entry.state < kRecognised || protocols_[entry.state - kRecognised] != protocol) {
    const auto at = std::ranges::find(protocols_, protocol) - protocols_.begin();
    count_as(entry, static_cast<std::uint8_t>(at + kRecognised));
  }
  if (live.connection.waits() && !live.listed) {
    live.listed = true;
    waiting_.push_back(place);
    if (waiting_.size() == 1)
      wake_in_(std::chrono::nanoseconds(Stream::kPatienceNs));
  }
}

void Connections::remove(std::uint32_t place)
{
  auto& entry = entries_[place];
  if (entry.live)
    recorder_.settle_levels(entry.live->raised);
  add(states_.at(entry.state), ~std::uint64_t{0});
  by_id_.erase(entry.id, place);
  if (entry.pair != 0 && entry.transport != SONDE_SOCKET_TLS) {
    by_pair_.erase(entry.pair, place);
    auto& set = closed_[entry.pair % closed_.size()];
    std::ranges::rotate(set, set.end() - 1);
    set.front() = {entry.pair, entry.live ? entry.live->connection.caller() : entry.caller};
  }
  entry = {};
  free_.push_back(place);
  --size_;
}

void Connections::count_as(Entry& entry, std::uint8_t state)
{
  if (entry.state == state)
    return;
  add(states_.at(entry.state), ~std::uint64_t{0});
  add(states_.at(state), 1);
  entry.state = state;
}

void Connections::add_counts(const Stream::Counts& counts)
{
  if (counts.lost_bytes > 0)
    add(lost_bytes_, counts.lost_bytes);
  if (counts.duplicates > 0)
    add(duplicates_, counts.duplicates);
}

void Connections::budget_lines()
{
  const auto others = kLinesOfNode + kLinesOfService * services_.services();
  const auto least = max_lines_ / 10;
  store_.limit_lines(others + least < max_lines_ ? max_lines_ - others : least);
}

const Service* Connections::service_at(std::optional<std::uint32_t> place)
{
  if (!place)
    return nullptr;
  const auto& entry = entries_[*place];
  const auto& service = services_.of(entry.live ? entry.live->connection.caller() : entry.caller);
  return service.slot == SONDE_SLOT_OTHER ? nullptr : &service;
}

// A server that answers and closes is gone before its client has read the answer.
const Service* Connections::service_of_pair(std::uint64_t pair)
{
  if (const auto place = by_pair_.find(pair))
    return service_at(place);
  const auto& set = closed_[pair % closed_.size()];
  const auto closed = std::ranges::find(set, pair, &Closed::pair);
  if (closed == set.end())
    return nullptr;
  const auto& service = services_.of(closed->caller);
  return service.slot == SONDE_SLOT_OTHER ? nullptr : &service;
}

namespace {

const Protocol& protocol_of(const Connection& connection, const Exchange& exchange)
{
  return exchange.within != nullptr ? *exchange.within : *connection.protocol();
}

}  // namespace

void Connections::exchange(Connection& connection, const Exchange& exchange)
{
  const auto& protocol = protocol_of(connection, exchange);
  auto& live = live_of(connection);
  if (is_claimed(connection, protocol)) {
    add(claimed_, 1);
    ++live.claimed;
    return;
  }
  add(exchanges_, 1);
  live.claimed = 0;
  ++live.exchanges;
  recorder_.point_at(connection.role(), services_.owner_of(connection.caller()), live);
  protocol.record(exchange, recorder_);
  if (observer_)
    observer_({.protocol = protocol,
               .role = connection.role(),
               .service = services_.of(connection.caller()),
               .peer = connection.role() == Role::kClient ? live.peer() : std::string_view{},
               .route = recorder_.last_route(),
               .exchange = exchange});
}

void Connections::progress(Connection& connection, const Exchange& exchange)
{
  const auto& protocol = protocol_of(connection, exchange);
  if (protocol.progress == nullptr || is_claimed(connection, protocol))
    return;
  recorder_.point_at(
      connection.role(), services_.owner_of(connection.caller()), live_of(connection));
  protocol.progress(exchange, recorder_);
}

void Connections::malformed(Connection& connection, std::string_view reason)
{
  errors_.count(connection.protocol()->name, reason);
}

void Connections::activity(Connection& connection, std::optional<Activity> activity)
{
  auto& live = live_of(connection);
  if (!activity || is_claimed(connection, *connection.protocol())) {
    recorder_.settle_levels(live.raised);
    return;
  }
  recorder_.point_at(connection.role(), services_.owner_of(connection.caller()), live);
  recorder_.move_levels(*connection.protocol(), *activity, live.raised);
}

void Connections::wish(Connection& connection, sonde_socket_direction direction, std::uint64_t wish)
{
  const auto& entry = entries_[connection.place()];
  verdicts_.set(entry.verdict, entry.id, direction, wish);
}

void Connections::collect(Scrape& scrape)
{
  store_.render(scrape.out);
  scrape.out.begin(kConnectionMetrics[0]);
  const auto sample = [&](std::string_view name, std::size_t state) {
    scrape.out.sample({metrics::label_block({{"protocol", name}})},
                      states_.at(state).load(std::memory_order_relaxed));
  };
  sample("unknown", kUnknown);
  sample("ignored", kIgnored);
  for (std::size_t i = 0; i < protocols_.size(); ++i)
    sample(protocols_[i]->name, i + kRecognised);
  scrape.out.begin(kConnectionMetrics[1]);
  errors_.render(scrape.out);
  scrape.out.begin(kConnectionMetrics[2]);
  for (std::size_t reason = kFirstUnseen; reason < kUnseenWords.size(); ++reason)
    scrape.out.sample({metrics::label_block({{"reason", kUnseenWords.at(reason)}})},
                      unseen_processes_.at(reason).load(std::memory_order_relaxed));
}

Connections::Counts Connections::counts() const
{
  const auto now = [](const Count& count) { return count.load(std::memory_order_relaxed); };
  return {.records = now(records_),
          .exchanges = now(exchanges_),
          .malformed = now(malformed_),
          .unknown = now(unknown_),
          .overflow = now(overflow_),
          .lost_bytes = now(lost_bytes_),
          .duplicates = now(duplicates_),
          .claimed = now(claimed_)};
}

}  // namespace sonde::protocols
