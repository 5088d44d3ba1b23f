// SPDX-License-Identifier: Apache-2.0
#include "agent/probes/tcp_drops.hpp"

#include <algorithm>

#include <bpf/btf.h>

#include "agent/metrics/labels.hpp"

namespace sonde::tcp {

std::string drop_reason_name(std::string_view enumerator)
{
  constexpr std::string_view kPrefix = "SKB_DROP_REASON_";
  if (!enumerator.starts_with(kPrefix))
    return {};
  enumerator.remove_prefix(kPrefix.size());
  // The last two are marks of the enumeration, not reasons.
  if (enumerator == "NOT_SPECIFIED" || enumerator == "MAX" || enumerator == "SUBSYS_MASK")
    return {};
  std::string name(enumerator);
  std::ranges::transform(name, name.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  });
  return name;
}

DropReasons drop_reasons(const btf* types)
{
  DropReasons reasons;
  reasons.ignored.fill(true);
  const int id =
      types == nullptr ? -1 : btf__find_by_name_kind(types, "skb_drop_reason", BTF_KIND_ENUM);
  const auto* type = id > 0 ? btf__type_by_id(types, static_cast<__u32>(id)) : nullptr;
  if (type == nullptr)
    return reasons;
  for (int i = 0; i < btf_vlen(type); ++i) {
    const auto& value = btf_enum(type)[i];
    auto name = drop_reason_name(btf__name_by_offset(types, value.name_off));
    const auto number = static_cast<std::uint32_t>(value.val);
    if (name.empty() || number >= SONDE_TCP_DROP_REASONS)
      continue;
    reasons.ignored[number] = false;
    reasons.counted.push_back({number, metrics::label_block({{"reason", name}})});
  }
  return reasons;
}

}  // namespace sonde::tcp
