// SPDX-License-Identifier: Apache-2.0
// What one connection has prepared and bound, by the hash of its name: verb and table, never text.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

namespace sonde::postgresql {

struct Statement {
  std::string_view verb;
  std::string table;
};

// Shared, because executions under way and portals outlive the name that a statement was given.
using StatementRef = std::shared_ptr<const Statement>;

// What is executed, as far as it is known.
struct Subject {
  enum class Text : std::uint8_t {
    kSeen,
    kOlder,  // prepared before the observation began: its verb is told by the server
    kLost,   // in bytes that were not captured: nothing is said of it
  };

  StatementRef statement;  // of a text that was seen
  Text text = Text::kOlder;
};

// A name's hash, fed in pieces; 0 is the unnamed one.
using Key = std::uint64_t;
inline constexpr Key kUnnamed = 0;
Key add_to_key(Key key, std::string_view bytes);

// The last few distinct statements, so that a repeated one costs no allocation.
class StatementCache {
public:
  StatementRef get(std::string_view verb, std::string_view table);

private:
  std::array<StatementRef, 16> recent_;
};

struct Portal {
  Subject subject;
  std::uint64_t first_ns = 0;  // of the messages that made it; 0 once it has been executed
  std::uint64_t bytes = 0;
};

// A bounded map that forgets what was not used for the longest time.
template <typename Value>
class NameTable {
public:
  static constexpr std::size_t kMost = 1024;

  Value& put(Key key)
  {
    auto& slot = slots_[key];
    slot.used = ++clock_;
    if (slots_.size() > kMost)
      forget_oldest();
    return slots_.find(key)->second.value;
  }

  Value* find(Key key)
  {
    const auto found = slots_.find(key);
    if (found == slots_.end())
      return nullptr;
    found->second.used = ++clock_;
    return &found->second.value;
  }

  void erase(Key key) { slots_.erase(key); }
  std::size_t size() const { return slots_.size(); }

private:
  struct Slot {
    Value value{};
    std::uint64_t used = 0;
  };

  void forget_oldest()
  {
    auto oldest = slots_.begin();
    for (auto slot = slots_.begin(); slot != slots_.end(); ++slot)
      if (slot->second.used < oldest->second.used)
        oldest = slot;
    slots_.erase(oldest);
  }

  std::unordered_map<Key, Slot> slots_;
  std::uint64_t clock_ = 0;
};

}  // namespace sonde::postgresql
