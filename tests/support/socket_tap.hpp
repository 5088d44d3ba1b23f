// SPDX-License-Identifier: Apache-2.0
// The socket tap's programs without the agent's decoders: all records of a test's sockets, put
// together as streams.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "sonde/socket.h"
#include "tests/support/node_fixture.hpp"

#include "agent/base/result.hpp"

namespace sonde::testing {

// What the records said of one direction of a socket.
struct TappedStream {
  std::string bytes;          // captured ones in their places, zeros where there are holes
  std::uint64_t covered = 0;  // sum of the records' sizes
  std::uint64_t captured = 0;
  std::uint64_t end = 0;  // furthest position, from the socket's first one
  std::size_t calls = 0;
  std::size_t overlaps = 0;
  std::size_t unreadable = 0;
  bool ended = false;  // the peer's end of stream
};

struct TappedSocket {
  sonde_socket_opened opened{};
  TappedStream stream[SONDE_SOCKET_DIRECTIONS];
  std::optional<std::uint32_t> closed;  // enum sonde_socket_close
  bool spoke_after_close = false;
};

class SocketTap {
public:
  // `source`: tracepoints or functions. A kernel that has none of it is the error.
  static Result<std::unique_ptr<SocketTap>> start(NodeFixture& node, const std::string& source);
  ~SocketTap();

  // Everything in the ring so far, by id.
  std::map<std::uint64_t, TappedSocket> sockets();
  // Those of a process.
  std::vector<TappedSocket> sockets_of(std::uint32_t tgid);
  sonde_socket_row counters() const;  // since the last new beginning
  // Forgets sockets and wishes.
  void begin_anew();

  // For every socket announced from now on, at once. What it skips counts from the first byte.
  void wish(sonde_socket_direction direction, std::uint64_t wish);

private:
  struct Programs;
  SocketTap();
  void on_record(void* data, std::size_t size);
  void place(const sonde_socket_bytes& record);

  std::unique_ptr<Programs> programs_;
  std::mutex mutex_;
  std::map<std::uint64_t, TappedSocket> sockets_;
  std::optional<std::uint64_t> wishes_[SONDE_SOCKET_DIRECTIONS];
  sonde_socket_row before_{};
};

}  // namespace sonde::testing
