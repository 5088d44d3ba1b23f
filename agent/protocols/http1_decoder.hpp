// SPDX-License-Identifier: Apache-2.0
// Pairs the requests and responses of one HTTP/1.x connection. While both streams are complete the
// pairing is by order; once a hole or malformed bytes leave in doubt which response is whose,
// nothing is paired until a request begins that found the server with nothing left to say.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "agent/protocols/decoder.hpp"
#include "agent/protocols/http1_message.hpp"
#include "agent/protocols/http1_requests.hpp"

namespace sonde::http1 {

class Decoder final : public protocols::Decoder {
public:
  explicit Decoder(bool from_start);

  std::size_t data(protocols::Direction direction,
                   const protocols::Piece& piece,
                   protocols::Sink& sink) override;
  void hole(protocols::Direction direction,
            std::uint64_t bytes,
            std::uint64_t time_ns,
            protocols::Sink& sink) override;
  void end_of_stream(protocols::Direction direction,
                     std::uint64_t time_ns,
                     protocols::Sink& sink) override;
  void closed(protocols::Exchange::End how, std::uint64_t time_ns, protocols::Sink& sink) override;
  // Answers to requests that a hole may have held are nobody's, and must not wait for the next one.
  bool expects_response() const override { return !open_.empty() || !paired_ || requests_missed_; }
  protocols::Appetite appetite(protocols::Direction direction) const override;
  protocols::Activity activity() const override;
  std::string_view successor() const override { return successor_; }

private:
  enum class Requesting : std::uint8_t {
    kFollowed,
    kEndUnknown,  // the framing of the last request in open_ is lost
    kLost,        // whatever comes until a request begins at the start of a call
  };
  enum class Responding : std::uint8_t {
    kFollowed,
    kEndUnknown,  // the first open request's status is known, its response's framing is lost
    kUnasked,     // whatever comes until a request is open
  };
  // What was so when a request's first byte came.
  struct Begin {
    std::uint64_t time_ns = 0;
    bool answered = false;  // the server has spoken since the last request began
  };
  // What was answered before all of its body had passed, as many servers do with what they refuse.
  struct Early {
    Request request;
    std::uint16_t status;
    std::uint64_t first_ns;
    std::uint64_t last_ns;
    std::uint64_t bytes;
  };

  void from_client(const protocols::Piece& piece, protocols::Sink& sink);
  bool look_for_request(const protocols::Piece& piece);
  void request_malformed(protocols::Sink& sink);
  void request_head(std::uint64_t time_ns, protocols::Sink& sink);
  void request_end(std::uint64_t time_ns, protocols::Sink& sink);
  bool accepts_request();
  bool found_idle() const;
  bool open_request(protocols::Sink& sink);
  void request_hole(std::uint64_t bytes, std::uint64_t time_ns, protocols::Sink& sink);

  std::size_t from_server(const protocols::Piece& piece, protocols::Sink& sink);
  std::string_view follow_response(const protocols::Piece& piece, protocols::Sink& sink);
  void response_head(std::uint64_t time_ns, protocols::Sink& sink);
  void response_malformed(protocols::Sink& sink);
  bool next_response_begins(const protocols::Piece& piece, protocols::Sink& sink);
  void response_hole(std::uint64_t bytes, std::uint64_t time_ns, protocols::Sink& sink);
  void response_framing_lost();
  void unasked(const protocols::Piece& piece);

  // Emits the first open request, and takes it off.
  void complete(std::uint64_t last_ns, protocols::Sink& sink);
  void emit(Request& request, protocols::Exchange::End end, bool answered, protocols::Sink& sink);
  bool is_early() const;
  void emit_early(bool sizes_known, std::uint64_t time_ns, protocols::Sink& sink);
  void lose_pairing(bool answered);
  bool reads_back() const { return reading_last_ && !open_.empty(); }

  Message request_{Message::Kind::kRequest};
  Message response_{Message::Kind::kResponse};
  Requests open_;
  std::unique_ptr<Early> early_;  // request_ is in its body
  std::string_view successor_;

  Requesting requesting_;
  Responding responding_;
  Begin begin_;
  bool paired_;
  bool tentative_ = false;     // request_ reads what may turn out not to be a request
  bool reading_last_ = false;  // request_ is in the body of open_.back()
  bool awaits_upgrade_ =
      false;                // open_.back() asked for it: what follows may be the other protocol
  bool swallowed_ = false;  // something did follow

  // Evidence for the pairing after a loss.
  bool answered_;  // the server has spoken since the last request began
  bool pipelined_ = false;
  bool long_heads_ = false;         // of responses
  bool together_ = false;           // responses began within a call
  std::uint32_t apart_ = 0;         // and with one
  bool requests_missed_ = false;    // a hole may have held whole requests
  bool response_unsure_;            // the next response proves the pairing, or shows it wrong
  bool after_hole_ = false;         // the last of the server's bytes were not captured
  std::uint32_t alternations_ = 0;  // requests that came after the response to the one before
  std::size_t open_at_loss_ = 0;    // open requests when a response's framing was lost
  std::uint64_t response_first_ns_ = 0;
  std::uint64_t last_response_ns_ = 0;
};

}  // namespace sonde::http1
