// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/protocols/sql.hpp"

namespace sonde::sql {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::string said(std::string_view text)
{
  const auto statement = describe(text);
  return statement.table.empty() ? statement.verb
                                 : fmt::format("{} {}", statement.verb, statement.table);
}

// All statements of a text that comes in pieces of `size` bytes.
std::vector<std::string> split(std::string_view text, std::size_t size)
{
  Scanner scanner;
  std::vector<std::string> all;
  const auto add = [&] { all.push_back(fmt::format("{} {}", scanner.verb(), scanner.table())); };
  for (; !text.empty(); text.remove_prefix(std::min(size, text.size()))) {
    auto piece = text.substr(0, size);
    while (scanner.next(piece))
      add();
  }
  if (scanner.finish())
    add();
  return all;
}

TEST(Sql, NamesVerbAndTable)
{
  EXPECT_EQ(said("SELECT abalance FROM pgbench_accounts WHERE aid = 1"), "select pgbench_accounts");
  EXPECT_EQ(said("INSERT INTO public.Orders(id, note) VALUES ($1, 'from x')"),
            "insert public.orders");
  EXPECT_EQ(said("update only t set a = 1 from u"), "update t");
  EXPECT_EQ(said("DELETE FROM ONLY (t) USING u"), "delete t");
  EXPECT_EQ(said("MERGE INTO wines w USING s ON true WHEN MATCHED THEN UPDATE SET a = 1"),
            "merge wines");
  EXPECT_EQ(said("COPY t (a, b) FROM STDIN"), "copy t");
  EXPECT_EQ(said("copy (select * from u) to stdout"), "copy u");
  EXPECT_EQ(said("TABLE t"), "table t");
  EXPECT_EQ(said("TRUNCATE TABLE ONLY t"), "truncate t");
  EXPECT_EQ(said("LOCK TABLE s.t IN SHARE MODE"), "lock s.t");
  EXPECT_EQ(said("CREATE TABLE IF NOT EXISTS t(id int)"), "create t");
  EXPECT_EQ(said("create temp table t as select * from u"), "create t");
  EXPECT_EQ(said("ALTER TABLE IF EXISTS ONLY t ADD a int"), "alter t");
  EXPECT_EQ(said("DROP TABLE IF EXISTS a, b"), "drop a");
  EXPECT_EQ(said("SELECT 1 INTO TEMP TABLE t FROM u"), "select t");
  EXPECT_EQ(said("EXPLAIN (ANALYZE, BUFFERS) UPDATE t SET a = 1"), "explain t");
  EXPECT_EQ(said("PREPARE p (int) AS DELETE FROM t WHERE a = $1"), "prepare t");
  EXPECT_EQ(said("DECLARE c CURSOR FOR SELECT * FROM t"), "declare t");
  EXPECT_EQ(said("select * from t"), "select t");
  EXPECT_EQ(said("select*from t;select*from u"), "select t");
}

TEST(Sql, HasNoTableWhereNoneIsNamed)
{
  for (const std::string_view text :
       {"select 1",
        "select now() as from",
        "select a is distinct from b, c is not distinct from d",
        "select extract(year from d), trim(both from e)",
        "select substring('abc' from 2 for 1), overlay(a placing b from 1)",
        "select * from generate_series(1, 3)",
        "select * from pg_catalog.unnest($1::int[]) as u(x)",
        "select * from rows from (f(1), g(2))",
        "select * from (values (1)) v",
        "select \"from\" , $$ from t $$, 'it''s from t', e'\\' from t'",
        "select x.from, b'01', U&'from t', n'from t' -- from t",
        "select 1 from"})
    EXPECT_EQ(said(text), "select") << text;
  EXPECT_EQ(said("BEGIN"), "begin");
  EXPECT_EQ(said("fetch next from c"), "fetch");
  EXPECT_EQ(said("MOVE 5 FROM c"), "move");
  EXPECT_EQ(said("REVOKE SELECT, UPDATE ON t FROM r"), "revoke");
  EXPECT_EQ(said("GRANT UPDATE, INSERT ON t TO r"), "grant");
  EXPECT_EQ(said("IMPORT FOREIGN SCHEMA s FROM SERVER x INTO l"), "import");
  EXPECT_EQ(said("SET TIME ZONE 'x from t'"), "set");
  EXPECT_EQ(said("DO $x$ begin delete from t; end $x$"), "do");
  EXPECT_EQ(said("CREATE FUNCTION f() RETURNS TABLE (a int) AS $$ select 1 from t $$"), "create");
  EXPECT_EQ(said("CREATE TRIGGER x BEFORE INSERT OR UPDATE OF a ON t EXECUTE FUNCTION f()"),
            "create");
  EXPECT_EQ(said("VALUES (1), (2)"), "values");
}

TEST(Sql, PassesComments)
{
  EXPECT_EQ(said("/* a /* nested */ b */ -- line\n select 1 from /* x */ t"), "select t");
  EXPECT_EQ(said("--c\rselect 1"), "select");
  EXPECT_EQ(said("select 2 / 3 - -1 from t"), "select t");
  EXPECT_EQ(said("/***/select/**/1/**/from/*/**/*/t"), "select t");
  for (const std::string_view text : {"-- ping", "", " ;; ", "/* never closed", "\t\r\n"})
    EXPECT_EQ(said(text), "") << text;
}

TEST(Sql, FindsTheFirstRealTable)
{
  EXPECT_EQ(said("select * from (select a from (select b from deep) x) y join u on true"),
            "select deep");
  EXPECT_EQ(said("with a as (select 1), b(x) as (select x from a) select * from b, t"), "with t");
  EXPECT_EQ(said("WITH RECURSIVE r AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT * FROM r"),
            "with");
  EXPECT_EQ(said("with d as (delete from t returning *) insert into u select * from d"), "with t");
  EXPECT_EQ(said("with d as (select 1) update t set a = 1"), "with t");
  EXPECT_EQ(said("with \"D\" as materialized (select 1) select * from s.\"D\""), "with s.D");
  EXPECT_EQ(said("select * from f(x), t"), "select t");
  EXPECT_EQ(said("select * from f(x) left join lateral (select 1 from t) y on true"), "select t");
  EXPECT_EQ(said("select * from (t cross join u)"), "select t");
  EXPECT_EQ(said("(select a from t) union (select b from u)"), "select t");
  EXPECT_EQ(said("select (select max(x) from inner_t) from outer_t"), "select inner_t");
  EXPECT_EQ(said("select exists(select from t)"), "select t");
  EXPECT_EQ(said("select extract(day from (select d from t))"), "select t");
  EXPECT_EQ(said("select 1 where a in (select b from t) for update"), "select t");
  EXPECT_EQ(said("insert into t select 1 on conflict (a) do update set b = 1"), "insert t");
}

TEST(Sql, WritesNamesAsTheStatementDoes)
{
  EXPECT_EQ(said("select * from Public . Orders"), "select public.orders");
  EXPECT_EQ(said("select * from \"a\"\"b\".\"C d\" x"), "select a\"b.C d");
  EXPECT_EQ(said("select * from U&\"caf\\00e9\""), "select caf\\00e9");
  EXPECT_EQ(said("select * from käse"), "select käse");
  EXPECT_EQ(said("select u & 1 from u"), "select u");
  EXPECT_EQ(said("select * from db.s.t;"), "select db.s.t");
  EXPECT_EQ(said("select * from t$1 where x=$2"), "select t$1");
  EXPECT_EQ(describe("select * from " + std::string(500, 'x')).table, std::string(128, 'x'));
}

TEST(Sql, SplitsStatements)
{
  const std::string_view text =
      "begin; insert into a values (';', $$;$$, $t$;$x$;$t$, E'\\';');; -- ;\n"
      "create rule r as on insert to t do also (delete from x; notify y);"
      "create function f() returns int begin atomic select case when true then 1 end from z; "
      "select 2; end;"
      "/* ; */ rollback ; /* nothing */ ;";
  for (const std::size_t size : {1UZ, 2UZ, 7UZ, 1000UZ})
    EXPECT_THAT(split(text, size),
                ElementsAre("begin ", "insert a", "create x", "create z", "rollback "));
  EXPECT_THAT(split(" ; -- \n", 3), IsEmpty());
}

TEST(Sql, KeepsTheVerbOfATextThatIsCutOff)
{
  const std::string_view text = "insert into orders values ('secret', $$x";
  EXPECT_EQ(said(text), "insert orders");
  EXPECT_EQ(said(text.substr(0, 9)), "insert");
  EXPECT_EQ(said("select * from s."), "select");
}

TEST(Sql, TakesOnlyVerbsItKnows)
{
  EXPECT_EQ(said("frobnicate from t"), "other t");
  EXPECT_EQ(said("'secret'"), "other");
  EXPECT_EQ(said("12"), "other");
  EXPECT_EQ(verb_of_tag("INSERT 0 1"), "insert");
  EXPECT_EQ(verb_of_tag("CREATE TABLE"), "create");
  EXPECT_EQ(verb_of_tag("BEGIN"), "begin");
  EXPECT_EQ(verb_of_tag("??? averyverylongtagwithoutblanks"), "other");
  EXPECT_EQ(verb_of_tag("averyverylongtagwithoutblanks"), "other");
}

}  // namespace
}  // namespace sonde::sql
