// SPDX-License-Identifier: Apache-2.0
// Any memory of a Go process, which changes while it is read: no crash, and no more is asked for
// than a scrape can bear.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "tests/support/fake_go_process.hpp"

#include "agent/metrics/exposition.hpp"
#include "agent/probes/go_metrics.hpp"

namespace {

using namespace sonde;

// A word that is written somewhere before a read.
struct Change {
  std::uint8_t before;  // which read; from bit 4 on: how many bytes
  std::uint8_t variable;
  std::uint16_t offset;  // in bytes, from its begin
  std::uint64_t value;
};

class Process : public testing::FakeGoProcess {
public:
  Process(const std::uint8_t* data, std::size_t size)
      : FakeGoProcess(18U + data[0] % 11U), data_(data + 1), size_(size - 1)
  {
    before_read = [this](int number) { change(number); };
  }

  std::optional<runtime::ReadFailure> read(std::span<const runtime::Piece> pieces) override
  {
    for (const auto& piece : pieces)
      asked_ += piece.into.size();
    if (asked_ > (32U << 20U))
      std::abort();
    return FakeGoProcess::read(pieces);
  }

private:
  void change(int number)
  {
    const auto& variables = program.variables;
    const std::uint64_t begins[] = {variables.controller,
                                    variables.memstats,
                                    variables.memstats + program.layout->memstats.stacks_sys,
                                    variables.scheduler,
                                    variables.heap + program.layout->heap.spans_in_use,
                                    variables.goroutines,
                                    variables.processors,
                                    program.code_words};
    constexpr std::size_t kBytes = 12;
    for (std::size_t at = 0; at + kBytes <= size_; at += kBytes) {
      Change change{};
      change.before = data_[at];
      change.variable = data_[at + 1];
      std::memcpy(&change.offset, data_ + at + 2, sizeof change.offset);
      std::memcpy(&change.value, data_ + at + 4, sizeof change.value);
      if ((change.before & 15U) != number)
        continue;
      if (change.variable >= std::size(begins))
        put(processor(change.variable & 1U) + change.offset % 0x2000U, change.value);
      else if (change.before < 128)
        set(begins[change.variable] + change.offset % 8192U, change.value);
      else
        set(begins[change.variable] + change.offset % 8192U,
            static_cast<std::uint32_t>(change.value));
    }
  }

  const std::uint8_t* data_;
  std::size_t size_;
  std::size_t asked_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
  if (size == 0)
    return 0;
  const auto sample = Process(data, size).sample();
  if (!sample)
    return 0;
  const go_runtime::Reading reading{R"(service="s",pid="1")", "", "", *sample};
  metrics::Exposition out;
  go_runtime::expose(out, {&reading, 1}, true);
  if (out.body().find(R"(go_goroutines{service="s",pid="1"} )") == std::string::npos)
    std::abort();
  return 0;
}
