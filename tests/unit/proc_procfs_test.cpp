// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <gtest/gtest.h>

#include "agent/proc/inspect.hpp"
#include "agent/proc/procfs.hpp"

namespace sonde::proc {
namespace {

TEST(Procfs, AStatLineIsReadWhateverTheProcessCallsItself)
{
  const auto stat = parse_stat("77 (a) (R 1) S 5 0 0 0 0 4194560 0 0 0 0 0 0 0 0 20 0 3 0 12345 0");
  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->comm, "a) (R 1");
  EXPECT_EQ(stat->parent, 5U);
  EXPECT_EQ(stat->threads, 3);
  EXPECT_EQ(stat->start_ticks, 12345U);
  EXPECT_FALSE(stat->kernel_thread());
}

TEST(Procfs, AMalformedStatLineIsRefused)
{
  for (const auto* text : {"",
                           "(",
                           ")",
                           ")(",
                           "1 (a)",
                           "1 (a) S",
                           "1 (a) S x 0 0 0 0 0",
                           "1 (a) S 1 0 0 0 0 0 0 0 0 0 0 0 0 0 20 0 1 0 99999999999999999999999"})
    EXPECT_FALSE(parse_stat(text)) << text;
}

TEST(Procfs, ALeaderThatLeftItsThreadsBehindIsNotDead)
{
  EXPECT_FALSE(parse_stat("1 (a) Z 1 0 0 0 0 0 0 0 0 0 0 0 0 0 20 0 2 0 5")->dead());
  EXPECT_TRUE(parse_stat("1 (a) Z 1 0 0 0 0 0 0 0 0 0 0 0 0 0 20 0 1 0 5")->dead());
}

TEST(Procfs, AVariableIsFoundByItsWholeName)
{
  using namespace std::string_view_literals;
  EXPECT_EQ(find_variable("XA=1\0A=2\0AB=3"sv, "A"), "2");
  EXPECT_EQ(find_variable("A=x"sv, "A"), "x");
  EXPECT_EQ(find_variable("A=\0"sv, "A"), std::nullopt);
  EXPECT_EQ(find_variable("B=A=1\0A"sv, "A"), std::nullopt);
  EXPECT_EQ(find_variable(""sv, "A"), std::nullopt);
}

TEST(Procfs, OnlyListeningSocketsCount)
{
  std::unordered_set<std::uint64_t> inodes;
  add_listening("  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt uid "
                "timeout inode\n"
                "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 "
                "4711 1 0\n"
                "   1: 0100007F:1F90 0100007F:9999 01 00000000:00000000 00:00000000 00000000 0 0 "
                "4712 1 0\n"
                "   2: x\n",
                inodes);
  EXPECT_EQ(inodes, std::unordered_set<std::uint64_t>{4711});
  EXPECT_EQ(socket_inode("socket:[4711]"), 4711U);
  EXPECT_EQ(socket_inode("socket:[]"), std::nullopt);
  EXPECT_EQ(socket_inode("pipe:[1]"), std::nullopt);
}

TEST(Procfs, AProcessThatIsGoneHasNothing)
{
  const ProcFs procfs("/nonexistent");
  EXPECT_FALSE(procfs.processes());
  EXPECT_FALSE(procfs.stat(1));
  EXPECT_EQ(procfs.executable(1), "");
  EXPECT_FALSE(procfs.is_executable(1, "/bin/sh"));
  EXPECT_FALSE(procfs.has_socket(1, {1}));
  const Inspection nothing(procfs, 1, "a");
  EXPECT_EQ(application_name(nothing.traits()), "a");
}

TEST(Procfs, ThisVeryProcessIsSeenAsItIs)
{
  const ProcFs procfs;
  const auto self = static_cast<std::uint32_t>(::getpid());
  ASSERT_TRUE(procfs.stat(self));
  EXPECT_EQ(procfs.stat(self)->parent, static_cast<std::uint32_t>(::getppid()));
  const Inspection seen(procfs, self, "x");
  EXPECT_EQ(application_name(seen.traits()), "unit_tests");
}

}  // namespace
}  // namespace sonde::proc
