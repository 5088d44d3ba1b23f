// SPDX-License-Identifier: Apache-2.0
// What could not be decoded, by protocol and reason. Counted by one thread, shown by another.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "agent/metrics/exposition.hpp"

namespace sonde::protocols {

class DecodeErrors {
public:
  static constexpr std::size_t kMaxReasons = 16;  // of each protocol, the last one `other`

  void count(std::string_view protocol, std::string_view reason);
  // The samples of the family that was begun.
  void render(metrics::Exposition& out) const;

private:
  struct Error {
    std::string_view protocol;
    std::string reason;
    std::uint64_t count;
  };

  mutable std::mutex mutex_;
  std::vector<Error> errors_;
};

}  // namespace sonde::protocols
