// SPDX-License-Identifier: Apache-2.0
#include "agent/protocols/connection.hpp"

#include <algorithm>

namespace sonde::protocols {

namespace {

// The first bytes seen of a connection that is older than its observation are mostly the middle of
// something; each call that follows is another chance.
constexpr std::uint8_t kAttempts = 2;
constexpr std::uint8_t kAttemptsJoined = 8;
// A decoder that finds more rubbish than exchanges is not the right one.
constexpr std::uint32_t kMalformed = 5;
// Both are halved when there are so many, so that the present counts.
constexpr std::uint32_t kRemembered = 1024;
// An upgrade of an upgrade is a game, not a protocol.
constexpr std::uint8_t kMostSuccessors = 4;
Exchange::End end_of(sonde_socket_close how, Role role)
{
  if (how == SONDE_SOCKET_CLOSED_RESET)
    return Exchange::End::kReset;
  return (how == SONDE_SOCKET_CLOSED_HERE) == (role == Role::kServer)
             ? Exchange::End::kServerClosed
             : Exchange::End::kClientClosed;
}

}  // namespace

class Connection::Out final : public Stream::Output {
public:
  Out(Connection& connection, std::uint8_t direction)
      : connection_(connection), direction_(direction)
  {
  }
  void item(const Item& item) override { connection_.item(direction_, item); }

private:
  Connection& connection_;
  std::uint8_t direction_;
};

Connection::Connection(ConnectionOwner& owner,
                       std::uint32_t place,
                       const sonde_socket_opened& opened)
    : owner_(owner), place_(place),
      streams_{Stream(opened.position[0]), Stream(opened.position[1])},
      recognition_(std::make_unique<Recognition>(opened.from_start != 0)),
      caller_{.tgid = opened.tgid, .slot = opened.slot, .generation = opened.generation},
      role_(opened.role == SONDE_SOCKET_ROLE_CLIENT ? Role::kClient : Role::kServer),
      hint_(opened.role), attempts_(opened.from_start != 0 ? kAttempts : kAttemptsJoined),
      joined_(opened.from_start == 0)
{
}

void Connection::hint_at(std::uint8_t role)
{
  if (hint_ != SONDE_SOCKET_ROLE_UNKNOWN)
    return;
  hint_ = role;
  // Frames look the same from both sides: who spoke first in the middle was a guess.
  if (protocol_ != nullptr && joined_ && hint() && *hint() != role_)
    recognise_anew(false);
  if (protocol_ == nullptr)
    role_ = hint().value_or(role_);
}

std::optional<Role> Connection::hint() const
{
  if (hint_ == SONDE_SOCKET_ROLE_CLIENT)
    return Role::kClient;
  if (hint_ == SONDE_SOCKET_ROLE_SERVER)
    return Role::kServer;
  return std::nullopt;
}

void Connection::take(const sonde_socket_bytes& record,
                      std::string_view captured,
                      Stream::Counts& counts)
{
  const std::uint8_t direction = record.direction;
  if (ignored_ || direction >= SONDE_SOCKET_DIRECTIONS)
    return;
  // Whose exchanges these are: of a client who writes the requests; of a server anyone on it.
  if (direction == SONDE_SOCKET_SENT || role_ == Role::kServer)
    caller_ = {.tgid = record.tgid, .slot = record.slot, .generation = record.generation};
  Out out(*this, direction);
  auto& stream = streams_[direction];
  spoken_ = spoken_ || record.covered > 0;
  unreadable_ = unreadable_ || (record.flags & SONDE_SOCKET_UNREADABLE) != 0;
  const auto now = record.record.ktime_ns;
  if ((record.flags & SONDE_SOCKET_END) != 0)
    stream.end(now, out, counts);
  else
    stream.take({.position = record.position,
                 .covered = record.covered,
                 .bytes = captured,
                 .time_ns = now,
                 .starts_call = (record.flags & SONDE_SOCKET_STARTS_CALL) != 0},
                out,
                counts);
  settle();
}

void Connection::close(sonde_socket_close how, std::uint64_t time_ns, Stream::Counts& counts)
{
  for (std::uint8_t direction = 0; direction < streams_.size(); ++direction) {
    Out out(*this, direction);
    streams_[direction].flush(out, counts);
  }
  if (decoder_ != nullptr)
    release(true);
  if (decoder_ != nullptr)
    decoder_->closed(end_of(how, role_), time_ns, *this);
  stop_decoding();
  ignored_ = true;
}

bool Connection::waits() const
{
  return waiting_ != nullptr ||
         std::ranges::any_of(streams_, [](const Stream& stream) { return stream.waits(); });
}

void Connection::sweep(std::uint64_t now_ns, Stream::Counts& counts)
{
  for (std::uint8_t direction = 0; direction < streams_.size(); ++direction) {
    Out out(*this, direction);
    streams_[direction].sweep(now_ns, out, counts);
  }
  if (waiting_ != nullptr && waiting_->front().item.time_ns + kPatienceNs <= now_ns)
    release(true);
  settle();
}

void Connection::item(std::uint8_t kernel_direction, const Item& item)
{
  if (ignored_)
    return;
  if (decoder_ == nullptr)
    recognise(kernel_direction, item);
  else
    decode(direction_of(role_, kernel_direction), item);
}

void Connection::recognise(std::uint8_t kernel_direction, const Item& item)
{
  if (recognition_ == nullptr) {
    // After a failure only the beginning of a call is worth a look.
    if (item.kind != Item::Kind::kBytes || !item.starts_call)
      return;
    recognition_ = std::make_unique<Recognition>(false);
  }
  recognition_->keep(kernel_direction, item);
  if (item.kind != Item::Kind::kBytes)
    return;
  const bool turns = turn_ != kernel_direction;
  turn_ = kernel_direction;
  turned_ = turned_ || turns;
  auto answer = recognition_->ask(owner_.protocols(), hint());
  if (answer.match == Match::kNo && joined_ && turns && item.starts_call) {
    // What came before may be the end of something, this the beginning of a request.
    recognition_ = std::make_unique<Recognition>(false);
    recognition_->keep(kernel_direction, item);
    answer = recognition_->ask(owner_.protocols(), hint());
    if (answer.match == Match::kNeedMore &&
        (!hint() || direction_of(*hint(), kernel_direction) == Direction::kToClient))
      answer.match = Match::kNo;
  }
  if (answer.match == Match::kNeedMore)
    return;
  const auto kept = std::move(recognition_);
  encrypted_ = kept->looks_encrypted();
  if (answer.match == Match::kYes) {
    start(*answer.protocol, answer.role, kept->from_start());
    // Answers to what was asked before it was joined are nobody's.
    bool begun = !joined_;
    const auto asking = kernel_direction_of(answer.role, Direction::kToServer);
    kept->replay([&](std::uint8_t direction, const Item& one) {
      begun = begun || direction == asking;
      if (begun)
        this->item(direction, one);
    });
  } else if (!joined_ || gives_up()) {
    ignore(encrypted_    ? Unseen::kEncrypted
           : unreadable_ ? Unseen::kUnreadable
                         : Unseen::kNotRecognised);
  } else {
    look_on();
  }
}

void Connection::start(const Protocol& protocol, Role role, bool from_start)
{
  protocol_ = &protocol;
  role_ = role;
  decoder_ = protocol.decoder(from_start);
  exchanges_ = malformed_ = 0;
}

void Connection::recognise_anew(bool from_start)
{
  stop_decoding();
  joined_ = !from_start;
  if (from_start)
    recognition_ = std::make_unique<Recognition>(true);
  want_heads();
}

void Connection::decode(Direction direction, const Item& item)
{
  if (direction == Direction::kToClient) {
    if (waiting_ == nullptr && (item.kind == Item::Kind::kEnd || decoder_->expects_response()))
      feed(direction, item);
    else
      wait(item);
    return;
  }
  if (waiting_ != nullptr && waiting_->front().item.time_ns + kSkewNs < item.time_ns)
    release(true);
  if (decoder_ == nullptr) {
    this->item(kernel_direction_of(role_, direction), item);
    return;
  }
  feed(direction, item);
  release(false);
}

void Connection::wait(const Item& item)
{
  if (waiting_ == nullptr)
    waiting_ = std::make_unique<std::deque<KeptItem>>();
  waiting_->emplace_back(item);
  waiting_bytes_ += item.length;
  if (waiting_bytes_ > kMaxWaitingBytes || waiting_->size() > Recognition::kMaxItems ||
      waiting_->front().item.time_ns + kPatienceNs <= item.time_ns)
    release(true);
}

// Feeds what the server said as long as there is a request for it, or come what may.
void Connection::release(bool all)
{
  while (waiting_ != nullptr && decoder_ != nullptr &&
         (all || waiting_->front().item.kind == Item::Kind::kEnd || decoder_->expects_response())) {
    const auto kept = std::move(waiting_->front());
    waiting_->pop_front();
    waiting_bytes_ -= kept.item.length;
    if (waiting_->empty())
      waiting_.reset();
    feed(Direction::kToClient, kept.get());
  }
}

void Connection::feed(Direction direction, const Item& item)
{
  std::size_t taken = item.bytes.size();
  switch (item.kind) {
  case Item::Kind::kBytes:
    taken = decoder_->data(direction, {item.bytes, item.time_ns, item.starts_call}, *this);
    break;
  case Item::Kind::kHole:
    decoder_->hole(direction, item.length, item.time_ns, *this);
    break;
  case Item::Kind::kEnd:
    decoder_->end_of_stream(direction, item.time_ns, *this);
    break;
  }
  if (!decoder_->successor().empty())
    hand_over(direction, item, std::min(taken, item.bytes.size()));
}

// The rest of the bytes, and what waited, belongs to whoever comes next.
void Connection::hand_over(Direction direction, const Item& item, std::size_t taken)
{
  const std::string_view name = decoder_->successor();
  const auto all = owner_.protocols();
  const auto next =
      std::ranges::find_if(all, [&](const Protocol* one) { return one->name == name; });
  const bool unknown = name == "unknown";
  const auto why = name == "encrypted" ? Unseen::kEncrypted : Unseen::kHandedOver;
  const auto waiting = std::move(waiting_);
  waiting_bytes_ = 0;
  const auto role = role_;
  stop_decoding();
  if (++handed_over_ > kMostSuccessors) {
    ignore(why);
    return;
  }
  if (next != all.end()) {
    start(**next, role, true);
  } else if (unknown) {
    recognise_anew(true);
  } else {
    ignore(why);
    return;
  }
  if (taken < item.bytes.size()) {
    Item rest = item;
    rest.bytes.remove_prefix(taken);
    rest.length = rest.bytes.size();
    this->item(kernel_direction_of(role, direction), rest);
  }
  if (waiting != nullptr)
    for (const auto& kept : *waiting)
      this->item(kernel_direction_of(role, Direction::kToClient), kept.get());
}

void Connection::stop_decoding()
{
  if (shown_)
    owner_.activity(*this, std::nullopt);
  shown_ = false;
  activity_ = {};
  decoder_.reset();
  recognition_.reset();
  protocol_ = nullptr;
  waiting_.reset();
  waiting_bytes_ = 0;
}

bool Connection::failing() const
{
  return malformed_ > kMalformed && malformed_ > exchanges_;
}

// After each record: what the decoder has come to.
void Connection::settle()
{
  if (decoder_ == nullptr)
    return;
  if (failing()) {
    if (attempts_ <= 1) {
      ignore(Unseen::kMalformed);
      return;
    }
    attempts_ = 1;
    recognise_anew(false);
    return;
  }
  if (const auto activity = decoder_->activity(); !shown_ || activity != activity_) {
    activity_ = activity;
    shown_ = true;
    owner_.activity(*this, activity);
  }
  update_wish(Direction::kToServer);
  update_wish(Direction::kToClient);
}

void Connection::exchange(const Exchange& exchange)
{
  if (++exchanges_ >= kRemembered) {
    exchanges_ /= 2;
    malformed_ /= 2;
  }
  owner_.exchange(*this, exchange);
}

void Connection::malformed(std::string_view reason)
{
  ++malformed_;
  owner_.malformed(*this, reason);
}

}  // namespace sonde::protocols
