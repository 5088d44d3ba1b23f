// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/base/text.hpp"
#include "agent/proc/naming.hpp"

namespace sonde::proc {
namespace {

std::string named(std::string_view exe, std::string_view arguments, std::string_view link = "")
{
  Traits traits;
  traits.executable = exe;
  traits.exe_name = exe.substr(exe.rfind('/') + 1);
  traits.link_name = link;
  for (auto word = take_word(arguments); !word.empty(); word = take_word(arguments))
    traits.arguments.push_back(word);
  return application_name(traits);
}

TEST(Naming, AnApplicationIsItsExecutableOrWhatAnInterpreterRuns)
{
  EXPECT_EQ(named("/usr/sbin/nginx", "nginx: master process"), "nginx");
  EXPECT_EQ(named("/usr/bin/redis-check-rdb", "redis-server *:6379", "redis-server"),
            "redis-server");
  EXPECT_EQ(named("/usr/bin/python3.11", "python3 -u /srv/app.py --port 80"), "app.py");
  EXPECT_EQ(named("/usr/bin/python3.11", "python3 -W ignore -m http.server 8000"), "http.server");
  EXPECT_EQ(named("/usr/bin/python3.11", "python3 /usr/bin/gunicorn app:app"), "gunicorn");
  EXPECT_EQ(named("/usr/bin/python3.11", "python3 -c pass"), "python3.11");
  EXPECT_EQ(named("/usr/bin/python3.11", "python3"), "python3.11");
  EXPECT_EQ(named("/usr/bin/node", "node --inspect -r ts-node /srv/shop/api.js"), "api.js");
  EXPECT_EQ(named("/usr/bin/node", "node /srv/shop/index.js"), "shop/index.js");
  EXPECT_EQ(named("/usr/lib/jvm/bin/java", "java -Xmx1g -cp a:b -jar /srv/shop.jar x"), "shop.jar");
  EXPECT_EQ(named("/usr/lib/jvm/bin/java", "java -cp a:b com.example.Shop x"), "Shop");
  EXPECT_EQ(named("/usr/lib/jvm/bin/java", "java -m shop.app/com.example.Shop"), "shop.app");
  EXPECT_EQ(named("/usr/bin/ruby3.1", "ruby -Ilib bin/puma -p 80"), "puma");
  EXPECT_EQ(named("/usr/bin/php8.2", "php -S :80 -t public router.php"), "router.php");
  EXPECT_EQ(named("/usr/sbin/php-fpm8.2", "php-fpm: master process"), "php-fpm8.2");
  EXPECT_EQ(named("/usr/bin/perl", "perl -w server.pl"), "server.pl");
  EXPECT_EQ(named("/usr/bin/deno", "deno run --allow-net main.ts"), "main.ts");
  EXPECT_EQ(named("/bin/dash", "sh /etc/run.sh"), "run.sh");
  EXPECT_EQ(named("/bin/dash", "sh -c nc"), "dash");
}

TEST(Naming, HostileArgumentsAreOnlyData)
{
  EXPECT_EQ(named("/usr/bin/python3", "python3 -m"), "python3");
  EXPECT_EQ(named("", ""), "");
  EXPECT_EQ(named("/usr/bin/java", "java -jar"), "java");
  EXPECT_EQ(named("/usr/bin/python3", "python3 /"), "python3");
}

NamingRules rules_of(std::vector<Record> records)
{
  auto rules = NamingRules::compile(records);
  EXPECT_TRUE(rules) << rules.error().message();
  return *std::move(rules);
}

TEST(Naming, TheFirstSourceThatSaysSomethingWins)
{
  Traits traits;
  traits.executable = "/opt/shop/bin/api";
  traits.exe_name = "api";
  EXPECT_EQ(placed_name(traits, {}), "");
  traits.cgroup.unit = "shop";
  EXPECT_EQ(placed_name(traits, {}), "shop");
  traits.cgroup.container = "web";
  EXPECT_EQ(placed_name(traits, {}), "web");
  traits.declared_name = "declared";
  EXPECT_EQ(placed_name(traits, {}), "declared");
  EXPECT_EQ(placed_name(traits, rules_of({{{"name", "\\1-svc"}, {"exe", "^/opt/([a-z]+)/"}}})),
            "shop-svc");
}

TEST(Naming, ARuleAppliesOnlyWhereAllItsPatternsMatch)
{
  Traits traits;
  traits.executable = "/usr/bin/worker";
  traits.arguments = {"worker", "--queue", "mail"};
  const auto rules = rules_of({{{"name", "no"}, {"exe", "worker"}, {"args", "queue paper"}},
                               {{"name", "yes"}, {"exe", "worker"}, {"args", "queue mail"}}});
  EXPECT_EQ(rules.match(traits), "yes");
}

TEST(Naming, ABadRuleIsRefusedWithItsPlace)
{
  const auto why = [](Record record) {
    const auto rules = NamingRules::compile({{{"name", "a"}, {"exe", "a"}}, std::move(record)});
    return rules ? std::string() : rules.error().message();
  };
  EXPECT_THAT(why({{"exe", "a"}}), ::testing::HasSubstr("services.rules[1]: \"name\""));
  EXPECT_THAT(why({{"name", "a"}, {"exe", "("}}), ::testing::HasSubstr("services.rules[1]: exe"));
  EXPECT_THAT(why({{"name", "\\2"}, {"exe", "(a)"}}), ::testing::HasSubstr("name:"));
  EXPECT_THAT(why({{"name", "a"}}), ::testing::HasSubstr("is needed"));
}

}  // namespace
}  // namespace sonde::proc
