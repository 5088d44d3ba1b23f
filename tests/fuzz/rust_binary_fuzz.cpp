// SPDX-License-Identifier: Apache-2.0
// Any bytes as a Rust program: what it says of itself is bounded, and what is written of crates can
// be read back.
#include <cstddef>
#include <cstdint>

#include "agent/elf/rust_binary.hpp"

using namespace sonde::elf;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
  const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)is_rust_panic(text);
  if (const auto crate = parse_crate(text);
      crate && parse_crate(crate->name + "-" + crate->version) != crate)
    __builtin_trap();
  const auto file = ElfFile::parse(bytes);
  const auto rust = file ? RustBinary::read(*file) : std::nullopt;
  if (rust && (rust->rustc.size() > 64 || rust->crates.size() > 4096))
    __builtin_trap();
  return 0;
}
