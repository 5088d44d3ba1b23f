// SPDX-License-Identifier: Apache-2.0
#include "agent/probes/outliers.hpp"

#include <fmt/format.h>

#include "agent/base/text.hpp"

namespace sonde {

void Outliers::add(Outlier outlier)
{
  const std::scoped_lock lock(mutex_);
  list_.push_front(std::move(outlier));
  if (list_.size() > limit_)
    list_.pop_back();
}

std::vector<Outlier> Outliers::all() const
{
  const std::scoped_lock lock(mutex_);
  return {list_.begin(), list_.end()};
}

std::string Outliers::json() const
{
  std::string out = "{\"outliers\":[";
  bool first = true;
  for (const auto& outlier : all()) {
    out += fmt::format(R"({}{{"time":{}.{:03},"family":{},"service":{},"command":{},"tgid":{},)"
                       R"("pid":{},"what":{},"seconds":{:.9f}}})",
                       first ? "" : ",",
                       outlier.wall_ns / 1'000'000'000,
                       outlier.wall_ns / 1'000'000 % 1000,
                       json_quoted(outlier.family),
                       json_quoted(outlier.service),
                       json_quoted(outlier.command),
                       outlier.tgid,
                       outlier.pid,
                       outlier.what,
                       static_cast<double>(outlier.value_ns) / 1e9);
    first = false;
  }
  return out += "]}\n";
}

}  // namespace sonde
