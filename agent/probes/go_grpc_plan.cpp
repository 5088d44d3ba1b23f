// SPDX-License-Identifier: Apache-2.0
#include "agent/probes/go_grpc_plan.hpp"

#include <cstring>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string_view>

#include "go_grpc.skel.h"

#include "agent/elf/probe_site.hpp"
#include "agent/probes/go_peers.hpp"

namespace sonde::go_grpc {

namespace {

constexpr std::uint16_t kAbsent = SONDE_GO_GRPC_ABSENT;

const std::string kGrpc = "google.golang.org/grpc.";
const std::string kTransport = "google.golang.org/grpc/internal/transport.";
const std::string kStatus = "google.golang.org/grpc/internal/status.";

struct Found {
  const elf::GoBinary& go;
  const elf::ElfFile& file;
  ProbePlan& plan;

  // By its first name that there is, for fields have been renamed.
  std::uint16_t offset(std::string_view type, std::initializer_list<std::string_view> names) const
  {
    for (const auto name : names)
      if (const auto found = go.field_offset(type, name); found && *found < kAbsent)
        return static_cast<std::uint16_t>(*found);
    return kAbsent;
  }
  // The lower bits of *T's address.
  std::uint16_t pointer_to(std::string_view type) const
  {
    const auto found = go.type(type);
    return found && found->pointer != 0 ? static_cast<std::uint16_t>(found->pointer & 0xfff)
                                        : kAbsent;
  }
  bool add(const bpf_program* program,
           std::initializer_list<std::string> functions,
           std::uint32_t cookie = 0) const
  {
    for (const auto& function : functions) {
      const auto range = go.function(function);
      const auto site = range ? elf::go_entry_site(file, *range)
                              : Result<elf::ProbeSite>(fail("no such function"));
      if (!site)
        continue;
      plan.sites.push_back(
          {.program = program,
           .offset = site->offset,
           .cookie = cookie | (site->again_on_growth ? SONDE_UPROBE_COMES_AGAIN : 0)});
      return true;
    }
    return false;
  }
};

// Of what client and server share; false where it is not as it was known.
bool find_common(const Found& found, sonde_go_grpc_binary& out)
{
  const auto stream = kTransport + "Stream";
  out.stream = 0;
  out.stream_follow = 0;
  out.method = found.offset(stream, {"method"});
  out.state = found.offset(stream, {"state"});
  out.calls_by = found.offset(stream, {"ct"});
  // From 1.69 on; both types begin with it.
  if (const auto inner = found.go.field(kTransport + "ServerStream", "Stream")) {
    out.stream = static_cast<std::uint16_t>(inner->offset);
    out.stream_follow = inner->kind == elf::GoKind::kPointer ? 1 : 0;
  }
  out.server_stream = found.pointer_to(kTransport + "ServerStream");
  out.status_proto = found.offset(kStatus + "Status", {"s"});
  out.proto_code =
      found.offset("google.golang.org/genproto/googleapis/rpc/status.Status", {"Code"});
  out.error_status = found.offset(kStatus + "Error", {"s", "e"});
  out.error_proto = found.offset(kStatus + "Error", {"e"});
  out.error_type = found.pointer_to(kStatus + "Error");
  out.conn = go_conn_of(found.go);
  for (const auto offset :
       {out.method, out.status_proto, out.proto_code, out.error_status, out.error_type})
    if (offset == kAbsent)
      return false;
  return true;
}

void find_server(const Found& found, const go_grpc_bpf& object)
{
  const auto& programs = object.progs;
  if (!found.add(programs.go_grpc_server_start, {kGrpc + "(*Server).handleStream"}))
    return;
  for (const std::string_view transport : {"(*http2Server).", "(*serverHandlerTransport)."}) {
    const auto of = kTransport + std::string(transport);
    found.add(programs.go_grpc_server_end, {of + "writeStatus", of + "WriteStatus"});
  }
}

void find_client(const Found& found, const go_grpc_bpf& object, sonde_go_grpc_binary& out)
{
  const auto stream = kGrpc + "clientStream";
  const auto transport = kTransport + "http2Client";
  out.call_header = found.offset(stream, {"callHdr"});
  out.finished = found.offset(stream, {"finished"});
  out.connection = found.offset(stream, {"cc"});
  out.attempt = found.offset(stream, {"attempt"});
  out.first_attempt = found.offset(stream, {"firstAttempt"});
  out.replay = found.offset(stream, {"replayBuffer", "buffer"});
  out.attempt_transport = found.offset(kGrpc + "csAttempt", {"transport", "t"});
  out.header_method = found.offset(kTransport + "CallHdr", {"Method"});
  out.target = found.offset(kGrpc + "ClientConn", {"target"});
  out.remote_address = found.offset(transport, {"remoteAddr"});
  out.local_address = found.offset(transport, {"localAddr"});
  for (const auto offset : {out.call_header,
                            out.finished,
                            out.connection,
                            out.attempt,
                            out.first_attempt,
                            out.attempt_transport,
                            out.header_method,
                            out.target,
                            out.remote_address,
                            out.local_address})
    if (offset == kAbsent)
      return;
  const auto& programs = object.progs;
  const auto method = [](std::string_view name) {
    return kGrpc + "(*clientStream)." + std::string(name);
  };
  if (!found.add(programs.go_grpc_client_end, {method("finish")}))
    return;
  found.add(programs.go_grpc_client_start, {method("newAttemptLocked")});
  // csAttempt knows of transparent retries since retryLocked is told of it.
  const bool told =
      found.offset(kGrpc + "csAttempt", {"allowTransparentRetry", "transparentRetry"}) != kAbsent;
  if (out.replay != kAbsent)
    found.add(
        programs.go_grpc_client_fails, {method("retryLocked")}, told ? SONDE_GO_GRPC_ATTEMPT : 0);
}

void find_messages(const Found& found, const go_grpc_bpf& object, sonde_go_grpc_binary& out)
{
  out.reader = found.offset(kGrpc + "parser", {"r"});
  out.transport_state = found.offset(kTransport + "http2Server", {"state"});
  if (out.state == kAbsent)
    return;
  const auto& programs = object.progs;
  const auto add = [&](std::string_view transport, std::uint32_t cookie) {
    const auto of = kTransport + std::string(transport);
    found.add(programs.go_grpc_sends, {of + "write", of + "Write"}, cookie);
  };
  add("(*http2Client).", SONDE_GO_GRPC_CALLER);
  add("(*http2Server).", out.transport_state != kAbsent ? SONDE_GO_GRPC_HTTP2 : 0);
  add("(*serverHandlerTransport).", 0);
  const bool tells = out.calls_by != kAbsent || out.server_stream != kAbsent;
  if (tells && out.reader != kAbsent &&
      found.add(programs.go_grpc_received, {kGrpc + "checkRecvPayload"}))
    found.add(programs.go_grpc_receives, {kGrpc + "(*parser).recvMsg"});
}

}  // namespace

PlanResult make_plan(const elf::GoBinary& go, const elf::ElfFile& file, const go_grpc_bpf& object)
{
  auto findings = std::make_shared<Offsets>();
  std::memset(&findings->offsets, 0xff, sizeof findings->offsets);
  ProbePlan plan;
  const Found found{go, file, plan};
  if (!find_common(found, findings->offsets))
    return std::unexpected(
        Refusal{"unknown_types", "grpc-go's streams or states are not as known"});
  find_server(found, object);
  find_client(found, object, findings->offsets);
  if (plan.sites.empty())
    return std::unexpected(Refusal{"no_probe_site", "no place for a probe in grpc-go"});
  find_messages(found, object, findings->offsets);
  plan.findings = std::move(findings);
  return plan;
}

}  // namespace sonde::go_grpc
