// SPDX-License-Identifier: Apache-2.0
#include "agent/app/explain_process.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <fmt/format.h>
#include <unordered_map>
#include <unordered_set>

#include "agent/base/clock.hpp"
#include "agent/base/file.hpp"
#include "agent/base/text.hpp"
#include "agent/proc/inspect.hpp"
#include "agent/protocols/addresses.hpp"
#include "agent/protocols/unseen.hpp"

namespace sonde::app {

namespace {

using control::Explanation;
using protocols::Addresses;
using protocols::Unseen;

constexpr std::size_t kMostBytes = std::size_t{64} << 20;
constexpr std::string_view kConnecting = "02";
constexpr std::string_view kListening = "0A";
constexpr std::string_view kUnixStream = "0001";
constexpr std::string_view kTapAbsent = "tap_not_attached";

std::string link_of(const std::filesystem::path& path)
{
  std::error_code error;
  return std::filesystem::read_symlink(path, error).native();
}

struct Descriptors {
  bool readable = true;
  std::unordered_set<std::uint64_t> inodes;
};

Descriptors sockets_of(const std::filesystem::path& process)
{
  Descriptors out;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(process / "fd", error), end;
       !error && entry != end;
       entry.increment(error))
    if (const auto inode = proc::socket_inode(link_of(entry->path())))
      out.inodes.insert(*inode);
  out.readable = !error;
  return out;
}

// "0100007F:1F90" of tcp, or four such words of tcp6: words in the order of the machine.
bool read_address(std::string_view text, std::array<std::uint8_t, 16>& address, std::uint16_t& port)
{
  const auto hex = take_until(text, ':');
  const auto number = parse_hex(text);
  if (!number || *number > 0xffff || (hex.size() != 8 && hex.size() != 32))
    return false;
  port = static_cast<std::uint16_t>(*number);
  address = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  auto* to = address.data() + (16 - hex.size() / 2);
  for (std::size_t at = 0; at < hex.size(); at += 8, to += 4) {
    const auto word = parse_hex(hex.substr(at, 8));
    if (!word)
      return false;
    const auto bytes = static_cast<std::uint32_t>(*word);
    std::memcpy(to, &bytes, sizeof bytes);
  }
  return true;
}

struct Connected {
  Addresses addresses;
  bool met = false;  // by the agent
};

class Sockets {
public:
  Sockets(const std::filesystem::path& process, ExplainedProcess& out)
      : process_(process), out_(out), descriptors_(sockets_of(process))
  {
    out_.sockets_readable = descriptors_.readable;
    auto net = link_of(process / "ns/net");
    net.resize(std::min(net.size(), net.find(']')));
    const auto inode = parse_number<std::uint32_t>(
        std::string_view(net).substr(std::min(net.size(), std::string_view("net:[").size())));
    netns_ = inode.value_or(0);
    read_tcp("net/tcp");
    read_tcp("net/tcp6");
    read_unix();
  }

  std::unordered_map<std::uint64_t, Connected>& connected() { return connected_; }

private:
  void read_tcp(std::string_view file)
  {
    const auto text = read_file(process_ / file, kMostBytes).value_or(std::string());
    std::string_view rest = text;
    take_line(rest);
    while (!rest.empty()) {
      auto line = take_line(rest);
      std::array<std::string_view, 10> fields;
      for (auto& field : fields)
        field = take_word(line);
      const auto inode = parse_number<std::uint64_t>(fields[9]);
      if (!inode || !descriptors_.inodes.contains(*inode))
        continue;
      Addresses addresses{};
      addresses.netns = netns_;
      if (fields[3] == kListening) {
        ++out_.listening;
      } else if (fields[3] != kConnecting &&
                 read_address(fields[1], addresses.local, addresses.local_port) &&
                 read_address(fields[2], addresses.remote, addresses.remote_port) &&
                 addresses.remote_port != 0) {
        ++out_.connected;
        connected_[addresses.key()] = {addresses};
      }
    }
  }

  void read_unix()
  {
    const auto text = read_file(process_ / "net/unix", kMostBytes).value_or(std::string());
    std::string_view rest = text;
    take_line(rest);
    while (!rest.empty()) {
      auto line = take_line(rest);
      std::array<std::string_view, 7> fields;
      for (auto& field : fields)
        field = take_word(line);
      const auto inode = parse_number<std::uint64_t>(fields[6]);
      if (fields[4] == kUnixStream && inode && descriptors_.inodes.contains(*inode))
        ++out_.unix_streams;
    }
  }

