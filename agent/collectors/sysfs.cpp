// SPDX-License-Identifier: Apache-2.0
#include "agent/collectors/sysfs.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "agent/base/text.hpp"

namespace sonde {

namespace {

constexpr std::uint32_t kMaxCpus = 65'536;

}  // namespace

std::vector<std::string> numbered_entries(const std::filesystem::path& folder,
                                          std::string_view prefix)
{
  std::vector<std::pair<std::uint32_t, std::string>> found;
  std::error_code error;
  std::filesystem::directory_iterator entry(folder, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    const auto name = entry->path().filename().string();
    if (!name.starts_with(prefix))
      continue;
    if (const auto number =
            parse_number<std::uint32_t>(std::string_view(name).substr(prefix.size())))
      found.emplace_back(*number, name);
  }
  std::ranges::sort(found);
  std::vector<std::string> names;
  for (auto& [number, name] : found)
    names.push_back(std::move(name));
  return names;
}

std::optional<std::uint64_t> read_number(ReusedFile& file)
{
  const auto text = file.read();
  return text ? parse_number<std::uint64_t>(trim(*text)) : std::nullopt;
}

std::optional<std::uint64_t> read_number(const std::filesystem::path& path)
{
  const auto text = read_file(path, 4096);
  return text ? parse_number<std::uint64_t>(trim(*text)) : std::nullopt;
}

Result<std::vector<std::uint32_t>> parse_cpu_list(std::string_view text,
                                                  const std::filesystem::path& path)
{
  std::vector<std::uint32_t> cpus;
  auto rest = trim(text);
  while (!rest.empty()) {
    auto last = take_until(rest, ',');
    const auto first = last.find('-') == std::string_view::npos ? last : take_until(last, '-');
    const auto from = parse_number<std::uint32_t>(first);
    const auto to = parse_number<std::uint32_t>(last);
    if (!from || !to || *to >= kMaxCpus || *from > *to || cpus.size() + (*to - *from) >= kMaxCpus)
      return fail(fmt::format("{}:1: \"{:.64}\" is not a list of CPUs", path.native(), trim(text)));
    for (auto cpu = *from; cpu <= *to; ++cpu)
      cpus.push_back(cpu);
  }
  return cpus;
}

}  // namespace sonde
