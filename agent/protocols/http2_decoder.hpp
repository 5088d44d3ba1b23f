// SPDX-License-Identifier: Apache-2.0
// Follows the streams of one HTTP/2 connection (RFC 9113): each is an exchange, one of HTTP or a
// call of gRPC. The directions are followed apart, in whatever order their bytes come.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "agent/protocols/decoder.hpp"
#include "agent/protocols/http2_fields.hpp"
#include "agent/protocols/http2_frames.hpp"
#include "agent/protocols/http2_headers.hpp"
#include "agent/protocols/http2_streams.hpp"

namespace sonde::http2 {

class Decoder final : public protocols::Decoder {
public:
  // Open at a time; what comes beyond is not followed.
  static constexpr std::size_t kMostStreams = 4096;

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
  // Servers speak unasked, and a response finds its request when that comes.
  bool expects_response() const override { return true; }
  protocols::Appetite appetite(protocols::Direction direction) const override;
  protocols::Activity activity() const override { return {.in_flight = in_flight_}; }

private:
  using Direction = protocols::Direction;
  using End = protocols::Exchange::End;
  using Sink = protocols::Sink;
  using Event = FrameReader::Event;

  struct Side {
    Side(Direction from, bool from_start) : frames(from, from_start), headers(from_start) {}

    FrameReader frames;
    HeaderBlocks headers;
    Fields fields;               // of the present block
    std::uint64_t block_ns = 0;  // its first byte
    bool block_read = true;      // as far as it has come
    bool block_ends_stream = false;
    bool block_counts = false;  // it is not of a push
    bool after_hole = false;
  };

  Side& side(Direction direction) { return sides_[static_cast<std::size_t>(direction)]; }
  const Side& side(Direction direction) const
  {
    return sides_[static_cast<std::size_t>(direction)];
  }

  std::size_t resume(Side& at, const protocols::Piece& piece);
  void follow(Direction direction, FrameReader::Input input, Sink& sink);
  void begins(Direction direction);
  void read_block(Side& at, const Event& event, bool last, Sink& sink);
  void data_content(Direction direction, const Event& event);
  void ends(Direction direction, const Event& event, std::uint64_t time_ns, Sink& sink);
  void lose(Direction direction);

  void block_ended(Direction direction, const Event& event, std::uint64_t time_ns, Sink& sink);
  void request_head(std::uint32_t id, std::uint64_t time_ns, Sink& sink);
  void response_head(std::uint32_t id, std::uint64_t time_ns, Sink& sink);
  void stream_ended(Direction direction, std::uint32_t id, std::uint64_t time_ns, Sink& sink);
  void
  reset(Direction by, std::uint32_t id, std::uint32_t error, std::uint64_t time_ns, Sink& sink);
  void go_away(std::uint32_t last);
  void catch_up(std::uint32_t id, Sink& sink);
  void tunnels(std::uint32_t id, std::uint64_t time_ns, Sink& sink);

  Stream* find(std::uint32_t id);
  Stream* find_answered(std::uint32_t id);
  void emit(Stream& stream, End how, std::uint64_t time_ns, Sink& sink);
  void forget(std::uint32_t id);
  void count(Stream& stream);
  void tell_messages(Sink& sink);

  std::array<Side, 2> sides_;
  Streams streams_;
  std::vector<std::uint32_t> touched_;   // by messages since the last call of tell_messages()
  std::uint32_t last_asked_ = 0;         // the highest stream of a request
  std::uint32_t go_away_ = kMostStream;  // the highest that the server takes
  bool client_left_ = false;             // it has said so
  std::uint32_t in_flight_ = 0;
  std::size_t unasked_ = 0;  // streams of which only the answer was seen
};

}  // namespace sonde::http2
