// SPDX-License-Identifier: Apache-2.0
// Which build this is.
#pragma once

#include <string>
#include <string_view>

namespace sonde::app {

std::string_view version();
// `git describe` of the tree it was built from; empty when it was built outside of git.
std::string_view revision();
std::string_view compiler();
std::string_view architecture();
// Of the library that is linked in.
std::string libbpf_version();

// What `sonde version` prints.
std::string version_text();

}  // namespace sonde::app
