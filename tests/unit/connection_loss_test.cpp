// SPDX-License-Identifier: Apache-2.0
// A connection whose records come late, cut otherwise, or not at all.
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/conversation.hpp"
#include "tests/support/watched_connection.hpp"

namespace sonde::protocols {
namespace {

// A conversation of exchanges in records: cut, neighbours swapped where two taps may be, and some
// lost. Only what the ring loses may cost an exchange, and nothing is ever invented.
class Shuffled {
public:
  explicit Shuffled(std::uint32_t seed) : random_(seed) {}

  Log run(bool swap, unsigned lose_one_in)
  {
    Watched one;
    Log asked;
    std::vector<std::pair<sonde_socket_bytes, std::string>> records;
    for (int i = 0; i < 30; ++i) {
      const auto name = std::to_string(i);
      cut(one, SONDE_SOCKET_RECEIVED, "Q " + name + "\n", records);
      cut(one, SONDE_SOCKET_SENT, "A " + name + "\n", records);
      asked.push_back("s " + name);
    }
    if (swap)
      for (std::size_t i = 0; i + 1 < records.size(); i += 2)
        if (random_() % 2 == 0)
          std::swap(records[i], records[i + 1]);
    for (const auto& [record, bytes] : records)
      if (lose_one_in == 0 || random_() % lose_one_in != 0)
        one.give(record, bytes);
    one.pause(Connection::kPatienceNs);
    one.pause(Connection::kPatienceNs);
    EXPECT_TRUE(test::is_subsequence(one.log, asked));
    return one.log;
  }

private:
  void cut(Watched& one,
           sonde_socket_direction direction,
           std::string_view bytes,
           std::vector<std::pair<sonde_socket_bytes, std::string>>& records)
  {
    bool first = true;
    while (!bytes.empty()) {
      const auto length = 1 + random_() % bytes.size();
      auto record = one.make(direction, length);
      record.flags = first ? SONDE_SOCKET_STARTS_CALL : 0;
      records.emplace_back(record, bytes.substr(0, length));
      bytes.remove_prefix(length);
      first = false;
    }
  }

  std::mt19937 random_;
};

TEST(Connection, MissesNothingHoweverRecordsAreCutAndNeighboursSwapped)
{
  for (std::uint32_t seed = 0; seed < 300; ++seed)
    ASSERT_EQ(Shuffled(seed).run(true, 0).size(), 30U) << seed;
}

TEST(Connection, InventsNothingWhereRecordsAreLost)
{
  std::size_t seen = 0;
  for (std::uint32_t seed = 0; seed < 300; ++seed)
    seen += Shuffled(seed).run(seed % 2 == 0, 10).size();
  EXPECT_GT(seen, 300U);
}

}  // namespace
}  // namespace sonde::protocols
