// SPDX-License-Identifier: Apache-2.0
#include "agent/bpf/uprobes.hpp"

#include <algorithm>
#include <cerrno>
#include <fmt/format.h>
#include <string_view>

#include <bpf/bpf.h>

#include "agent/base/unique_fd.hpp"
#include "agent/bpf/features.hpp"
#include "agent/bpf/skeleton.hpp"

namespace sonde::bpf {

namespace {

constexpr std::string_view kSection = "uprobe.multi";

// A link on what is no file: a kernel that has such links says EBADF, others EINVAL.
bool has_multi()
{
  const UniqueFd fd = load_idle_uprobe("sonde_uprobe");
  if (!fd)
    return false;
  const unsigned long offset = 0;
  LIBBPF_OPTS(bpf_link_create_opts, linking);
  linking.uprobe_multi.path = "/";
  linking.uprobe_multi.offsets = &offset;
  linking.uprobe_multi.cnt = 1;
  const int link = bpf_link_create(fd.get(), -1, kTraceUprobeMulti, &linking);
  const int error = errno;
  const UniqueFd unexpected(link);
  return link < 0 && error == EBADF;
}

}  // namespace

UniqueFd load_idle_uprobe(const char* name)
{
  const bpf_insn program[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
      {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
  LIBBPF_OPTS(bpf_prog_load_opts, loading);
  loading.expected_attach_type = kTraceUprobeMulti;
  return UniqueFd(bpf_prog_load(BPF_PROG_TYPE_KPROBE, name, "GPL", program, 2, &loading));
}

Result<UprobeKind> choose_uprobes(bool prefer_perf)
{
  static const bool multi = has_multi();
  if (multi && !prefer_perf)
    return UprobeKind::kMulti;
  if (!Features::has_helper(BPF_PROG_TYPE_KPROBE, BPF_FUNC_get_attach_cookie))
    return fail("uprobes carry no cookies before Linux 5.15");
  return UprobeKind::kPerf;
}

Result<> prepare_uprobes(bpf_object* object, UprobeKind kind)
{
  const auto type =
      kind == UprobeKind::kMulti ? kTraceUprobeMulti : static_cast<bpf_attach_type>(0);
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, object)
  {
    if (!std::string_view(bpf_program__section_name(program)).starts_with(kSection))
      continue;
    if (const int err = bpf_program__set_expected_attach_type(program, type); err != 0)
      return fail(err, fmt::format("prepare {}", bpf_program__name(program)));
  }
  return {};
}

Result<UprobeLinks> UprobeLinks::attach(UprobeKind kind,
                                        const bpf_program* program,
                                        const std::string& path,
                                        std::span<const UprobePlace> places,
                                        bool at_return)
{
  UprobeLinks out;
  const auto keep = [&](bpf_link* link) -> Result<> {
    const int error = errno;
    const auto why = last_complaint();
    if (link == nullptr)
      return fail(error,
                  fmt::format("attach {} to {}{}",
                              bpf_program__name(program),
                              path,
                              why.empty() ? why : fmt::format(" ({})", why)));
    out.links_.emplace_back(link);
    return {};
  };
  if (kind == UprobeKind::kMulti) {
    std::vector<unsigned long> offsets;
    std::vector<__u64> cookies;
    for (const auto& place : places) {
      offsets.push_back(place.offset);
      cookies.push_back(place.cookie);
    }
    LIBBPF_OPTS(bpf_uprobe_multi_opts, options);
    options.offsets = offsets.data();
    options.cookies = cookies.data();
    options.cnt = places.size();
    options.retprobe = at_return;
    SONDE_TRY(keep(bpf_program__attach_uprobe_multi(program, -1, path.c_str(), nullptr, &options)));
    return out;
  }
  for (const auto& place : places) {
    LIBBPF_OPTS(bpf_uprobe_opts, options);
    options.bpf_cookie = place.cookie;
    options.retprobe = at_return;
    SONDE_TRY(
        keep(bpf_program__attach_uprobe_opts(program, -1, path.c_str(), place.offset, &options)));
  }
  return out;
}

}  // namespace sonde::bpf
