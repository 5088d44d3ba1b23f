// SPDX-License-Identifier: Apache-2.0
// Where families of uprobes plug in. Executables knows each file that live processes execute, and
// each library of theirs that a family asks for, once per inode, with the processes that use it. It
// lets the families find their sites in a new file, attaches them with one link per program, and
// takes them off when the last process has gone.
#pragma once

#include <cstdint>
#include <expected>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <bpf/libbpf.h>

#include "sonde/uprobe.h"

#include "agent/base/event_loop.hpp"
#include "agent/base/result.hpp"
#include "agent/base/settings.hpp"
#include "agent/proc/process_facts.hpp"

namespace sonde {

class Hooks;
namespace bpf {
class SharedMaps;
}
namespace elf {
class ElfFile;
class GoBinary;
}  // namespace elf

// A file in which at least one family found what it looks for.
struct ProbedFile {
  std::uint32_t number = 0;  // below SONDE_UPROBE_FILES, its own until detached() returned
  bool library = false;
  std::string path;      // as its first process sees it, in its mount namespace
  std::string build_id;  // hexadecimal; empty without one
};

struct ProbeSite {
  const bpf_program* program = nullptr;  // in a section "uprobe.multi…", loaded
  std::uint64_t offset = 0;              // in the file
  std::uint32_t cookie = 0;              // the site's own: uprobe__hit().site
  bool at_return = false;
};

// What a family learned of a file beside its sites. Never changes; read on any thread.
struct Findings {
  virtual ~Findings() = default;
};

struct ProbePlan {
  std::vector<ProbeSite> sites;  // none: the family only wants to know of the processes
  // Shared by all files of one build.
  std::shared_ptr<const Findings> findings;
  std::string note;  // of what was found, for a reader of `sonde explain`

  template <typename T>
  const T& as() const
  {
    return static_cast<const T&>(*findings);
  }
};

// Why a family leaves a file alone. Without a reason: the file is none of its business.
struct Refusal {
  std::string reason;  // one of few words: "no_symbols"
  std::string text;    // for a reader of `sonde explain`
};
using PlanResult = std::expected<ProbePlan, Refusal>;

// A file to be looked through; on the worker's thread only, during plan().
class Subject {
public:
  virtual ~Subject() = default;
  virtual const std::string& path() const = 0;
  virtual bool library() const = 0;
  // One of the processes that have it, which may be gone.
  virtual ProcessId process() const = 0;
  virtual const elf::ElfFile& elf() = 0;
  // Parsed once for all families; why not, where it is not Go or cannot be read.
  virtual Result<const elf::GoBinary*> go() = 0;
};

// A family's part. For each file and family: plan(), then attaching(), attached(), joined() for
// each process that runs it or comes later, left() for each that goes, detached(). A file that
// costs too much is detached for a while and attached again.
class UprobeUser {
public:
  virtual ~UprobeUser() = default;
  // The family's name.
  virtual std::string_view name() const = 0;
  virtual bool wants_libraries() const { return false; }
  // By its file name: "libssl.so.3". Any thread; asked where it wants_libraries().
  virtual bool wants_library(std::string_view) const { return false; }

  // Where to probe. On the worker's thread; asked once for each build id, so it depends on the
  // file's contents alone.
  virtual PlanResult plan(Subject& subject) = 0;

  // The others on the loop's thread. Before anything is attached: tables of the programs that are
  // indexed by file number are filled here. An error refuses the file.
  virtual Result<> attaching(const ProbedFile&, const ProbePlan&) { return {}; }
  virtual void attached(const ProbedFile&, const ProbePlan&) {}
  virtual void joined(const ProbedFile&, const ProcessId&) {}
  virtual void left(const ProbedFile&, const ProcessId&) {}
  // Nothing of it runs any more.
  virtual void detached(const ProbedFile&) {}
};

// On the event loop's thread but for what says otherwise.
class Executables {
public:
  static Result<std::unique_ptr<Executables>> create(EventLoop& loop,
                                                     const Settings& settings,
                                                     Hooks& hooks,
                                                     bpf::SharedMaps& maps,
                                                     std::filesystem::path procfs);
  virtual ~Executables() = default;
  Executables(const Executables&) = delete;
  Executables& operator=(const Executables&) = delete;

  // Shares the map of hits with the object, as SharedMaps::share_with() does with others, and says
  // how its programs in sections "uprobe.multi…" will be attached. Between open and load; fails
  // where the kernel has no cookies for uprobes (before 5.15).
  virtual Result<> prepare(bpf_object* object) = 0;
  // False where return probes kill processes that filter their system calls (6.11 to 6.13).
  virtual bool may_probe_returns() const = 0;

  // From now on the user is told of all files, those that are known first, when the loop runs.
  virtual void add(UprobeUser& user) = 0;
  // Whether a user of that name was added and is there.
  virtual bool has(std::string_view user) const = 0;
  // Waits for a plan() of it that is under way, and detaches all that is its own. No call to it
  // after that.
  virtual void remove(UprobeUser& user) = 0;

  // What wants_library() answers has changed: all processes are looked at again, soon.
  virtual void libraries_changed() = 0;

  // Takes this user's probes off one file, or puts them on again, which may take some milliseconds;
  // the plan stays, detached() and attached() are called as ever. `why`: for explain().
  virtual void pause(UprobeUser& user, std::uint32_t file, bool paused, std::string_view why) = 0;

  // The life of processes, in any order, some of it twice or never.
  virtual void forked(const ProcessId& process, const ProcessId& parent) = 0;
  virtual void executed(const ProcessId& process) = 0;
  virtual void exited(const ProcessId& process) = 0;
  // Compares with /proc.
  virtual void resync() = 0;

  // What is attached to a process, and why not.
  struct Explained {
    std::string_view family;
    std::string file;
    bool library = false;
    std::size_t sites = 0;  // attached
    std::string reason;     // empty where it is attached
    std::string text;       // what was found, or more of the reason
  };
  virtual std::vector<Explained> explain(std::uint32_t tgid) const = 0;

  struct Count {
    std::string family;
    std::uint64_t files = 0;        // attached now
    std::uint64_t sites = 0;        // of these
    std::uint64_t exited = 0;       // times a file was detached because nobody ran it any more
    std::uint64_t over_budget = 0;  // times a file was detached for that
  };
  // Any thread.
  virtual std::vector<Count> counts() const = 0;
  // Processes that a family would have probes in and has none, by reason; a second old. Any thread.
  virtual std::map<std::string, std::uint64_t> uninstrumented() const = 0;

protected:
  Executables() = default;
};

// The settings it reads: uprobes.*.
std::span<const Setting> executables_settings();

}  // namespace sonde
