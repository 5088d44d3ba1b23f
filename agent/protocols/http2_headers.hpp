// SPDX-License-Identifier: Apache-2.0
// Header blocks of one direction of an HTTP/2 connection (RFC 7541), read by libnghttp2. A table of
// which the beginning was not seen is filled with entries without a name: indices count from the
// newest entry, so that what is inserted from then on is known, and what is older is seen to be
// unknown.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

struct nghttp2_hd_inflater;

namespace sonde::http2 {

class HeaderBlocks {
public:
  enum class Outcome : std::uint8_t {
    kRead,
    kUnknown,  // an entry of before was older than there was room for; there is more from now on
    kMalformed,
  };
  // An empty name is an unknown entry's; it may come with a value that is known. Both are valid
  // within the call.
  using Field = std::function<void(std::string_view name, std::string_view value)>;

  // False: older than its observation.
  explicit HeaderBlocks(bool from_start) : primed_(from_start ? 0 : kSmallTable) {}

  // A part of a block, in order; `last`: it ends here. After anything but kRead the rest of the
  // block is not to be given.
  Outcome feed(std::string_view bytes, bool last, const Field& field);
  // Some of the blocks were not captured.
  void lose();

private:
  // SETTINGS_HEADER_TABLE_SIZE where nobody says otherwise (RFC 9113 section 6.5.2), and the
  // largest that is followed.
  static constexpr std::uint32_t kSmallTable = 4096;
  static constexpr std::uint32_t kLargeTable = 16'384;
  static constexpr std::uint32_t kLargestTable = 65'536;

  struct Delete {
    void operator()(nghttp2_hd_inflater* inflater) const;
  };

  bool begin();

  std::unique_ptr<nghttp2_hd_inflater, Delete> inflater_;  // none before the first block
  std::uint32_t primed_;  // bytes of the table that are filled when it begins
};

}  // namespace sonde::http2
