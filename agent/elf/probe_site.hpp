// SPDX-License-Identifier: Apache-2.0
// Where in a function a uprobe may sit: on an instruction that the kernel emulates (one trap
// instead of two, 0.6–1.3 µs instead of 10 µs in a guest), with the arguments still in their
// registers. x86-64 only.
#pragma once

#include <cstdint>

#include "agent/base/result.hpp"
#include "agent/elf/elf_file.hpp"
#include "agent/elf/go_binary.hpp"

namespace sonde::elf {

enum class SiteInstruction : std::uint8_t { kPush, kConditionalJump, kJump, kCall, kNop };

struct ProbeSite {
  std::uint64_t offset;   // in the file: what a uprobe is attached to
  std::uint64_t address;  // as in the file
  SiteInstruction instruction;
  // The site is the jump of Go's check of the stack. When that is taken, the stack grows or the
  // goroutine is preempted, and the function starts again: one call hits more than once. A hit with
  // CF or ZF in its flags is not the last one of its call and to be ignored (bpf/lib/go_abi.h).
  // Only where there is no better site (Go before 1.21, mostly).
  bool again_on_growth = false;
};

// All calls pass the site once (see again_on_growth), and AX, BX, CX, DI, SI, R8–R11 and R14 (g)
// are as at the entry.
Result<ProbeSite> go_entry_site(const ElfFile& file, AddressRange function);
// The same for a C or Rust function: DI, SI, DX, CX, R8, R9.
Result<ProbeSite> c_entry_site(const ElfFile& file, AddressRange function);

}  // namespace sonde::elf
