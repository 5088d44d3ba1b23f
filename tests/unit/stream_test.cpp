// SPDX-License-Identifier: Apache-2.0
#include <random>
#include <string>

#include <gtest/gtest.h>

#include "agent/protocols/stream.hpp"

namespace sonde::protocols {
namespace {

// What comes out: bytes as they are, a hole of 7 as <7>, the end as |.
struct Reader : Stream::Output {
  explicit Reader(std::uint32_t position = 100) : stream(position) {}

  void item(const Item& item) override
  {
    if (item.kind == Item::Kind::kBytes)
      text += item.bytes;
    else if (item.kind == Item::Kind::kHole)
      text += "<" + std::to_string(item.length) + ">";
    else
      text += "|";
    length += item.length;
  }
  void take(std::uint32_t position, std::string_view bytes, std::size_t more = 0)
  {
    stream.take({.position = position,
                 .covered = static_cast<std::uint32_t>(bytes.size() + more),
                 .bytes = bytes,
                 .time_ns = now_ns,
                 .starts_call = true},
                *this,
                counts);
  }

  std::string text;
  std::uint64_t length = 0;
  std::uint64_t now_ns = 1'000'000'000;
  Stream stream;
  Stream::Counts counts;
};

TEST(Stream, PassesRecordsThatFollowEachOther)
{
  Reader reader;
  reader.take(100, "abc");
  reader.take(103, "de");
  EXPECT_EQ(reader.text, "abcde");
  EXPECT_FALSE(reader.stream.waits());
}

TEST(Stream, MakesAHoleOfWhatACallCoveredAndDidNotCarry)
{
  Reader reader;
  reader.take(100, "abc", 7);
  reader.take(110, "d");
  EXPECT_EQ(reader.text, "abc<7>d");
  EXPECT_EQ(reader.counts.lost_bytes, 0U);
}

TEST(Stream, GoesOnAcrossTheWrapOfPositions)
{
  Reader reader(0xfffffffe);
  reader.take(0xfffffffe, "abc");
  reader.take(1, "d");
  reader.take(12, "e");
  reader.stream.flush(reader, reader.counts);
  EXPECT_EQ(reader.text, "abcd<10>e");
}

TEST(Stream, WaitsForALateRecordAndPutsItInItsPlace)
{
  Reader reader;
  reader.take(103, "d");
  EXPECT_EQ(reader.text, "");
  EXPECT_TRUE(reader.stream.waits());
  reader.take(100, "abc");
  EXPECT_EQ(reader.text, "abcd");
  EXPECT_FALSE(reader.stream.waits());
}

TEST(Stream, PlacesTwoWritersThatSawTheSameEndOneAfterTheOther)
{
  // 3 and 5 bytes, both counted back from 108.
  Reader reader;
  reader.take(105, "abc");
  reader.take(103, "defgh");
  EXPECT_EQ(reader.text, "abcdefgh");
  reader.take(108, "i");
  EXPECT_EQ(reader.text, "abcdefghi");
  EXPECT_EQ(reader.counts.lost_bytes, 0U);
  EXPECT_EQ(reader.counts.duplicates, 0U);
}

TEST(Stream, PlacesTwoWritersAfterAThirdWhoSawOnlyHimself)
{
  Reader reader;
  reader.take(105, "abc");
  reader.take(103, "defgh");
  EXPECT_EQ(reader.text, "abcdefgh");
  Reader late;
  late.take(107, "abc");
  late.take(105, "defgh");
  EXPECT_EQ(late.text, "");
  late.take(100, "xy");
  EXPECT_EQ(late.text, "xyabcdefgh");
}

TEST(Stream, TurnsAJumpThatNothingExplainsIntoAHoleAfterItsPatience)
{
  Reader reader;
  reader.take(110, "abc");
  reader.stream.sweep(reader.now_ns + Stream::kPatienceNs - 1, reader, reader.counts);
  EXPECT_EQ(reader.text, "");
  reader.stream.sweep(reader.now_ns + Stream::kPatienceNs, reader, reader.counts);
  EXPECT_EQ(reader.text, "<10>abc");
  EXPECT_EQ(reader.counts.lost_bytes, 10U);
}

TEST(Stream, HoldsNoMoreThanItsBound)
{
  Reader reader;
  for (std::uint32_t i = 0; i < Stream::kMaxHeld; ++i)
    reader.take(110 + i, "a");
  EXPECT_EQ(reader.text, "<10>aaaaaaaa");
  Reader large;
  large.take(110, std::string(Stream::kMaxHeldBytes, 'a'));
  large.take(110 + Stream::kMaxHeldBytes, "b");
  EXPECT_FALSE(large.stream.waits());
}

TEST(Stream, CountsNoLossForWhatNobodyWanted)
{
  Reader reader;
  reader.stream.unwanted_until(reader.stream.position() + 1000);
  reader.take(1100, "a");
  EXPECT_EQ(reader.text, "<1000>a");
  EXPECT_EQ(reader.counts.lost_bytes, 0U);
  reader.stream.unwanted_until(reader.stream.position() + 10);
  reader.take(1131, "b");
  reader.stream.flush(reader, reader.counts);
  EXPECT_EQ(reader.text, "<1000>a<30>b");
  EXPECT_EQ(reader.counts.lost_bytes, 20U);
}

TEST(Stream, NeitherWaitsForNorMissesTheRestOfWhatNobodyWanted)
{
  Reader reader;
  reader.stream.unwanted_until(reader.stream.position() + 5000);
  reader.take(100, "abc", 2000);
  reader.stream.unwanted_until(reader.stream.position());
  reader.take(5100, "d");
  EXPECT_EQ(reader.text, "abc<2000><2997>d");
  EXPECT_EQ(reader.counts.lost_bytes, 0U);
}

TEST(Stream, DropsWhatHasPassedAlready)
{
  Reader reader;
  reader.take(100, "abcdef");
  reader.take(100, "abc");
  reader.take(104, "efgh");
  EXPECT_EQ(reader.text, "abcdefgh");
  EXPECT_EQ(reader.counts.duplicates, 2U);
}

TEST(Stream, EndsAfterWhatItHeld)
{
  Reader reader;
  reader.take(105, "a");
  reader.stream.end(reader.now_ns, reader, reader.counts);
  reader.stream.end(reader.now_ns, reader, reader.counts);
  EXPECT_EQ(reader.text, "<5>a|");
}

TEST(Stream, GivesEveryByteOnceWhateverTheOrderOfNeighbours)
{
  std::mt19937 random(1);
  for (int round = 0; round < 2000; ++round) {
    std::string all;
    std::vector<std::pair<std::uint32_t, std::string>> records;
    for (int i = 0; i < 30; ++i) {
      const std::string bytes(1 + random() % 5, static_cast<char>('a' + i % 26));
      records.emplace_back(static_cast<std::uint32_t>(100 + all.size()), bytes);
      all += bytes;
    }
    for (std::size_t i = 0; i + 3 < records.size(); i += 3)
      std::shuffle(records.begin() + static_cast<long>(i),
                   records.begin() + static_cast<long>(i + 3),
                   random);
    Reader reader;
    for (const auto& [position, bytes] : records)
      reader.take(position, bytes);
    ASSERT_EQ(reader.text, all);
    ASSERT_EQ(reader.counts.lost_bytes, 0U);
  }
}

TEST(Stream, AlwaysAccountsForEveryPosition)
{
  std::mt19937 random(2);
  for (int round = 0; round < 2000; ++round) {
    Reader reader;
    std::uint32_t position = 100;
    for (int i = 0; i < 50; ++i) {
      const std::string bytes(random() % 20, 'x');
      const auto more = random() % 3 == 0 ? random() % 100 : 0;
      const auto at =
          static_cast<std::uint32_t>(position + (random() % 4 == 0 ? random() % 50 : 0) -
                                     (random() % 8 == 0 ? random() % 10 : 0));
      reader.take(at, bytes, more);
      position = at + static_cast<std::uint32_t>(bytes.size() + more);
    }
    const auto start = Reader().stream.position();
    reader.stream.flush(reader, reader.counts);
    ASSERT_EQ(reader.stream.position() - start, reader.length);
  }
}

}  // namespace
}  // namespace sonde::protocols
