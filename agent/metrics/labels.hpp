// SPDX-License-Identifier: Apache-2.0
// Label blocks: `service="api",mode="user"`, rendered once and then only copied.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace sonde::metrics {

inline constexpr std::size_t kMaxLabelBytes = 128;

// A label value as the text format wants it: valid UTF-8 (bad bytes become U+FFFD), at most
// kMaxLabelBytes before escaping, `\`, `"` and line feed escaped.
std::string escape_label(std::string_view value, std::size_t limit = kMaxLabelBytes);
void append_escaped(std::string& out, std::string_view value, std::size_t limit);

// Makes of what begins at `begin` a name as the text format wants it: letters, digits, `_` (and `:`
// for metrics), no digit first. Names come from files of the node, and one bad byte would cost the
// whole scrape.
void repair_name(std::string& text, std::size_t begin, bool colon);

// The block without its braces; empty for no labels.
std::string
label_block(std::initializer_list<std::pair<std::string_view, std::string_view>> labels);

}  // namespace sonde::metrics
