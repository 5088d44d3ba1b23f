// SPDX-License-Identifier: Apache-2.0
#include "agent/probes/executables.hpp"

#include "agent/bpf/shared_maps.hpp"
#include "agent/probes/live_executables.hpp"

namespace sonde {

namespace {

constexpr Setting kSettings[] = {
    {"uprobes.max-hits",
     SettingKind::kInteger,
     "1M",
     "hits a second of all uprobes in one file above which they are taken off for a while; 0: no "
     "limit"},
    {"uprobes.rest",
     SettingKind::kDuration,
     "1m",
     "how long the uprobes of a file stay off after it went above uprobes.max-hits"},
    {"uprobes.exclude",
     SettingKind::kTexts,
     "",
     "files that get no uprobes, by path or file name, programs and libraries alike"},
    {"uprobes.link",
     SettingKind::kText,
     "auto",
     "how uprobes are attached: by one link for all places of a program (auto, from Linux 6.6 on), "
     "or "
     "by a perf event for each place",
     "auto perf"},
};

}  // namespace

std::span<const Setting> executables_settings()
{
  return kSettings;
}

Result<std::unique_ptr<Executables>> Executables::create(EventLoop& loop,
                                                         const Settings& settings,
                                                         Hooks& hooks,
                                                         bpf::SharedMaps& maps,
                                                         std::filesystem::path procfs)
{
  const auto hits = settings.integer("uprobes.max-hits");
  LiveExecutables::Limits limits{.hits_per_second = hits > 0 ? static_cast<std::uint64_t>(hits) : 0,
                                 .rest = settings.duration("uprobes.rest"),
                                 .exclude = settings.texts("uprobes.exclude")};
  auto live = std::make_unique<LiveExecutables>(
      loop,
      hooks,
      std::move(procfs),
      bpf::choose_uprobes(settings.text("uprobes.link") == "perf"),
      std::move(limits));
  SONDE_TRY(live->start(maps.cpus()));
  return live;
}

}  // namespace sonde
