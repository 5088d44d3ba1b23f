// SPDX-License-Identifier: Apache-2.0
#include "agent/app/version.hpp"

#include <fmt/format.h>

#include <bpf/libbpf.h>

namespace sonde::app {

std::string_view version()
{
  return SONDE_VERSION;
}

std::string_view revision()
{
  return SONDE_REVISION;
}

std::string_view compiler()
{
#ifdef __clang__
  return "clang " __clang_version__;
#else
  return "g++ " __VERSION__;
#endif
}

std::string_view architecture()
{
#if defined(__x86_64__)
  return "x86_64";
#elif defined(__aarch64__)
  return "arm64";
#else
  return "unknown";
#endif
}

std::string libbpf_version()
{
  return fmt::format("{}.{}", libbpf_major_version(), libbpf_minor_version());
}

std::string version_text()
{
  const auto built_from =
      revision().empty() ? std::string() : fmt::format(" (revision {})", revision());
  return fmt::format("sonde {}{}\n  architecture: {}\n  compiler:     {}\n  libbpf:       {}\n",
                     version(),
                     built_from,
                     architecture(),
                     compiler(),
                     libbpf_version());
}

}  // namespace sonde::app
