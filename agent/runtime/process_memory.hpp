// SPDX-License-Identifier: Apache-2.0
// A live process' memory by process_vm_readv(2): no ptrace, nothing stopped, no permission kept.
#pragma once

#include <sys/uio.h>
#include <vector>

#include "agent/base/result.hpp"
#include "agent/base/unique_fd.hpp"
#include "agent/proc/process_facts.hpp"
#include "agent/runtime/memory.hpp"

namespace sonde::runtime {

// Stands for one process, across the reuse of its number. Reads may wait in the kernel (for a
// page, for the lock of the address space), so they are made where waiting does no harm.
class ProcessMemory : public Memory {
public:
  // Fails when the process is not that one any more.
  static Result<ProcessMemory> open(const ProcessId& id);

  std::optional<ReadFailure> read(std::span<const Piece> pieces) override;
  bool swapped(std::uint64_t begin, std::uint64_t end) override;

  // False as soon as the process has ended: what was read before then was its own.
  bool alive() const;

  // Where the process' file starts to run, as the kernel told it at exec: less the file's own
  // e_entry it is the load bias.
  Result<std::uint64_t> entry() const;

  std::uint32_t tgid() const { return tgid_; }

private:
  ProcessMemory(std::uint32_t tgid, UniqueFd process) : tgid_(tgid), process_(std::move(process)) {}

  std::uint32_t tgid_;
  UniqueFd process_;  // a pidfd
  std::vector<iovec> local_;
  std::vector<iovec> remote_;
  std::vector<std::uint64_t> pages_;
};

}  // namespace sonde::runtime
