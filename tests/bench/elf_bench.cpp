// SPDX-License-Identifier: Apache-2.0
// What it costs to analyse a Go program, as before it is attached to: SONDE_GO_PROGRAM, or the
// testbed's api. The file is in the page cache.
#include <benchmark/benchmark.h>
#include <cstdlib>
#include <string>

#include "agent/elf/go_binary.hpp"
#include "agent/elf/probe_site.hpp"

namespace sonde::elf {
namespace {

std::string program()
{
  const char* chosen = std::getenv("SONDE_GO_PROGRAM");
  return chosen != nullptr ? chosen : "build/targets/api";
}

constexpr const char* kFunctions[] = {
    "net/http.serverHandler.ServeHTTP",
    "net/http.(*response).finishRequest",
    "net/http.(*conn).serve.func1",
    "net/http.(*http2responseWriter).handlerDone",
    "net/http.(*ServeMux).ServeHTTP",
    "net/http.(*persistConn).roundTrip",
    "crypto/tls.(*Conn).Read",
    "crypto/tls.(*Conn).Write",
    "runtime.gopanic",
    "runtime.main",
};
constexpr std::pair<const char*, const char*> kFields[] = {
    {"net/http.Request", "Method"},
    {"net/http.Request", "URL"},
    {"net/http.Request", "Pattern"},
    {"net/http.Request", "RemoteAddr"},
    {"net/http.Request", "ContentLength"},
    {"net/url.URL", "Path"},
    {"net/http.response", "status"},
    {"net/http.response", "written"},
    {"net/http.persistConn", "cacheKey"},
    {"runtime.g", "goid"},
};

// Sites of ten functions, offsets of ten fields.
void go_program(benchmark::State& state)
{
  const auto path = program();
  for (auto _ : state) {
    const auto file = ElfFile::open(std::filesystem::path(path));
    const auto binary = file ? GoBinary::read(*file) : fail(file.error().message());
    if (!binary) {
      state.SkipWithError(binary.error().message().c_str());
      return;
    }
    for (const auto* name : kFunctions)
      if (const auto function = binary->function(name))
        benchmark::DoNotOptimize(go_entry_site(*file, *function));
    for (const auto& [type, field] : kFields)
      benchmark::DoNotOptimize(binary->field_offset(type, field));
    state.counters["file_MB"] = static_cast<double>(file->size()) / 1e6;
    state.counters["read_MB"] = static_cast<double>(file->resident()) / 1e6;
    state.counters["functions"] = static_cast<double>(binary->function_count());
  }
}
BENCHMARK(go_program)->Unit(benchmark::kMillisecond);

// What a program that is not Go's costs.
void no_go_program(benchmark::State& state)
{
  for (auto _ : state) {
    const auto file = ElfFile::open("/proc/self/exe");
    benchmark::DoNotOptimize(file && GoBuild::read(*file));
  }
}
BENCHMARK(no_go_program)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace sonde::elf
