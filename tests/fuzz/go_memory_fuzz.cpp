// SPDX-License-Identifier: Apache-2.0
// Any memory of a Go process: no crash, and no more is read than a scrape can bear.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "agent/metrics/exposition.hpp"
#include "agent/probes/go_metrics.hpp"
#include "agent/runtime/go_memory.hpp"

namespace {

using namespace sonde;

// Bytes in the order they are asked for, again from the beginning when they are used up; the words
// that tell the program are right, or all would end at the first read.
class AnyMemory : public runtime::Memory {
public:
  AnyMemory(const runtime::GoProgram& program, const std::uint8_t* data, std::size_t size)
      : program_(program), data_(data), size_(size)
  {
  }

  std::optional<runtime::ReadFailure> read(std::span<const runtime::Piece> pieces) override
  {
    for (const auto& piece : pieces) {
      asked_ += piece.into.size();
      if (piece.address == program_.code_words) {
        std::memcpy(piece.into.data(), &program_.code, sizeof program_.code);
        continue;
      }
      for (auto& byte : piece.into)
        byte = static_cast<std::byte>(size_ == 0 ? 0 : data_[at_++ % size_]);
    }
    if (asked_ > (16U << 20U))
      std::abort();
    return {};
  }
  bool swapped(std::uint64_t, std::uint64_t) override { return false; }

private:
  const runtime::GoProgram& program_;
  const std::uint8_t* data_;
  std::size_t size_;
  std::size_t at_ = 0;
  std::size_t asked_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
  if (size == 0)
    return 0;
  runtime::GoProgram program;
  program.layout = runtime::layout_of({1, 19U + data[0] % 9U, 0});
  program.variables = {0x10'0000, 0x11'0000, 0x12'0000, 0x13'0000, 0x15'0000, 0x15'0020};
  program.code_words = 0x16'0000;
  program.code = {0x40'1000, 0x50'0000};
  AnyMemory memory(program, data + 1, size - 1);
  const auto sample = runtime::GoReader().read(program, 0, memory);
  if (!sample)
    return 0;
  const go_runtime::Reading reading{"pid=\"1\"", "", "", *sample};
  metrics::Exposition out;
  go_runtime::expose(out, {&reading, 1}, true);
  return out.body().empty() ? 1 : 0;
}
