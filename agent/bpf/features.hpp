// SPDX-License-Identifier: Apache-2.0
// What the running kernel has, asked once from its own BTF and by trial: the reason a hook is
// chosen or left out is always one of these.
#pragma once

#include <memory>
#include <string_view>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

struct btf;

namespace sonde::bpf {

class Features {
public:
  // The kernel's own; without BTF every question is answered with no.
  static const Features& kernel();

  bool has_btf() const { return btf_ != nullptr; }
  const btf* types() const { return btf_.get(); }

  // `block_io_start` for tp_btf/block_io_start.
  bool has_tracepoint(std::string_view name) const;
  // Number of arguments of the tracepoint, the first (context) not counted; -1 without it.
  int tracepoint_arguments(std::string_view name) const;
  bool has_struct(std::string_view name) const;
  bool has_field(std::string_view structure, std::string_view field) const;
  bool has_function(std::string_view name) const { return function_arguments(name) >= 0; }
  // Number of arguments of a kernel function; -1 without it.
  int function_arguments(std::string_view name) const;
  // Programs on tracepoints may be preempted (bpf/lib/twice.h): 7.0 runs them under SRCU, whose fast
  // kind came shortly before.
  bool preempts_programs() const { return has_function("init_srcu_struct_fast"); }
  // Loading fentry/fexit was tried on a function that every kernel has.
  bool has_fentry() const;

  static bool has_map(bpf_map_type type) { return libbpf_probe_bpf_map_type(type, nullptr) == 1; }
  static bool has_program(bpf_prog_type type)
  {
    return libbpf_probe_bpf_prog_type(type, nullptr) == 1;
  }
  static bool has_helper(bpf_prog_type type, bpf_func_id helper)
  {
    return libbpf_probe_bpf_helper(type, helper, nullptr) == 1;
  }

private:
  Features();

  struct Free {
    void operator()(btf* types) const;
  };
  std::unique_ptr<btf, Free> btf_;
};

}  // namespace sonde::bpf
