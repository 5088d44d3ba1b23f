// SPDX-License-Identifier: Apache-2.0
// The running Rust and Go programs by service, and the time of their tokio workers. Told on the
// loop's thread, read by the scraping thread.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "sonde/abi.h"

#include "agent/probes/tokio_workers.hpp"
#include "agent/proc/services.hpp"

namespace sonde::rust {

class RustPrograms {
public:
  RustPrograms(Services& services, std::filesystem::path procfs);

  void add_rust(const ProcessId& process, const std::string& rustc);
  void add_go(const ProcessId& process);
  void remove(const ProcessId& process);

  struct Service {
    std::uint16_t generation = 0;
    bool rust = false;  // had one since the slot was taken
    bool go = false;
    bool tokio = false;
    std::uint64_t busy_ns = 0;
    std::uint64_t park_ns = 0;
  };
  struct Process {
    std::uint16_t slot;
    std::string labels;  // pid and rustc
  };
  struct Reading {
    std::array<Service, SONDE_SLOTS> services;  // by slot
    std::vector<Process> processes;
  };
  Reading read();

private:
  struct Program {
    std::uint64_t start_ticks;
    bool go;
    std::string labels;
    std::unique_ptr<TokioWorkers> workers;
  };

  Service& service_of(std::uint16_t slot, const ServiceTable& table);

  Services& services_;
  std::filesystem::path procfs_;
  std::uint64_t since_ticks_;
  std::mutex mutex_;
  std::unordered_map<std::uint32_t, Program> programs_;
  std::array<Service, SONDE_SLOTS> totals_{};
};

}  // namespace sonde::rust
