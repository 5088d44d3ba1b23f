// SPDX-License-Identifier: Apache-2.0
// A Go program's functions and types, from what its own runtime needs (pclntab, moduledata, type
// descriptors): no symbols, no DWARF, no table of versions. Go 1.18 and later; stripped, PIE and
// externally linked programs alike.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.hpp"
#include "agent/elf/elf_file.hpp"
#include "agent/elf/go_build.hpp"

namespace sonde::elf {

struct AddressRange {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;

  std::uint64_t size() const { return end - begin; }
  bool contains(std::uint64_t address) const { return address >= begin && address < end; }
  bool operator==(const AddressRange&) const = default;
};

// reflect.Kind.
enum class GoKind : std::uint8_t {
  kInvalid = 0,
  kBool,
  kInt,
  kInt8,
  kInt16,
  kInt32,
  kInt64,
  kUint,
  kUint8,
  kUint16,
  kUint32,
  kUint64,
  kUintptr,
  kFloat32,
  kFloat64,
  kComplex64,
  kComplex128,
  kArray,
  kChan,
  kFunc,
  kInterface,
  kMap,
  kPointer,
  kSlice,
  kString,
  kStruct,
  kUnsafePointer,
};

struct GoType {
  std::uint64_t address;  // of the descriptor, as in the file
  std::uint64_t pointer;  // of *T's descriptor: what an interface that holds a *T points to; 0
                          // where there is none
  std::uint64_t size;     // of a value, in bytes
  GoKind kind;
};

struct GoField {
  std::string_view name;
  std::uint64_t offset;  // in bytes, from the outermost struct that was asked for
  std::uint64_t type;    // address of its descriptor
  GoKind kind;           // kStruct: embedded by value, kPointer: by pointer
  bool embedded;
};

// A query object: alive while a program is analysed, a few bytes for each function and type,
// indexed at the first question. The file outlives it. Not thread-safe.
//
// Types have full names: package path as in `import`, a dot, the type: "net/http.Request",
// "github.com/go-chi/chi/v5.Mux", "sync/atomic.Pointer[net/http.response]". Functions are named as
// in a stack trace, where dots in the last part of a package path are "%2e":
// "net/http.(*conn).serve.func1".
class GoBinary {
public:
  // Fails with a reason. Whether it is Go at all is asked before, of GoBuild::read.
  static Result<GoBinary> read(const ElfFile& file, GoBuild build);
  static Result<GoBinary> read(const ElfFile& file);

  GoBinary(GoBinary&&) noexcept;
  GoBinary& operator=(GoBinary&&) noexcept;
  GoBinary(const GoBinary&) = delete;
  GoBinary& operator=(const GoBinary&) = delete;
  ~GoBinary();

  const ElfFile& file() const;
  const GoBuild& build() const;
  const GoVersion& version() const { return build().version; }

  // Of several with that name the largest: the others are wrappers between calling conventions.
  std::optional<AddressRange> function(std::string_view name) const;
  std::size_t function_count() const;
  // In the order of addresses, until the callback answers false.
  void for_each_function(
      const std::function<bool(std::string_view name, AddressRange range)>& callback) const;
  // The function an address is in.
  std::optional<std::string_view> function_at(std::uint64_t address) const;

  // Fails when no type has that name, or more than one has (types declared within functions).
  Result<GoType> type(std::string_view name) const;
  // `path` may go on through structs held by value: "cacheKey.addr". Fails where a part is absent,
  // or is no struct.
  Result<GoField> field(std::string_view type_name, std::string_view path) const;
  Result<std::uint64_t> field_offset(std::string_view type_name, std::string_view path) const;
  // All fields of a struct, in order.
  Result<std::vector<GoField>> fields(std::string_view type_name) const;
  std::size_t type_count() const;
  // Every named struct, in the order of descriptors, until the callback answers false.
  void for_each_struct(
      const std::function<bool(
          std::string_view package, std::string_view name, const GoType& type)>& callback) const;
  // Fields of the struct whose descriptor is at this address.
  std::vector<GoField> fields_at(std::uint64_t type_address) const;
  // The type's own way to write itself: "*http.Request".
  std::string type_string(std::uint64_t type_address) const;

  // Where the module's code, initialised and zeroed variables lie.
  AddressRange text() const;
  // noptrdata, data, bss, noptrbss; some may be empty.
  std::vector<AddressRange> data() const;
  // [types, etypes): descriptors lie within.
  AddressRange types() const;

private:
  struct State;
  explicit GoBinary(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sonde::elf
