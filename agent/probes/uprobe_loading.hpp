// SPDX-License-Identifier: Apache-2.0
// What every family of uprobes does first.
#pragma once

#include "agent/bpf/shared_maps.hpp"
#include "agent/bpf/skeleton.hpp"
#include "agent/probes/executables.hpp"
#include "agent/probes/probe.hpp"

namespace sonde {

// The family's object, open and ready to be given its constants and loaded.
template <typename T>
Result<bpf::Skeleton<T>> open_uprobes(Host& host)
{
  if (host.executables == nullptr)
    return fail("nothing tells of the files that processes execute");
  auto skeleton = SONDE_TRY(bpf::Skeleton<T>::open());
  SONDE_TRY(host.maps.share_with(skeleton->obj));
  SONDE_TRY(host.executables->prepare(skeleton->obj));
  return skeleton;
}

}  // namespace sonde
