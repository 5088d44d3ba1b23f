// SPDX-License-Identifier: Apache-2.0
// The client's half: what is asked for becomes operations that wait for their answer.
#include <utility>

#include "agent/protocols/postgresql_decoder.hpp"

namespace sonde::postgresql {

std::size_t PostgresqlDecoder::requests(const protocols::Piece& piece, Sink& sink)
{
  auto bytes = piece.bytes;
  if (!requests_found_) {
    if (copy_open_ && copy_lost_) {
      pending_.front().bytes += piece.bytes.size();
      return piece.bytes.size();
    }
    const bool now = trust_ == Trust::kFull || (ready_passed_ && even());
    if (!piece.starts_call || !now || !looks_like_requests(bytes)) {
      if (resuming_)
        lose_requests();
      return piece.bytes.size();
    }
    requests_found_ = true;
    resuming_ = false;
    requests_.reset();
    if (trust_ == Trust::kLost)
      trust_ = Trust::kProbation;
    ready_passed_ = false;
  } else if (trust_ == Trust::kProbation && piece.starts_call && requests_.at_boundary() &&
             ready_passed_ && even()) {
    trust_ = Trust::kFull;
  }
  while (requests_found_) {
    const auto step = requests_.next(bytes, piece.time_ns);
    if (step == RequestReader::Step::kNeedMore)
      break;
    if (step == RequestReader::Step::kMessage) {
      on_request(sink);
    } else {
      if (trust_ == Trust::kFull)
        sink.malformed(requests_.reason());
      lose_requests();
    }
  }
  return piece.bytes.size();
}

Operation PostgresqlDecoder::operation(Kind kind)
{
  return {.kind = kind,
          .first_ns = requests_.first_ns(),
          .last_ns = requests_.last_ns(),
          .bytes = requests_.size()};
}

void PostgresqlDecoder::push(Operation operation, Sink& sink)
{
  if (recovering_) {
    lose_pairing();
  } else if (!pending_.push(std::move(operation))) {
    sink.malformed("backlog");
    lose_pairing();
  }
}

void PostgresqlDecoder::on_request(Sink& sink)
{
  const char type = requests_.type();
  if (skipping_ && std::string_view("QPBDECF").contains(type))
    return;
  switch (type) {
  case RequestReader::kStartup:
    push(operation(Kind::kStartup), sink);
    break;
  case RequestReader::kEncryption:
    ++encryption_asked_;
    break;
  case 'Q':
    on_query(sink);
    break;
  case 'P':
    on_parse(sink);
    break;
  case 'B':
    on_bind(sink);
    break;
  case 'E':
    on_execute(sink);
    break;
  case 'D':
    on_named(Kind::kDescribe, sink);
    break;
  case 'C':
    on_named(Kind::kClose, sink);
    break;
  case 'S':
    on_sync(sink);
    break;
  case 'F':
    push(operation(Kind::kFunction), sink);
    break;
  case 'd':
  case 'c':
  case 'f':
    if (auto* statement = pending_.newest_statement())
      statement->bytes += requests_.size();
    if (type != 'd') {
      copying_ = false;
      copy_ended_ = true;
    }
    break;
  default:
    break;
  }
}

void PostgresqlDecoder::on_query(Sink& sink)
{
  parsed_first_ns_ = 0;
  auto query = operation(Kind::kQuery);
  auto& statements = requests_.statements();
  query.cut = requests_.is_cut();
  query.subject.text = query.cut ? Subject::Text::kLost : Subject::Text::kOlder;
  if (!statements.empty()) {
    query.subject = {.statement = std::move(statements.front()), .text = Subject::Text::kSeen};
    query.rest.assign(std::make_move_iterator(statements.begin() + 1),
                      std::make_move_iterator(statements.end()));
  }
  push(std::move(query), sink);
}

// A name whose text was in bytes that were not captured is not one that is older than all of them.
Subject PostgresqlDecoder::unseen() const
{
  return {.text = was_lost_ && from_start_ ? Subject::Text::kLost : Subject::Text::kOlder};
}

Subject PostgresqlDecoder::subject_of(Key statement)
{
  const auto* known = statements_.find(statement);
  return known != nullptr ? *known : unseen();
}

void PostgresqlDecoder::on_parse(Sink& sink)
{
  auto parse = operation(Kind::kParse);
  auto& statements = requests_.statements();
  if (!statements.empty())
    parse.subject = {.statement = std::move(statements.front()), .text = Subject::Text::kSeen};
  else if (requests_.is_cut() || requests_.names_lost())
    parse.subject.text = Subject::Text::kLost;
  else
    parse.subject = {.statement = std::make_shared<const Statement>(),
                     .text = Subject::Text::kSeen};  // an empty one
  if (requests_.names_lost()) {
    was_lost_ = true;
    statements_.put(kUnnamed) = {.text = Subject::Text::kLost};
  } else {
    statements_.put(requests_.statement()) = parse.subject;
  }
  parsed_ = requests_.statement();
  parsed_first_ns_ = parse.first_ns;
  parsed_bytes_ = parse.bytes;
  push(std::move(parse), sink);
}

void PostgresqlDecoder::on_bind(Sink& sink)
{
  auto bind = operation(Kind::kBind);
  bind.portal = requests_.portal();
  if (requests_.names_lost()) {
    was_lost_ = true;
    bind.subject.text = Subject::Text::kLost;
    portals_ = {};
  } else {
    bind.subject = subject_of(requests_.statement());
  }
  if (parsed_first_ns_ != 0 && parsed_ == requests_.statement()) {
    bind.first_ns = parsed_first_ns_;
    bind.bytes += parsed_bytes_;
  }
  parsed_first_ns_ = 0;
  portals_.put(bind.portal) = {
      .subject = bind.subject, .first_ns = bind.first_ns, .bytes = bind.bytes};
  push(std::move(bind), sink);
}

void PostgresqlDecoder::on_execute(Sink& sink)
{
  copy_ended_ = false;
  auto execute = operation(Kind::kExecute);
  execute.portal = requests_.portal();
  if (requests_.names_lost()) {
    was_lost_ = true;
    portals_ = {};
  }
  auto* portal = portals_.find(execute.portal);
  if (portal == nullptr) {
    execute.subject = unseen();
    if (requests_.names_lost())
      execute.subject.text = Subject::Text::kLost;
  } else {
    execute.subject = portal->subject;
    if (portal->first_ns != 0)
      execute.first_ns = portal->first_ns;
    execute.bytes += std::exchange(portal->bytes, 0);
    portal->first_ns = 0;
  }
  push(std::move(execute), sink);
}

void PostgresqlDecoder::on_named(Kind kind, Sink& sink)
{
  auto named = operation(kind);
  if (kind == Kind::kClose) {
    // The text of what is closed is of no interest.
    named.closes_portal = !requests_.names_lost() && requests_.is_portal();
    if (named.closes_portal)
      named.portal = requests_.portal();
  } else if (requests_.names_lost()) {
    named.subject.text = Subject::Text::kLost;
  } else if (requests_.is_portal()) {
    const auto* portal = portals_.find(requests_.portal());
    named.subject = portal != nullptr ? portal->subject : unseen();
  } else {
    named.subject = subject_of(requests_.statement());
  }
  push(std::move(named), sink);
}

void PostgresqlDecoder::on_sync(Sink& sink)
{
  parsed_first_ns_ = 0;
  skipping_ = false;
  if (copying_)
    return;
  auto sync = operation(Kind::kSync);
  sync.after_copy = copy_ended_;
  push(std::move(sync), sink);
}

}  // namespace sonde::postgresql
