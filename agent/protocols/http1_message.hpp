// SPDX-License-Identifier: Apache-2.0
// The messages of one direction of an HTTP/1.x connection, read byte by byte as they come (RFC
// 9112). Of a head only what framing and metrics need is kept, so its size does not matter.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sonde::http1 {

enum class Upgrade : std::uint8_t { kNone, kWebsocket, kH2c, kOther };

// What a head said.
struct Head {
  enum class Coding : std::uint8_t { kNone, kChunked, kOther };  // the last transfer coding

  std::string_view method;  // bounded; of a request
  std::string target;       // path; of a request
  std::uint16_t status = 0;
  std::uint8_t minor = 1;
  Coding coding = Coding::kNone;
  Upgrade upgrade = Upgrade::kNone;
  std::optional<std::uint64_t> content_length;
};

class Message {
public:
  enum class Kind : std::uint8_t { kRequest, kResponse };
  enum class Event : std::uint8_t {
    kMore,       // all bytes consumed
    kHead,       // the head is complete: say what follows by body() or finish()
    kEnd,        // the body is complete, the next message may follow
    kMalformed,  // reason() says why; reset() before going on
  };
  enum class Body : std::uint8_t { kOfLength, kChunked, kUntilClose };

  explicit Message(Kind kind) : kind_(kind) {}

  // Consumes bytes up to the next event.
  Event feed(std::string_view& bytes);

  // Consumes a hole where its bytes do not matter: what is left of it fell on framing.
  struct Skipped {
    std::uint64_t rest;
    bool ended;  // the body ended within the hole
  };
  Skipped skip(std::uint64_t bytes);

  void body(Body body);
  void finish() { reset(); }
  void reset();

  bool idle() const { return state_ == State::kIdle; }
  bool in_head() const { return state_ == State::kStartLine || state_ == State::kHeaders; }
  bool has_start_line() const { return state_ != State::kIdle && state_ != State::kStartLine; }
  bool until_close() const { return state_ == State::kUntilClose; }
  bool chunked() const { return state_ >= State::kChunkSize; }

  Head& head() { return head_; }
  const Head& head() const { return head_; }
  std::string_view reason() const { return reason_; }
  std::uint64_t body_bytes() const { return body_bytes_; }
  // Of the head, as long as its body has not begun.
  std::uint32_t head_bytes() const { return head_bytes_; }
  // Bytes of the body or chunk that are to come before the next framing.
  std::uint64_t remaining() const { return remaining_; }

private:
  enum class State : std::uint8_t {
    kIdle,
    kStartLine,
    kHeaders,
    kOfLength,
    kUntilClose,
    kChunkSize,  // from here on the states of a chunked body
    kChunk,
    kChunkEnd,
    kTrailers,
  };
  enum class Field : std::uint8_t { kNone, kContentLength, kTransferEncoding, kUpgrade };

  Event malformed(std::string_view reason);
  Event pass(std::string_view& bytes);
  Event end_chunk(std::string_view& bytes);
  // A whole line without its end; nothing when it goes on or was refused (reason()).
  std::optional<std::string_view> take_line(std::string_view& bytes);
  void keep(std::string_view part);
  Event on_line(std::string_view line);
  Event start_line(std::string_view line);
  Event header_line(std::string_view line);
  Event head_end();
  Event chunk_size(std::string_view line);
  bool field_end();
  bool content_length(std::string_view value);
  bool transfer_encoding(std::string_view value);
  static Field field_of(std::string_view name);

  Kind kind_;
  State state_ = State::kIdle;
  Field field_ = Field::kNone;  // whose value may go on in the next line (obs-fold)
  bool any_field_ = false;
  bool line_cut_ = false;
  bool nul_ = false;
  bool carriage_return_ = false;
  std::uint32_t head_bytes_ = 0;
  std::uint64_t remaining_ = 0;
  std::uint64_t body_bytes_ = 0;
  std::string line_;  // the beginning of a line that came in pieces
  std::string value_;
  std::string_view reason_;
  Head head_;
};

}  // namespace sonde::http1
