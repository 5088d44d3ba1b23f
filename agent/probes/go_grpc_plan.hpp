// SPDX-License-Identifier: Apache-2.0
// Where in a Go program grpc-go's calls and messages are seen, and the offsets that the programs
// need there. Pure.
#pragma once

#include <string>
#include <vector>

#include "sonde/go_grpc.h"

#include "agent/elf/go_binary.hpp"
#include "agent/probes/executables.hpp"

struct go_grpc_bpf;

namespace sonde::go_grpc {

struct Offsets final : Findings {
  sonde_go_grpc_binary offsets{};
};

// The program links grpc-go.
PlanResult make_plan(const elf::GoBinary& go, const elf::ElfFile& file, const go_grpc_bpf& object);

}  // namespace sonde::go_grpc
