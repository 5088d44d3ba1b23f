// SPDX-License-Identifier: Apache-2.0
#include "agent/probes/block_io_programs.hpp"

#include "sonde/block_io.h"

#include <optional>
#include <string_view>

#include <bpf/btf.h>

#include "block_io.skel.h"

namespace sonde::block_io {

namespace {

// The value of an enumerator; the enum itself may be without a name.
std::optional<std::uint32_t> enumerator(const btf* types, std::string_view name)
{
  for (__u32 id = 1; types != nullptr && id < btf__type_cnt(types); ++id) {
    const auto* type = btf__type_by_id(types, id);
    if (!btf_is_enum(type))
      continue;
    const auto* values = btf_enum(type);
    for (int i = 0; i < btf_vlen(type); ++i)
      if (btf__name_by_offset(types, values[i].name_off) == name)
        return static_cast<std::uint32_t>(values[i].val);
  }
  return std::nullopt;
}

Result<bool> choose_by_start(const std::string& wanted, const bpf::Features& kernel)
{
  if (wanted == "insert")
    return false;
  const bool has = kernel.has_tracepoint("block_io_start");
  if (wanted == "start" && !has)
    return fail("block_io.submission: this kernel has no tracepoint block_io_start (6.5)");
  return has;
}

Result<bool> choose_from_issue(const std::string& wanted, const bpf::Features& kernel)
{
  if (wanted == "issue")
    return true;
  const bool has = kernel.has_field("request", "start_time_ns");
  if (wanted == "request" && !has)
    return fail("block_io.source: this kernel's requests do not say when they began");
  return !has;
}

}  // namespace

Result<Choice> choose(const Settings& settings, const bpf::Features& kernel)
{
  Choice choice;
  choice.by_start = SONDE_TRY(choose_by_start(settings.text("block_io.submission"), kernel));
  choice.from_issue = SONDE_TRY(choose_from_issue(settings.text("block_io.source"), kernel));
  // The guard came with 6.1 or 6.2 and in stable trees; this helper came with 6.2.
  choice.alone = kernel.has_function("bpf_cgrp_storage_get");
  choice.preempted = kernel.preempts_programs();
  // Before 6.11 the flags are not in the types, and 5.10 to 6.10 have the same values.
  const auto io_stat = enumerator(kernel.types(), "__RQF_IO_STAT");
  const auto flush_sequence = enumerator(kernel.types(), "__RQF_FLUSH_SEQ");
  if (io_stat && flush_sequence) {
    choice.flag_io_stat = 1U << *io_stat;
    choice.flag_flush_sequence = 1U << *flush_sequence;
  }
  return choice;
}

bool is_second(std::string_view program)
{
  return program.ends_with("_nested") || program.ends_with("_again");
}

void select_programs(block_io_bpf& object, const Choice& choice, const bpf::Features& kernel)
{
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, object.obj)
  {
    const std::string_view name = bpf_program__name(program);
    const std::string_view tracepoint =
        std::string_view(bpf_program__section_name(program)).substr(sizeof "tp_btf/" - 1);
    bool wanted = true;
    if (tracepoint == "block_io_start")
      wanted = choice.by_start;
    else if (tracepoint == "block_rq_issue")
      wanted = !choice.by_start || choice.from_issue;
    else if (tracepoint == "block_rq_insert" || tracepoint == "block_getrq")
      wanted = !choice.by_start;
    if (tracepoint == "block_rq_issue" || tracepoint == "block_rq_insert" ||
        tracepoint == "block_getrq")
      wanted =
          wanted && name.ends_with("_before_5_11") == (kernel.tracepoint_arguments(tracepoint) > 1);
    if (name.ends_with("_again"))
      wanted = wanted && choice.preempted;
    bpf_program__set_autoload(program, wanted && kernel.has_tracepoint(tracepoint));
  }
}

std::string describe_completion(const Choice& choice)
{
  return choice.from_issue ? "latency from when requests are issued"
                           : "latency from when requests are made";
}

std::string describe_submission(const Choice& choice)
{
  return choice.by_start ? "" : "submitters where requests are inserted or issued";
}

}  // namespace sonde::block_io
