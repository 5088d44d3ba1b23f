// SPDX-License-Identifier: Apache-2.0
#include "agent/elf/calls.hpp"

#include <Zydis/Zydis.h>
#include <algorithm>

namespace sonde::elf {

std::vector<DirectCall>
direct_calls(const ElfFile& file, std::uint64_t begin, std::uint64_t size, std::uint64_t most)
{
  std::vector<DirectCall> calls;
  const auto code = file.bytes_at(begin, std::min(size, most));
  ZydisDecoder decoder;
  ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  for (std::size_t at = 0; at < code.size();) {
    ZydisDecodedInstruction instruction;
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(
            &decoder, nullptr, code.data() + at, code.size() - at, &instruction)))
      break;
    const auto address = begin + at;
    at += instruction.length;
    const bool jump = instruction.mnemonic == ZYDIS_MNEMONIC_JMP;
    if ((!jump && instruction.mnemonic != ZYDIS_MNEMONIC_CALL) ||
        instruction.raw.imm[0].is_relative == 0)
      continue;
    const auto target =
        address + instruction.length + static_cast<std::uint64_t>(instruction.raw.imm[0].value.s);
    if (target - begin >= size)
      calls.push_back({address, target, jump});
  }
  return calls;
}

std::optional<std::uint64_t> call_of(const std::vector<DirectCall>& calls, std::uint64_t target)
{
  const auto call = std::ranges::find_if(
      calls, [&](const DirectCall& one) { return !one.jump && one.target == target; });
  return call == calls.end() ? std::nullopt : std::optional(call->address);
}

}  // namespace sonde::elf
