// SPDX-License-Identifier: Apache-2.0
// Prints what the agent knows of a Go program, for scripts that compare builds: dump [--times] FILE
#include <chrono>
#include <cstring>
#include <fmt/format.h>

#include "agent/elf/go_binary.hpp"
#include "agent/elf/probe_site.hpp"

using namespace sonde::elf;

namespace {

double milliseconds_since(std::chrono::steady_clock::time_point start)
{
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

int print_times(const char* path)
{
  const auto start = std::chrono::steady_clock::now();
  auto file = ElfFile::open(std::filesystem::path(path));
  if (!file)
    return fmt::print("{}\n", file.error().message()), 1;
  const double opened = milliseconds_since(start);
  auto build = GoBuild::read(*file);
  const double built = milliseconds_since(start);
  auto binary = GoBinary::read(*file);
  if (!binary)
    return fmt::print("{}: {}\n", path, binary.error().message()), 1;
  const double read = milliseconds_since(start);
  (void)binary->function("runtime.main");
  const double functions = milliseconds_since(start);
  fmt::print(
      "{}: {} {} {:.1f} MB, {} functions, {} types; ms: open {:.2f} build {:.2f} types {:.2f} "
      "functions {:.2f}; {:.1f} MB read\n",
      path,
      build->version_text,
      build->main.version,
      double(file->size()) / 1e6,
      binary->function_count(),
      binary->type_count(),
      opened,
      built,
      read,
      functions,
      double(file->resident()) / 1e6);
  return 0;
}

}  // namespace

int main(int argc, char** argv)
{
  if (argc == 3 && std::strcmp(argv[1], "--times") == 0)
    return print_times(argv[2]);
  if (argc != 2)
    return 2;
  auto file = ElfFile::open(std::filesystem::path(argv[1]));
  if (!file)
    return fmt::print("{}\n", file.error().message()), 1;
  auto binary = GoBinary::read(*file);
  if (!binary)
    return fmt::print("{}\n", binary.error().message()), 1;
  fmt::print("version {} main {} {} command {} dependencies {} settings {}\n",
             binary->build().version_text,
             binary->build().main.path,
             binary->build().main.version,
             binary->build().command,
             binary->build().dependencies.size(),
             binary->build().settings.size());
  binary->for_each_function([&](std::string_view name, AddressRange range) {
    fmt::print("function {} {:#x} {:#x}\n", name, range.begin, range.end);
    constexpr const char* kinds[] = {"push", "jcc", "jmp", "call", "nop"};
    if (const auto site = go_entry_site(*file, range))
      fmt::print("site {} {} {}\n",
                 name,
                 kinds[static_cast<std::size_t>(site->instruction)],
                 site->again_on_growth ? "again" : "once");
    return true;
  });
  binary->for_each_struct([&](std::string_view package, std::string_view name, const GoType& type) {
    for (const auto& field : binary->fields_at(type.address))
      fmt::print("field {}.{}.{} {} {}{}\n",
                 package,
                 name,
                 field.name,
                 field.offset,
                 int(field.kind),
                 field.embedded ? " embedded" : "");
    fmt::print("struct {}.{} {} {}\n", package, name, type.size, type.pointer != 0);
    return true;
  });
  return 0;
}
