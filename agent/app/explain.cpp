// SPDX-License-Identifier: Apache-2.0
#include "agent/app/explain.hpp"

#include <algorithm>
#include <cstdio>
#include <fmt/format.h>
#include <iterator>

#include "agent/app/control.hpp"
#include "agent/base/text.hpp"
#include "agent/control/conversation.hpp"
#include "agent/control/fields.hpp"

namespace sonde::app {

namespace {

using control::Explanation;
using control::printable;

std::string named_by_text(const Explanation::Process& process)
{
  return process.named_by.empty() ? std::string() : fmt::format(", named by {}", process.named_by);
}

void append_connection(std::string& out, const Explanation::Connection& one)
{
  fmt::format_to(std::back_inserter(out),
                 "  {:<22} {:<22} {:<8} {:<12} {:<22} {:>9} {:<24} {:>6}\n",
                 printable(one.local),
                 printable(one.remote),
                 one.role,
                 one.protocol,
                 printable(one.reason),
                 one.exchanges,
                 one.captured,
                 one.lost_bytes);
}

void append_process(std::string& out, const ExplainedProcess& process)
{
  const auto line = [&](std::string_view name, std::string_view text) {
    fmt::format_to(std::back_inserter(out), "  {:<11} {}\n", name, text);
  };
  fmt::format_to(
      std::back_inserter(out), "{} {}\n", process.known.tgid, printable(process.command));
  line("service", printable(process.known.service) + named_by_text(process.known));
  line("executable", printable(process.executable));
  line("container", printable(process.container));
  line("started", utc_text(process.started_wall_ns));
  line("sockets",
       fmt::format("{} listening, {} connected, {} AF_UNIX",
                   process.listening,
                   process.connected,
                   process.unix_streams));
  line("decoded",
       process.reason.empty()
           ? std::string("yes")
           : fmt::format("no: {}: {}", process.reason, meaning_of(process.reason)));
  for (const auto& one : process.uprobes)
    line("uprobes",
         fmt::format("{}: {}",
                     one.family,
                     one.reason.empty() ? fmt::format("{} in {}{}{}",
                                                      one.sites,
                                                      printable(one.file),
                                                      one.text.empty() ? "" : ": ",
                                                      one.text.empty() ? "" : printable(one.text))
                                        : fmt::format("none in {}: {}: {}",
                                                      printable(one.file),
                                                      one.reason,
                                                      printable(one.text))));
  if (process.connections.empty())
    return;
  fmt::format_to(std::back_inserter(out),
                 "\n  {:<22} {:<22} {:<8} {:<12} {:<22} {:>9} {:<24} {:>6}\n",
                 "local",
                 "remote",
                 "role",
                 "protocol",
                 "reason",
                 "exchanges",
                 "captured sent/received",
                 "lost");
  for (const auto& connection : process.connections)
    append_connection(out, connection);
}

std::string connection_json(const Explanation::Connection& one)
{
  return fmt::format(
      R"({{"local":{},"remote":{},"role":"{}","protocol":"{}","reason":"{}","exchanges":{},"captured":"{}","lost_bytes":{}}})",
      json_quoted(one.local),
      json_quoted(one.remote),
      one.role,
      one.protocol,
      one.reason,
      one.exchanges,
      one.captured,
      one.lost_bytes);
}

std::string uprobes_json(const Explanation::Uprobes& one)
{
  return fmt::format(R"({{"family":"{}","file":{},"sites":{},"reason":"{}","text":{}}})",
                     one.family,
                     json_quoted(one.file),
                     one.sites,
                     one.reason,
                     json_quoted(one.text));
}

std::string process_json(const ExplainedProcess& process)
{
  std::string out = fmt::format(
      R"({{"pid":{},"command":{},"service":{},"named_by":{},"executable":{},"container":{},"started":"{}","reason":"{}","meaning":{},"tcp_listening":{},"tcp_connected":{},"unix_streams":{},"uprobes":[)",
      process.known.tgid,
      json_quoted(process.command),
      json_quoted(process.known.service),
      json_quoted(process.known.named_by),
      json_quoted(process.executable),
      json_quoted(process.container),
      utc_text(process.started_wall_ns),
      process.reason,
      json_quoted(meaning_of(process.reason)),
      process.listening,
      process.connected,
      process.unix_streams);
  for (const auto& one : process.uprobes)
    out.append(out.ends_with('[') ? "" : ",").append(uprobes_json(one));
  out += R"(],"connections":[)";
  for (const auto& one : process.connections)
    out.append(out.ends_with('[') ? "" : ",").append(connection_json(one));
  return out + "]}";
}

Result<Explanation> ask(const std::string& path, const std::string& subject)
{
  Explanation explanation;
  SONDE_TRY(control::converse(
      path, fmt::format("{}\t{}", kExplainWord, subject), [&](char kind, std::string_view text) {
        if (kind == control::kLeft)
          explanation.more_connections += parse_number<std::uint64_t>(text).value_or(0);
        else
          control::read_line(text, explanation);
        return true;
      }));
  return explanation;
}

}  // namespace

std::string explanation_text(const Explanation& explanation,
                             const std::vector<ExplainedProcess>& processes)
{
  std::string out;
  if (!explanation.attached)
    out += printable(explanation.tap_reason) + "\n\n";
  for (const auto& process : processes) {
    out += &process == &processes.front() ? "" : "\n";
    append_process(out, process);
  }
  if (explanation.more_processes + explanation.more_connections > 0)
    fmt::format_to(std::back_inserter(out),
                   "\n… and {} more processes, {} more connections\n",
                   explanation.more_processes,
                   explanation.more_connections);
  return out;
}

std::string explanation_json(const Explanation& explanation,
                             const std::vector<ExplainedProcess>& processes)
{
  std::string out = fmt::format(
      R"({{"tap":{{"attached":{},"reason":{}}},"more_processes":{},"more_connections":{},"processes":[)",
      explanation.attached,
      json_quoted(explanation.tap_reason),
      explanation.more_processes,
      explanation.more_connections);
  for (const auto& process : processes)
    out.append(out.ends_with('[') ? "" : ",").append(process_json(process));
  return out + "]}\n";
}

Result<> explain(const Invocation& invocation, const Settings& settings)
{
  const auto explanation = SONDE_TRY(ask(settings.text("control.socket"), invocation.subject));
  std::vector<ExplainedProcess> processes;
  for (const auto& known : explanation.processes) {
    ExplainedProcess process;
    if (explain_process(settings.text("path.procfs"), explanation, known, process))
      processes.push_back(std::move(process));
  }
  if (processes.empty())
    return fail(
        parse_number<std::uint32_t>(invocation.subject)
            ? fmt::format("there is no process {}", invocation.subject)
            : fmt::format("{} has no processes now", control::printable(invocation.subject)));
  const auto text = invocation.json ? explanation_json(explanation, processes)
                                    : explanation_text(explanation, processes);
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
    return fail("standard output could not be written");
  return {};
}

}  // namespace sonde::app
