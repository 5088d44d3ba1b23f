// SPDX-License-Identifier: Apache-2.0
// What one scrape of the node's collectors gives: families and their samples, as numbers and label
// blocks rendered once, in a few pieces of memory that clear() keeps for the next scrape. Used by
// one thread at a time.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/metrics/desc.hpp"

namespace sonde::metrics {

class Exposition;

class Families {
public:
  // Names are the collector's own words; values may be anything.
  using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

  // A text in pieces: {"node_memory_", field}.
  using Words = std::initializer_list<std::string_view>;

  // Stands for a family until clear().
  class Family {
  public:
    void sample(Labels labels, double value) const { families_->sample(index_, labels, value); }

  private:
    friend class Families;
    Family(Families& families, std::size_t index) : families_(&families), index_(index) {}

    Families* families_;
    std::size_t index_;
  };

  // A family without samples is not written.
  Family add(Words name, Type type, Words help);
  Family add(std::string_view name, Type type, std::string_view help)
  {
    return add({name}, type, {help});
  }
  Family add(const Desc& desc) { return add(desc.name, desc.type, desc.help); }
  std::vector<Family> add(std::span<const Desc> descs);

  // How many have samples, and how many samples there are.
  std::size_t families() const;
  std::size_t samples() const { return samples_.size(); }

  // What was written refers to the families until clear().
  void write(Exposition& out) const;
  void clear();

private:
  static constexpr auto kNone = std::numeric_limits<std::size_t>::max();

  struct Piece {
    std::size_t begin;
    std::size_t size;
  };
  struct Entry {
    Piece name;
    Piece help;
    Type type;
    std::size_t first = kNone;
    std::size_t last = kNone;
  };
  struct Sample {
    double value;
    Piece labels;
    std::size_t next = kNone;  // of the same family
  };

  Piece append(Words words);
  void sample(std::size_t family, Labels labels, double value);
  std::string_view text_of(Piece piece) const { return {text_.data() + piece.begin, piece.size}; }

  std::string text_;
  std::vector<Entry> entries_;
  std::vector<Sample> samples_;
};

}  // namespace sonde::metrics
