// SPDX-License-Identifier: Apache-2.0
// A walk through a hash map that programs change meanwhile: bucket by bucket, so that it ends, and
// what stays is seen once.
#pragma once

#include <cerrno>
#include <cstddef>
#include <span>
#include <vector>

#include <bpf/bpf.h>

#include "agent/base/result.hpp"

namespace sonde::bpf {

inline Result<std::size_t> value_bytes(int map)
{
  bpf_map_info about{};
  std::uint32_t size = sizeof about;
  if (bpf_obj_get_info_by_fd(map, &about, &size) != 0)
    return fail(errno, "the size of a map's values");
  return std::size_t{about.value_size};
}

// Calls back for each key and the bytes of its value, which are valid during the call. Not for maps
// of each CPU. `bytes_each`: value_bytes() of the map.
template <typename Key, typename Callback>
void for_each_in_batches(int map, std::size_t bytes_each, Callback callback)
{
  constexpr std::uint32_t kBatch = 64;  // more than ever lie in one bucket
  std::vector<Key> keys(kBatch);
  std::vector<std::byte> values(kBatch * bytes_each);
  std::uint32_t at = 0;
  bool more = true;
  for (bool first = true; more; first = false) {
    std::uint32_t count = kBatch;
    more = bpf_map_lookup_batch(
               map, first ? nullptr : &at, &at, keys.data(), values.data(), &count, nullptr) == 0;
    if (!more && errno != ENOENT)
      return;
    for (std::uint32_t i = 0; i < count; ++i)
      callback(keys[i], std::span<const std::byte>(values).subspan(i * bytes_each, bytes_each));
  }
}

// The keys, before some of them are deleted.
template <typename Key>
std::vector<Key> keys_of(int map)
{
  std::vector<Key> keys;
  if (const auto bytes = value_bytes(map))
    for_each_in_batches<Key>(
        map, *bytes, [&](const Key& key, std::span<const std::byte>) { keys.push_back(key); });
  return keys;
}

}  // namespace sonde::bpf
