// SPDX-License-Identifier: Apache-2.0
#include "agent/protocols/http2_headers.hpp"

#include <cstddef>
#include <nghttp2/nghttp2.h>
#include <string>

namespace sonde::http2 {

namespace {

// What an entry takes beside its texts (RFC 7541 section 4.1).
constexpr std::uint32_t kEntry = 32;
// A literal with incremental indexing whose name and value are empty.
constexpr std::string_view kNameless{"\x40\x00\x00", 3};
// "Dynamic table size update" (RFC 7541 section 6.3).
constexpr std::uint8_t kSizeUpdate = 0x20;
constexpr std::uint8_t kSizePrefix = 0x1f;

std::string size_update(std::uint32_t bytes)
{
  std::string out(1, static_cast<char>(kSizeUpdate | kSizePrefix));
  for (bytes -= kSizePrefix; bytes >= 0x80; bytes >>= 7U)
    out += static_cast<char>((bytes & 0x7fU) | 0x80U);
  return out + static_cast<char>(bytes);
}

std::string_view text_of(const std::uint8_t* bytes, std::size_t size)
{
  return {reinterpret_cast<const char*>(bytes), size};
}

// False when the bytes cannot be a block's.
bool inflate(nghttp2_hd_inflater& inflater,
             std::string_view bytes,
             bool last,
             const HeaderBlocks::Field* field)
{
  const auto* in = reinterpret_cast<const std::uint8_t*>(bytes.data());
  auto left = bytes.size();
  for (;;) {
    nghttp2_nv found;
    int flags = 0;
    const auto taken =
        nghttp2_hd_inflate_hd2(&inflater, &found, &flags, in, left, static_cast<int>(last));
    if (taken < 0)
      return false;
    in += taken;
    left -= static_cast<std::size_t>(taken);
    if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0 && field != nullptr)
      (*field)(text_of(found.name, found.namelen), text_of(found.value, found.valuelen));
    if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0) {
      nghttp2_hd_inflate_end_headers(&inflater);
      return true;
    }
    if ((flags & NGHTTP2_HD_INFLATE_EMIT) == 0 && left == 0)
      return true;
  }
}

}  // namespace

void HeaderBlocks::Delete::operator()(nghttp2_hd_inflater* inflater) const
{
  nghttp2_hd_inflate_del(inflater);
}

bool HeaderBlocks::begin()
{
  nghttp2_hd_inflater* inflater = nullptr;
  if (nghttp2_hd_inflate_new(&inflater) != 0)
    return false;
  inflater_.reset(inflater);
  nghttp2_hd_inflate_change_table_size(inflater, kLargestTable);
  if (primed_ == 0)
    return true;
  std::string block = primed_ > kSmallTable ? size_update(primed_) : std::string();
  for (std::uint32_t i = 0; i < primed_ / kEntry; ++i)
    block += kNameless;
  return inflate(*inflater, block, true, nullptr);
}

HeaderBlocks::Outcome HeaderBlocks::feed(std::string_view bytes, bool last, const Field& field)
{
  if ((inflater_ != nullptr || begin()) && inflate(*inflater_, bytes, last, &field))
    return Outcome::kRead;
  inflater_.reset();
  const bool more = primed_ == kSmallTable;
  primed_ = kLargeTable;
  return more ? Outcome::kUnknown : Outcome::kMalformed;
}

void HeaderBlocks::lose()
{
  inflater_.reset();
  primed_ = kLargeTable;
}

}  // namespace sonde::http2
