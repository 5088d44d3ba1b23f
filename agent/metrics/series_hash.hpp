// SPDX-License-Identifier: Apache-2.0
// The hash by which series are found: eight bytes a step.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace sonde::metrics {

__extension__ using Wide = unsigned __int128;

inline std::uint64_t mix(std::uint64_t a, std::uint64_t b)
{
  const auto product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64U);
}

inline std::uint64_t load(const char* from, std::size_t bytes)
{
  std::uint64_t word = 0;
  std::memcpy(&word, from, bytes);
  return word;
}

inline std::uint64_t hash_text(std::uint64_t seed, std::string_view text)
{
  auto hash = mix(seed ^ text.size(), 0x9e3779b97f4a7c15U);
  const char* at = text.data();
  auto left = text.size();
  for (; left >= 8; left -= 8, at += 8)
    hash = mix(hash ^ load(at, 8), 0xa0761d6478bd642fU);
  if (left > 0)
    hash = mix(hash ^ load(at, left), 0xe7037ed1a0b428dbU);
  return hash;
}

// Of a family, an owner and the values of its labels.
inline std::uint64_t
hash_set(const void* family, std::uint32_t owner, std::span<const std::string_view> values)
{
  auto hash = mix(reinterpret_cast<std::uintptr_t>(family) ^ 0x8ebc6af09c88c6e3U,
                  owner ^ 0x589965cc75374cc3U);
  for (const auto value : values)
    hash = hash_text(hash, value);
  return hash;
}

}  // namespace sonde::metrics
