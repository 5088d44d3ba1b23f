// SPDX-License-Identifier: Apache-2.0
// Loads bpf/tls.bpf.c: what passes within TLS, as the libraries of the processes read and write it.
// Its records go the socket tap's way; here are only the sites.
#include "sonde/tls.h"

#include <algorithm>
#include <map>

#include <bpf/bpf.h>

#include "tls.skel.h"

#include "agent/bpf/features.hpp"
#include "agent/bpf/shared_maps.hpp"
#include "agent/bpf/skeleton.hpp"
#include "agent/elf/go_tls.hpp"
#include "agent/elf/openssl.hpp"
#include "agent/elf/probe_site.hpp"
#include "agent/elf/rust_binary.hpp"
#include "agent/elf/rustls.hpp"
#include "agent/probes/executables.hpp"
#include "agent/probes/go_http_plan.hpp"
#include "agent/probes/loading.hpp"
#include "agent/probes/probe.hpp"
#include "agent/probes/socket_programs.hpp"
#include "agent/probes/tls_waits.hpp"
#include "agent/probes/uprobe_loading.hpp"

namespace sonde::tls {

namespace {

using Skeleton = bpf::Skeleton<tls_bpf>;

// Libraries that are not understood: their processes' TLS stays closed.
struct Unknown {
  std::string_view library;  // its name up to the version
  std::string_view reason;
};
constexpr Unknown kUnknown[] = {{"libgnutls.so", "gnutls"},
                                {"libssl3.so", "nss"},
                                {"libmbedtls.so", "mbedtls"},
                                {"libwolfssl.so", "wolfssl"}};

constexpr std::string_view kNoReturns =
    "this kernel kills processes that filter their system calls when a function returns to a probe "
    "(6.11 to 6.13)";

std::string_view file_name(std::string_view path)
{
  return path.substr(path.rfind('/') + 1);
}

__u32 function_of(elf::OpensslSite::Function function)
{
  using enum elf::OpensslSite::Function;
  switch (function) {
  case kRead:
    return SONDE_TLS_READ;
  case kWrite:
    return SONDE_TLS_WRITE;
  case kSendfile:
    return SONDE_TLS_SENDFILE;
  case kHandshake:
    return SONDE_TLS_HANDSHAKE;
  case kShutdown:
    return SONDE_TLS_SHUTDOWN;
  case kFree:
    break;
  }
  return SONDE_TLS_FREE;
}

__u32 length_of(elf::OpensslSite::Length length)
{
  using enum elf::OpensslSite::Length;
  switch (length) {
  case kBehindFourth:
    return SONDE_TLS_BEHIND_FOURTH;
  case kBehindFifth:
    return SONDE_TLS_BEHIND_FIFTH;
  case kBehindFourthOr0:
    return SONDE_TLS_BEHIND_FOURTH_OR_0;
  case kReturned:
    break;
  }
  return SONDE_TLS_RETURNED;
}

// What a file needs beside its probes.
struct Needs final : Findings {
  Needs(bool tap_, bool processes_) : tap(tap_), processes(processes_) {}
  bool tap;        // which sockets the threads use that call the library
  bool processes;  // from their first socket on, so the process is known (rustls)
};

class Tls : public Probe, private UprobeUser {
public:
  Tls(Host& host, Skeleton skeleton)
      : host_(host), skeleton_(std::move(skeleton)),
        loaded_(host.hooks, skeleton_->obj, socket::kLentMaps), processes_(*skeleton_.operator->()),
        waits_(host, *skeleton_.operator->(), processes_)
  {
  }
  ~Tls() override
  {
    if (added_)
      host_.executables->remove(*this);
  }

  Result<> attach();

  void collect(Scrape&) override {}
  std::uint64_t events() const override { return 0; }
  std::vector<Loss> losses() const override { return {{"under_way", waits_.lost()}}; }

private:
  std::string_view name() const override { return "tls"; }
  bool wants_libraries() const override { return true; }
  bool wants_library(std::string_view library) const override;
  PlanResult plan(Subject& subject) override;
  PlanResult plan_openssl(Subject& subject) const;
  bool is_counted_already(const elf::GoBinary& binary) const;
  PlanResult plan_go(const elf::GoBinary& binary) const;
  PlanResult plan_rustls(const elf::ElfFile& file, const elf::RustBinary& binary) const;
  Result<> attaching(const ProbedFile& file, const ProbePlan& plan) override;
  void joined(const ProbedFile& file, const ProcessId& process) override;
  void left(const ProbedFile& file, const ProcessId& process) override;
  void detached(const ProbedFile& file) override;
  void adjust_tap(bool report);

