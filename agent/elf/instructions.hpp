// SPDX-License-Identifier: Apache-2.0
// x86-64 instructions as far as a probe needs them: length, what they write, where they lead.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

namespace sonde::elf {

// General registers by their number in instructions: AX 0, CX 1, DX 2, BX 3, SP 4, BP 5, SI 6, DI
// 7, R8 …
using RegisterSet = std::uint16_t;

// 8 bytes at a general register plus a constant.
struct MemoryRead {
  unsigned base;
  std::int64_t displacement;
};

enum class Emulated : std::uint8_t { kNo, kPush, kConditionalJump, kJump, kCall, kNop };

struct Instruction {
  std::uint64_t address;
  std::uint8_t length;
  Emulated emulated;    // by the kernel, at a uprobe
  RegisterSet written;  // also in part, also perhaps
  bool stack_check;     // compares the stack pointer, or what it will be, with the limit in Go's g
  bool subtracts_from_r12;  // what it will be, for a huge frame
  bool below;               // jb, jbe
  bool ends;                // nothing falls through: jmp, ret, ud2, hlt
  // Of jumps within the program's text, calls left out.
  std::optional<std::uint64_t> jump_target;
  std::optional<MemoryRead> read;
  std::optional<unsigned> copied;  // whole, into the register that is written
};

class InstructionDecoder {
public:
  InstructionDecoder();
  InstructionDecoder(InstructionDecoder&&) noexcept;
  InstructionDecoder& operator=(InstructionDecoder&&) noexcept;
  InstructionDecoder(const InstructionDecoder&) = delete;
  InstructionDecoder& operator=(const InstructionDecoder&) = delete;
  ~InstructionDecoder();

  // The first of `code`, which lies at `address`; nothing when it is none.
  std::optional<Instruction> decode(std::span<const std::byte> code, std::uint64_t address) const;

private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sonde::elf
