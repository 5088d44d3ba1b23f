// SPDX-License-Identifier: Apache-2.0
#include "tests/support/memory_cgroup.hpp"

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <fcntl.h>
#include <fmt/format.h>
#include <string_view>
#include <sys/mount.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

#include "agent/base/file.hpp"
#include "agent/base/text.hpp"
#include "agent/base/unique_fd.hpp"

namespace sonde::testing {

namespace {

bool write_to(const std::string& path, std::string_view text)
{
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  return fd && ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

bool has_word(std::string_view text, std::string_view word)
{
  for (auto found = take_word(text); !found.empty(); found = take_word(text))
    if (trim(found) == word)
      return true;
  return false;
}

}  // namespace

Result<std::unique_ptr<MemoryCgroup>> MemoryCgroup::create(std::uint64_t limit_bytes)
{
  std::unique_ptr<MemoryCgroup> made(new MemoryCgroup);
  SONDE_TRY(made->mount());
  SONDE_TRY(made->make_group(limit_bytes));
  return made;
}

MemoryCgroup::~MemoryCgroup()
{
  // A process that was reaped may be charged to its group for some milliseconds more.
  for (int i = 0; !group_.empty() && ::rmdir(group_.c_str()) != 0 && errno == EBUSY && i < 100; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  if (gave_)
    write_to(root_ + "/cgroup.subtree_control", "-memory");
  if (mounted_)
    ::umount2(root_.c_str(), MNT_DETACH);
  if (!root_.empty())
    ::rmdir(root_.c_str());
}

// Version 1 only when the unified hierarchy does not have the controller: mounting it as version 1
// could take it away from there.
Result<> MemoryCgroup::mount()
{
  std::array<char, 32> folder{"/tmp/sonde-cgroup-XXXXXX"};
  if (::mkdtemp(folder.data()) == nullptr)
    return fail(errno, "make a folder to mount control groups at");
  root_ = folder.data();
  if (::mount("cgroup2", root_.c_str(), "cgroup2", 0, nullptr) == 0) {
    if (has_word(read_file(root_ + "/cgroup.controllers").value_or(""), "memory")) {
      mounted_ = true;
      return {};
    }
    ::umount2(root_.c_str(), MNT_DETACH);
  }
  unified_ = false;
  if (::mount("cgroup", root_.c_str(), "cgroup", 0, "memory") != 0)
    return fail(errno, "mount the memory controller of control groups");
  mounted_ = true;
  return {};
}

Result<> MemoryCgroup::make_group(std::uint64_t limit_bytes)
{
  const auto given = root_ + "/cgroup.subtree_control";
  if (unified_ && !has_word(read_file(given).value_or(""), "memory")) {
    if (!write_to(given, "+memory"))
      return fail(errno, "give the memory controller to groups");
    gave_ = true;
  }
  const auto group = fmt::format("{}/sonde-test-{}", root_, ::getpid());
  if (::mkdir(group.c_str(), 0700) != 0)
    return fail(errno, "make a control group");
  group_ = group;
  const auto limit = std::to_string(limit_bytes);
  if (!write_to(group_ + (unified_ ? "/memory.max" : "/memory.limit_in_bytes"), limit))
    return fail(errno, "limit the memory of a control group");
  // Nothing may be swapped out instead; where swap is not accounted some of these files are
  // missing.
  if (unified_) {
    write_to(group_ + "/memory.swap.max", "0");
  } else {
    write_to(group_ + "/memory.memsw.limit_in_bytes", limit);
    write_to(group_ + "/memory.swappiness", "0");
  }
  return {};
}

bool MemoryCgroup::join() const
{
  return write_to(group_ + "/cgroup.procs", "0");
}

std::uint64_t MemoryCgroup::kills() const
{
  const auto text =
      read_file(group_ + (unified_ ? "/memory.events" : "/memory.oom_control")).value_or("");
  std::string_view rest = text;
  while (!rest.empty()) {
    auto line = take_line(rest);
    if (take_word(line) == "oom_kill")
      return parse_number<std::uint64_t>(trim(line)).value_or(0);
  }
  return 0;
}

}  // namespace sonde::testing
