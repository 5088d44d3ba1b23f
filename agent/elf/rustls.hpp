// SPDX-License-Identifier: Apache-2.0
// Where a Rust program encrypts and decrypts TLS records: the functions behind rustls' traits
// MessageEncrypter and MessageDecrypter, which are called through vtables and so are functions in
// every build. By symbols, or in stripped programs by the shape of these vtables: up to 0.21 the
// traits had one method each, from 0.22 on MessageEncrypter has two.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "agent/elf/elf_file.hpp"
#include "agent/elf/go_binary.hpp"

namespace sonde::elf {

struct Rustls {
  std::vector<AddressRange> encrypt;
  std::vector<AddressRange> decrypt;
};

// Of which rustls the program has functions.
struct RustlsAges {
  bool one_method = false;   // 0.20, 0.21
  bool two_methods = false;  // 0.22, 0.23
};

// "0.23.46"; nothing where the version is of no known age.
std::optional<RustlsAges> rustls_age(std::string_view version);
// Empty where nothing was found; x86-64 only.
Rustls find_rustls(const ElfFile& file, RustlsAges ages);

}  // namespace sonde::elf
