// SPDX-License-Identifier: Apache-2.0
#include "agent/bpf/features.hpp"

#include <string>

#include <bpf/btf.h>

#include "agent/base/unique_fd.hpp"

namespace sonde::bpf {

void Features::Free::operator()(btf* types) const
{
  btf__free(types);
}

Features::Features() : btf_(btf__load_vmlinux_btf()) {}

const Features& Features::kernel()
{
  static const Features features;
  return features;
}

bool Features::has_tracepoint(std::string_view name) const
{
  return tracepoint_arguments(name) >= 0;
}

int Features::tracepoint_arguments(std::string_view name) const
{
  if (!btf_)
    return -1;
  const auto type_name = "btf_trace_" + std::string(name);
  const int id = btf__find_by_name_kind(btf_.get(), type_name.c_str(), BTF_KIND_TYPEDEF);
  if (id < 0)
    return -1;
  // typedef void (*btf_trace_x)(void *, ...)
  const auto* type =
      btf__type_by_id(btf_.get(), btf__type_by_id(btf_.get(), static_cast<__u32>(id))->type);
  if (type == nullptr || !btf_is_ptr(type))
    return -1;
  type = btf__type_by_id(btf_.get(), type->type);
  return type != nullptr && btf_is_func_proto(type) ? btf_vlen(type) - 1 : -1;
}

bool Features::has_struct(std::string_view name) const
{
  return btf_ && btf__find_by_name_kind(btf_.get(), std::string(name).c_str(), BTF_KIND_STRUCT) > 0;
}

int Features::function_arguments(std::string_view name) const
{
  if (!btf_)
    return -1;
  const int id = btf__find_by_name_kind(btf_.get(), std::string(name).c_str(), BTF_KIND_FUNC);
  if (id <= 0)
    return -1;
  const auto* prototype =
      btf__type_by_id(btf_.get(), btf__type_by_id(btf_.get(), static_cast<__u32>(id))->type);
  return prototype != nullptr && btf_is_func_proto(prototype) ? btf_vlen(prototype) : -1;
}

namespace {

bool type_has_field(const btf* types, const btf_type* type, std::string_view field, int depth)
{
  if (type == nullptr || !btf_is_composite(type) || depth > 8)
    return false;
  const auto* member = btf_members(type);
  for (int i = 0; i < btf_vlen(type); ++i, ++member) {
    const std::string_view name = btf__name_by_offset(types, member->name_off);
    if (name == field)
      return true;
    if (name.empty() &&
        type_has_field(types, btf__type_by_id(types, member->type), field, depth + 1))
      return true;
  }
  return false;
}

}  // namespace

bool Features::has_field(std::string_view structure, std::string_view field) const
{
  if (!btf_)
    return false;
  const int id =
      btf__find_by_name_kind(btf_.get(), std::string(structure).c_str(), BTF_KIND_STRUCT);
  return id > 0 &&
         type_has_field(btf_.get(), btf__type_by_id(btf_.get(), static_cast<__u32>(id)), field, 0);
}

bool Features::has_fentry() const
{
  static const bool works = [this] {
    constexpr const char* kTarget = "bpf_fentry_test1";
    if (!btf_)
      return false;
    const int id = btf__find_by_name_kind(btf_.get(), kTarget, BTF_KIND_FUNC);
    if (id < 0)
      return false;
    const bpf_insn program[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
        {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
    LIBBPF_OPTS(bpf_prog_load_opts, options);
    options.expected_attach_type = BPF_TRACE_FENTRY;
    options.attach_btf_id = static_cast<__u32>(id);
    const UniqueFd fd(
        bpf_prog_load(BPF_PROG_TYPE_TRACING, "sonde_fentry", "GPL", program, 2, &options));
    if (!fd)
      return false;
    // Some kernels load it and refuse the trampoline.
    const UniqueFd link(bpf_link_create(fd.get(), 0, BPF_TRACE_FENTRY, nullptr));
    return static_cast<bool>(link);
  }();
  return works;
}

}  // namespace sonde::bpf
