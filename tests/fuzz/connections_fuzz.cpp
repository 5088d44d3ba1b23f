// SPDX-License-Identifier: Apache-2.0
// Any records at all, of a handful of sockets: each byte pair chooses what comes next.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "tests/support/socket_records.hpp"

namespace {

using namespace sonde;

class Input {
public:
  Input(const std::uint8_t* data, std::size_t size) : data_(data), left_(size) {}

  bool empty() const { return left_ == 0; }
  std::uint8_t byte()
  {
    if (left_ == 0)
      return 0;
    --left_;
    return *data_++;
  }
  std::string_view bytes(std::size_t most)
  {
    const auto size = std::min(most, left_);
    const std::string_view out(reinterpret_cast<const char*>(data_), size);
    data_ += size;
    left_ -= size;
    return out;
  }

private:
  const std::uint8_t* data_;
  std::size_t left_;
};

void open(test::Tap& tap, Input& input, std::vector<test::Socket>& sockets)
{
  auto& socket = sockets[input.byte() % sockets.size()];
  const auto how = input.byte();
  socket.opened.role = how % 3;
  socket.opened.transport = how / 3 % 4;
  socket.opened.from_start = how >> 5U & 1U;
  socket.opened.slot = how >> 6U;
  socket.opened.peer = how % 8;
  std::copy(std::begin(socket.position), std::end(socket.position), socket.opened.position);
  tap.open(socket);
}

void bytes(test::Tap& tap, Input& input, std::vector<test::Socket>& sockets)
{
  auto& socket = sockets[input.byte() % sockets.size()];
  const auto how = input.byte();
  const auto captured = input.bytes(input.byte());
  const std::size_t more = (how & 6U) == 6 ? input.byte() * 300U : 0;
  auto record =
      tap.record(socket, static_cast<sonde_socket_direction>(how & 1U), captured.size() + more);
  record.captured = static_cast<__u16>(captured.size());
  record.flags = how >> 3U & 7U;
  if ((how & 0xc0U) == 0xc0U)
    record.position += static_cast<__u32>(input.byte()) - 64;
  if ((how & 0xc0U) == 0x80U)
    tap.now_ns += std::uint64_t{input.byte()} * 100'000;
  std::vector<__u64> aligned((sizeof record + captured.size() + 7) / 8);
  std::memcpy(aligned.data(), &record, sizeof record);
  std::memcpy(
      reinterpret_cast<char*>(aligned.data()) + sizeof record, captured.data(), captured.size());
  tap.connections.record(std::as_bytes(std::span(aligned)).first(sizeof record + captured.size()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
  Input input(data, size);
  // A choice of the real protocols or of the small ones.
  auto options = test::Tap::options_of_tests();
  options.max_connections = 4;
  options.limits.sets = 20;
  test::Tap tap(std::move(options),
                input.byte() % 2 == 0 ? test::line_protocols() : protocols::protocols());
  tap.services.set(3, 1, "api");
  std::vector<test::Socket> sockets;
  for (std::uint64_t id = 1; id <= 6; ++id) {
    sockets.emplace_back(id, SONDE_SOCKET_ROLE_UNKNOWN, static_cast<std::uint32_t>(id));
    sockets.back().between(1, 80, 2, static_cast<std::uint16_t>(id));
  }
  while (!input.empty()) {
    switch (const auto what = input.byte(); what % 8) {
    case 0:
      open(tap, input, sockets);
      break;
    case 1:
      tap.close(sockets[input.byte() % sockets.size()],
                static_cast<sonde_socket_close>(what >> 3U & 3U));
      break;
    case 2:
      tap.connections.sweep(tap.now_ns += 1'000'000U * (what >> 3U));
      break;
    case 3:
      if (what & 8U)
        tap.services.release(3);
      else
        tap.services.set(3, static_cast<std::uint16_t>(what >> 4U), "api");
      break;
    default:
      bytes(tap, input, sockets);
    }
  }
  for (const auto& socket : sockets)
    tap.close(socket);
  if (tap.connections.size() != 0)
    __builtin_trap();
  return 0;
}
