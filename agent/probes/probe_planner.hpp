// SPDX-License-Identifier: Apache-2.0
// The slow parts of uprobes, each on a thread of its own: lets the families look through a file,
// and attaches what they found.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "agent/bpf/uprobes.hpp"
#include "agent/probes/executable_files.hpp"
#include "agent/probes/executables.hpp"

namespace sonde {

// A family among the users. Shared: work that is under way when it leaves finds it gone.
struct UprobeMember {
  UprobeUser* user = nullptr;  // null when it left; see LiveExecutables::gate_
  std::uint64_t serial = 0;
};

struct FamilyPlan {
  std::uint64_t member = 0;  // serial
  PlanResult result;
};

// Of all families that were asked. Shared by all files of one build; never changes.
struct FilePlans {
  std::string build_id;
  std::vector<FamilyPlan> plans;
};

// Whether each of them was asked.
bool covers(const FilePlans& known,
            const std::vector<std::shared_ptr<const UprobeMember>>& members);

class ProbePlanner {
public:
  // Asks `members`, or remembers what they said of the same build.
  std::shared_ptr<const FilePlans>
  plan(const OpenFile& file,
       bool library,
       const ProcessId& process,
       const std::vector<std::shared_ptr<const UprobeMember>>& members);

  // What is remembered may speak of a family that left.
  void forget();

private:
  std::unordered_map<std::string, std::shared_ptr<const FilePlans>> known_;
  std::deque<std::string> order_;  // the oldest first
};

// One link for each program, or nothing.
Result<std::vector<bpf::UprobeLinks>> attach_plan(bpf::UprobeKind kind,
                                                  const ProbePlan& plan,
                                                  const UniqueFd& file,
                                                  std::uint32_t number);

// Ends the links, many at a time: each waits for the programs that may still run, and they wait
// together.
void close_links(std::vector<bpf::UprobeLinks> links);

}  // namespace sonde
