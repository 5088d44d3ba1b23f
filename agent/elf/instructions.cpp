// SPDX-License-Identifier: Apache-2.0
#include "agent/elf/instructions.hpp"

#include <Zydis/Zydis.h>
#include <array>

namespace sonde::elf {

namespace {

// arch/x86/kernel/uprobes.c: branch_setup_xol_ops() and push_setup_xol_ops(), as of Linux 5.10.
// Prefixes, longer nops and more came later, or never.
Emulated emulated(std::span<const std::byte> code, std::size_t length)
{
  const auto first = std::to_integer<unsigned>(code[0]);
  const auto second = length > 1 ? std::to_integer<unsigned>(code[1]) : 0;
  const auto is_push = [](unsigned opcode) { return opcode >= 0x50 && opcode <= 0x57; };
  const auto is_jcc = [](unsigned opcode, unsigned base) {
    return opcode >= base && opcode <= base + 15;
  };
  if ((length == 1 && is_push(first)) || (length == 2 && first == 0x41 && is_push(second)))
    return Emulated::kPush;
  if ((length == 2 && is_jcc(first, 0x70)) ||
      (length == 6 && first == 0x0f && is_jcc(second, 0x80)))
    return Emulated::kConditionalJump;
  if ((length == 2 && first == 0xeb) || (length == 5 && first == 0xe9))
    return Emulated::kJump;
  if (length == 5 && first == 0xe8)
    return Emulated::kCall;
  return length == 1 && first == 0x90 ? Emulated::kNop : Emulated::kNo;
}

std::optional<unsigned> general_register(ZydisRegister reg)
{
  const auto whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);
  if (whole < ZYDIS_REGISTER_RAX || whole > ZYDIS_REGISTER_R15)
    return {};
  return static_cast<unsigned>(whole - ZYDIS_REGISTER_RAX);
}

bool is_register(const ZydisDecodedOperand& operand, ZydisRegister reg)
{
  return operand.type == ZYDIS_OPERAND_TYPE_REGISTER && operand.reg.value == reg;
}

// g.stackguard0, or stackguard1 where code runs on the system's stack.
bool is_stack_check(const ZydisDecodedInstruction& decoded, const ZydisDecodedOperand* operands)
{
  if (decoded.mnemonic != ZYDIS_MNEMONIC_CMP || operands[1].type != ZYDIS_OPERAND_TYPE_MEMORY)
    return false;
  const auto& memory = operands[1].mem;
  return (is_register(operands[0], ZYDIS_REGISTER_RSP) ||
          is_register(operands[0], ZYDIS_REGISTER_R12) ||
          is_register(operands[0], ZYDIS_REGISTER_R13)) &&
         memory.base == ZYDIS_REGISTER_R14 && memory.index == ZYDIS_REGISTER_NONE &&
         (memory.disp.value == 0x10 || memory.disp.value == 0x18);
}

std::optional<MemoryRead> memory_read(const ZydisDecodedOperand& operand)
{
  const bool reads = operand.type == ZYDIS_OPERAND_TYPE_MEMORY && operand.size == 64 &&
                     (operand.actions & ZYDIS_OPERAND_ACTION_MASK_READ) != 0;
  if (!reads || operand.mem.index != ZYDIS_REGISTER_NONE)
    return {};
  const auto base = general_register(operand.mem.base);
  return base ? std::optional(MemoryRead{*base, operand.mem.disp.value}) : std::nullopt;
}

std::optional<unsigned> copied_register(const ZydisDecodedInstruction& decoded,
                                        const ZydisDecodedOperand* operands)
{
  if (decoded.mnemonic != ZYDIS_MNEMONIC_MOV || operands[0].type != ZYDIS_OPERAND_TYPE_REGISTER ||
      operands[1].type != ZYDIS_OPERAND_TYPE_REGISTER || operands[1].size != 64)
    return {};
  return general_register(operands[1].reg.value);
}

bool ends_flow(const ZydisDecodedInstruction& decoded)
{
  switch (decoded.meta.category) {
  case ZYDIS_CATEGORY_UNCOND_BR:
  case ZYDIS_CATEGORY_RET:
    return true;
  default:
    break;
  }
  switch (decoded.mnemonic) {
  case ZYDIS_MNEMONIC_UD2:
  case ZYDIS_MNEMONIC_UD1:
  case ZYDIS_MNEMONIC_UD0:
  case ZYDIS_MNEMONIC_HLT:
  case ZYDIS_MNEMONIC_INT3:
    return true;
  default:
    return false;
  }
}

}  // namespace

struct InstructionDecoder::State {
  ZydisDecoder decoder;
};

InstructionDecoder::InstructionDecoder() : state_(std::make_unique<State>())
{
  // Fails for impossible modes only.
  (void)ZydisDecoderInit(&state_->decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
}

InstructionDecoder::InstructionDecoder(InstructionDecoder&&) noexcept = default;
InstructionDecoder& InstructionDecoder::operator=(InstructionDecoder&&) noexcept = default;
InstructionDecoder::~InstructionDecoder() = default;

std::optional<Instruction> InstructionDecoder::decode(std::span<const std::byte> code,
                                                      std::uint64_t address) const
{
  ZydisDecodedInstruction decoded;
  std::array<ZydisDecodedOperand, ZYDIS_MAX_OPERAND_COUNT> operands;
  if (code.empty() || ZYAN_FAILED(ZydisDecoderDecodeFull(
                          &state_->decoder, code.data(), code.size(), &decoded, operands.data())))
    return {};
  Instruction out{};
  out.address = address;
  out.length = decoded.length;
  out.emulated = emulated(code, decoded.length);
  out.ends = ends_flow(decoded);
  out.stack_check = is_stack_check(decoded, operands.data());
  out.subtracts_from_r12 =
      decoded.mnemonic == ZYDIS_MNEMONIC_SUB && is_register(operands[0], ZYDIS_REGISTER_R12);
  out.below = decoded.mnemonic == ZYDIS_MNEMONIC_JB || decoded.mnemonic == ZYDIS_MNEMONIC_JBE;
  out.copied = copied_register(decoded, operands.data());
  for (std::size_t i = 0; i < decoded.operand_count; ++i) {
    const auto& operand = operands[i];
    if (!out.read)
      out.read = memory_read(operand);
    if (operand.type == ZYDIS_OPERAND_TYPE_REGISTER &&
        (operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0)
      if (const auto number = general_register(operand.reg.value))
        out.written = static_cast<RegisterSet>(out.written | (1U << *number));
  }
  const bool jumps = decoded.meta.category == ZYDIS_CATEGORY_UNCOND_BR ||
                     decoded.meta.category == ZYDIS_CATEGORY_COND_BR;
  if (jumps && operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE && operands[0].imm.is_relative) {
    ZyanU64 target = 0;
    if (ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(&decoded, operands.data(), address, &target)))
      out.jump_target = target;
  }
  return out;
}

}  // namespace sonde::elf
