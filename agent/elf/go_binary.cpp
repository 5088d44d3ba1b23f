// SPDX-License-Identifier: Apache-2.0
#include "agent/elf/go_binary.hpp"

#include <algorithm>

#include "agent/elf/go_functions.hpp"
#include "agent/elf/go_module.hpp"
#include "agent/elf/go_types.hpp"

namespace sonde::elf {

struct GoBinary::State {
  const ElfFile* file;
  GoBuild build;
  GoModuleData module;
  GoTypes types;
  mutable std::optional<GoFunctions> by_name;

  const GoFunctions& functions() const
  {
    if (!by_name)
      by_name.emplace(module);
    return *by_name;
  }
};

GoBinary::GoBinary(std::unique_ptr<State> state) : state_(std::move(state)) {}
GoBinary::GoBinary(GoBinary&&) noexcept = default;
GoBinary& GoBinary::operator=(GoBinary&&) noexcept = default;
GoBinary::~GoBinary() = default;

Result<GoBinary> GoBinary::read(const ElfFile& file, GoBuild build)
{
  if (build.version < GoVersion{.major = 1, .minor = 18})
    return fail(build.version_text + " is older than Go 1.18");
  auto module = SONDE_TRY(in(GoModuleData::find(file), build.version_text));
  auto types = SONDE_TRY(in(GoTypes::find(file, module.types, build.version), build.version_text));
  return GoBinary(std::make_unique<State>(State{.file = &file,
                                                .build = std::move(build),
                                                .module = std::move(module),
                                                .types = std::move(types),
                                                .by_name = {}}));
}

Result<GoBinary> GoBinary::read(const ElfFile& file)
{
  auto build = GoBuild::read(file);
  if (!build)
    return fail("not a Go program");
  return read(file, *std::move(build));
}

const ElfFile& GoBinary::file() const
{
  return *state_->file;
}

const GoBuild& GoBinary::build() const
{
  return state_->build;
}

std::optional<AddressRange> GoBinary::function(std::string_view name) const
{
  return state_->functions().find(name);
}

std::size_t GoBinary::function_count() const
{
  return state_->module.function_count;
}

void GoBinary::for_each_function(
    const std::function<bool(std::string_view name, AddressRange range)>& callback) const
{
  state_->functions().for_each(callback);
}

std::optional<std::string_view> GoBinary::function_at(std::uint64_t address) const
{
  return state_->functions().at(address);
}

Result<GoType> GoBinary::type(std::string_view name) const
{
  return state_->types.find(name);
}

Result<GoField> GoBinary::field(std::string_view type_name, std::string_view path) const
{
  const auto outer = SONDE_TRY(type(type_name));
  const auto missing = [&](std::string_view why) {
    return fail(std::string(type_name) + "." + std::string(path) + ": " + std::string(why));
  };
  GoField found{};
  found.type = outer.address;
  found.kind = outer.kind;
  for (auto rest = path; !rest.empty();) {
    if (found.kind != GoKind::kStruct)
      return missing("leads through what is no struct");
    const auto part = rest.substr(0, rest.find('.'));
    rest.remove_prefix(std::min(rest.size(), part.size() + 1));
    const auto all = fields_at(found.type);
    const auto field = std::ranges::find(all, part, &GoField::name);
    if (field == all.end())
      return missing("no such field");
    const auto before = found.offset;
    found = *field;
    found.offset += before;
  }
  if (found.name.empty())
    return missing("no field asked for");
  return found;
}

Result<std::uint64_t> GoBinary::field_offset(std::string_view type_name,
                                             std::string_view path) const
{
  return SONDE_TRY(field(type_name, path)).offset;
}

Result<std::vector<GoField>> GoBinary::fields(std::string_view type_name) const
{
  return fields_at(SONDE_TRY(type(type_name)).address);
}

std::size_t GoBinary::type_count() const
{
  return state_->types.count();
}

void GoBinary::for_each_struct(
    const std::function<bool(std::string_view, std::string_view, const GoType&)>& callback) const
{
  state_->types.for_each_struct(callback);
}

std::vector<GoField> GoBinary::fields_at(std::uint64_t type_address) const
{
  return state_->types.fields(type_address);
}

std::string GoBinary::type_string(std::uint64_t type_address) const
{
  return state_->types.text(type_address);
}

AddressRange GoBinary::text() const
{
  return state_->module.text;
}

std::vector<AddressRange> GoBinary::data() const
{
  return state_->module.data;
}

AddressRange GoBinary::types() const
{
  return state_->types.range();
}

}  // namespace sonde::elf
