// SPDX-License-Identifier: Apache-2.0
// What was not captured: how the decoder goes on after it.
#include <algorithm>

#include "agent/protocols/postgresql_decoder.hpp"

namespace sonde::postgresql {

namespace {

constexpr std::size_t kReadySize = 6;
constexpr std::size_t kTailKept = 256;    // what of a call's end is captured
constexpr std::size_t kShortCall = 1024;  // what is longer holds all of its last messages

}  // namespace

void PostgresqlDecoder::hole(Direction direction,
                             std::uint64_t bytes,
                             std::uint64_t time_ns,
                             Sink& sink)
{
  if (!successor_.empty())
    return;
  if (direction == Direction::kToServer) {
    if (!requests_found_ && copy_open_ && copy_lost_)
      pending_.front().bytes += bytes;
    else if (resuming_)
      lose_requests();
    if (!requests_found_)
      return;
    const auto partial = requests_.consumed();
    const auto step = requests_.hole(bytes, time_ns);
    if (step == RequestReader::Step::kBad && copy_open_ && trust_ == Trust::kFull)
      lose_copy(partial + bytes);
    else if (step == RequestReader::Step::kBad)
      lose_requests();
    else if (step == RequestReader::Step::kMessage)
      on_request(sink);
    return;
  }
  if (!responses_found_) {
    response_bytes_ += bytes;
    tail_.clear();
    return;
  }
  const auto step = responses_.hole(bytes, time_ns);
  if (step == ResponseReader::Step::kMessage)
    on_response(time_ns, sink);
  if (step != ResponseReader::Step::kBad)
    return;
  if (response_first_ns_ == 0)
    response_first_ns_ = responses_.consumed() > 0 ? responses_.first_ns() : time_ns;
  response_bytes_ += responses_.consumed() + bytes;
  lose_responses();
}

// What is sent until the server has answered is data, its end, and with an extended query a Sync.
void PostgresqlDecoder::lose_copy(std::uint64_t bytes)
{
  pending_.front().bytes += bytes;
  requests_.reset();
  requests_found_ = copying_ = false;
  copy_lost_ = resuming_ = true;
}

void PostgresqlDecoder::doubt_suspended()
{
  for (auto& one : suspended_)
    one.sure = false;
}

// What was asked before keeps its place: its answers come first.
void PostgresqlDecoder::lose_requests()
{
  doubt_suspended();
  if (trust_ == Trust::kProbation)
    pending_.clear();
  trust_ = Trust::kLost;
  was_lost_ = true;
  requests_.reset();
  requests_found_ = false;
  ready_passed_ = skipping_ = copying_ = copy_lost_ = resuming_ = false;
  statements_.put(kUnnamed) = {.text = Subject::Text::kLost};
  portals_ = {};
  parsed_first_ns_ = 0;
}

void PostgresqlDecoder::lose_pairing()
{
  pending_.clear();
  suspended_.clear();
  recovering_ = false;
  begin_response();
  lose_requests();
}

// One batch alone can be recognised by its end.
void PostgresqlDecoder::lose_responses()
{
  doubt_suspended();
  responses_found_ = false;
  responses_.reset();
  if (trust_ == Trust::kFull && pending_.batches() == 1 && encryption_asked_ == 0)
    recovering_ = true;
  else
    lose_pairing();
}

void PostgresqlDecoder::closed(Exchange::End how, std::uint64_t, Sink& sink)
{
  for (; !pending_.empty() && !recovering_; pending_.pop()) {
    const auto& operation = pending_.front();
    if (operation.statements_left() > 0 && operation.current().statement)
      emit(operation.current(),
           {},
           {.end = how,
            .request_first_ns = operation.first_ns,
            .request_last_ns = operation.last_ns,
            .request_bytes = operation.bytes},
           sink);
  }
  end_portals({}, sink);
}

// The end of what was captured without a hole: the last message may lie across two calls.
Tail PostgresqlDecoder::tail_with(std::string_view bytes)
{
  if (bytes.size() >= kShortCall) {
    tail_ = bytes.substr(bytes.size() - kTailKept);
    return find_tail(bytes);
  }
  tail_.erase(0, tail_.size() - std::min(tail_.size(), kTailKept));
  tail_ += bytes;
  return find_tail(tail_);
}

// Looks for a place to go on at; true when the piece is to be read from its beginning.
bool PostgresqlDecoder::find_responses(const protocols::Piece& piece, Sink& sink)
{
  if (trust_ == Trust::kFull && !recovering_ && requests_found_ && piece.starts_call &&
      looks_like_response(piece.bytes)) {
    responses_found_ = true;
    responses_.reset();
    tail_.clear();
    return true;
  }
  response_bytes_ += piece.bytes.size();
  const auto tail = tail_with(piece.bytes);
  if (!tail.is_end)
    return false;
  responses_found_ = true;
  responses_.reset();
  if (recovering_) {
    on_tail(tail, piece.time_ns, sink);
  } else {
    status_ = tail.status;
    ready_passed_ = true;
  }
  tail_.clear();
  return false;
}

// The beginning of the response was not captured: its end tells how the one statement went.
void PostgresqlDecoder::on_tail(const Tail& tail, std::uint64_t time_ns, Sink& sink)
{
  recovering_ = false;
  response_bytes_ -= std::min<std::uint64_t>(response_bytes_, kReadySize);
  const bool error = tail.type == 'E';
  while (!pending_.empty() && pending_.front().statements_left() == 0 && !error &&
         !pending_.front().ends_batch())
    pop(sink);
  const bool one = pending_.statements_of_batch() == 1 && !pending_.front().cut &&
                   pending_.front().statements_left() == 1;
  if (one && tail.type == 'C')
    on_complete(tail.tag, time_ns, sink);
  else if (one && error)
    on_error(tail.sqlstate, time_ns, sink);
  else if (one && tail.type == 's')
    on_suspended(time_ns, sink);
  on_ready(tail.status, sink);
}

}  // namespace sonde::postgresql
