// SPDX-License-Identifier: Apache-2.0
// CPU seconds of each service at a moment: what the kernel has charged, plus what runs on each CPU
// since its last switch, split into user and system as the kernel splits it. Never falls.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

#include "sonde/run_queue.h"

#include "agent/bpf/mapped.hpp"

namespace sonde {

// A process that changes its service while it is on a CPU would take the whole interval with it,
// the part already shown under its old name included: that part is transferred back.
class CpuTime {
public:
  struct Split {
    std::uint64_t user_ns;
    std::uint64_t system_ns;
  };

  // `charged`: the row of a slot on a CPU; must outlive this.
  CpuTime(bpf::Rows<sonde_run_queue_running> running, const bpf::Rows<sonde_run_queue_row>& charged)
      : running_(std::move(running)), charged_(charged), shown_(running_.cpus())
  {
  }

  // One consistent reading: `read_rows` reads the charged times; repeated, a few times at most,
  // when a CPU switched meanwhile. `slot_of` names the slot of a running thread group.
  void read(const std::function<void()>& read_rows,
            const std::function<std::uint16_t(std::uint32_t)>& slot_of);

  // The shares of a slot whose charged row is `row`; after read().
  Split split(std::uint16_t slot, const sonde_run_queue_row& row);

  // A new service starts from nothing; before any process moves into its slot.
  void slot_taken(std::uint16_t slot);
  // After the kernel's slot has been changed.
  void process_moved(std::uint32_t tgid, std::uint16_t from, std::uint16_t to);

  std::uint64_t switches() const;

private:
  struct Shown {
    std::uint64_t since = 0;
    std::uint64_t amount = 0;
    std::uint64_t charged = 0;  // what the kernel had charged to the slot on this CPU
    std::uint32_t tgid = 0;
    std::uint16_t slot = 0;
  };
  struct Published {
    std::uint64_t user = 0;
    std::uint64_t system = 0;
  };

  void transfer(Shown& shown, std::uint16_t to);

  bpf::Rows<sonde_run_queue_running> running_;
  const bpf::Rows<sonde_run_queue_row>& charged_;
  std::mutex mutex_;
  std::vector<Shown> shown_;  // by CPU: what the last reading added for its running interval
  std::array<std::int64_t, SONDE_SLOTS> running_ns_{};
  std::array<std::int64_t, SONDE_SLOTS> transferred_ns_{};
  std::array<Published, SONDE_SLOTS> published_{};
};

}  // namespace sonde
