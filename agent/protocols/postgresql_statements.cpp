// SPDX-License-Identifier: Apache-2.0
#include "agent/protocols/postgresql_statements.hpp"

#include <functional>

namespace sonde::postgresql {

Key add_to_key(Key key, std::string_view bytes)
{
  constexpr Key kStart = 14695981039346656037U;
  constexpr Key kPrime = 1099511628211U;
  if (bytes.empty())
    return key;
  if (key == kUnnamed)
    key = kStart;
  for (const char c : bytes)
    key = (key ^ static_cast<std::uint8_t>(c)) * kPrime;
  return key == kUnnamed ? 1 : key;
}

StatementRef StatementCache::get(std::string_view verb, std::string_view table)
{
  const std::hash<std::string_view> hash;
  auto& slot = recent_[(hash(table) * 31 + hash(verb)) % recent_.size()];
  if (!slot || slot->verb != verb || slot->table != table)
    slot = std::make_shared<const Statement>(Statement{.verb = verb, .table = std::string(table)});
  return slot;
}

}  // namespace sonde::postgresql