  std::filesystem::path process_;
  ExplainedProcess& out_;
  Descriptors descriptors_;
  std::uint32_t netns_ = 0;
  std::unordered_map<std::uint64_t, Connected> connected_;
};

void name_addresses(Explanation::Connection& connection, const Addresses& addresses)
{
  connection.local = protocols::host_and_port(addresses.local, addresses.local_port);
  connection.remote = protocols::host_and_port(addresses.remote, addresses.remote_port);
}

// The agent's connections, and those that it has not met.
void merge(const Explanation& explanation, Sockets& sockets, ExplainedProcess& out)
{
  auto& connected = sockets.connected();
  for (const auto& known : explanation.connections) {
    if (known.tgid != out.known.tgid)
      continue;
    auto connection = known;
    if (const auto found = connected.find(known.pair); found != connected.end()) {
      found->second.met = true;
      name_addresses(connection, found->second.addresses);
    }
    out.connections.push_back(std::move(connection));
  }
  for (const auto& [pair, one] : connected) {
    if (one.met)
      continue;
    Explanation::Connection connection{
        .tgid = out.known.tgid, .pair = pair, .role = "unknown", .protocol = "unknown"};
    connection.reason = explanation.attached ? word_of(Unseen::kNoTraffic) : kTapAbsent;
    connection.captured = "nothing/nothing";
    name_addresses(connection, one.addresses);
    out.connections.push_back(std::move(connection));
  }
}

std::string reason_of(const ExplainedProcess& process, const Explanation& explanation)
{
  if (process.kernel_thread)
    return "kernel_thread";
  if (process.known.own)
    return std::string(word_of(Unseen::kOwn));
  const bool any = process.listening + process.connected + process.unix_streams > 0 ||
                   !process.connections.empty();
  if (!any)
    return process.sockets_readable ? "no_stream_sockets" : "sockets_not_readable";
  if (!explanation.attached)
    return std::string(kTapAbsent);
  auto most = static_cast<std::size_t>(Unseen::kNoTraffic);
  for (const auto& connection : process.connections) {
    if (connection.reason.empty() || connection.reason == word_of(Unseen::kClaimed))
      return {};
    const auto word = std::ranges::find(protocols::kUnseenWords, connection.reason);
    if (word != protocols::kUnseenWords.end())
      most = std::max(most, static_cast<std::size_t>(word - protocols::kUnseenWords.begin()));
  }
  return std::string(protocols::kUnseenWords.at(most));
}

struct Meaning {
  std::string_view reason;
  std::string_view text;
};

constexpr Meaning kMeanings[] = {
    {"kernel_thread", "a thread of the kernel: it has no sockets of its own"},
    {"own_process", "the agent itself: its own sockets are never decoded"},
    {"no_stream_sockets", "it has no TCP and no AF_UNIX stream socket"},
    {"sockets_not_readable", "its descriptors could not be read: run this as root"},
    {"tap_not_attached", "the agent does not see what passes through sockets"},
    {"no_traffic_yet", "nothing has passed since the agent started"},
    {"counted_by_probes", "probes within the program count what passes"},
    {"undecided", "too little has passed to tell the protocol"},
    {"handed_over", "it was upgraded or tunnelled to what is not decoded"},
    {"not_recognised", "its first bytes are of no protocol that is known"},
    {"malformed", "it looked like a protocol, but most of it could not be read"},
    {"io_uring_or_unreadable",
     "its bytes pass where they cannot be seen: io_uring, sendfile, splice"},
    {"encrypted", "TLS, or the protocol's own encryption: only the ends can read it"},
};

}  // namespace

std::string_view meaning_of(std::string_view reason)
{
  const auto* found = std::ranges::find(kMeanings, reason, &Meaning::reason);
  return found == std::end(kMeanings) ? std::string_view() : found->text;
}

bool explain_process(const std::filesystem::path& procfs,
                     const Explanation& explanation,
                     const Explanation::Process& known,
                     ExplainedProcess& out)
{
  const proc::ProcFs proc(procfs);
  const auto stat = proc.stat(known.tgid);
  if (!stat)
    return false;
  out.known = known;
  out.command = stat->comm;
  out.kernel_thread = stat->kernel_thread();
  out.executable = proc.executable(known.tgid);
  const auto cgroup = proc::parse_cgroup_file(proc.cgroup(known.tgid));
  out.container = cgroup.container.empty() ? cgroup.pod : cgroup.container;
  out.started_wall_ns = wall_ns() - boottime_ns() + stat->start_ticks * proc::kTickNs;
  if (!out.kernel_thread) {
    Sockets sockets(procfs / std::to_string(known.tgid), out);
    merge(explanation, sockets, out);
  }
  for (const auto& one : explanation.uprobes)
    if (one.tgid == known.tgid)
      out.uprobes.push_back(one);
  out.reason = reason_of(out, explanation);
  return true;
}

}  // namespace sonde::app
