// SPDX-License-Identifier: Apache-2.0
// The contract of a protocol's decoder: two ordered streams of bytes with holes of known length go
// in, exchanges come out. Decoders know nothing of sockets, processes or BPF.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "agent/protocols/exchange.hpp"

namespace sonde::protocols {

// Where a decoder's results go.
class Sink {
public:
  virtual ~Sink() = default;
  virtual void exchange(const Exchange& exchange) = 0;
  // Messages of an exchange that goes on: those since the last call for it. Names, `within` and
  // messages are valid.
  virtual void progress(const Exchange& exchange) { static_cast<void>(exchange); }
  // What cannot be of this protocol; `reason` is a bounded word of the decoder's own. The decoder
  // goes on by itself at the next exchange it can find.
  virtual void malformed(std::string_view reason) = 0;
};

// A run of consecutive bytes of one direction.
struct Piece {
  std::string_view bytes;
  std::uint64_t time_ns;
  bool starts_call =
      true;  // first bytes of a write or read: the place to look for a message after a hole
};

// What a decoder still wants of one direction. The kernel learns of it some milliseconds later, so
// more may come; less never does, but where a call is larger than `limit`.
struct Appetite {
  enum class Mode : std::uint8_t {
    kHead,         // the first `limit` bytes of each call
    kHeadAndTail,  // and its last `tail` bytes
    kFull,         // everything up to the tap's own bound
    kNothing,      // sizes and times only
  };

  Mode mode = Mode::kFull;
  std::uint32_t limit = 0;  // bytes; 0: the tap's default
  std::uint32_t tail = 0;
  // `limit` holds for all calls of the direction until the other one speaks; later calls of the
  // turn give a few hundred bytes.
  bool per_turn = false;
  // Only where calls are the sender's own, who writes whole messages; a receiver's calls cut
  // anywhere, and everything is wanted.
  bool of_sender = false;
  // The stream is HTTP/1.x: lines of chunk sizes are wanted too, wherever they lie in a call. With
  // kFull `skip` leads to the end of a chunk's data.
  bool chunks = false;
  std::uint64_t skip = 0;  // so many bytes from here on are not wanted at all, then `mode` holds
};

// What is going on right now, for gauges.
struct Activity {
  std::uint32_t in_flight = 0;  // requests without a complete response
  bool in_transaction = false;  // or otherwise not idle

  bool operator==(const Activity&) const = default;
};

// Turns one connection's bytes into exchanges. Fed in the order of each stream; the connection
// holds back a response that was tapped before its request (expects_response()). Must survive any
// input with bounded memory: any split of the same bytes gives the same exchanges; any hole gives
// the same or fewer, never different ones.
class Decoder {
public:
  Decoder() = default;
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;
  virtual ~Decoder() = default;

  // Consumes the piece; fewer bytes than given only when the connection now speaks another
  // protocol (successor()), which gets the rest.
  virtual std::size_t data(Direction direction, const Piece& piece, Sink& sink) = 0;

  // `bytes` of the stream were not captured; `time_ns` is when they passed. Harmless inside a body
  // of known length; anything else makes the decoder look for the next message.
  virtual void
  hole(Direction direction, std::uint64_t bytes, std::uint64_t time_ns, Sink& sink) = 0;

  // The direction's end of stream (FIN seen), then the connection's end with its reason.
  virtual void end_of_stream(Direction direction, std::uint64_t time_ns, Sink& sink) = 0;
  virtual void closed(Exchange::End how, std::uint64_t time_ns, Sink& sink) = 0;

  // False while no request is open: what the server says now either comes unasked, or its
  // request's tap has not fired yet.
  virtual bool expects_response() const = 0;

  virtual Appetite appetite(Direction direction) const = 0;
  virtual Activity activity() const { return {}; }

  // Not empty once the connection has been handed over by upgrade or CONNECT: a protocol's name,
  // `opaque` for what nobody is to look at, `encrypted` for what nobody can, `unknown` for
  // recognition anew.
  virtual std::string_view successor() const { return {}; }
};

}  // namespace sonde::protocols
