// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "agent/elf/rust_binary.hpp"
#include "agent/elf/rustls.hpp"
#include "agent/probes/tokio_workers.hpp"

namespace sonde {
namespace {

TEST(RustBinary, KnowsRustPanicUnderAllItsNames)
{
  EXPECT_TRUE(elf::is_rust_panic("rust_panic"));
  EXPECT_TRUE(elf::is_rust_panic("_RNvCs5QKde7ScR4F_7___rustc10rust_panic"));
  EXPECT_TRUE(elf::is_rust_panic("_RNvCseSNJ8Y_7___rustc10rust_panic"));
  EXPECT_FALSE(elf::is_rust_panic("_ZN3std9panicking20rust_panic_with_hook17h0123456789abcdefE"));
  EXPECT_FALSE(elf::is_rust_panic("my_rust_panic"));
  EXPECT_FALSE(elf::is_rust_panic("_RNvCs5QKde7ScR4F_7my_crate10rust_panic"));
  EXPECT_FALSE(elf::is_rust_panic("rust_panic_without_hook"));
  EXPECT_FALSE(elf::is_rust_panic(""));
}

TEST(RustBinary, TellsNameAndVersionOfACrateApart)
{
  const auto crate = [](std::string_view folder) {
    const auto parsed = elf::parse_crate(folder);
    return parsed ? parsed->name + " " + parsed->version : std::string();
  };
  EXPECT_EQ(crate("tokio-1.53.2"), "tokio 1.53.2");
  EXPECT_EQ(crate("h2-0.4.5"), "h2 0.4.5");
  EXPECT_EQ(crate("md-5-0.10.6"), "md-5 0.10.6");
  EXPECT_EQ(crate("rustls-0.24.0-dev.0"), "rustls 0.24.0-dev.0");
  EXPECT_EQ(crate("zstd-sys-2.0.9+zstd.1.5.5"), "zstd-sys 2.0.9+zstd.1.5.5");
  EXPECT_EQ(crate("tokio"), "");
  EXPECT_EQ(crate("-1.0"), "");
  EXPECT_EQ(crate("a-1"), "");
  EXPECT_EQ(crate("a-1.0\x01"), "");
}

TEST(Rustls, KnowsItsAgesByTheirTraits)
{
  const auto methods = [](std::string_view version) {
    const auto age = elf::rustls_age(version);
    return age ? (age->one_method ? 1 : 0) + (age->two_methods ? 2 : 0) : 0;
  };
  EXPECT_EQ(methods("0.20.9"), 1);
  EXPECT_EQ(methods("0.21.12"), 1);
  EXPECT_EQ(methods("0.22.4"), 2);
  EXPECT_EQ(methods("0.23.46"), 2);
  EXPECT_EQ(methods("0.19.1"), 0);
  EXPECT_EQ(methods("0.24.0-dev.0"), 0);
  EXPECT_EQ(methods("0.2"), 0);
  EXPECT_EQ(methods(""), 0);
}

TEST(TokioWorkers, TellWorkersFromThreadsForBlockingWork)
{
  EXPECT_EQ(read_tokio_evidence("232 0x3 0x7f 0x400 0xffffffff 0x0 0x0 0x7ffe 0x7f01"),
            TokioEvidence::kDriver);
  EXPECT_EQ(read_tokio_evidence("202 0x55 0x89 0x0 0x0 0x0 0xffffffff 0x7ffe 0x7f01"),
            TokioEvidence::kParked);
  EXPECT_EQ(read_tokio_evidence("202 0x55 0x89 0x0 0x7fa1 0x0 0xffffffff 0x7ffe 0x7f01"),
            TokioEvidence::kIdle);
  EXPECT_EQ(read_tokio_evidence("running"), TokioEvidence::kNone);
  EXPECT_EQ(read_tokio_evidence("0 0x5 0x7f 0x1000 0x0 0x0 0x0 0x7ffe 0x7f01"),
            TokioEvidence::kNone);
  EXPECT_EQ(read_tokio_evidence("-1 0x7ffe 0x7f01"), TokioEvidence::kNone);
  EXPECT_EQ(read_tokio_evidence(""), TokioEvidence::kNone);
}

}  // namespace
}  // namespace sonde