  Host host_;
  Skeleton skeleton_;
  LoadedObject loaded_;
  bpf::Link destroyed_;
  std::vector<bpf::Link> tap_;  // while a file needs it
  bool added_ = false;
  bool with_go_http_ = false;
  std::map<std::uint32_t, Needs> files_;  // by their numbers
  KnownProcesses processes_;
  Waits waits_;
};

Result<> Tls::attach()
{
  destroyed_ = attach_and_report(host_, "tls", skeleton_->progs.tls_destroyed);
  adjust_tap(true);
  tap_.clear();
  with_go_http_ = host_.executables->has("go_http");
  // First: a read that neither sees would be lost.
  SONDE_TRY(waits_.start());
  host_.executables->add(*this);
  added_ = true;
  return {};
}

// Each send and receive of the node would pay for it. `report` says what is to be had.
void Tls::adjust_tap(bool report)
{
  const bool needed =
      report || std::ranges::any_of(files_, [](const auto& file) { return file.second.tap; });
  if (!needed)
    tap_.clear();
  if (!needed || !tap_.empty())
    return;
  const auto& programs = skeleton_->progs;
  for (auto* const program :
       {programs.tls_sent, programs.tls_received, programs.tls_tcp_sent, programs.tls_tcp_received})
    if (bpf_program__autoload(program))
      if (auto link =
              attach_and_report(host_, "tls", program, "while something uses OpenSSL or rustls"))
        tap_.push_back(std::move(link));
}

bool Tls::wants_library(std::string_view library) const
{
  return is_openssl(library) || std::ranges::any_of(kUnknown, [&](const auto& one) {
           return library.starts_with(one.library);
         });
}

PlanResult Tls::plan_openssl(Subject& subject) const
{
  auto sites = elf::find_openssl(subject.elf());
  if (!sites)
    return std::unexpected(Refusal{"no_symbols", sites.error().message()});
  if (sites->empty())
    return std::unexpected(Refusal{});
  if (!host_.executables->may_probe_returns())
    return std::unexpected(Refusal{"no_return_probes", std::string(kNoReturns)});
  ProbePlan plan;
  for (const auto& site : *sites) {
    const auto function = function_of(site.function);
    const auto cookie = sonde_tls_cookie(function, length_of(site.length));
    plan.sites.push_back({skeleton_->progs.tls_called, site.offset, cookie, false});
    if (function != SONDE_TLS_FREE && function != SONDE_TLS_SHUTDOWN)
      plan.sites.push_back({skeleton_->progs.tls_returned, site.offset, cookie, true});
  }
  plan.findings = std::make_shared<Needs>(true, false);
  return plan;
}

// By go_http, better and for fewer hits; or it is gRPC's alone, which no decoder reads.
bool Tls::is_counted_already(const elf::GoBinary& binary) const
{
  const auto plan = go_http::make_plan(binary);
  const bool counted = plan ? with_go_http_ && go_http::sees_all_of_http(*plan, binary)
                            : plan.error().reason.empty();
  return counted && elf::only_http_uses_tls(binary);
}

PlanResult Tls::plan_go(const elf::GoBinary& binary) const
{
  const auto found = elf::find_go_tls(binary);
  if (!found)
    return std::unexpected(Refusal{"unknown_crypto_tls", found.error().message()});
  if (!*found || is_counted_already(binary))
    return std::unexpected(Refusal{});
  const auto& tls = **found;
  const auto offset = static_cast<__u32>(tls.offset);
  ProbePlan plan;
  plan.sites.push_back({skeleton_->progs.tls_go_read,
                        tls.read,
                        sonde_tls_go_cookie(tls.copies ? SONDE_TLS_GO_COPIES : 0, offset),
                        false});
  plan.sites.push_back({skeleton_->progs.tls_go_written,
                        tls.written.offset,
                        tls.written.again_on_growth ? SONDE_UPROBE_COMES_AGAIN : 0,
                        false});
  plan.findings = std::make_shared<Needs>(false, false);
  return plan;
}

// Programs may have several: of their own and of what they use.
PlanResult Tls::plan_rustls(const elf::ElfFile& file, const elf::RustBinary& binary) const
{
  elf::RustlsAges ages;
  std::string unknown;
  for (const auto& crate : binary.crates) {
    if (crate.name != "rustls")
      continue;
    const auto age = elf::rustls_age(crate.version);
    if (!age)
      unknown = crate.version;
    ages.one_method |= age && age->one_method;
    ages.two_methods |= age && age->two_methods;
  }
  if (!ages.one_method && !ages.two_methods)
    return std::unexpected(
        unknown.empty() ? Refusal{}
                        : Refusal{"rustls_version",
                                  "rustls " + unknown + " has its messages laid out otherwise"});
  if (!host_.executables->may_probe_returns())
    return std::unexpected(Refusal{"no_return_probes", std::string(kNoReturns)});
  const auto found = elf::find_rustls(file, ages);
  ProbePlan plan;
  for (const auto& function : found.encrypt)
    if (const auto site = elf::c_entry_site(file, function))
      plan.sites.push_back({skeleton_->progs.tls_rust_encrypts, site->offset, 0, false});
  for (const auto& function : found.decrypt)
    if (const auto offset = file.offset_of(function.begin)) {
      plan.sites.push_back({skeleton_->progs.tls_rust_decrypts, *offset, 0, false});
      plan.sites.push_back({skeleton_->progs.tls_rust_decrypted, *offset, 0, true});
    }
  if (found.encrypt.empty() || found.decrypt.empty() || plan.sites.empty())
    return std::unexpected(Refusal{
        "rustls_not_found", "neither symbols nor vtables show where it encrypts and decrypts"});
  plan.findings = std::make_shared<Needs>(true, true);
  return plan;
}

Result<> Tls::attaching(const ProbedFile& file, const ProbePlan& plan)
{
  files_.insert_or_assign(file.number, plan.as<Needs>());
  adjust_tap(false);
  return {};
}

void Tls::detached(const ProbedFile& file)
{
  files_.erase(file.number);
  adjust_tap(false);
}

void Tls::joined(const ProbedFile& file, const ProcessId& process)
{
  if (files_.at(file.number).processes)
    processes_.add(process.tgid);
}

void Tls::left(const ProbedFile& file, const ProcessId& process)
{
  if (files_.at(file.number).processes)
    processes_.remove(process.tgid);
}

// A Go program's own TLS, or else a library's that is linked in: with cgo both are possible, but
// nobody does that.
PlanResult Tls::plan(Subject& subject)
{
  if (subject.library()) {
    const auto library = file_name(subject.path());
    for (const auto& one : kUnknown)
      if (library.starts_with(one.library))
        return std::unexpected(
            Refusal{std::string(one.reason), "what this library encrypts is not seen"});
  }
  if (!subject.library())
    if (const auto go = subject.go(); go)
      return plan_go(**go);
  if (!subject.library())
    if (const auto rust = elf::RustBinary::read(subject.elf()); rust)
      if (auto plan = plan_rustls(subject.elf(), *rust); plan || !plan.error().reason.empty())
        return plan;
  return plan_openssl(subject);
}

void choose_programs(tls_bpf& object)
{
  const auto& kernel = bpf::Features::kernel();
  const bool tracepoints =
      kernel.has_tracepoint("sock_send_length") && kernel.has_tracepoint("sock_recv_length");
  const bool functions = !tracepoints && kernel.has_fentry();
  bpf_program__set_autoload(object.progs.tls_sent, tracepoints);
  bpf_program__set_autoload(object.progs.tls_received, tracepoints);
  bpf_program__set_autoload(object.progs.tls_tcp_sent, functions);
  bpf_program__set_autoload(object.progs.tls_tcp_received, functions);
}

Result<std::unique_ptr<Probe>> start(Host& host)
{
  if (!host.maps.lends("sockets"))
    return fail("without the socket tap nothing is known of what TLS passes through");
  auto skeleton = SONDE_TRY(open_uprobes<tls_bpf>(host));
  skeleton->rodata->sonde_family = host.family;
  skeleton->rodata->socket_ring_bytes =
      socket::Rings::bytes_each(host.maps.cpus(), socket::ring_bytes(host.settings, host.maps));
  choose_programs(*skeleton.operator->());
  SONDE_TRY(skeleton.load());
  auto probe = std::make_unique<Tls>(host, std::move(skeleton));
  SONDE_TRY(probe->attach());
  return probe;
}

}  // namespace

extern const Family family{.name = "tls", .start = &start, .metrics = {}};

}  // namespace sonde::tls
