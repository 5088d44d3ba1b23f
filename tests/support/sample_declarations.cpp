// SPDX-License-Identifier: Apache-2.0
#include "tests/support/sample_declarations.hpp"

namespace sonde::app {

namespace {

constexpr Setting kFamilySettings[] = {
    {"run_queue.bounds", SettingKind::kDurations, "1us 1ms 1s", "bounds"},
    {"run_queue.outlier", SettingKind::kDuration, "100ms", "outliers are longer"},
};
constexpr Setting kCollectorSettings[] = {
    {"collector.filesystem.mount-points-exclude", SettingKind::kRegex, "^/(dev|proc)", "excluded"},
};
constexpr Setting kOtherSettings[] = {
    {"services.rules", SettingKind::kRecords, "", "names of services", "executable name"},
    {"services.expected", SettingKind::kTexts, "", "services that must exist"},
    {"http.size-bounds", SettingKind::kIntegers, "100 1k", "bounds"},
};
constexpr Family kFamily{"run_queue", nullptr, {}, kFamilySettings};
constexpr CollectorInfo kLoad{"loadavg", true, nullptr, {}, {}};
constexpr CollectorInfo kFilesystem{"filesystem", true, nullptr, {}, kCollectorSettings};
constexpr CollectorInfo kSlow{"perf", false, nullptr, {}, {}};
constexpr const Family* kFamilies[] = {&kFamily};
constexpr const CollectorInfo* kCollectors[] = {&kLoad, &kFilesystem, &kSlow};
constexpr Declarations::Table kTables[] = {kOtherSettings};

}  // namespace

const Declarations& sample_declarations()
{
  static const Declarations all(kFamilies, kCollectors, kTables);
  return all;
}

}  // namespace sonde::app
