// SPDX-License-Identifier: Apache-2.0
#include "agent/elf/probe_site.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <optional>

#include "agent/elf/instructions.hpp"

namespace sonde::elf {

namespace {

// What is longer is not looked through for jumps back to the site.
constexpr std::uint64_t kMaxFunctionBytes = 1 << 20;
// Nobody keeps all arguments in their registers for longer.
constexpr unsigned kMaxInstructions = 64;

constexpr RegisterSet registers(std::initializer_list<unsigned> numbers)
{
  RegisterSet set = 0;
  for (const auto number : numbers)
    set = static_cast<RegisterSet>(set | (1U << number));
  return set;
}

// AX BX CX DI SI R8 R9 R10 R11, and g in R14.
constexpr auto kGoArguments = registers({0, 3, 1, 7, 6, 8, 9, 10, 11, 14});
// DI SI DX CX R8 R9.
constexpr auto kCArguments = registers({7, 6, 2, 1, 8, 9});

SiteInstruction site_instruction(Emulated emulated)
{
  switch (emulated) {
  case Emulated::kPush:
    return SiteInstruction::kPush;
  case Emulated::kConditionalJump:
    return SiteInstruction::kConditionalJump;
  case Emulated::kCall:
    return SiteInstruction::kCall;
  case Emulated::kNop:
    return SiteInstruction::kNop;
  default:
    return SiteInstruction::kJump;
  }
}

class Function {
public:
  static Result<Function> read(const ElfFile& file, AddressRange range)
  {
    if (file.machine() != Machine::kX86_64)
      return fail("probe sites are known for x86-64 only");
    if (range.begin >= range.end)
      return fail(fmt::format("the function at {:#x} has no size", range.begin));
    if (range.size() > kMaxFunctionBytes)
      return fail(fmt::format("the function at {:#x} is larger than 1 MiB", range.begin));
    const auto code = file.bytes_at(range.begin, range.size());
    const auto executable = std::ranges::any_of(file.segments(), [&](const Segment& segment) {
      return segment.executable && range.begin >= segment.address &&
             range.begin - segment.address < segment.file_size;
    });
    if (code.empty() || !executable)
      return fail(fmt::format("no code at {:#x}", range.begin));
    return Function(code, range);
  }

  std::optional<Instruction> at(std::uint64_t address) const
  {
    if (!range_.contains(address))
      return {};
    return decoder_.decode(code_.subspan(address - range_.begin), address);
  }

  // Whether a jump within the function leads to somewhere after its begin and up to `site`, so that
  // one call may pass there again; also when that cannot be known.
  bool jumps_back_to(std::uint64_t site) const
  {
    for (std::uint64_t address = range_.begin; address < range_.end;) {
      const auto instruction = at(address);
      if (!instruction)
        return true;
      if (instruction->jump_target && *instruction->jump_target > range_.begin &&
          *instruction->jump_target <= site)
        return true;
      address += instruction->length;
    }
    return false;
  }

  std::uint64_t begin() const { return range_.begin; }

private:
  Function(std::span<const std::byte> code, AddressRange range) : code_(code), range_(range) {}

  std::span<const std::byte> code_;
  AddressRange range_;
  InstructionDecoder decoder_;
};

// From the begin as far as every call goes and all arguments are there. Go's check of the stack
// jumps away and comes back to the begin, so what follows it is passed by every call too.
std::optional<ProbeSite> find_site(const Function& function, RegisterSet arguments)
{
  std::optional<ProbeSite> before_growth;
  std::optional<Instruction> previous;
  std::uint64_t address = function.begin();
  for (unsigned i = 0; i < kMaxInstructions; ++i) {
    const auto instruction = function.at(address);
    if (!instruction)
      break;
    if (instruction->emulated != Emulated::kNo) {
      const bool checks_stack =
          previous && instruction->below && (previous->stack_check || previous->subtracts_from_r12);
      const ProbeSite site{.offset = 0,
                           .address = address,
                           .instruction = site_instruction(instruction->emulated),
                           .again_on_growth = checks_stack};
      if (!checks_stack)
        return site;
      before_growth = site;
    }
    if (instruction->ends || (instruction->written & arguments) != 0)
      break;
    previous = instruction;
    address += instruction->length;
  }
  return before_growth;
}

Result<ProbeSite> entry_site(const ElfFile& file, AddressRange range, RegisterSet arguments)
{
  const auto function = SONDE_TRY(Function::read(file, range));
  auto site = find_site(function, arguments);
  if (!site)
    return fail(fmt::format("the function at {:#x} has no emulated instruction before it changes "
                            "its arguments",
                            range.begin));
  if (function.jumps_back_to(site->address))
    return fail(fmt::format("the function at {:#x} may pass {:#x} more than once in a call",
                            range.begin,
                            site->address));
  const auto offset = file.offset_of(site->address);
  if (!offset)
    return fail(fmt::format("{:#x} is not in the file", site->address));
  site->offset = *offset;
  return *site;
}

}  // namespace

Result<ProbeSite> go_entry_site(const ElfFile& file, AddressRange function)
{
  return entry_site(file, function, kGoArguments);
}

Result<ProbeSite> c_entry_site(const ElfFile& file, AddressRange function)
{
  return entry_site(file, function, kCArguments);
}

}  // namespace sonde::elf
