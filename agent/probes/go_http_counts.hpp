// SPDX-License-Identifier: Apache-2.0
// What the programs of go_http have counted becomes series: differences since the last look, by the
// texts that stand behind the addresses of patterns. On the event loop's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "sonde/go_http.h"

#include "agent/probes/go_peers.hpp"
#include "agent/protocols/connections.hpp"

namespace sonde::go_http {

// The name of a method that is counted by number.
std::string_view name_of_method(std::uint8_t method);
// The whole pattern of a record: routers within routers are put together.
std::string pattern_of(const sonde_go_http_record& record);
protocols::PatternStyle style_of(std::uint8_t router);

class Counts {
public:
  // Descriptors of the maps, go_conn_locals the last; `cpus` possible CPUs.
  Counts(int served, int called, int handling, int locals, unsigned cpus);

  // The text of a pattern, and who uses it.
  void know(const sonde_go_http_record& record);
  // All that was counted since the last call. Processes that have gone are forgotten then.
  void flush(protocols::Connections& to);
  // Nothing of it will be counted any more.
  void gone(std::uint32_t tgid) { gone_.insert(tgid); }
  // Something was left for the next time.
  bool waits() const { return waits_ || !gone_.empty(); }

private:
  template <typename Key>
  struct Bytes {
    std::size_t operator()(const Key& key) const
    {
      return std::hash<std::string_view>()({reinterpret_cast<const char*>(&key), sizeof key});
    }
    bool operator()(const Key& a, const Key& b) const
    {
      return std::string_view(reinterpret_cast<const char*>(&a), sizeof a) ==
             std::string_view(reinterpret_cast<const char*>(&b), sizeof b);
    }
  };
  template <typename Key, typename Value>
  using MapBy = std::unordered_map<Key, Value, Bytes<Key>, Bytes<Key>>;

  struct Pattern {
    std::string text;
    std::uint16_t slot = SONDE_SLOT_OTHER;
    std::uint16_t generation = 0;
  };

  Pattern& pattern(const sonde_go_http_key& key);
  void served(protocols::Connections& to,
              const sonde_go_http_key& key,
              const sonde_go_http_counts& fresh);
  // False while it is too early.
  bool called(protocols::Connections& to,
              const sonde_go_client_key& key,
              const sonde_go_client_counts& fresh);
  void forget_gone();

  int served_map_;
  int called_map_;
  int handling_map_;
  unsigned cpus_;
  MapBy<sonde_go_http_key, sonde_go_http_counts> served_;
  MapBy<sonde_go_client_key, sonde_go_client_counts> called_;
  MapBy<sonde_go_http_key, Pattern> patterns_;  // status 0, method 0
  GoPeers peers_;
  bool waits_ = false;
  std::unordered_set<std::uint32_t> gone_;
};

}  // namespace sonde::go_http
