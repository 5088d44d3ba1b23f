// SPDX-License-Identifier: Apache-2.0
#include "agent/protocols/http1_requests.hpp"

#include <algorithm>

namespace sonde::http1 {

namespace {

// No client in use comes near: wrk's pipelines are 16 to 256 deep.
constexpr std::size_t kMaxOpen = 1024;
constexpr std::size_t kMaxBytes = 128UL * 1024;
constexpr std::size_t kKept = 32;  // slots that an idle connection may keep

}  // namespace

Request* Requests::push(std::size_t target_bytes)
{
  if (count_ == kMaxOpen || bytes_ + target_bytes > kMaxBytes)
    return nullptr;
  if (count_ == ring_.size()) {
    std::ranges::rotate(ring_, ring_.begin() + static_cast<std::ptrdiff_t>(first_));
    first_ = 0;
    ring_.resize(ring_.size() * 2);
  }
  ++count_;
  bytes_ += target_bytes;
  return &back();
}

void Requests::pop()
{
  bytes_ -= front().target.size();
  first_ = (first_ + 1) % ring_.size();
  if (--count_ == 0 && ring_.size() > kKept)
    clear();
}

void Requests::clear()
{
  if (ring_.size() > kKept)
    ring_ = std::vector<Request>(1);
  first_ = 0;
  count_ = 0;
  bytes_ = 0;
}

}  // namespace sonde::http1
