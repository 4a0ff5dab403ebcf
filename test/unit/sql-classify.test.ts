/** What a text may do is known before it is sent, and in doubt it is the worse. */

import { fc } from '../support/fast-check.ts'
import { expect, test } from 'vitest'
import { Dirty, Names, Pin } from '../../src/sql/compiled.ts'
import { classify } from '../../src/postgres/classify.ts'

const names = (bits: number, of: Readonly<Record<string, number>>): string =>
  Object.entries(of)
    .filter(([, bit]) => (bits & bit) !== 0 && Number.isInteger(Math.log2(bit)))
    .map(([name]) => name)
    .join('+') || '-'

/** `class dirt pins`, as in `write settings settings`. */
function told(text: string): string {
  const { cls, dirties, pins } = classify(text)
  return `${cls} ${names(dirties, Dirty)} ${names(pins, Pin)}`
}

test.each([
  `select 1`,
  `SELECT * FROM t WHERE a = $1 ORDER BY b LIMIT 1`,
  `values (1), (2)`,
  `table t`,
  `((select 1))`,
  `(select 1) union all (select 2)`,
  `with a as (select 1) select * from a`,
  `with recursive a as not materialized (select 1 union select 2) table a`,
  `-- comment\n/* more */ select 1 ;`,
  `select 'for update', "into", $$insert into x$$ -- for share`,
  `select pg_sleep(1), now(), count(*), coalesce(a, b), my_function(1)`,
  `select "SET_CONFIG"('a', 'b', false)`,
  `select t.update, t.delete from t`,
  `select a from t where b ? 'set_config('`,
  `explain select 1`,
  `explain (verbose, costs off) insert into t values (nextval('s'))`,
  `explain (select 1)`,
  `explain create temp table t as select 1`,
])('%s is a read', (text) => {
  expect(told(text)).toBe('read - -')
})

test.each([
  `insert into t values ($1) on conflict do nothing returning *`,
  `insert into temp values (1)`,
  `insert into t select * from u`,
  `update t set a = 1`,
  `delete from t`,
  `merge into t using u on a = b when matched then delete`,
  `with a as (insert into t values (1) returning *) select * from a`,
  `(with a as (delete from t returning *) select * from a)`,
  `with a as (select 1) update t set a = 1`,
  `select * from t for update`,
  `select * from t for no key update skip locked`,
  `select * from t for share of t`,
  `select * from t for key share nowait`,
  `select nextval('s')`,
  `select setval('s', 1)`,
  `select pg_notify('c', 'x')`,
  `select pg_catalog . PG_NOTIFY /* x */ ('c', 'x')`,
  `select "nextval"('s')`,
  `select U&"\\006eextval"('s')`,
  `select pg_terminate_backend(1), pg_cancel_backend(2)`,
  `select lo_unlink(1), lo_import('x')`,
  `select json_object('k':nextval('s'))`,
  `show search_path`,
  `select set_config('a.b', $1, true), 1`,
  `select set_config('a.b', $1, true) from t`,
  `select set_config('a.b', $1, true) where true`,
  `select set_config('a.b', $1, true) limit 1`,
  `select set_config('a.b', $1, true) || ''`,
  `select set_config('a.b', $1, true), current_setting('a.b')`,
  `select f(1), set_config('a.b', $1, true)`,
  `select coalesce(set_config('a.b', $1, true))`,
  `select (set_config('a.b', $1, true))`,
  `select distinct set_config('a.b', $1, true)`,
  `select set_config('a.b', $1, true) union select 'x'`,
  `with s as (select set_config('a.b', $1, true)) select * from s`,
  `insert into t select set_config('a.b', $1, true)`,
  `explain analyze select set_config('a.b', $1, true)`,
  `explain analyze select 1`,
  `explain (costs off, analyse) update t set a = 1`,
])('%s is a write that leaves the session clean', (text) => {
  expect(told(text)).toBe('write - -')
})

test.each([
  `set local a = 1`,
  `SET LOCAL role x;`,
  `set constraints all deferred`,
  `select set_config('a.b', $1, true)`,
  `select set_config ( 'role' , 'x' , /* local */ TRUE );`,
  `select pg_catalog.set_config('a', (select f(x) from t), true) as "a", set_config('b', set_config('c', '', true), true) b`,
])('%s is for the transaction it runs in', (text) => {
  expect(told(text)).toBe('write - transaction')
  expect(told(`select 1; ${text}`)).toBe('multi - -')
})

