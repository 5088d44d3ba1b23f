// SPDX-License-Identifier: Apache-2.0
// Generated parts of documents: table cells, and blocks between `<!-- name -->` and
// `<!-- /name -->`.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace sonde::app {

// The text of one cell: no line feeds, `|` and `<` escaped.
std::string markdown_cell(std::string_view text);

// The lines between the two markers, or nothing where the document lacks one of them.
std::optional<std::string_view> block_of(std::string_view document, std::string_view name);

// The document with the block's lines replaced.
std::optional<std::string>
with_block(std::string_view document, std::string_view name, std::string_view lines);

}  // namespace sonde::app
