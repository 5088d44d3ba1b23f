// SPDX-License-Identifier: Apache-2.0
// The family go_http: its probes in each program, as parts that come and go, and what they tell.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "go_http.skel.h"
#include "sonde/go_http.h"

#include "agent/bpf/mapped.hpp"
#include "agent/bpf/ring.hpp"
#include "agent/bpf/skeleton.hpp"
#include "agent/probes/executables.hpp"
#include "agent/probes/go_http_counts.hpp"
#include "agent/probes/go_http_in_flight.hpp"
#include "agent/probes/go_http_parts.hpp"
#include "agent/probes/go_http_plan.hpp"
#include "agent/probes/loading.hpp"
#include "agent/probes/probe.hpp"
#include "agent/protocols/private_connections.hpp"

namespace sonde::go_http {

using Skeleton = bpf::Skeleton<go_http_bpf>;

struct Offsets final : Findings {
  sonde_go_http_binary offsets{};
};

class GoHttp;

// One part of the probes, which comes and goes on its own.
class PartUser final : public UprobeUser {
public:
  PartUser(GoHttp& owner, Part part) : owner_(owner), part_(part) {}

  std::string_view name() const override { return "go_http"; }
  PlanResult plan(Subject& subject) override;
  Result<> attaching(const ProbedFile& file, const ProbePlan& plan) override;
  void joined(const ProbedFile& file, const ProcessId& process) override;
  void left(const ProbedFile& file, const ProcessId& process) override;

private:
  GoHttp& owner_;
  Part part_;
};

class GoHttp : public Probe {
public:
  GoHttp(Host& host, Skeleton skeleton)
      : host_(host), skeleton_(std::move(skeleton)), loaded_(host.hooks, skeleton_->obj)
  {
  }
  ~GoHttp() override;

  Result<> connect();
  // On the worker's thread.
  const std::expected<Plan, Refusal>& plan_of(Subject& subject);
  const go_http_bpf& object() const { return *skeleton_.operator->(); }

  Result<> attaching(const ProbedFile& file, const Offsets& offsets, Part part);
  void joined(const ProbedFile& file, std::uint32_t tgid);
  void left(const ProbedFile& file, std::uint32_t tgid, Part part);
  // Passes on what lies in the ring; true when a pattern was new.
  bool look_again(const metrics::SeriesOwner& service, bool unknown);

  void collect(Scrape& scrape) override;
  std::uint64_t events() const override;
  std::vector<Loss> losses() const override;

private:
  struct File {
    Parts parts;
    std::unordered_set<std::uint32_t> processes;
  };
  // Asked by the routes; they do not own it.
  struct Source final : protocols::PatternSource {
    explicit Source(GoHttp& probe) : owner(probe) {}
    bool look_again(const metrics::SeriesOwner& service, bool unknown) override
    {
      return owner.look_again(service, unknown);
    }
    GoHttp& owner;
  };

  protocols::Connections* requests();
  void on_record(const void* data, std::size_t size);
  void handle(const sonde_go_http_record& record);
  void learn(const sonde_go_http_record& record);
  void count_one(const sonde_go_http_record& record);
  void begins(const sonde_go_http_begins& begins);
  void expect_patterns(protocols::Connections& requests);
  void tick();
  void apply(std::uint32_t number, File& file);
  sonde_go_http_row counters() const { return bpf::sum_rows(rows_, 0); }

  Host host_;
  Skeleton skeleton_;
  LoadedObject loaded_;
  bpf::Rows<sonde_go_http_row> rows_;
  bpf::Mapping reader_;
  bpf::Mapping seen_;
  std::unique_ptr<protocols::PrivateConnections> own_;  // where the sockets have none
  std::unique_ptr<Counts> counts_;
  std::unique_ptr<InFlight> in_flight_;
  std::map<std::uint32_t, File> files_;
  std::vector<sonde_go_http_record> deferred_;
  bool looking_ = false;   // on behalf of an exchange that is being recorded
  bool handling_ = false;  // a record
  bool new_pattern_ = false;
  bool asking_ = false;
  std::uint64_t ask_after_ns_ = 0;
  std::uint64_t forget_after_ns_ = 0;
  std::uint64_t flushed_ = 0;  // requests at the last flush
  std::uint64_t homeless_ = 0;
  std::shared_ptr<Source> source_;
  std::unique_ptr<bpf::Ring> ring_;
  EventLoop::Timer tick_;
  // The worker's: all parts ask for the same file one after the other.
  std::string planned_path_;
  ProcessId planned_for_;
  std::expected<Plan, Refusal> planned_ = std::unexpected(Refusal{});
  std::array<std::unique_ptr<PartUser>, kParts> users_;
};

}  // namespace sonde::go_http
