// SPDX-License-Identifier: Apache-2.0
// The functions by which a program reads and writes plaintext through OpenSSL or one of its kin
// (LibreSSL, BoringSSL), in a library of their own or linked into the program with its symbols.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "agent/base/result.hpp"
#include "agent/elf/elf_file.hpp"

namespace sonde::elf {

struct OpensslSite {
  enum class Function : std::uint8_t { kRead, kWrite, kSendfile, kHandshake, kFree, kShutdown };
  // How it says how many bytes it moved: it returns the number, or more than 0 and leaves the
  // number where its fourth or fifth argument points to. Where 0 is returned for the end of a
  // stream and for failures alike, the name says so.
  enum class Length : std::uint8_t { kReturned, kBehindFourth, kBehindFifth, kBehindFourthOr0 };

  Function function;
  Length length;
  // In the file. The return address still lies on top of the stack there, so that a return probe
  // may sit there, too.
  std::uint64_t offset;
};

// Each call passes one site of its function: SSL_read and SSL_read_ex share the function that does
// the work, which is the one probed; SSL_peek has another. Empty where the file has no OpenSSL;
// fails with a reason where it has some that cannot be probed.
Result<std::vector<OpensslSite>> find_openssl(const ElfFile& file);

// What a read still passes that began before the sites of find_openssl() were probed: the end of
// its copy to the caller is the last call of `copy` before it. Offsets in the file.
struct OpensslWaits {
  std::uint64_t copy;  // memcpy's stub: (to, from, size)
  std::vector<std::uint64_t>
      returns;  // where the shared function has returned to: 1 in EAX for success
};
// None where the compiler left no such places.
std::optional<OpensslWaits> find_openssl_waits(const ElfFile& file);

}  // namespace sonde::elf
