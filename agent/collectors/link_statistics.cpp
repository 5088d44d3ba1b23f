// SPDX-License-Identifier: Apache-2.0
#include "agent/collectors/link_statistics.hpp"

#include <cerrno>
#include <cstring>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "agent/collectors/lines.hpp"

namespace sonde {

namespace {

// The kernel fills at most 32 KiB a datagram.
constexpr std::size_t kDatagramBytes = 32U << 10;
constexpr int kMaxDatagrams = 4096;
constexpr int kMaxTries = 3;  // a dump that devices came to or went from is begun again

template <typename T>
T copy_of(std::span<const std::byte> bytes)
{
  T value{};
  std::memcpy(&value, bytes.data(), std::min(sizeof(T), bytes.size()));
  return value;
}

std::span<const std::byte> rest_after(std::span<const std::byte> bytes, std::size_t length)
{
  return bytes.subspan(std::min(bytes.size(), (length + 3) & ~std::size_t{3}));
}

Result<LinkStatistics> parse_link(std::span<const std::byte> attributes)
{
  LinkStatistics link;
  bool counted = false;
  while (attributes.size() >= sizeof(rtattr)) {
    const auto header = copy_of<rtattr>(attributes);
    if (header.rta_len < sizeof(rtattr) || header.rta_len > attributes.size())
      return fail("rtnetlink: an attribute is longer than its message");
    const auto value = attributes.subspan(sizeof(rtattr), header.rta_len - sizeof(rtattr));
    if (header.rta_type == IFLA_IFNAME) {
      const auto* text = reinterpret_cast<const char*>(value.data());
      link.name.assign(text, ::strnlen(text, value.size()));
    } else if (header.rta_type == IFLA_STATS64 && value.size() >= sizeof(link.counters) - 8) {
      // nohandler came with Linux 4.6.
      std::memcpy(
          link.counters.data(), value.data(), std::min(sizeof(link.counters), value.size()));
      counted = true;
    }
    attributes = rest_after(attributes, header.rta_len);
  }
  if (!counted)
    link.name.clear();
  return link;
}

}  // namespace

Result<bool> parse_links(std::span<const std::byte> datagram,
                         std::uint32_t sequence,
                         std::vector<LinkStatistics>& links)
{
  while (datagram.size() >= sizeof(nlmsghdr)) {
    const auto header = copy_of<nlmsghdr>(datagram);
    if (header.nlmsg_len < sizeof(nlmsghdr) || header.nlmsg_len > datagram.size())
      return fail("rtnetlink: a message is longer than its datagram");
    const auto payload = datagram.subspan(sizeof(nlmsghdr), header.nlmsg_len - sizeof(nlmsghdr));
    datagram = rest_after(datagram, header.nlmsg_len);
    if (header.nlmsg_seq != sequence)
      continue;
    if ((header.nlmsg_flags & NLM_F_DUMP_INTR) != 0)
      return fail(EINTR, "rtnetlink: devices changed during the dump");
    if (header.nlmsg_type == NLMSG_DONE)
      return true;
    if (header.nlmsg_type == NLMSG_ERROR)
      return fail(-copy_of<nlmsgerr>(payload).error, "rtnetlink");
    if (header.nlmsg_type != RTM_NEWLINK || payload.size() < sizeof(ifinfomsg))
      continue;
    auto link = SONDE_TRY(parse_link(rest_after(payload, sizeof(ifinfomsg))));
    if (!link.name.empty())
      links.push_back(std::move(link));
  }
  return false;
}

Result<std::vector<DeviceLine>> parse_devices(std::string_view text,
                                              const std::filesystem::path& path)
{
  std::vector<DeviceLine> devices;
  Lines lines(text, path);
  lines.next();
  lines.next();  // two lines of headings
  while (lines.next()) {
    const auto colon = lines.line().rfind(':');  // an alias has a colon of its own
    if (colon == std::string_view::npos)
      return lines.malformed("a device and a colon are missing");
    DeviceLine device{.name = trim(lines.line().substr(0, colon))};
    if (device.name.empty())
      return lines.malformed("a device is missing");
    auto numbers = lines.line().substr(colon + 1);
    for (auto& column : device.columns)
      column = SONDE_TRY(lines.number<std::uint64_t>(take_word(numbers)));
    devices.push_back(device);
  }
  return devices;
}

Result<std::vector<LinkStatistics>> LinkSocket::read()
{
  for (int tries = 1;; ++tries) {
    auto links = dump();
    if (links)
      return links;
    // Whatever is still in the socket belongs to the broken dump.
    fd_ = UniqueFd();
    if (links.error().code() != std::errc::interrupted || tries == kMaxTries)
      return links;
  }
}

Result<std::vector<LinkStatistics>> LinkSocket::dump()
{
  if (!fd_) {
    fd_ = UniqueFd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    if (!fd_)
      return fail(errno, "rtnetlink: socket");
    constexpr timeval kTimeout{.tv_sec = 1, .tv_usec = 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &kTimeout, sizeof(kTimeout));
    buffer_.resize(kDatagramBytes);
  }
  struct {
    nlmsghdr header;
    ifinfomsg link;
  } question{};
  question.header.nlmsg_len = sizeof(question);
  question.header.nlmsg_type = RTM_GETLINK;
  question.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  question.header.nlmsg_seq = ++sequence_;
  question.link.ifi_family = AF_UNSPEC;
  if (::send(fd_.get(), &question, sizeof(question), 0) < 0)
    return fail(errno, "rtnetlink: send");

  std::vector<LinkStatistics> links;
  for (int i = 0; i < kMaxDatagrams; ++i) {
    const auto length = ::recv(fd_.get(), buffer_.data(), buffer_.size(), MSG_TRUNC);
    if (length < 0)
      return fail(errno, "rtnetlink: receive");
    if (static_cast<std::size_t>(length) > buffer_.size())
      return fail(EMSGSIZE, "rtnetlink: receive");
    const auto datagram = std::span(buffer_).first(static_cast<std::size_t>(length));
    if (SONDE_TRY(parse_links(datagram, sequence_, links)))
      return links;
  }
  return fail("rtnetlink: the dump does not end");
}

}  // namespace sonde
