// SPDX-License-Identifier: Apache-2.0
#include "agent/runtime/process_memory.hpp"

#include <algorithm>
#include <cstring>
#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/base/file.hpp"
#include "agent/proc/procfs.hpp"

namespace sonde::runtime {

namespace {

constexpr std::uint64_t kPageBytes = 4096;
constexpr std::size_t kMostPages = 4096;  // looked up for one range
constexpr std::uint64_t kSwappedPage = std::uint64_t{1} << 62U;

}  // namespace

Result<ProcessMemory> ProcessMemory::open(const ProcessId& id)
{
  UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, id.tgid, 0)));
  if (!process)
    return fail(errno, fmt::format("pidfd_open {}", id.tgid));
  // The descriptor stands for whoever has the number now; later readers of the number are told by
  // it.
  const auto stat = proc::ProcFs().stat(id.tgid);
  if (!stat || stat->start_ticks != id.start_ticks)
    return fail(ESRCH, fmt::format("process {}", id.tgid));
  return ProcessMemory(id.tgid, std::move(process));
}

bool ProcessMemory::alive() const
{
  pollfd ended{.fd = process_.get(), .events = POLLIN, .revents = 0};
  return ::poll(&ended, 1, 0) == 0;
}

std::optional<ReadFailure> ProcessMemory::read(std::span<const Piece> pieces)
{
  for (std::size_t done = 0; done < pieces.size();) {
    const auto part = pieces.subspan(done, std::min(kMostPieces, pieces.size() - done));
    local_.clear();
    remote_.clear();
    std::size_t wanted = 0;
    for (const auto& piece : part) {
      local_.push_back({.iov_base = piece.into.data(), .iov_len = piece.into.size()});
      remote_.push_back(
          {.iov_base = reinterpret_cast<void*>(piece.address), .iov_len = piece.into.size()});
      wanted += piece.into.size();
    }
    const auto got = ::process_vm_readv(
        static_cast<pid_t>(tgid_), local_.data(), local_.size(), remote_.data(), remote_.size(), 0);
    if (got < 0)
      return errno == ESRCH   ? ReadFailure::kGone
             : errno == EPERM ? ReadFailure::kDenied
                              : ReadFailure::kFault;
    if (static_cast<std::size_t>(got) != wanted)
      return ReadFailure::kFault;
    done += part.size();
  }
  return {};
}

bool ProcessMemory::swapped(std::uint64_t begin, std::uint64_t end)
{
  const auto first = begin / kPageBytes;
  const auto count = std::min<std::size_t>((end - 1) / kPageBytes - first + 1, kMostPages);
  // Opened anew: an open one stays with the address space that an exec left.
  const UniqueFd map(::open(fmt::format("/proc/{}/pagemap", tgid_).c_str(), O_RDONLY | O_CLOEXEC));
  if (!map)
    return false;
  pages_.resize(count);
  const auto got = ::pread(map.get(),
                           pages_.data(),
                           count * sizeof(std::uint64_t),
                           static_cast<off_t>(first * sizeof(std::uint64_t)));
  const auto known = got > 0 ? static_cast<std::size_t>(got) / sizeof(std::uint64_t) : 0;
  return std::any_of(pages_.begin(),
                     pages_.begin() + static_cast<std::ptrdiff_t>(known),
                     [](auto page) { return (page & kSwappedPage) != 0; });
}

Result<std::uint64_t> ProcessMemory::entry() const
{
  const auto text = SONDE_TRY(read_file(fmt::format("/proc/{}/auxv", tgid_), 4096));
  for (std::size_t at = 0; at + sizeof(Elf64_auxv_t) <= text.size(); at += sizeof(Elf64_auxv_t)) {
    Elf64_auxv_t value;
    std::memcpy(&value, text.data() + at, sizeof value);
    if (value.a_type == AT_ENTRY)
      return value.a_un.a_val;
  }
  return fail(ESRCH, fmt::format("/proc/{}/auxv", tgid_));
}

}  // namespace sonde::runtime
