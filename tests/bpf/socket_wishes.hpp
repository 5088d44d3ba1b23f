// SPDX-License-Identifier: Apache-2.0
// A socket whose wish is known and that is written in known calls.
#pragma once

#include <functional>
#include <utility>

#include "tests/bpf/socket_fixture.hpp"

namespace sonde::tap_tests {

class SocketWishes : public SocketRecords {
protected:
  // What a socket gives that is announced first and then is written to.
  testing::TappedStream tapped(std::uint64_t wish, const std::function<void(int)>& write)
  {
    tap_->wish(SONDE_SOCKET_SENT, wish);
    const auto sockets = run([&] {
      const auto pair = connect_pair(AF_INET, 0);
      std::thread reader([&] { receive_all(Call::kSendRecv, pair.server, 5); });
      // Its announcement must have been read before the next call asks for the verdict.
      if (::write(pair.client, "x", 1) != 1)
        _exit(8);
      ::usleep(100'000);
      write(pair.client);
      ::shutdown(pair.client, SHUT_WR);
      reader.join();
    });
    for (const auto& socket : sockets)
      if (socket.opened.role == SONDE_SOCKET_ROLE_CLIENT)
        return socket.stream[SONDE_SOCKET_SENT];
    return {};
  }

  // `first` is how the first of the calls is made.
  testing::TappedStream
  sent(std::uint64_t wish, const std::vector<std::string>& calls, Call first = GetParam().call)
  {
    return tapped(wish, [&](int fd) {
      auto how = first;
      for (auto bytes : calls) {
        const auto n =
            transfer(std::exchange(how, GetParam().call), fd, bytes.data(), bytes.size(), true);
        if (n != static_cast<ssize_t>(bytes.size()))
          _exit(9);
      }
    });
  }

  // Each call is a writev of its pieces.
  testing::TappedStream sent_in_pieces(std::uint64_t wish,
                                       const std::vector<std::vector<std::string>>& calls)
  {
    return tapped(wish, [&](int fd) {
      for (const auto& pieces : calls) {
        std::vector<iovec> vectors;
        std::size_t size = 0;
        for (const auto& piece : pieces) {
          vectors.push_back({const_cast<char*>(piece.data()), piece.size()});
          size += piece.size();
        }
        if (::writev(fd, vectors.data(), static_cast<int>(vectors.size())) !=
            static_cast<ssize_t>(size))
          _exit(9);
      }
    });
  }

  testing::TappedStream sent_pattern(std::uint64_t wish, const std::vector<std::size_t>& sizes)
  {
    std::vector<std::string> calls;
    std::size_t at = 1;
    for (const auto size : sizes) {
      auto& bytes = calls.emplace_back(size, '\0');
      for (auto& byte : bytes)
        byte = pattern(at++);
    }
    return sent(wish, calls);
  }
};

}  // namespace sonde::tap_tests
