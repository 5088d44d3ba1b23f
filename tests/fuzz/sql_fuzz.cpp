// SPDX-License-Identifier: Apache-2.0
// Arbitrary text through the SQL scanner: in one piece and cut small, which must give the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "agent/protocols/sql.hpp"

namespace {

std::string run(std::string_view text, std::size_t size)
{
  sonde::sql::Scanner scanner;
  std::string all;
  const auto add = [&] {
    if (scanner.verb().empty() || scanner.table().size() > sonde::sql::kLongestName)
      std::abort();
    all += scanner.verb();
    all += ' ';
    all += scanner.table();
    all += '\n';
  };
  while (!text.empty()) {
    auto piece = text.substr(0, size);
    text.remove_prefix(piece.size());
    while (scanner.next(piece))
      add();
  }
  if (scanner.finish())
    add();
  return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto whole = run(text, size + 1);
  if (whole != run(text, 1) || whole != run(text, 3))
    std::abort();
  return 0;
}
