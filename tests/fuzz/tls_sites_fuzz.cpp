// SPDX-License-Identifier: Apache-2.0
// Any bytes as an executable: where its libraries of TLS would be probed lies in it.
#include <cstddef>
#include <cstdint>

#include "agent/elf/go_tls.hpp"
#include "agent/elf/openssl.hpp"
#include "agent/elf/rustls.hpp"

namespace {

using namespace sonde::elf;

void expect(bool holds)
{
  if (!holds)
    __builtin_trap();
}

void ask(const ElfFile& file)
{
  if (const auto sites = find_openssl(file))
    for (const auto& site : *sites)
      expect(site.offset < file.size());
  if (const auto waits = find_openssl_waits(file)) {
    expect(waits->copy < file.size());
    for (const auto offset : waits->returns)
      expect(offset < file.size());
  }
  const auto rust = find_rustls(file, {.one_method = true, .two_methods = true});
  const auto old = find_rustls(file, {.one_method = true});
  for (const auto& function : old.decrypt)
    (void)file.offset_of(function.begin);
  for (const auto& function : rust.encrypt)
    (void)file.offset_of(function.begin);
  for (const auto& function : rust.decrypt)
    (void)file.offset_of(function.begin);
  const auto go = GoBinary::read(file);
  if (!go)
    return;
  (void)only_http_uses_tls(*go);
  if (const auto found = find_go_tls(*go); found && *found)
    expect((*found)->read < file.size() && (*found)->written.offset < file.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
  if (const auto file = ElfFile::parse(std::as_bytes(std::span(data, size))))
    ask(*file);
  return 0;
}
