// SPDX-License-Identifier: Apache-2.0
#include "agent/bpf/skeleton.hpp"

#include <array>
#include <cstdarg>
#include <cstdio>
#include <fmt/format.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "agent/base/file.hpp"
#include "agent/base/log.hpp"
#include "agent/base/text.hpp"

namespace sonde::bpf {

namespace {

thread_local std::string complaint;

int on_message(libbpf_print_level level, const char* format, va_list args)
{
  std::array<char, 4096> buffer{};
  std::vsnprintf(buffer.data(), buffer.size(), format, args);
  const auto line = trim(buffer.data());
  if (level == LIBBPF_WARN && complaint.empty())
    complaint = line.substr(0, 512);
  log::debug("libbpf", {{"text", std::string(line)}});
  return 0;
}

}  // namespace

void capture_messages()
{
  libbpf_set_print(on_message);
}

std::string last_complaint()
{
  return std::exchange(complaint, {});
}

std::uint64_t charged_bytes(int map_fd)
{
  const auto info = read_file(fmt::format("/proc/self/fdinfo/{}", map_fd));
  if (!info)
    return 0;
  const auto at = info->find("memlock:");
  if (at == std::string::npos)
    return 0;
  auto rest = std::string_view(*info).substr(at + 8);
  return parse_number<std::uint64_t>(take_word(rest)).value_or(0);
}

Result<Link> Link::attach(const bpf_program* program)
{
  Link link;
  link.link_.reset(bpf_program__attach(program));
  if (!link.link_)
    return fail(errno, std::string("attach ") + bpf_program__section_name(program));
  return link;
}

Result<Link> Link::attach_iterator(const bpf_program* program, int map_fd)
{
  bpf_iter_link_info info{};
  info.map.map_fd = static_cast<__u32>(map_fd);
  LIBBPF_OPTS(bpf_iter_attach_opts, options);
  if (map_fd >= 0) {
    options.link_info = &info;
    options.link_info_len = sizeof info;
  }
  Link link;
  link.link_.reset(bpf_program__attach_iter(program, &options));
  if (!link.link_)
    return fail(errno, std::string("attach ") + bpf_program__section_name(program));
  return link;
}

Result<> run_iterator(const Link& iterator)
{
  const UniqueFd fd(iterator ? bpf_iter_create(iterator.fd()) : -1);
  if (!fd)
    return fail(errno, "create iterator");
  std::array<char, 4096> passed{};
  // The kernel pauses after a million objects with EAGAIN.
  for (int pauses = 0; pauses < 1000; ++pauses) {
    const auto n = ::read(fd.get(), passed.data(), passed.size());
    if (n == 0)
      return {};
    if (n < 0 && errno != EAGAIN && errno != EINTR)
      return fail(errno, "read iterator");
  }
  return fail("the iterator does not end");
}

}  // namespace sonde::bpf
