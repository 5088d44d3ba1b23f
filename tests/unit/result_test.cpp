// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "agent/base/result.hpp"

namespace sonde {
namespace {

Result<int> inner()
{
  return fail(EACCES, "open /proc/812/exe");
}
Result<int> outer()
{
  return SONDE_TRY(in(inner(), "start go_http")) + 1;
}

TEST(Result, AnErrorCarriesTheChainOfWhatWasBeingDone)
{
  EXPECT_EQ(outer().error().message(), "start go_http: open /proc/812/exe: Permission denied");
}

TEST(Result, AnErrorWithoutErrnoIsItsText)
{
  EXPECT_EQ(Failure(fail("no BTF")).error().message(), "no BTF");
}

}  // namespace
}  // namespace sonde
