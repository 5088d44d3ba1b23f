// SPDX-License-Identifier: Apache-2.0
// One line of protocols.def: how a protocol is recognised, decoded, and which metrics its exchanges
// become.
#pragma once

#include <initializer_list>
#include <memory>
#include <span>
#include <string_view>

#include "agent/base/settings.hpp"
#include "agent/metrics/desc.hpp"
#include "agent/protocols/decoder.hpp"

namespace sonde::protocols {

enum class Match : std::uint8_t { kNo, kNeedMore, kYes };

// The first bytes seen of a connection, each direction's without a hole.
struct Heads {
  std::string_view to_server;
  std::string_view to_client;
  bool from_start = true;  // false: the connection is older than its observation, so either may
                           // begin in the middle of a message
};

// Where a protocol's metrics go. Label values follow Desc::labels, `service` left out: it is the
// connection's. Values are capped and repaired here; texts are copied.
class Recorder {
public:
  using Values = std::initializer_list<std::string_view>;

  virtual ~Recorder() = default;
  virtual Role role() const = 0;
  virtual std::string_view peer() const = 0;  // the other side's service or host:port

  virtual void count(const metrics::Desc& family, Values values, std::uint64_t n = 1) = 0;
  // Nanoseconds for families in seconds, bytes for families in bytes.
  virtual void observe(const metrics::Desc& family, Values values, std::uint64_t value) = 0;
  // What was counted elsewhere by the recorder's own bounds; `buckets` not cumulative.
  virtual void merge(const metrics::Desc& family,
                     Values values,
                     std::span<const std::uint64_t> buckets,
                     std::uint64_t sum) = 0;
  // Raises or lowers a gauge.
  virtual void adjust(const metrics::Desc& family, Values values, std::int64_t by) = 0;

  // The bounded template of a raw path of this service; routers may look at the method.
  virtual std::string_view route(std::string_view method, std::string_view path) = 0;
};

struct Protocol {
  std::string_view name;
  // kNeedMore as long as more bytes could decide; never kYes for bytes that another protocol's
  // message could begin with.
  Match (*recognise)(const Heads& heads);
  std::unique_ptr<Decoder> (*decoder)(bool from_start);
  void (*record)(const Exchange& exchange, Recorder& recorder);
  // Adds `by` (+1 or -1) times what `activity` stands for to the protocol's gauges.
  void (*level)(const Activity& activity, std::int64_t by, Recorder& recorder);
  std::span<const metrics::Desc> metrics;
  std::span<const Setting> settings = {};
  // The word that selects it in `sonde tail` beside its name: http, sql.
  std::string_view group = {};
  // Of protocols that count messages as they pass.
  void (*progress)(const Exchange& exchange, Recorder& recorder) = nullptr;
  // Exchange::target may be shown as it is: a bounded name such as a table's, never a path or key.
  bool target_is_name = false;
};

std::span<const Protocol* const> protocols();

}  // namespace sonde::protocols
