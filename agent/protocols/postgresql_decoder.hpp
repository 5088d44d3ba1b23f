// SPDX-License-Identifier: Apache-2.0
// One connection of PostgreSQL: statements are paired with CommandComplete and ErrorResponse by the
// order of what was asked for, ReadyForQuery ends what belongs together.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/protocols/decoder.hpp"
#include "agent/protocols/postgresql_operations.hpp"
#include "agent/protocols/postgresql_requests.hpp"
#include "agent/protocols/postgresql_responses.hpp"

namespace sonde::postgresql {

class PostgresqlDecoder : public protocols::Decoder {
public:
  using Direction = protocols::Direction;
  using Exchange = protocols::Exchange;
  using Sink = protocols::Sink;

  explicit PostgresqlDecoder(bool from_start)
      : from_start_(from_start), requests_(from_start), requests_found_(from_start),
        responses_found_(from_start)
  {
  }

  std::size_t data(Direction direction, const protocols::Piece& piece, Sink& sink) override;
  void hole(Direction direction, std::uint64_t bytes, std::uint64_t time_ns, Sink& sink) override;
  void end_of_stream(Direction, std::uint64_t, Sink&) override {}
  void closed(Exchange::End how, std::uint64_t time_ns, Sink& sink) override;
  bool expects_response() const override { return !pending_.empty() || encryption_asked_ > 0; }
  protocols::Appetite appetite(Direction direction) const override;
  protocols::Activity activity() const override;
  std::string_view successor() const override { return successor_; }

private:
  using Kind = Operation::Kind;

  // After bytes of unknown content: requests are looked for again once a ReadyForQuery of what was
  // not seen has passed, and believed once requests and responses have been even.
  enum class Trust : std::uint8_t { kFull, kLost, kProbation };

  // An Execute with a row limit stops and goes on with the next one of its portal, or is all there
  // is of its statement when the portal ends.
  struct Suspended {
    Key portal;
    Subject subject;
    Exchange exchange;
    bool sure;  // nothing is lost: it has not gone on unseen
  };

  std::size_t requests(const protocols::Piece& piece, Sink& sink);
  void on_request(Sink& sink);
  void push(Operation operation, Sink& sink);
  Operation operation(Kind kind);
  void on_query(Sink& sink);
  void on_parse(Sink& sink);
  void on_bind(Sink& sink);
  void on_execute(Sink& sink);
  void on_named(Kind kind, Sink& sink);
  void on_sync(Sink& sink);
  Subject subject_of(Key statement);
  Subject unseen() const;

  std::size_t responses(const protocols::Piece& piece, Sink& sink);
  bool find_responses(const protocols::Piece& piece, Sink& sink);
  void answer_encryption(std::string_view& bytes, Sink& sink);
  void on_response(std::uint64_t time_ns, Sink& sink);
  void answered(Kind kind, Sink& sink);
  void on_complete(std::string_view tag, std::uint64_t time_ns, Sink& sink);
  void on_suspended(std::uint64_t time_ns, Sink& sink);
  void end_portals(std::optional<Key> portal, Sink& sink);
  void on_error(std::string_view sqlstate, std::uint64_t time_ns, Sink& sink);
  void on_ready(char status, Sink& sink);
  Tail tail_with(std::string_view bytes);
  void on_tail(const Tail& tail, std::uint64_t time_ns, Sink& sink);
  void pop(Sink& sink);
  void begin_response();

  Subject subject_of(const Operation& operation) const;
  Exchange exchange(const Operation& operation, std::uint64_t time_ns);
  void emit(const Subject& subject, std::string_view tag, Exchange exchange, Sink& sink) const;
  bool even() const { return pending_.empty() && responses_found_ && responses_.at_boundary(); }
  void unasked(Sink& sink);
  void doubt_suspended();
  void lose_copy(std::uint64_t bytes);
  void lose_requests();
  void lose_responses();
  void lose_pairing();

  bool from_start_;
  RequestReader requests_;
  ResponseReader responses_;
  Operations pending_;
  NameTable<Subject> statements_;
  NameTable<Portal> portals_;
  std::vector<Suspended> suspended_;
  Trust trust_ = Trust::kFull;
  bool requests_found_;  // the reader is at a place it knows
  bool responses_found_;
  bool recovering_ = false;    // the end of the one batch that is open will be known when it comes
  bool ready_passed_ = false;  // since trust was lost, or in probation
  bool was_lost_ = false;      // names may have been given that were not seen
  bool skipping_ = false;      // the server ignores everything up to a Sync that has not been sent
  bool copying_ = false;       // and every Sync up to the end of the data
  bool copy_ended_ = false;    // since the last Execute
  bool copy_open_ = false;     // the server reads the data of a COPY
  bool copy_lost_ = false;     // of which some was not captured, and maybe its end
  bool resuming_ = false;      // the next request begins the next call
  char status_ = 'I';
  std::uint32_t encryption_asked_ = 0;
  Key parsed_ = kUnnamed;  // of the Parse that a Bind may follow
  std::uint64_t parsed_first_ns_ = 0;
  std::uint64_t parsed_bytes_ = 0;
  std::uint64_t response_first_ns_ = 0;
  std::uint64_t response_bytes_ = 0;  // since the last statement completed
  std::string tail_;                  // of responses whose framing is lost
  std::string_view successor_;
};

}  // namespace sonde::postgresql
