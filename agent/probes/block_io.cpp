// SPDX-License-Identifier: Apache-2.0
// Loads bpf/block_io.bpf.c and exposes latency and size of block I/O, by disk and by service.
#include "sonde/block_io.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <fmt/format.h>
#include <numeric>

#include <bpf/bpf.h>

#include "block_io.skel.h"

#include "agent/bpf/features.hpp"
#include "agent/bpf/shared_maps.hpp"
#include "agent/bpf/skeleton.hpp"
#include "agent/metrics/labels.hpp"
#include "agent/probes/block_io_devices.hpp"
#include "agent/probes/block_io_programs.hpp"
#include "agent/probes/block_io_tables.hpp"
#include "agent/probes/loading.hpp"
#include "agent/probes/probe.hpp"
#include "agent/probes/slot_ledger.hpp"

namespace sonde::block_io {

namespace {

constexpr auto kSysfs = "/sys";
constexpr unsigned kOperations = SONDE_BLOCK_IO_OPERATIONS;
constexpr std::array<std::string_view, kOperations> kOperationLabels = {R"(operation="read")",
                                                                        R"(operation="write")",
                                                                        R"(operation="discard")",
                                                                        R"(operation="flush")"};

using Skeleton = bpf::Skeleton<block_io_bpf>;
using Ledger = SlotLedger<sonde_block_io_row>;

using Buckets = __u64[SONDE_BLOCK_IO_BUCKETS];

std::uint64_t count(const Buckets& buckets)
{
  return std::accumulate(std::begin(buckets), std::end(buckets), std::uint64_t{0});
}

sonde_histogram histogram(const Buckets& buckets, std::uint64_t sum)
{
  sonde_histogram out{};
  std::ranges::copy(buckets, out.buckets);
  out.sum = sum;
  return out;
}

// Reads and writes always exist; the rare operations once they have happened.
bool shows(unsigned operation, std::uint64_t completions, std::uint64_t bytes)
{
  return operation <= SONDE_BLOCK_IO_WRITE || completions != 0 || bytes != 0;
}

struct Histograms {
  metrics::Bounds latency;
  metrics::Bounds size;
};

class BlockIo : public Probe {
public:
  BlockIo(Host& host, Skeleton skeleton, Histograms bounds, Choice choice)
      : host_(host), skeleton_(std::move(skeleton)), bounds_(std::move(bounds)), choice_(choice),
        loaded_(host.hooks, skeleton_->obj),
        devices_([](std::uint32_t number) { return name_of_disk(kSysfs, number); })
  {
  }

  Result<> map_rows();
  Result<> attach();
  // Gives rows to the disks that exist, and says of which ones nothing will be seen.
  void find_disks();

  void collect(Scrape& scrape) override;
  std::uint64_t events() const override;
  std::vector<Loss> losses() const override;

private:
  void expose_disks(metrics::Exposition& out);
  std::uint64_t missed() const;

  volatile sonde_block_io_devices& table() { return skeleton_->bss->devices; }

