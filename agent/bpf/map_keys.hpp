// SPDX-License-Identifier: Apache-2.0
// The keys of a hash map, before some of them are deleted: a walk that deletes where it stands begins
// anew.
#pragma once

#include <vector>

#include <bpf/bpf.h>

namespace sonde::bpf {

template <typename Key>
std::vector<Key> keys_of(int map)
{
  std::vector<Key> keys;
  Key key;
  for (Key* last = nullptr; bpf_map_get_next_key(map, last, &key) == 0; last = &keys.back())
    keys.push_back(key);
  return keys;
}

}  // namespace sonde::bpf
