// SPDX-License-Identifier: Apache-2.0
// What a Rust program says of itself: its compiler, the crates it was built from, and where it
// panics. Stripped programs keep the paths of their sources in their panic messages.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/elf/elf_file.hpp"
#include "agent/elf/go_binary.hpp"

namespace sonde::elf {

struct RustCrate {
  std::string name;
  std::string version;

  auto operator<=>(const RustCrate&) const = default;
};

struct RustBinary {
  std::string rustc;              // "1.95.0"; empty where nothing says
  std::vector<RustCrate> crates;  // of registries, those that can panic; sorted
  // The function that each panic passes, where symbols tell.
  std::optional<AddressRange> panic;
  // Panics unwind by libgcc_s, as those of all but static programs do. Not with panic=abort, where
  // libgcc_s only prints the stack.
  bool shared_unwinder = false;
  bool aborts = false;

  // Nothing: no Rust program.
  static std::optional<RustBinary> read(const ElfFile& file);
};

// `rust_panic` under all of its names, and no other function.
bool is_rust_panic(std::string_view symbol);
// "tokio-1.53.2" of a registry's folder.
std::optional<RustCrate> parse_crate(std::string_view folder);

}  // namespace sonde::elf