test.each([
  [`set a = 1`, 'write settings settings'],
  [`set session a.b to 'x'`, 'write settings settings'],
  [`set time zone 'UTC'`, 'write settings settings'],
  [`set session characteristics as transaction read only`, 'write settings settings'],
  [`set my.role = 'x'`, 'write settings settings'],
  [`set role.x = 'x'`, 'write settings settings'],
  [`set role x`, 'write role role'],
  [`set session role = x`, 'write role role'],
  [`set "role" to x`, 'write role role'],
  [`SET SESSION AUTHORIZATION x`, 'write role role'],
  [`set session session authorization x`, 'write role role'],
  [`set session_authorization = x`, 'write role role'],
  [`reset all`, 'write settings -'],
  [`reset role`, 'write settings+role -'],
  [`reset session authorization`, 'write settings+role -'],
  [`discard plans`, 'write settings -'],
  [`discard all`, 'alone settings+role+prepared -'],
  [`select set_config('a', 'b', false)`, 'write settings settings'],
  [`select set_config($1, $2, false)`, 'write settings+role settings'],
  [`select set_config('role', $1, false)`, 'write settings+role settings'],
  [`select set_config('Session_Authorization', $1, false)`, 'write settings+role settings'],
  [`select set_config(E'ro\\154e', $1, false)`, 'write settings+role settings'],
  [`select set_config('a', 'b', $1)`, 'write settings settings'],
  [`select set_config('a', 'b', not true)`, 'write settings settings'],
  [`select set_config('a', 'b', is_local => true)`, 'write settings settings'],
  [`select set_config('a', 'b', (true))`, 'write settings settings'],
  [`select set_config('a', f(1, true), false)`, 'write settings settings'],
  [`select set_config('a', set_config('b', 'c', false), true)`, 'write settings settings'],
  [`select set_config('a', set_config('b', 'c', true), false)`, 'write settings settings'],
  [`select set_config('a', 'b', true), set_config('a', 'b', false)`, 'write settings settings'],
  [`select "set_config"('a', 'b', false)`, 'write settings settings'],
  [`select U&"set!005fconfig" uescape '!' ('a', 'b', false)`, 'write unknown -'],
  [`select json_object('k':set_config('a', 'b', false))`, 'write settings settings'],
  [`update t set a = set_config('a', 'b', false)`, 'write settings settings'],
  [`explain analyze select set_config('a', 'b', false)`, 'write settings settings'],
  [`select pg_advisory_lock(1)`, 'write locks locks'],
  [`select pg_try_advisory_lock_shared(1, 2)`, 'write locks locks'],
  [`select pg_advisory_unlock_all()`, 'write locks -'],
  [`select set_config('a', 'b', false), pg_advisory_lock(1)`, 'write settings+locks settings+locks'],
  [`select setseed(0.5)`, 'write settings -'],
  [`select dblink_connect('x')`, 'write unknown -'],
  [`select query_to_xml('select set_config(…)', true, true, '')`, 'write unknown -'],
  [`create temp table t (a int)`, 'write temp temp'],
  [`create local temporary table t (a int) on commit delete rows`, 'write temp temp'],
  [`create temp table t (a int) on commit drop`, 'write temp -'],
  [`create or replace temp view v as select 1`, 'write temp temp'],
  [`create temporary sequence s`, 'write temp temp'],
  [`create table pg_temp.t (a int)`, 'write temp temp'],
  [`create table "pg_temp".t (a int)`, 'write temp temp'],
  [`create table temp (a int)`, 'write unknown -'],
  [`explain analyze create temp table t as select 1`, 'write temp temp'],
  [`select * into temp t from u`, 'write temp temp'],
  [`select * into local temporary table t from u`, 'write temp temp'],
  [`select * into pg_temp.t from u`, 'write temp temp'],
  [`select * into t from u`, 'write unknown -'],
  [`with a as (insert into t values (1) returning *) select * into temp u from a`, 'write temp temp'],
  [`listen c`, 'write listen listen'],
  [`unlisten *`, 'write listen -'],
  [`declare c cursor with hold for select 1`, 'write cursors cursors'],
  [`declare c cursor without hold for select 1`, 'write cursors transaction'],
  [`declare c cursor for select 1`, 'write cursors transaction'],
  [`lock table t in exclusive mode`, 'write - transaction'],
  [`LOCK t`, 'write - transaction'],
  [`select currval('s'), lastval()`, 'write - sequences'],
  [`insert into t values (currval('s'))`, 'write - sequences'],
  [`select pg_advisory_xact_lock(1), pg_try_advisory_xact_lock_shared(2)`, 'write - transaction'],
  [
    `with l as (select pg_catalog."pg_try_advisory_xact_lock"(hashtext('x')) as got) select got from l`,
    'write - transaction',
  ],
  [`select 1 where (select PG_TRY_ADVISORY_XACT_LOCK /* x */ (1))`, 'write - transaction'],
  [`explain select pg_advisory_xact_lock(1)`, 'read - -'],
  [`create function f() returns void begin atomic select pg_advisory_xact_lock(1); end`, 'write unknown -'],
  [`create view v as select lastval()`, 'write unknown -'],
  [`prepare p as select pg_advisory_xact_lock(1)`, 'write prepared prepared'],
  [`prepare p as select 1`, 'write prepared prepared'],
  [`prepare p as select pg_advisory_lock(1)`, 'write locks+prepared locks+prepared'],
  [`deallocate all`, 'write prepared -'],
])('%s is: %s', (text, expected) => {
  expect(told(text)).toBe(expected)
})

