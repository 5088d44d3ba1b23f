// SPDX-License-Identifier: Apache-2.0
// Where a Rust program encrypts and decrypts TLS records: the functions behind rustls' traits
// MessageEncrypter and MessageDecrypter, which are called through vtables and so are functions in
// every build. By symbols, or in stripped programs by the shape of these vtables.
#pragma once

#include <cstdint>
#include <vector>

#include "agent/elf/elf_file.hpp"
#include "agent/elf/go_binary.hpp"

namespace sonde::elf {

struct Rustls {
  std::vector<AddressRange> encrypt;
  std::vector<AddressRange> decrypt;
};

// Empty where nothing was found; x86-64 only.
Rustls find_rustls(const ElfFile& file);

}  // namespace sonde::elf
