// SPDX-License-Identifier: Apache-2.0
// Which of the socket tap's programs this kernel can run, and which of them are wanted.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.hpp"
#include "agent/base/unique_fd.hpp"

struct socket_bpf;

namespace sonde {
class Settings;
namespace bpf {
class SharedMaps;
}
}  // namespace sonde

namespace sonde::socket {

// What other families' programs need to report what passes as streams of the tap's.
inline constexpr const char* kLentMaps[] = {
    "sockets", "socket_rings", "socket_reader", "socket_rows", "socket_verdicts", "socket_ports"};

enum class Source : std::uint8_t { kTracepoints, kTwice, kFunctions };

std::string_view describe(Source source);

// `wanted`: auto, tracepoints, twice (tracepoints with two programs each) or functions.
Result<Source> choose_source(const std::string& wanted);

void choose_programs(socket_bpf& object, Source source);

// Bytes of all rings together: the setting socket.ring-bytes, or what becomes the node.
std::uint64_t ring_bytes(const Settings& settings, const bpf::SharedMaps& maps);

// The rings of the CPUs, which together have about `bytes`. The maps are made at load: before it
// `prepare`, after it `create`.
class Rings {
public:
  static std::uint32_t bytes_each(unsigned cpus, std::uint64_t bytes);
  static void prepare(socket_bpf& object, unsigned cpus, std::uint64_t bytes);
  static Result<Rings> create(socket_bpf& object);

  // One a CPU.
  std::span<const int> fds() const { return fds_; }

private:
  std::vector<UniqueFd> rings_;
  std::vector<int> fds_;
};

}  // namespace sonde::socket