test.each([
  `create table t (a int default nextval('s'))`,
  `alter table t add column b int`,
  `drop table t`,
  `truncate t`,
  `grant select on t to r`,
  `do $$ begin commit; end $$`,
  `execute p(1)`,
  `fetch next from c`,
  `load 'x'`,
  `analyze t`,
  `reindex table t`,
  `reindex (verbose) table database`,
  `create index on t (a)`,
  `alter database d set a = 1`,
  `refresh materialized view concurrently v`,
  `unheard of`,
  `"select" 1`,
  `1 + 1`,
  `select 'not closed`,
  `select /* not closed`,
])('%j is a write of which nothing is known', (text) => {
  expect(told(text)).toBe('write unknown -')
})

test.each([``, ` `, `-- nothing`, `/* nothing */ ;`])('%j has no statement and leaves the session clean', (text) => {
  expect(told(text)).toBe('write - -')
})

test.each([
  `call p()`,
  `vacuum t`,
  `vacuum (full) t`,
  `cluster t`,
  `create database d`,
  `drop database if exists d`,
  `create tablespace s location '/x'`,
  `create subscription s connection 'x' publication p`,
  `alter system set a = 1`,
  `alter database d set tablespace s`,
  `create unique index concurrently i on t (a)`,
  `drop index concurrently i`,
  `reindex (verbose) index concurrently i`,
  `reindex (verbose) database d`,
  `alter table t detach partition p concurrently`,
  `copy t from stdin`,
])('%s runs alone', (text) => {
  expect(told(text)).toBe('alone unknown -')
})

const control: readonly string[] = [
  `begin`,
  `BEGIN ISOLATION LEVEL SERIALIZABLE`,
  `start transaction`,
  `commit`,
  `commit and chain`,
  `end`,
  `rollback`,
  `abort`,
  `rollback to savepoint s`,
  `savepoint s`,
  `release s`,
  `prepare transaction 'x'`,
  `commit prepared 'x'`,
  `rollback prepared 'x'`,
  `set transaction isolation level serializable`,
  `set local transaction read only`,
  `set session transaction read write`,
]

test.each(control)('%s is transaction control', (text) => {
  const needed = /^set\b/i.test(text) ? 'transaction' : '-'
  expect(told(text)).toBe(`control - ${needed}`)
  expect(classify(text).hasControl).toBe(true)
})

test.each([
  [`select 1; select 2`, 2],
  [`;; select 1 ; ; select 2;`, 2],
  [`select ';'; select $$;$$ -- ;\n; /* ; */ select ";"`, 3],
  [`create rule r as on insert to t do also (insert into a values (1); insert into b values (2)); select 1`, 2],
  [`create function f() returns int begin atomic select case when true then 1 end; select 2; end; select 3`, 2],
  [`create or replace procedure p() language sql begin atomic insert into t values (1); end`, 1],
  [`create function f() returns int as 'select 1; select 2' language sql; select 3`, 2],
  [`;`, 0],
  [``, 0],
])('%s has %i statements', (text, count) => {
  const found = classify(text)

  expect(found.statements).toBe(count)
  expect(found.cls === 'multi').toBe(count > 1)
})

test('several statements are judged together, by all of them', () => {
  expect(told(`set a = 1; select pg_advisory_lock(1); create temp table t (a int)`)).toBe(
    'multi settings+temp+locks settings+temp+locks',
  )
  expect(classify(`insert into t values (1); select 2`)).toMatchObject({ verb: 'INSERT', hasControl: false })
})

test.each([
  `select 1; commit`,
  `select ''; commit; --'`,
  `select E'\\''; commit; --'`,
  `select 'a\\'; commit; --'`,
  `select U&'\\'; commit; --'`,
  `select $a$ $b$ $a$; commit; -- $b$`,
  `select a$$; commit; --$$`,
  `select json_object('k':a$$); commit; --$$`,
  `select json_object('k':E'\\''); commit; --')`,
  `select /* /* */ */ 1; commit`,
  `select 1 --\r; commit`,
  `select 1 */* x */ 2; commit`,
  `select E'a'\n'\\''; commit; --'`,
  `select E'a' -- '\n'\\''; commit; --'`,
  `create function begin(atomic int) returns int as '' language sql; commit`,
  `create table begin (atomic int); commit`,
  `/* x */ ; /**/commit`,
])('the control statement in %j is found', (text) => {
  expect(classify(text).hasControl).toBe(true)
})

