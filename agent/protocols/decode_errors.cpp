// SPDX-License-Identifier: Apache-2.0
#include "agent/protocols/decode_errors.hpp"

#include "agent/metrics/labels.hpp"

namespace sonde::protocols {

void DecodeErrors::count(std::string_view protocol, std::string_view reason)
{
  const std::scoped_lock lock(mutex_);
  std::size_t reasons = 0;
  Error* other = nullptr;
  for (auto& error : errors_) {
    if (error.protocol != protocol)
      continue;
    ++reasons;
    if (error.reason == reason) {
      ++error.count;
      return;
    }
    if (error.reason == "other")
      other = &error;
  }
  if (other != nullptr && reasons >= kMaxReasons)
    ++other->count;
  else
    errors_.push_back({protocol, std::string(reasons + 1 < kMaxReasons ? reason : "other"), 1});
}

void DecodeErrors::render(metrics::Exposition& out) const
{
  const std::scoped_lock lock(mutex_);
  for (const auto& error : errors_)
    out.sample({metrics::label_block({{"protocol", error.protocol}, {"reason", error.reason}})},
               error.count);
}

}  // namespace sonde::protocols