  Host host_;
  Skeleton skeleton_;
  Histograms bounds_;
  Choice choice_;
  LoadedObject loaded_;
  std::unique_ptr<Ledger> ledger_;
  bpf::Rows<sonde_block_io_device_row> device_rows_;
  bpf::Rows<sonde_block_io_cpu> cpu_rows_;
  Devices devices_;
  std::vector<bpf::Link> links_;
};

Result<> BlockIo::map_rows()
{
  const unsigned cpus = host_.maps.cpus();
  const int fd = bpf_map__fd(skeleton_->maps.block_io_counts);
  using All = sonde_block_io_rows;
  ledger_ = std::make_unique<Ledger>(host_.services,
                                     SONDE_TRY(bpf::Rows<sonde_block_io_row>::create_within<All>(
                                         fd, cpus + 1, offsetof(All, services), SONDE_SLOTS)));
  device_rows_ = SONDE_TRY(bpf::Rows<sonde_block_io_device_row>::create_within<All>(
      fd, cpus + 1, offsetof(All, disks), SONDE_BLOCK_IO_COLUMNS));
  cpu_rows_ =
      SONDE_TRY(bpf::Rows<sonde_block_io_cpu>::create_within<All>(fd, cpus, offsetof(All, cpu), 1));
  return {};
}

void BlockIo::find_disks()
{
  std::string without;
  for (const auto& disk : list_disks(kSysfs))
    if (disk.has_requests)
      add_to_table(table(), disk.number);
    else
      without.append(without.empty() ? "" : " ").append(disk.name);
  if (!without.empty())
    host_.hooks.report("block_io",
                       "bio-based disks",
                       false,
                       "off: " + without +
                           " make no requests and are not observed; the disks beneath them are");
}

Result<> BlockIo::attach()
{
  bool completions = false;
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, skeleton_->obj)
  {
    if (!bpf_program__autoload(program))
      continue;
    const bool completes = program == skeleton_->progs.block_rq_complete;
    if (is_second(bpf_program__name(program))) {
      if (auto link = bpf::Link::attach(program))
        links_.push_back(*std::move(link));
      continue;
    }
    auto link =
        attach_and_report(host_,
                          "block_io",
                          program,
                          completes ? describe_completion(choice_) : describe_submission(choice_));
    completions = completions || (completes && link);
    if (link)
      links_.push_back(std::move(link));
  }
  if (!completions)
    return fail("attach tp_btf/block_rq_complete: see sonde_probe_up{probe=\"block_io\"}");
  if (!choice_.by_start && !bpf::Features::kernel().has_tracepoint("block_io_start"))
    host_.hooks.report("block_io",
                       "tp_btf/block_io_start",
                       false,
                       "off: this kernel has no such tracepoint (6.5); block_rq_insert, "
                       "block_rq_issue and block_getrq serve");
  return {};
}

void BlockIo::expose_disks(metrics::Exposition& out)
{
  std::vector<std::pair<std::string, const sonde_block_io_device_row*>> disks;
  for (const auto& [name, row] : devices_.by_name())
    disks.emplace_back(metrics::label_block({{"device", name}}), &row);
  out.begin(kMetrics[kNodeLatency]);
  for (const auto& [labels, row] : disks)
    for (unsigned i = 0; i < kOperations; ++i)
      if (shows(i, count(row->size[i]), row->sums[i].bytes))
        out.histogram({labels, kOperationLabels[i]},
                      bounds_.latency,
                      histogram(row->latency[i], row->sums[i].latency));
  out.begin(kMetrics[kNodeSize]);
  for (const auto& [labels, row] : disks)
    for (unsigned i = 0; i < kOperations; ++i)
      if (shows(i, count(row->size[i]), row->sums[i].bytes))
        out.histogram({labels, kOperationLabels[i]},
                      bounds_.size,
                      histogram(row->size[i], row->sums[i].bytes));
}

void BlockIo::collect(Scrape& scrape)
{
  ledger_->update();
  devices_.update(table(), [this](unsigned i) { return bpf::sum_rows(device_rows_, i); });
  auto& out = scrape.out;
  expose_disks(out);
  const auto each = [&](Index index, auto write) {
    out.begin(kMetrics[index]);
    for (const auto& service : scrape.services)
      if (const auto row = ledger_->of(service.slot, service.generation))
        for (unsigned i = 0; i < kOperations; ++i)
          if (shows(i, count(row->latency[i]), row->sums[i].bytes))
            write(service.labels, *row, i);
  };
  each(kLatency, [&](const auto& labels, const auto& row, unsigned i) {
    out.histogram({labels, kOperationLabels[i]},
                  bounds_.latency,
                  histogram(row.latency[i], row.sums[i].latency));
  });
  each(kBytes, [&](const auto& labels, const auto& row, unsigned i) {
    out.sample({labels, kOperationLabels[i]}, std::uint64_t{row.sums[i].bytes});
  });
}

std::uint64_t BlockIo::events() const
{
  std::uint64_t total = 0;
  for (const auto& [name, row] : devices_.by_name())
    for (const auto& size : row.size)
      total += count(size);
  return total;
}

// Completions that neither completion program saw.
std::uint64_t BlockIo::missed() const
{
  bpf_prog_info info{};
  __u32 size = sizeof info;
  if (bpf_obj_get_info_by_fd(bpf_program__fd(skeleton_->progs.block_rq_complete), &info, &size) !=
      0)
    return 0;
  const auto nested = bpf::sum_rows(cpu_rows_, 0).nested;
  return info.recursion_misses > nested ? info.recursion_misses - nested : 0;
}

std::vector<Loss> BlockIo::losses() const
{
  const auto node = ledger_->node();
  return {{"unknown_submitter", node.unknown_submitters},
          {"unknown_start", node.unknown_starts},
          {"folded_device", devices_.folded()},
          {"nested_completion", missed()}};
}

// Places for that many requests at once.
Result<std::uint32_t> places_for(std::int64_t in_flight)
{
  if (in_flight < 2 * SONDE_BLOCK_IO_WAYS || in_flight > (1 << 24))
    return fail("block_io.in_flight: 16 to 16Mi");
  return std::bit_ceil(static_cast<std::uint32_t>(in_flight));
}

// What sonde_block_io_bucket() compares with.
void copy_bounds(const metrics::Bounds& bounds, Buckets& to)
{
  const auto padded = bounds.padded();
  std::copy_n(padded.begin(), std::size(to), std::begin(to));
}

Result<> configure(Host& host, block_io_bpf& object, const Histograms& bounds, const Choice& choice)
{
  const auto places = SONDE_TRY(places_for(host.settings.integer("block_io.in_flight")));
  const unsigned cpus = host.maps.cpus();
  SONDE_TRY(host.maps.share_with(object.obj));
  object.rodata->sonde_family = host.family;
  auto& config = object.rodata->chosen;
  config.set_shift = 33U - static_cast<std::uint32_t>(std::bit_width(places / SONDE_BLOCK_IO_WAYS));
  config.by_start = choice.by_start;
  config.from_issue = choice.from_issue;
  config.alone = choice.alone;
  config.no_cpu = cpus;
  config.flag_io_stat = choice.flag_io_stat;
  config.flag_flush_sequence = choice.flag_flush_sequence;
  const auto outlier = host.settings.duration("block_io.outlier").count();
  config.outlier_ns = outlier > 0 ? static_cast<std::uint64_t>(outlier) : ~0ULL;
  copy_bounds(bounds.latency, config.latency_bounds);
  copy_bounds(bounds.size, config.size_bounds);
  select_programs(object, choice, bpf::Features::kernel());
  bpf_map__set_max_entries(object.maps.block_io_submitted, places / SONDE_BLOCK_IO_WAYS);
  if (choice.from_issue)
    bpf_map__set_max_entries(object.maps.block_io_stamps, places);
  bpf_map__set_max_entries(object.maps.block_io_counts, cpus + 1);
  return {};
}

Result<std::unique_ptr<Probe>> start(Host& host)
{
  const auto& kernel = bpf::Features::kernel();
  if (!kernel.has_tracepoint("block_rq_complete"))
    return fail("this kernel's types have no tracepoint block_rq_complete");
  const auto choice = SONDE_TRY(choose(host.settings, kernel));
  Histograms bounds{SONDE_TRY(duration_bounds(host.settings, "block_io.latency_bounds")),
                    SONDE_TRY(integer_bounds(host.settings, "block_io.size_bounds"))};
  if (bounds.latency.buckets() > SONDE_BLOCK_IO_BUCKETS ||
      bounds.size.buckets() > SONDE_BLOCK_IO_BUCKETS)
    return fail(fmt::format("block_io.latency_bounds and block_io.size_bounds: at most {}",
                            SONDE_BLOCK_IO_BUCKETS - 1));
  auto skeleton = SONDE_TRY(Skeleton::open());
  SONDE_TRY(configure(host, *skeleton.operator->(), bounds, choice));
  SONDE_TRY(skeleton.load());

  auto probe = std::make_unique<BlockIo>(host, std::move(skeleton), std::move(bounds), choice);
  SONDE_TRY(probe->map_rows());
  probe->find_disks();
  SONDE_TRY(probe->attach());
  return probe;
}

}  // namespace

extern const Family family{
    .name = "block_io", .start = &start, .metrics = kMetrics, .settings = kSettings};

}  // namespace sonde::block_io
