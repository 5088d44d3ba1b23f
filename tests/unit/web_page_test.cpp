// SPDX-License-Identifier: Apache-2.0
// The landing page: escaping, and that it says what the agent knows. SONDE_PAGE_OUT=file keeps one
// to look at.
#include <cstdlib>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/web/page.hpp"

namespace sonde::web {
namespace {

using testing::HasSubstr;
using testing::Not;

Page example()
{
  return {.node = "worker-3.example",
          .version = "0.1.0",
          .kernel_release = "6.12.48+deb13-amd64",
          .listen = {"[::]:7663"},
          .uptime = std::chrono::seconds(3 * 86400 + 4 * 3600),
          .services = 23,
          .probes = {{"run_queue", "tp_btf/sched_switch", true, ""},
                     {"block_io", "tp_btf/block_rq_complete", true, ""},
                     {"tcp",
                      "fentry/tcp_sendmsg",
                      false,
                      "the kernel refuses fentry; tp_btf/sock_send_length is used instead"},
                     {"go_http", "uprobe_multi", false, "needs CAP_PERFMON"}},
          .outliers = {{"12:03:11", "run queue", "api", "worker (8123)", "120 ms"},
                       {"12:02:58", "block I/O", "postgresql", "postgres (771)", "1.3 s"}}};
}

TEST(WebPage, NamesTheNodeItsProbesAndTheirReasons)
{
  const auto html = render(example());
  for (const auto* text : {"<title>Sonde on worker-3.example</title>",
                           "3 d 4 h",
                           "6.12.48+deb13-amd64",
                           "2 of 4 up",
                           "tp_btf/sched_switch",
                           "needs CAP_PERFMON",
                           "postgres (771)"})
    EXPECT_THAT(html, HasSubstr(text));
  for (const auto* link : {"metrics", "-/healthy", "-/ready", "outliers"})
    EXPECT_THAT(html, HasSubstr("<a href=\"" + std::string(link) + "\">"));
  if (const char* path = std::getenv("SONDE_PAGE_OUT"))
    std::ofstream(path) << html;
}

TEST(WebPage, EscapesEveryTextThatComesFromOutside)
{
  const std::string evil = "<script>alert('x')</script>\"&";
  auto page = example();
  page.node = page.version = page.kernel_release = evil;
  page.listen = {evil};
  page.probes = {{evil, evil, false, evil}};
  page.outliers = {{evil, evil, evil, evil, evil}};
  const auto html = render(page);
  EXPECT_THAT(html, Not(HasSubstr("<script")));
  EXPECT_THAT(html, Not(HasSubstr("\"&\"")));
  EXPECT_EQ(html_escaped(evil), "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;&amp;");
  EXPECT_EQ(html_escaped("a\xFF"), "a\xEF\xBF\xBD");
}

TEST(WebPage, LoadsNothingFromElsewhere)
{
  const auto html = render(example());
  for (const auto* text : {"http:", "https:", "//", "src=", "url(", "@import", "<link"})
    EXPECT_THAT(html, Not(HasSubstr(text)));
}

TEST(WebPage, IsWholeWhenNothingIsKnownYet)
{
  Page page;
  page.ready = false;
  const auto html = render(page);
  EXPECT_THAT(html, HasSubstr("not ready"));
  EXPECT_THAT(html, HasSubstr("No probe is configured."));
  EXPECT_THAT(html, HasSubstr("None so far."));
  EXPECT_TRUE(html.ends_with("</html>\n"));
}

TEST(WebPage, ShowsTheNewestTwentyOutliers)
{
  Page page;
  for (int i = 0; i < 30; ++i)
    page.outliers.emplace_back().when = "t" + std::to_string(i) + "t";
  const auto html = render(page);
  EXPECT_THAT(html, HasSubstr("t19t"));
  EXPECT_THAT(html, Not(HasSubstr("t20t")));
}

}  // namespace
}  // namespace sonde::web
