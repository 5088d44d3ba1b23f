// SPDX-License-Identifier: Apache-2.0
// The server's half, and what both have in common.
#include "agent/protocols/postgresql_decoder.hpp"

#include <algorithm>

#include "agent/protocols/sql.hpp"

namespace sonde::postgresql {

namespace {

constexpr std::uint64_t kLargeResult = 32 << 10;
// Of each turn: the tap may hear of the result's end when the next answers have passed it.
constexpr std::uint32_t kResultHead = 32 << 10;
constexpr std::uint32_t kResultTail = 256;  // CommandComplete or most errors, and ReadyForQuery
constexpr std::size_t kMostSuspended = 64;
constexpr std::uint64_t kSyncSize = 5;

// Whether a statement of this verb cannot complete with this tag.
bool contradicts(std::string_view tag, std::string_view verb)
{
  constexpr std::string_view kPlain[] = {"delete", "insert", "select", "update"};
  return std::ranges::find(kPlain, verb) != std::end(kPlain) && sql::verb_of_tag(tag) != verb;
}

}  // namespace

std::size_t PostgresqlDecoder::data(Direction direction, const protocols::Piece& piece, Sink& sink)
{
  if (!successor_.empty())
    return 0;
  return direction == Direction::kToServer ? requests(piece, sink) : responses(piece, sink);
}

std::size_t PostgresqlDecoder::responses(const protocols::Piece& piece, Sink& sink)
{
  auto bytes = piece.bytes;
  if (!responses_found_ && !find_responses(piece, sink))
    return piece.bytes.size();
  while (successor_.empty()) {
    if (encryption_asked_ > 0 && responses_.at_boundary() && !bytes.empty()) {
      answer_encryption(bytes, sink);
      continue;
    }
    const auto step = responses_.next(bytes, piece.time_ns);
    if (step == ResponseReader::Step::kNeedMore)
      break;
    if (step == ResponseReader::Step::kBad) {
      if (trust_ == Trust::kFull)
        sink.malformed(responses_.reason());
      lose_pairing();
      responses_found_ = false;
      return piece.bytes.size();
    }
    on_response(piece.time_ns, sink);
  }
  return piece.bytes.size() - bytes.size();
}

// One byte answers the wish for encryption. An old server answers with an error.
void PostgresqlDecoder::answer_encryption(std::string_view& bytes, Sink& sink)
{
  const char answer = bytes.front();
  if (answer == 'E') {
    encryption_asked_ = 0;
    return;
  }
  --encryption_asked_;
  bytes.remove_prefix(1);
  if (answer == 'S' || answer == 'G')
    successor_ = "encrypted";
  else if (answer != 'N')
    sink.malformed("encryption");
}

void PostgresqlDecoder::on_response(std::uint64_t time_ns, Sink& sink)
{
  const char type = responses_.type();
  if (!pending_.empty() && type != 'Z') {
    if (response_first_ns_ == 0)
      response_first_ns_ = responses_.first_ns();
    response_bytes_ += responses_.size();
  }
  switch (type) {
  case '1':
    answered(Kind::kParse, sink);
    break;
  case '2':
    answered(Kind::kBind, sink);
    break;
  case '3':
    answered(Kind::kClose, sink);
    break;
  case 'T':
  case 'n':
    if (pending_.next_is(Kind::kDescribe))
      pop(sink);
    break;
  case 'C':
    on_complete(responses_.tag(), time_ns, sink);
    break;
  case 's':
    on_suspended(time_ns, sink);
    break;
  case 'I':
    if (pending_.next_is(Kind::kExecute)) {
      pop(sink);
      begin_response();
    }
    break;
  case 'E':
    on_error(responses_.sqlstate(), time_ns, sink);
    break;
  case 'Z':
    on_ready(responses_.status(), sink);
    break;
  case 'G':
    if (pending_.next_is(Kind::kExecute))
      copying_ = !pending_.drop_syncs_before_copy_end() && !copy_ended_;
    copy_open_ = pending_.next_is(Kind::kExecute) || pending_.next_is(Kind::kQuery);
    break;
  case 'W':
    successor_ = "opaque";
    break;  // replication
  default:
    break;
  }
}

void PostgresqlDecoder::answered(Kind kind, Sink& sink)
{
  if (pending_.next_is(kind))
    pop(sink);
  else
    unasked(sink);
}

void PostgresqlDecoder::pop(Sink& sink)
{
  const auto& oldest = pending_.front();
  if (oldest.kind == Kind::kBind || oldest.closes_portal)
    end_portals(oldest.portal, sink);
  // It may have been of any portal.
  if (oldest.subject.text == Subject::Text::kLost)
    doubt_suspended();
  pending_.pop();
}

// What was suspended and will not go on has been one statement: asyncpg's fetchrow ends each of its
// portals so. Only what returns rows can be suspended, mostly a SELECT where its text is unknown.
void PostgresqlDecoder::end_portals(std::optional<Key> portal, Sink& sink)
{
  std::erase_if(suspended_, [&](const Suspended& one) {
    if (portal && one.portal != *portal)
      return false;
    if (one.sure)
      emit(one.subject, "SELECT", one.exchange, sink);
    return true;
  });
}

void PostgresqlDecoder::begin_response()
{
  copy_open_ = false;
  response_first_ns_ = 0;
  response_bytes_ = 0;
}

// Ends the response that was counted so far.
protocols::Exchange PostgresqlDecoder::exchange(const Operation& operation, std::uint64_t time_ns)
{
  Exchange exchange{.request_first_ns = operation.first_ns,
                    .request_last_ns = operation.last_ns,
                    .response_first_ns = response_first_ns_,
                    .response_last_ns = time_ns,
                    .request_bytes = operation.bytes,
                    .response_bytes = response_bytes_};
  if (copy_open_ && copy_lost_ && operation.kind == Kind::kExecute)
    exchange.request_bytes -= std::min(exchange.request_bytes, kSyncSize);
  begin_response();
  const auto before = std::ranges::find(suspended_, operation.portal, &Suspended::portal);
  if (operation.kind == Kind::kExecute && before != suspended_.end()) {
    exchange.request_first_ns = before->exchange.request_first_ns;
    exchange.response_first_ns = before->exchange.response_first_ns;
    exchange.request_bytes += before->exchange.request_bytes;
    exchange.response_bytes += before->exchange.response_bytes;
    suspended_.erase(before);
  }
  return exchange;
}

void PostgresqlDecoder::emit(const Subject& subject,
                             std::string_view tag,
                             Exchange exchange,
                             Sink& sink) const
{
  if (trust_ == Trust::kProbation || subject.text == Subject::Text::kLost)
    return;
  if (subject.statement) {
    exchange.operation = subject.statement->verb;
    exchange.target = subject.statement->table;
  } else {
    exchange.operation = sql::verb_of_tag(tag);
    exchange.target = "unknown";
  }
  sink.exchange(exchange);
}

// What completes; nothing is said of a COPY whose data was not seen.
Subject PostgresqlDecoder::subject_of(const Operation& operation) const
{
  auto subject = operation.current();
  if (copy_open_ && trust_ != Trust::kFull)
    subject.text = Subject::Text::kLost;
  return subject;
}

void PostgresqlDecoder::on_complete(std::string_view tag, std::uint64_t time_ns, Sink& sink)
{
  if (!pending_.next_is(Kind::kExecute) && !pending_.next_is(Kind::kQuery)) {
    unasked(sink);
    return;
  }
  auto& oldest = pending_.front();
  auto subject = subject_of(oldest);
  if (was_lost_ && subject.statement && contradicts(tag, subject.statement->verb))
    subject.text = Subject::Text::kLost;  // the name was given to another text meanwhile
  emit(subject, tag, exchange(oldest, time_ns), sink);
  if (oldest.kind == Kind::kExecute)
    pop(sink);
  else
    ++oldest.done;
}

void PostgresqlDecoder::on_suspended(std::uint64_t time_ns, Sink& sink)
{
  if (!pending_.next_is(Kind::kExecute)) {
    unasked(sink);
    return;
  }
  const auto& oldest = pending_.front();
  const auto part = exchange(oldest, time_ns);
  if (suspended_.size() == kMostSuspended)
    end_portals(suspended_.front().portal, sink);
  suspended_.push_back({.portal = oldest.portal,
                        .subject = subject_of(oldest),
                        .exchange = part,
                        .sure = trust_ == Trust::kFull && requests_found_});
  pop(sink);
}

// An error that answers no statement (at the start, at a Sync, out of the blue) is one without an
// operation.
void PostgresqlDecoder::on_error(std::string_view sqlstate, std::uint64_t time_ns, Sink& sink)
{
  copying_ = false;
  const auto nobody = [&] {
    if (trust_ == Trust::kFull)
      sink.exchange(
          {.status = sqlstate, .response_first_ns = time_ns, .response_last_ns = time_ns});
    begin_response();
  };
  if (pending_.empty() || pending_.front().kind == Kind::kStartup ||
      pending_.front().kind == Kind::kSync || pending_.front().kind == Kind::kFunction) {
    nobody();
    return;
  }
  auto& oldest = pending_.front();
  if (oldest.kind == Kind::kQuery) {
    if (oldest.statements_left() == 0 && (oldest.failed || !oldest.cut)) {
      nobody();
      return;
    }
    const auto subject = subject_of(oldest);
    auto error = exchange(oldest, time_ns);
    error.status = sqlstate;
    emit(subject, {}, error, sink);
    oldest.failed = true;
    return;
  }
  const auto subject = subject_of(oldest);
  auto error = exchange(oldest, time_ns);
  error.status = sqlstate;
  emit(subject, {}, error, sink);
  while (!pending_.empty() && pending_.front().kind != Kind::kSync)
    pop(sink);
  skipping_ = pending_.empty() && requests_found_;
}

void PostgresqlDecoder::on_ready(char status, Sink& sink)
{
  status_ = status;
  copying_ = false;
  begin_response();
  const bool known = pending_.batches() > 0 || copy_lost_;
  copy_lost_ = false;
  if (!known && trust_ == Trust::kFull)
    sink.malformed("unasked_response");
  if (!known && trust_ != Trust::kLost)
    lose_requests();
  if (!known)
    pending_.clear();
  while (!pending_.empty()) {
    const bool last = pending_.front().ends_batch();
    pop(sink);
    if (last)
      break;
  }
  // With its transaction.
  if (status == 'I')
    end_portals({}, sink);
  ready_passed_ = !known || trust_ == Trust::kProbation;
}

void PostgresqlDecoder::unasked(Sink& sink)
{
  if (trust_ == Trust::kLost)
    return;
  if (trust_ == Trust::kFull)
    sink.malformed("unasked_response");
  lose_pairing();
}

protocols::Appetite PostgresqlDecoder::appetite(Direction direction) const
{
  // Full, so without a limit, but the tap shall see that a turn of the server's ends.
  if (direction == Direction::kToServer)
    return {
        .mode = protocols::Appetite::Mode::kFull, .per_turn = true, .skip = requests_.not_wanted()};
  const bool one = pending_.batches() == 1 && pending_.statements_of_batch() == 1;
  if (recovering_ || (one && response_bytes_ > kLargeResult))
    return {.mode = protocols::Appetite::Mode::kHeadAndTail,
            .limit = kResultHead,
            .tail = kResultTail,
            .per_turn = true,
            .skip = recovering_ ? 0 : responses_.not_wanted()};
  return {.mode = protocols::Appetite::Mode::kFull, .skip = responses_.not_wanted()};
}

protocols::Activity PostgresqlDecoder::activity() const
{
  return {.in_flight = static_cast<std::uint32_t>(pending_.batches()),
          .in_transaction = status_ != 'I'};
}

}  // namespace sonde::postgresql
