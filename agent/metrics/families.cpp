// SPDX-License-Identifier: Apache-2.0
#include "agent/metrics/families.hpp"

#include <algorithm>

#include "agent/metrics/exposition.hpp"
#include "agent/metrics/labels.hpp"

namespace sonde::metrics {

namespace {

// node_exporter has no such limit, but a path may be 4096 bytes long.
constexpr std::size_t kMostLabelBytes = 1024;

}  // namespace

Families::Piece Families::append(Words words)
{
  const auto begin = text_.size();
  for (const auto word : words)
    text_ += word;
  return {begin, text_.size() - begin};
}

Families::Family Families::add(Words name, Type type, Words help)
{
  const auto help_piece = append(help);
  auto name_piece = append(name);
  repair_name(text_, name_piece.begin, true);
  name_piece.size = text_.size() - name_piece.begin;
  entries_.push_back({.name = name_piece, .help = help_piece, .type = type});
  return {*this, entries_.size() - 1};
}

std::vector<Families::Family> Families::add(std::span<const Desc> descs)
{
  std::vector<Family> added;
  added.reserve(descs.size());
  for (const auto& desc : descs)
    added.push_back(add(desc));
  return added;
}

void Families::sample(std::size_t family, Labels labels, double value)
{
  const auto begin = text_.size();
  for (const auto& [name, text] : labels) {
    if (text_.size() != begin)
      text_ += ',';
    text_.append(name).append("=\"");
    append_escaped(text_, text, kMostLabelBytes);
    text_ += '"';
  }
  auto& entry = entries_[family];
  (entry.last == kNone ? entry.first : samples_[entry.last].next) = samples_.size();
  entry.last = samples_.size();
  samples_.push_back({.value = value, .labels = {begin, text_.size() - begin}});
}

std::size_t Families::families() const
{
  return static_cast<std::size_t>(
      std::ranges::count_if(entries_, [](const Entry& entry) { return entry.first != kNone; }));
}

void Families::write(Exposition& out) const
{
  for (const auto& entry : entries_) {
    if (entry.first == kNone)
      continue;
    out.begin(text_of(entry.name), entry.type, text_of(entry.help));
    for (auto i = entry.first; i != kNone; i = samples_[i].next)
      out.sample({text_of(samples_[i].labels)}, samples_[i].value);
  }
}

void Families::clear()
{
  text_.clear();
  entries_.clear();
  samples_.clear();
}

}  // namespace sonde::metrics