test.each([
  `select '; commit; '`,
  `select 1 /* ; commit; */`,
  `select $$; commit; $$`,
  `select E'\\'; commit; --'`,
  `select 1 as commit`,
])('there is no control statement in %j', (text) => {
  expect(classify(text)).toMatchObject({ hasControl: false, statements: 1 })
})

test.each([
  [`select 1`, 'SELECT'],
  [`  (values (1))`, 'VALUES'],
  [`With a as (select 1) select 1`, 'WITH'],
  [`explain analyze select 1`, 'EXPLAIN'],
  [`commit; select 1`, 'COMMIT'],
  [`"select" 1`, ''],
  [``, ''],
])('the verb of %j is %j', (text, verb) => {
  expect(classify(text).verb).toBe(verb)
})

test('the highest placeholder counts, whatever the order, and quoted ones do not', () => {
  expect(classify(`select $2, '$9', $1, "$8" -- $7`)).toMatchObject({ parameters: 2, named: false })
  expect(classify(`select :a, ':b'`)).toMatchObject({ parameters: 0, named: true })
  expect(classify(`select $99999999999999999999`).parameters).toBeGreaterThan(65_535)
})

test('whatever stands in literals and comments changes nothing about a statement', () => {
  const inert = fc.constantFrom(
    ` /* ; commit; select pg_advisory_lock(1) */ `,
    ` -- ; rollback; set a = 1\n`,
    ` , 'set_config(''a'', ''b'', false)' `,
    ` , E'\\'; begin; --' `,
    ` , $x$; listen c; $$ $x$ `,
    ` , "into temp" `,
    ` , U&"; commit" `,
  )

  fc.assert(
    fc.property(fc.array(inert, { maxLength: 8 }), (pieces) => {
      const found = classify(`select 1${pieces.join('')}, $1`)

      expect(found).toEqual({ ...classify(`select 1, $1`) })
    }),
  )
})

test('comments and blanks between the words of a statement hide nothing', () => {
  const gap = fc.constantFrom(' ', '\n', '\t', '/**/', ' /* x */ ', '--\n', ' -- set local\r')
  const statement = fc.constantFrom(
    `set a = 1`,
    `create temp table t ( a int )`,
    `select set_config ( 'a' , 'b' , false )`,
    `declare c cursor with hold for select 1`,
    `select * into temp t from u`,
    `commit`,
    `set session authorization x`,
  )

  fc.assert(
    fc.property(statement, fc.infiniteStream(gap), (text, gaps) => {
      const spread = text.replaceAll(' ', () => gaps.next().value ?? ' ')

      expect(told(spread)).toBe(told(text))
    }),
  )
})

test.each([
  ['select 1', 0],
  ['insert into t values (1)', 0],
  ['set statement_timeout to 1', 0],
  [`select set_config('app.a', '1', false)`, 0],
  ['truncate t', 0],
  ['lock t', 0],
  ["notify c, 'x'", 0],
  ['set search_path to a', Names.path],
  ['SET LOCAL Search_Path = a', Names.path],
  [`set schema 'a'`, Names.path],
  ['set role x', Names.path],
  ['set session authorization x', Names.path],
  ['set session search_path to a', Names.path],
  ['reset all', Names.path | Names.reading],
  ['reset role', Names.path],
  ['discard all', Names.path | Names.reading | Names.catalogue],
  [`select set_config('SEARCH_PATH', 'a', true)`, Names.path],
  [`select set_config($1, $2, true)`, Names.path | Names.reading],
  [`select 1, pg_catalog.set_config('a' || 'b', '1', false)`, Names.path | Names.reading],
  [`select set_config('timezone', $1, true)`, Names.reading],
  ['set time zone 5', Names.reading],
  ['set local "DateStyle" to x', Names.reading],
  ['reset IntervalStyle', Names.reading],
  ['create temp table x ()', Names.catalogue],
  ['alter table t add a int', Names.catalogue | Names.columns],
  ['ALTER Materialized view v rename a to b', Names.catalogue | Names.columns],
  ['drop view v', Names.catalogue | Names.columns],
  ['drop index i', Names.catalogue],
  ['alter role r set work_mem to 1', Names.catalogue],
  ['select 1 into x', Names.catalogue],
  ['do $$ begin end $$', Names.catalogue | Names.columns | Names.path | Names.reading],
  ['call p()', Names.catalogue],
  ['begin', Names.transaction],
  ['rollback to savepoint a', Names.transaction],
  ['set search_path to a; create table x ()', Names.catalogue | Names.path],
])('%s changes what names mean by: %i', (text, bits) => {
  expect(classify(text).names).toBe(bits)
})
