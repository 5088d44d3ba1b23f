// SPDX-License-Identifier: Apache-2.0
// Where in a Go program requests of net/http are seen, and the offsets that the programs need
// there. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "sonde/go_http.h"

#include "agent/elf/go_binary.hpp"
#include "agent/probes/executables.hpp"

struct go_http_bpf;

namespace sonde::go_http {

// Parts that are attached and taken off on their own.
enum class Part : std::uint8_t {
  kServing,   // counts what is served
  kLearning,  // tells patterns before the response
  kRouting,   // asks routers that keep patterns to themselves
  kServeMux,  // sees the copies that middleware made of requests
  kCalling,   // counts what is sent
  kWatching,  // tells of connections that the others are for
};
inline constexpr std::size_t kParts = 6;

// Which program of the object sits there.
enum class Site : std::uint8_t {
  kStart,
  kHttp2Start,
  kEnd,
  kHttp2End,
  kHttp2Done,
  kConnectionEnd,
  kHeader,
  kCapture,
  kHandler,
  kServeMux,
  kGin,
  kGinRoute,
  kChi,
  kGorilla,
  kEcho,
  kClientStart,
  kClientEnd,
  kHttp2ClientStart,
  kHttp2ClientEnd,
  kTlsBegins,
  kHttp2Begins,
  kClientBegins,
};

struct PlannedSite {
  Site site;
  std::uint32_t cookie = 0;
  std::string function;
  std::uint64_t offset;  // in the file
};

struct Plan {
  sonde_go_http_binary offsets;
  std::vector<PlannedSite> parts[kParts];
};

std::expected<Plan, Refusal> make_plan(const elf::GoBinary& binary);

// Whether with such a plan all is counted that the program serves and asks by net/http.
bool sees_all_of_http(const Plan& plan, const elf::GoBinary& binary);

const bpf_program* program_of(const go_http_bpf& object, Site site);

}  // namespace sonde::go_http
