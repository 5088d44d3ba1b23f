// SPDX-License-Identifier: Apache-2.0
// Which hooks are attached and why the others are not; and the loaded programs, for their costs.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace sonde {

class Hooks {
public:
  struct Hook {
    std::string probe;
    std::string hook;  // tp_btf/sched_switch
    bool up = false;
    std::string reason;  // why not, in words an operator understands; or which fallback is in use
  };
  struct Program {
    std::string name;
    int fd;  // owned by the probe's skeleton
  };
  struct Map {
    int fd;
    std::uint64_t bytes;
  };

  // The last report of a hook stands. Any thread.
  void report(std::string_view probe, std::string_view hook, bool up, std::string reason = {});
  void loaded(std::string_view program, int fd);
  // Maps of a family, for sonde_bpf_map_bytes; descriptors owned by the skeleton. `bytes` is what
  // the kernel charges, 0 for a map that grows with its entries.
  void map(int fd, std::uint64_t bytes);
  // Forgets a family's programs and maps before its descriptors close.
  void forget(const std::vector<int>& fds);

  std::vector<Hook> all() const;
  std::vector<Program> programs() const;
  std::vector<Map> maps() const;

private:
  mutable std::mutex mutex_;
  std::vector<Hook> hooks_;
  std::vector<Program> programs_;
  std::vector<Map> maps_;
};

}  // namespace sonde
