// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <atomic>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "agent/metrics/series_store.hpp"

namespace sonde::metrics {
namespace {

constexpr Desc kHits{"hits_total", Type::kCounter, "Hits.", "service path status"};
constexpr Desc kSameHits{"hits_total", Type::kCounter, "Hits.", "service path status"};
constexpr Desc kOpen{"open", Type::kGauge, "Open.", "service"};
constexpr Desc kTook{"took_seconds", Type::kHistogram, "Took.", "service path"};
constexpr Desc kSize{"size_bytes", Type::kHistogram, "Size.", "service path"};

constexpr SeriesOwner kApi{.slot = 5, .generation = 1, .labels = R"(service="api")"};
constexpr SeriesOwner kShop{.slot = 6, .generation = 1, .labels = R"(service="shop")"};

using Texts = std::initializer_list<std::string_view>;

struct Store : SeriesStore {
  explicit Store(const Limits& limits = {})
      : SeriesStore(
            limits,
            Bounds::create(std::array<std::uint64_t, 2>{1'000'000, 2'000'000}, 1e-9).value(),
            Bounds::create(std::array<std::uint64_t, 1>{100}, 1).value())
  {
  }
  void hit(const SeriesOwner& owner, Texts values, std::uint64_t n = 1)
  {
    count(kHits, owner, {values.begin(), values.size()}, n);
  }
  std::string text()
  {
    Exposition out;
    render(out);
    return out.body();
  }
};

TEST(SeriesStore, CountsByLabelSetAndPrintsTheServiceFirst)
{
  Store store;
  store.hit(kApi, {"/a", "200"});
  store.hit(kApi, {"/a", "200"}, 2);
  store.hit(kApi, {"/a", "404"});
  store.hit(kShop, {"/a", "200"});
  EXPECT_EQ(store.text(),
            "# HELP hits_total Hits.\n# TYPE hits_total counter\n"
            "hits_total{service=\"api\",path=\"/a\",status=\"200\"} 3\n"
            "hits_total{service=\"api\",path=\"/a\",status=\"404\"} 1\n"
            "hits_total{service=\"shop\",path=\"/a\",status=\"200\"} 1\n");
}

TEST(SeriesStore, AddsWhatWasCountedElsewhereByTheSameBounds)
{
  Store store;
  const std::array<std::string_view, 1> values = {"/a"};
  store.observe(kTook, kApi, values, 1'000'000);
  store.merge(kTook, kApi, values, std::array<std::uint64_t, 5>{1, 2, 3, 0, 1}, 9'000'000);
  EXPECT_EQ(store.text(),
            "# HELP took_seconds Took.\n# TYPE took_seconds histogram\n"
            "took_seconds_bucket{service=\"api\",path=\"/a\",le=\"0.001\"} 2\n"
            "took_seconds_bucket{service=\"api\",path=\"/a\",le=\"0.002\"} 4\n"
            "took_seconds_bucket{service=\"api\",path=\"/a\",le=\"+Inf\"} 8\n"
            "took_seconds_sum{service=\"api\",path=\"/a\"} 0.01\n"
            "took_seconds_count{service=\"api\",path=\"/a\"} 8\n");
}

TEST(SeriesStore, KnowsAFamilyByItsNameWhereverItsDescriptionLies)
{
  Store store;
  const std::array<std::string_view, 2> values = {"/a", "200"};
  store.count(kHits, kApi, values, 1);
  store.count(kSameHits, kApi, values, 1);
  EXPECT_EQ(store.sets(), 1U);
}

TEST(SeriesStore, FilesObservationsUnderExactBoundsInTheFamilysUnit)
{
  Store store;
  const std::array<std::string_view, 1> values = {"/a"};
  for (const std::uint64_t ns : {1'000'000, 1'000'001, 2'000'001})
    store.observe(kTook, kApi, values, ns);
  store.observe(kSize, kApi, values, 100);
  EXPECT_EQ(store.text(),
            "# HELP size_bytes Size.\n# TYPE size_bytes histogram\n"
            "size_bytes_bucket{service=\"api\",path=\"/a\",le=\"100\"} 1\n"
            "size_bytes_bucket{service=\"api\",path=\"/a\",le=\"+Inf\"} 1\n"
            "size_bytes_sum{service=\"api\",path=\"/a\"} 100\n"
            "size_bytes_count{service=\"api\",path=\"/a\"} 1\n"
            "# HELP took_seconds Took.\n# TYPE took_seconds histogram\n"
            "took_seconds_bucket{service=\"api\",path=\"/a\",le=\"0.001\"} 1\n"
            "took_seconds_bucket{service=\"api\",path=\"/a\",le=\"0.002\"} 2\n"
            "took_seconds_bucket{service=\"api\",path=\"/a\",le=\"+Inf\"} 3\n"
            "took_seconds_sum{service=\"api\",path=\"/a\"} 0.004000002\n"
            "took_seconds_count{service=\"api\",path=\"/a\"} 3\n");
}

TEST(SeriesStore, NeverShowsAGaugeBelowZero)
{
  Store store;
  const auto level = store.level(kOpen, kApi, {});
  store.adjust(level, 2);
  EXPECT_NE(store.text().find("open{service=\"api\"} 2\n"), std::string::npos);
  store.adjust(level, -3);
  EXPECT_NE(store.text().find("open{service=\"api\"} 0\n"), std::string::npos);
}

TEST(SeriesStore, TreatsValuesThatPrintAlikeAsOne)
{
  Store store;
  store.hit(kApi, {"\xff", "200"});
  store.hit(kApi, {"\xfe", "200"});
  store.hit(kApi, {"\xef\xbf\xbd", "200"});
  EXPECT_EQ(store.sets(), 1U);
  store.hit(kApi, {std::string(200, 'a'), "200"});
  store.hit(kApi, {std::string(300, 'a'), "200"});
  EXPECT_EQ(store.sets(), 2U);
  store.hit(kApi, {"say \"hi\"\n", "200"});
  EXPECT_NE(store.text().find(R"(path="say \"hi\"\n")"), std::string::npos);
}

TEST(SeriesStore, DoesNotConfuseWhereOneValueEndsAndTheNextBegins)
{
  Store store;
  store.hit(kApi, {"ab", "c"});
  store.hit(kApi, {"a", "bc"});
  store.hit(kApi, {"abc", ""});
  store.hit(kApi, {"", "abc"});
  EXPECT_EQ(store.sets(), 4U);
}

TEST(SeriesStore, FoldsWhatFindsNoRoomPerServiceAndThenAltogether)
{
  Store store({.sets = 10, .histogram_sets = 10});
  for (int i = 0; i < 100; ++i)
    store.hit(kApi, {std::to_string(i), "200"});
  EXPECT_EQ(store.sets(), 9U);  // eight and `other`
  auto text = store.text();
  EXPECT_NE(text.find("{service=\"api\",path=\"7\",status=\"200\"} 1\n"), std::string::npos);
  EXPECT_NE(text.find("{service=\"api\",path=\"other\",status=\"other\"} 92\n"), std::string::npos);

  store.hit(kShop, {"/", "200"});
  store.hit({.slot = 7, .generation = 1, .labels = R"(service="late")"}, {"/", "200"});
  text = store.text();
  EXPECT_NE(text.find("{service=\"shop\",path=\"other\",status=\"other\"} 1\n"), std::string::npos);
  EXPECT_NE(text.find("{service=\"other\",path=\"other\",status=\"other\"} 1\n"),
            std::string::npos);
  EXPECT_EQ(text.find("late"), std::string::npos);
  // What exists goes on.
  store.hit(kApi, {"7", "200"});
  EXPECT_NE(store.text().find("path=\"7\",status=\"200\"} 2\n"), std::string::npos);
}

TEST(SeriesStore, TellsTheExpositionHowManyWereFoldedSinceTheLastScrape)
{
  Store store({.sets = 5, .histogram_sets = 5});
  for (int i = 0; i < 10; ++i)
    store.hit(kApi, {std::to_string(i), "200"});
  Exposition first;
  store.render(first);
  EXPECT_EQ(first.families().front().folded, 6U);
  store.hit(kApi, {"new", "200"});
  Exposition second;
  store.render(second);
  EXPECT_EQ(second.families().front().folded, 1U);
}

TEST(SeriesStore, StaysWithinTheLinesItIsGiven)
{
  Store store({.lines = 50});
  for (int i = 0; i < 100; ++i) {
    const auto path = std::to_string(i);
    const std::array<std::string_view, 1> values = {path};
    store.observe(kTook, kApi, values, 1);
    store.hit(kApi, {path, "200"});
  }
  EXPECT_LE(store.lines(), 60U);
  EXPECT_GE(store.lines(), 40U);
}

TEST(SeriesStore, EndsTheSeriesOfAServiceAndStartsAnewAtZero)
{
  Store store;
  store.hit(kApi, {"/a", "200"}, 7);
  store.hit(kShop, {"/a", "200"}, 5);
  const auto level = store.level(kOpen, kApi, {});
  store.adjust(level, 1);
  store.drop_slot(kApi.slot);
  store.adjust(level, -1);  // of a connection that outlived its service: goes nowhere
  EXPECT_EQ(store.sets(), 1U);
  EXPECT_EQ(store.text().find("api"), std::string::npos);
  EXPECT_NE(store.text().find("{service=\"shop\",path=\"/a\",status=\"200\"} 5\n"),
            std::string::npos);
  store.hit({.slot = 5, .generation = 2, .labels = R"(service="new")"}, {"/a", "200"});
  EXPECT_NE(store.text().find("{service=\"new\",path=\"/a\",status=\"200\"} 1\n"),
            std::string::npos);
}

TEST(SeriesStore, FindsEverySeriesAfterManyHaveComeAndGone)
{
  Store store({.sets = 5000});
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 1500; ++i)
      store.hit(i % 3 == 0 ? kApi : kShop, {std::to_string(i), "200"});
    for (int i = 0; i < 1500; ++i)
      store.hit(i % 3 == 0 ? kApi : kShop, {std::to_string(i), "200"});
    EXPECT_EQ(store.sets(), 1500U);
    store.drop_slot(kApi.slot);
    EXPECT_EQ(store.sets(), 1000U);
  }
  EXPECT_NE(store.text().find("path=\"1\",status=\"200\"} 10\n"), std::string::npos);
}

TEST(SeriesStore, IsRenderedBesideTheWriterAndNeverSeesAValueFall)
{
  Store store;
  std::atomic<bool> done = false;
  std::thread scraper([&] {
    std::uint64_t last = 0;
    while (!done) {
      const auto text = store.text();
      const auto at = text.find("path=\"0\",status=\"200\"} ");
      if (at == std::string::npos)
        continue;
      const auto value = std::stoull(text.substr(at + 23));
      EXPECT_GE(value, last);
      last = value;
    }
  });
  for (int i = 0; i < 200'000; ++i) {
    store.hit(kApi, {"0", "200"});
    store.hit(kShop, {std::to_string(i % 300), "200"});
    if (i % 20'000 == 0)
      store.drop_slot(kShop.slot);
  }
  done = true;
  scraper.join();
}

}  // namespace
}  // namespace sonde::metrics
