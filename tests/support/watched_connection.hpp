// SPDX-License-Identifier: Apache-2.0
// A connection without a table: records go in, what it says comes out as texts.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tests/support/line_protocol.hpp"
#include "tests/support/socket_records.hpp"

#include "agent/protocols/connection.hpp"

namespace sonde::protocols {

class Watched : public ConnectionOwner {
public:
  explicit Watched(sonde_socket_role role = SONDE_SOCKET_ROLE_SERVER, bool from_start = true)
      : socket_(1, role, 10), connection_(*this, 0, opened(from_start))
  {
  }

  std::span<const Protocol* const> protocols() const override { return test::line_protocols(); }
  void exchange(Connection& connection, const Exchange& exchange) override
  {
    static constexpr const char* kEnds[] = {"", " client", " server", " reset"};
    log.push_back(std::string(connection.role() == Role::kServer ? "s " : "c ") +
                  std::string(exchange.target) + kEnds[static_cast<int>(exchange.end)]);
  }
  void progress(Connection&, const Exchange&) override {}
  void malformed(Connection&, std::string_view) override { ++malformed_; }
  void activity(Connection&, std::optional<Activity> activity) override
  {
    in_flight = activity ? static_cast<int>(activity->in_flight) : -1;
  }
  void wish(Connection&, sonde_socket_direction direction, std::uint64_t wish) override
  {
    wishes[direction] = wish;
    ++wishes_written;
  }

  sonde_socket_bytes make(sonde_socket_direction direction, std::size_t covered)
  {
    sonde_socket_bytes record{};
    record.record.ktime_ns = now_ns += 1000;
    record.position = socket_.position[direction];
    record.covered = static_cast<__u32>(covered);
    record.direction = static_cast<__u8>(direction);
    record.flags = SONDE_SOCKET_STARTS_CALL;
    record.tgid = 10;
    socket_.position[direction] += record.covered;
    return record;
  }
  void give(const sonde_socket_bytes& record, std::string_view bytes)
  {
    auto copy = record;
    copy.captured = static_cast<__u16>(bytes.size());
    connection_.take(copy, bytes, counts);
  }
  void sent(std::string_view bytes, std::size_t more = 0)
  {
    give(make(SONDE_SOCKET_SENT, bytes.size() + more), bytes);
  }
  void received(std::string_view bytes, std::size_t more = 0)
  {
    give(make(SONDE_SOCKET_RECEIVED, bytes.size() + more), bytes);
  }
  void end(sonde_socket_direction direction)
  {
    auto record = make(direction, 0);
    record.flags = SONDE_SOCKET_END;
    give(record, {});
  }
  void lose(sonde_socket_direction direction, std::uint32_t bytes)
  {
    socket_.position[direction] += bytes;
  }
  void pause(std::uint64_t ns)
  {
    now_ns += ns;
    connection_.sweep(now_ns, counts);
  }
  void close(sonde_socket_close how = SONDE_SOCKET_CLOSED_THERE)
  {
    connection_.close(how, now_ns += 1000, counts);
  }
  Connection& connection() { return connection_; }

  std::vector<std::string> log;
  std::uint64_t wishes[2] = {};
  int wishes_written = 0;
  int in_flight = -1;
  int malformed_ = 0;
  std::uint64_t now_ns = 1'000'000'000;
  Stream::Counts counts;

private:
  const sonde_socket_opened& opened(bool from_start)
  {
    socket_.opened.from_start = from_start ? 1 : 0;
    return socket_.opened;
  }

  test::Socket socket_;
  Connection connection_;
};

using Log = std::vector<std::string>;

}  // namespace sonde::protocols
