// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "agent/probes/tls_waits.hpp"

namespace sonde::tls {
namespace {

TEST(TlsWaits, AThreadWaitsForADescriptorInARead)
{
  EXPECT_EQ(descriptor_waited_for("0 0x1c 0x7f0e 0x5 0x0 0x0 0x0 0x7ffd 0x7f12\n"), 0x1cU);
  EXPECT_FALSE(descriptor_waited_for("232 0x1c 0x7f0e 0x5 0x0 0x0 0x0 0x7ffd 0x7f12\n"));
  EXPECT_FALSE(descriptor_waited_for("-1 0x7ffd 0x7f12\n"));
  EXPECT_FALSE(descriptor_waited_for("running\n"));
  EXPECT_FALSE(descriptor_waited_for("0 1c"));
  EXPECT_FALSE(descriptor_waited_for("0"));
  EXPECT_FALSE(descriptor_waited_for(""));
}

}  // namespace
}  // namespace sonde::tls
