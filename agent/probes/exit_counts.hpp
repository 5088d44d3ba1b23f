// SPDX-License-Identifier: Apache-2.0
// How the processes of each slot ended. Counted on the event loop's thread, exposed on the
// scraping one.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "agent/probes/probe.hpp"
#include "agent/proc/services.hpp"

namespace sonde {

// "SIGKILL"; "SIG37" for one without a name.
std::string signal_name(int signal);

class ExitCounts : private SlotObserver {
public:
  explicit ExitCounts(Services& services);
  ExitCounts(const ExitCounts&) = delete;
  ExitCounts& operator=(const ExitCounts&) = delete;
  ~ExitCounts() override;

  // `status` as wait(2) gives it.
  void count(std::uint16_t slot, std::uint32_t status, bool oom);

  void expose_exits(Scrape& scrape) const;
  void expose_oom_kills(Scrape& scrape) const;

private:
  // A service may end in 256 codes and 64 signals; the first so many are told apart, later ones
  // have the code "other".
  static constexpr std::size_t kMaxEndings = 24;

  struct Ending {
    std::uint32_t status;
    std::uint64_t count;
    std::string labels;
  };
  struct Slot {
    std::uint16_t generation = 0;
    std::uint64_t oom_kills = 0;
    std::vector<Ending> endings;
  };

  void slot_taken(std::uint16_t slot, std::uint16_t generation) override;
  void slot_released(std::uint16_t) override {}
  void process_moved(std::uint32_t, std::uint16_t, std::uint16_t) override {}

  Services& services_;
  mutable std::mutex mutex_;
  std::array<Slot, SONDE_SLOTS> slots_;
};

}  // namespace sonde
