// SPDX-License-Identifier: Apache-2.0
#include "agent/web/page.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <iterator>
#include <string_view>

#include "agent/base/text.hpp"
#include "agent/web/page_style.hpp"

namespace sonde::web {

namespace {

constexpr std::size_t kMostOutliers = 20;

std::string readable(std::chrono::seconds uptime)
{
  const auto seconds = std::max<std::int64_t>(uptime.count(), 0);
  const auto minutes = seconds / 60;
  const auto hours = minutes / 60;
  if (hours >= 24)
    return fmt::format("{} d {} h", hours / 24, hours % 24);
  if (hours > 0)
    return fmt::format("{} h {} min", hours, minutes % 60);
  if (minutes > 0)
    return fmt::format("{} min {} s", minutes, seconds % 60);
  return fmt::format("{} s", seconds);
}

std::string joined(const std::vector<std::string>& texts)
{
  std::string out;
  for (const auto& text : texts)
    out += (out.empty() ? "" : ", ") + text;
  return out;
}

void fact(std::string& out, std::string_view name, std::string_view value)
{
  fmt::format_to(
      std::back_inserter(out), "<div><dt>{}</dt><dd>{}</dd></div>\n", name, html_escaped(value));
}

void begin_table(std::string& out, std::string_view heading)
{
  out.append("<div class=\"table\"><table>\n<thead><tr>")
      .append(heading)
      .append("</tr></thead>\n<tbody>\n");
}

void end_table(std::string& out)
{
  out += "</tbody></table></div>\n";
}

void nothing(std::string& out, std::string_view text)
{
  fmt::format_to(
      std::back_inserter(out), "<div class=\"table\"><p class=\"none\">{}</p></div>\n", text);
}

void probes(std::string& out, const std::vector<Page::Probe>& all)
{
  const auto up = std::ranges::count_if(all, &Page::Probe::up);
  fmt::format_to(
      std::back_inserter(out), "<h2>Probes<span>{} of {} up</span></h2>\n", up, all.size());
  if (all.empty()) {
    nothing(out, "No probe is configured.");
    return;
  }
  begin_table(out, "<th>Probe</th><th>Hook</th><th>State</th><th>Reason</th>");
  for (const auto& probe : all)
    fmt::format_to(std::back_inserter(out),
                   "<tr><td class=\"name\">{}</td><td class=\"hook\">{}</td>"
                   "<td><span class=\"mark {}\">{}</span></td><td class=\"reason\">{}</td></tr>\n",
                   html_escaped(probe.probe),
                   html_escaped(probe.hook),
                   probe.up ? "good" : "bad",
                   probe.up ? "up" : "down",
                   html_escaped(probe.reason));
  end_table(out);
}

void outliers(std::string& out, const std::vector<Page::Outlier>& all)
{
  out += "<h2>Recent outliers<span>newest first</span></h2>\n";
  if (all.empty()) {
    nothing(out, "None so far.");
    return;
  }
  begin_table(out,
              "<th>Time</th><th>Kind</th><th>Service</th><th>Process</th>"
              "<th class=\"number\">Duration</th>");
  for (std::size_t i = 0; i < std::min(all.size(), kMostOutliers); ++i)
    fmt::format_to(std::back_inserter(out),
                   "<tr><td class=\"name\">{}</td><td class=\"name\">{}</td><td>{}</td>"
                   "<td>{}</td><td class=\"number\">{}</td></tr>\n",
                   html_escaped(all[i].when),
                   html_escaped(all[i].kind),
                   html_escaped(all[i].service),
                   html_escaped(all[i].process),
                   html_escaped(all[i].duration));
  end_table(out);
}

void head(std::string& out, const Page& page)
{
  const auto node = html_escaped(page.node);
  fmt::format_to(std::back_inserter(out),
                 "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                 "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                 "<title>Sonde{}{}</title>\n<style>{}</style>\n</head>\n",
                 node.empty() ? "" : " on ",
                 node,
                 kPageStyle);
}

}  // namespace

std::string html_escaped(std::string_view text)
{
  std::string out;
  for (const char c : valid_utf8(text)) {
    switch (c) {
    case '&':
      out += "&amp;";
      break;
    case '<':
      out += "&lt;";
      break;
    case '>':
      out += "&gt;";
      break;
    case '"':
      out += "&quot;";
      break;
    case '\'':
      out += "&#39;";
      break;
    default:
      out += c;
    }
  }
  return out;
}

std::string render(const Page& page)
{
  std::string out;
  out.reserve(16384);
  head(out, page);
  fmt::format_to(std::back_inserter(out),
                 "<body>\n<main>\n<header><h1>Sonde</h1><span class=\"node\">{}</span>"
                 "<span class=\"mark {}\">{}</span></header>\n",
                 html_escaped(page.node),
                 page.ready ? "good" : "bad",
                 page.ready ? "ready" : "not ready");
  // Relative, whatever prefix a proxy puts before it.
  out += "<nav><a href=\"" + html_escaped(page.metrics_path.substr(1)) +
         "\">Metrics</a><a href=\"-/healthy\">Health</a>"
         "<a href=\"-/ready\">Readiness</a><a href=\"outliers\">Outliers as JSON</a></nav>\n<dl>\n";
  fact(out, "Version", page.version);
  fact(out, "Uptime", readable(page.uptime));
  fact(out, "Services", fmt::format("{}", page.services));
  fact(out, "Listens on", joined(page.listen));
  fact(out, "Kernel", page.kernel_release);
  out += "</dl>\n";
  probes(out, page.probes);
  outliers(out, page.outliers);
  out += "</main>\n</body>\n</html>\n";
  return out;
}

}  // namespace sonde::web
