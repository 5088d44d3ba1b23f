// SPDX-License-Identifier: Apache-2.0
// node_netstat_*: the statistics of /proc/net/{netstat,snmp,snmp6} that --collector.netstat.fields
// names.
#include <algorithm>
#include <re2/re2.h>

#include "agent/base/file.hpp"
#include "agent/collectors/collector.hpp"
#include "agent/collectors/lines.hpp"
#include "agent/collectors/name_filter.hpp"

namespace sonde::collectors_netstat {

namespace {

constexpr metrics::Desc kMetrics[] = {
    {"node_netstat_<protocol>_<statistic>",
     metrics::Type::kUntyped,
     "Statistic <protocol><statistic>."},
};

constexpr std::string_view kFields = "collector.netstat.fields";
constexpr Setting kSettings[] = {
    {kFields,
     SettingKind::kRegex,
     "^(.*_(InErrors|InErrs)|Ip_Forwarding|Ip(6|Ext)_(InOctets|OutOctets)|Icmp6?_(InMsgs|OutMsgs)|"
     "TcpExt_(Listen.*|Syncookies.*|TCPSynRetrans|TCPTimeouts|TCPOFOQueue|TCPRcvQDrop)|"
     "Tcp_(ActiveOpens|InSegs|OutSegs|OutRsts|PassiveOpens|RetransSegs|CurrEstab)|"
     "Udp6?_(InDatagrams|OutDatagrams|NoPorts|RcvbufErrors|SndbufErrors))$",
     "Regexp of fields to return for netstat collector."},
};

struct Field {
  std::string family;  // empty: not wanted
  std::string help;
};

Field field_of(const RE2& pattern, std::string_view protocol, std::string_view statistic)
{
  const auto key = fmt::format("{}_{}", protocol, statistic);
  if (!matches(pattern, key))
    return {};
  return {"node_netstat_" + key, fmt::format("Statistic {}{}.", protocol, statistic)};
}

void add(Families& out, const Field& field, double value)
{
  if (!field.family.empty())
    out.add(field.family, metrics::Type::kUntyped, field.help).sample({}, value);
}

// netstat and snmp: a line of names, then a line of values, for each protocol. The lines of names
// stay the same, so each is matched once, not every scrape.
class PairedFile {
public:
  explicit PairedFile(const std::filesystem::path& path)
      : file_(path, ReusedFile::End::kAtShortRead)
  {
  }

  Result<> collect(Families& out, const RE2& pattern)
  {
    Lines lines(SONDE_TRY(file_.read()), file_.path());
    for (std::size_t i = 0; lines.next(); ++i) {
      if (i == protocols_.size())
        protocols_.emplace_back();
      auto& protocol = protocols_[i];
      if (protocol.names != lines.line())
        protocol = SONDE_TRY(read_names(lines, pattern));
      if (!lines.next() || lines.word() != protocol.word)
        return lines.malformed(fmt::format("no values for {:.64}", protocol.word));
      for (const auto& field : protocol.fields) {
        const auto word = lines.word();
        if (!field.family.empty() || word.empty())
          add(out, field, SONDE_TRY(lines.number<double>(word)));
      }
      if (!lines.word().empty())
        return lines.malformed(fmt::format("more values than names of {:.64}", protocol.word));
    }
    return {};
  }

private:
  struct Protocol {
    std::string names;  // the whole line
    std::string word;   // "TcpExt:"
    std::vector<Field> fields;
  };

  static Result<Protocol> read_names(Lines& lines, const RE2& pattern)
  {
    Protocol protocol;
    protocol.names = lines.line();
    protocol.word = lines.word();
    if (protocol.word.size() < 2 || !protocol.word.ends_with(':'))
      return lines.malformed("a protocol and a colon are missing");
    const auto name = std::string_view(protocol.word).substr(0, protocol.word.size() - 1);
    for (auto word = lines.word(); !word.empty(); word = lines.word())
      protocol.fields.push_back(field_of(pattern, name, word));
    return protocol;
  }

  ReusedFile file_;
  std::vector<Protocol> protocols_;
};

// snmp6: "Ip6InOctets 460", one a line. Absent without IPv6.
class Snmp6File {
public:
  explicit Snmp6File(const std::filesystem::path& path) : file_(path, ReusedFile::End::kAtShortRead)
  {
  }

  Result<> collect(Families& out, const RE2& pattern)
  {
    const auto text = file_.read();
    if (!text && text.error().code() == std::errc::no_such_file_or_directory)
      return {};
    Lines lines(SONDE_TRY(text), file_.path());
    while (lines.next()) {
      const auto name = lines.word();
      const auto six = name.find('6');
      if (six == std::string_view::npos)
        continue;
      const auto position = lines.line_number() - 1;
      if (position >= fields_.size())
        fields_.resize(position + 1);
      auto& [known, field] = fields_[position];
      if (known != name) {
        known = name;
        field = field_of(pattern, name.substr(0, six + 1), name.substr(six + 1));
      }
      add(out, field, SONDE_TRY(lines.number<double>()));
    }
    return {};
  }

private:
  ReusedFile file_;
  std::vector<std::pair<std::string, Field>> fields_;
};

class Netstat : public Collector {
public:
  Netstat(const Paths& paths, const Settings& settings)
      : pattern_(settings.text(kFields), RE2::Quiet), netstat_(paths.net("netstat")),
        snmp_(paths.net("snmp")), snmp6_(paths.net("snmp6"))
  {
  }

  Result<> collect(Families& out) override
  {
    SONDE_TRY(netstat_.collect(out, pattern_));
    SONDE_TRY(snmp_.collect(out, pattern_));
    return snmp6_.collect(out, pattern_);
  }

private:
  RE2 pattern_;
  PairedFile netstat_;
  PairedFile snmp_;
  Snmp6File snmp6_;
};

}  // namespace

extern const CollectorInfo info{
    .name = "netstat",
    .enabled = true,
    .create = [](const Paths& paths,
                 const Settings& settings,
                 Sources&) -> Result<std::unique_ptr<Collector>> {
      return std::make_unique<Netstat>(paths, settings);
    },
    .metrics = kMetrics,
    .settings = kSettings,
};

}  // namespace sonde::collectors_netstat
