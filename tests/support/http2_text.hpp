// SPDX-License-Identifier: Apache-2.0
// What the two sides of an HTTP/2 connection write: frames by hand (RFC 9113 sections 4 and 6),
// header blocks by libnghttp2's deflater, so that Huffman codes and the table of a direction are
// real.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/conversation.hpp"

struct nghttp2_hd_deflater;

namespace sonde::test::h2 {

inline constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// Flags of frames.
inline constexpr unsigned kEndStream = 0x1;
inline constexpr unsigned kEndHeaders = 0x4;
inline constexpr unsigned kPadded = 0x8;
inline constexpr unsigned kPriority = 0x20;

// Error codes of RST_STREAM and GOAWAY (section 7).
enum Error : std::uint32_t {
  kNoError = 0,
  kProtocolError = 1,
  kInternalError = 2,
  kFlowControlError = 3,
  kRefusedStream = 7,
  kCancel = 8,
  kEnhanceYourCalm = 11,
  kInadequateSecurity = 12,
};

std::string big_endian(std::uint32_t value, std::size_t bytes = 4);
std::string
frame(std::uint8_t type, unsigned flags, std::uint32_t stream, std::string_view payload);

std::string data(std::uint32_t stream, std::string_view content, unsigned flags = 0);
std::string padded_data(std::uint32_t stream,
                        std::string_view content,
                        std::uint8_t padding,
                        unsigned flags = 0);
std::string priority(std::uint32_t stream);
std::string rst_stream(std::uint32_t stream, std::uint32_t error);
std::string settings();
std::string settings_ack();
std::string ping();
std::string goaway(std::uint32_t last, std::uint32_t error = kNoError);
std::string window_update(std::uint32_t stream);

using Fields = std::vector<std::pair<std::string, std::string>>;

Fields request(std::string_view method, std::string_view path, const Fields& more = {});
Fields response(std::string_view status, const Fields& more = {});
// Of a gRPC call, as grpc-go and tonic write them, and a message of one.
Fields call(std::string_view path, const Fields& more = {});
Fields call_response();
Fields call_trailers(std::string_view code);
std::string message(std::string_view body, bool compressed = false);

// Both directions begin with these.
std::string client_start();
std::string server_start();

// Header blocks of one direction.
class Writer {
public:
  // `table`: the largest table the other side allows.
  explicit Writer(std::size_t table = 4096);

  std::string block(const Fields& fields);
  std::string headers(std::uint32_t stream, const Fields& fields, unsigned flags = 0);
  // The block in `parts` frames.
  std::string headers_in_parts(std::uint32_t stream,
                               const Fields& fields,
                               std::size_t parts,
                               unsigned flags = 0);
  std::string push_promise(std::uint32_t stream, std::uint32_t promised, const Fields& fields);
  // The other side's SETTINGS allow this much of a table; the next block says so.
  void resize(std::size_t table);

private:
  struct Delete {
    void operator()(nghttp2_hd_deflater* deflater) const;
  };

  std::unique_ptr<nghttp2_hd_deflater, Delete> deflater_;
};

// A connection that has said its settings, and what its sides write next. Parts of one write are
// listed, for header blocks must be made in their order.
struct Connection {
  Writer asks;
  Writer answers;
  Conversation turns = {client(client_start()), server(server_start()), client(settings_ack())};

  void ask(std::initializer_list<std::string> parts) { turns.push_back(client(joined(parts))); }
  void answer(std::initializer_list<std::string> parts) { turns.push_back(server(joined(parts))); }

private:
  static std::string joined(std::initializer_list<std::string> parts)
  {
    std::string all;
    for (const auto& part : parts)
      all += part;
    return all;
  }
};

}  // namespace sonde::test::h2
