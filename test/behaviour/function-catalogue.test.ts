/** What the catalogue of a database says of its functions: which may leave something in the session, and which reads are plain. */

import { createDb } from 'genever'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Catalogue } from '../../src/postgres/functions/catalogue.ts'
import { type CatalogueAnswer, catalogueQuery } from '../../src/postgres/functions/catalogue-query.ts'
import { mentionsOf } from '../../src/postgres/functions/mentions.ts'
import { freshDatabase, type FreshDatabase } from '../support/database.ts'
import { until } from '../support/until.ts'

const schema = `
create table t (n int);
create table parent (id int primary key);
create table child (id int references parent on delete cascade);
create table log (n int) partition by range (n);
create table log_1 partition of log for values from (0) to (10);
create table quiet (n int);
create view t_view as select * from t;
create function f_set_config() returns text language sql as $$ select set_config('app.x', '1', false) $$;
create function f_set_local() returns text language sql as $$ select set_config('app.x', '1', true) $$;
create function f_var(local boolean) returns text language sql as $$ select set_config('app.x', '1', local) $$;
create function p_set() returns void language plpgsql as $$ begin set app.x = '1'; end $$;
create function p_set_local() returns void language plpgsql as $$ begin set local app.x = '1'; end $$;
create function p_update() returns void language plpgsql as $$ begin update quiet set n = 1; end $$;
create function p_fires() returns void language plpgsql as $$ begin update t set n = 1; end $$;
create function p_perform() returns void language plpgsql as $$ declare x int; begin if x is null then perform pg_advisory_lock(1); end if; end $$;
create function p_xact_lock() returns void language plpgsql as $$ begin perform pg_advisory_xact_lock(1); end $$;
create function p_execute(a text) returns void language plpgsql as $$ begin execute a; end $$;
create function p_temp() returns void language plpgsql as $$ begin create temp table x (n int); end $$;
create function p_listen() returns void language plpgsql as $$ begin listen news; end $$;
create function p_role() returns void language plpgsql as $$ begin set role pg_monitor; end $$;
create function p_assign() returns void language plpgsql as $$ declare x text; begin x := set_config('app.x', '1', false); end $$;
create function f_calls() returns text language sql as $$ select f_set_config() $$;
create function f_calls_twice() returns text language sql as $$ select f_calls() $$;
create function f_atomic() returns text language sql begin atomic select set_config('app.x', '1', false); end;
create function f_pure(a int) returns int language sql immutable as $$ select a + 1 $$;
create function f_lastval() returns bigint language sql as $$ select lastval() $$;
create function f_comment() returns int language plpgsql as $$ begin /* set role x; execute y */ return 1; end $$;
create function f_string() returns text language plpgsql as $$ begin return 'execute; set role x;'; end $$;
create function "Odd Name"() returns text language sql as $$ select set_config('app.x', '1', false) $$;
create procedure pr_set() language plpgsql as $$ begin set app.x = '1'; end $$;
create function f_internal(text, text, boolean) returns text language internal as 'set_config_by_name';
create function p_select_into(a int) returns int language plpgsql as $$ declare x int; c cursor for select n from quiet; begin
  select count(*) into strict x from quiet; open c; fetch c into x; select into x 1; return x; end $$;
create function p_lock_into() returns boolean language plpgsql as $$ declare ok boolean; begin
  select pg_try_advisory_lock(1) into ok; return ok; end $$;
create function p_xact_into() returns boolean language plpgsql as $$ declare ok boolean; begin
  select pg_try_advisory_xact_lock(1), set_config('app.x', '1', true) into ok; return ok; end $$;
create function p_upsert() returns int language plpgsql as $$ declare x int; begin
  insert into quiet values (1) on conflict do nothing returning n into x; update quiet set n = 2; return x; end $$;
create function p_then_set() returns void language plpgsql as $$ begin if true then set app.x = '1'; end if; end $$;
create function p_loop_temp() returns void language plpgsql as $$ begin for i in 1..2 loop create temp table if not exists x (n int); end loop; end $$;
create function f_makes_table() returns void language sql as $$ select 1 as n into temp made $$;
create function f_atomic_pure(a int) returns int language sql begin atomic select case when a > 1 then a else upper('1')::int end; end;
create function f_return(a int) returns int language sql return a + 1;
create function f_return_sets() returns text language sql return set_config('app.x', '1', false);
create function f_recursive(a int) returns int language sql as $$ select case when a = 0 then 0 else f_recursive(a - 1) end $$;
create aggregate a_odd(text) (sfunc = textcat, stype = text);
create function lower(a int) returns int language sql as $$ select 1 + length(set_config('app.x', '1', false)) $$;
create function tr_set() returns trigger language plpgsql as $$ begin set app.x = '1'; return new; end $$;
create function tr_quiet() returns trigger language plpgsql as $$ begin new.n := 1; return new; end $$;
create trigger a before insert on t for each row execute function tr_set();
create trigger b before delete on child for each row execute function tr_set();
create trigger c before insert on log_1 for each row execute function tr_set();
create trigger d before insert on quiet for each row execute function tr_quiet();
create sequence numbers;
create view v_plain as select n from t;
create view v_now as select now() as n;
create view v_random as select f_calls() as n;
create view v_outer as select n from v_random;
create view v_draws as select nextval('numbers') as n;
create view v_over as select n from v_draws;
create view v_sets as select set_config('app.y', '1', false) as n;
create view v_pid as select pg_backend_pid() as n;
create table defaulted (n text default f_set_config());
create function f_field(t) returns int language sql as $$ select $1.n $$;
create function f_field_of_any(anyelement, int default 1) returns int language sql as $$ select 1 $$;
create function f_field_sets(t) returns text language sql as $$ select set_config('app.x', '1', false) $$;
create function f_by_field() returns text language sql as $$ select t.f_field_sets from t $$;
create table guarded (n int);
create policy p_one on guarded using (n > f_pure(n));
create policy p_two on guarded for insert with check (p_update() is not null);
create table tenanted (n int);
create policy p_three on tenanted using (n = nullif(current_setting('app.n', true), '')::int and n > f_pure(n));
create table drawing (n int);
create policy p_four on drawing using (n < nextval('numbers'));
create view v_drawing as select n from drawing;
create function f_both(boolean, boolean) returns boolean language plpgsql as $$ begin return $1; end $$;
create operator @@@ (leftarg = boolean, rightarg = boolean, function = f_both);
create domain d_checked as int check (f_field_of_any(value) > 0);
create domain d_pure as int check (f_pure(value) > 0);
`

let database: FreshDatabase
let catalogue: Catalogue
let answer: CatalogueAnswer

beforeAll(async () => {
  database = await freshDatabase(schema)
  const [row] = await database.query(catalogueQuery)
  answer = JSON.parse(Object.values(row ?? {})[0] as string) as CatalogueAnswer
  catalogue = new Catalogue(answer, { harmless: new Set(), stateful: new Set() })
})
afterAll(() => database.drop())

const reach = (sql: string, from: Catalogue = catalogue): { stateful: readonly string[]; plain: boolean } => {
  const { stateful, plain } = from.reachOf(sql)
  return { stateful, plain }
}

describe('a function may leave state', () => {
  test.each([
    'f_set_config',
    'f_var',
    'p_set',
    'p_perform',
    'p_execute',
    'p_temp',
    'p_listen',
    'p_role',
    'p_assign',
    'p_fires',
    'f_calls',
    'f_calls_twice',
    'f_atomic',
    'f_return_sets',
    'p_lock_into',
    'p_then_set',
    'p_loop_temp',
    'f_makes_table',
    'f_lastval',
    'f_internal',
    'lower',
    'f_by_field',
  ])('%s', (name) => {
    expect(reach(`select ${name}(1)`)).toEqual({ stateful: [name], plain: false })
    expect(reach(`select public . ${name.toUpperCase()} (1)`)).toEqual({ stateful: [name], plain: false })
  })

  test('also under a name in quotation marks, and as a procedure', () => {
    expect(reach('select "Odd Name"()')).toEqual({ stateful: ['Odd Name'], plain: false })
    expect(reach('call pr_set()').stateful).toEqual(['pr_set'])
  })
})

test('a function that is called like a column may leave state', () => {
  expect(reach('select t.f_field_sets from t')).toEqual({ stateful: ['f_field_sets'], plain: false })
  expect(reach('select f_field_sets from other')).toEqual({ stateful: [], plain: true })
})

describe('a function leaves nothing', () => {
  test.each([
    'f_set_local',
    'p_set_local',
    'p_update',
    'p_xact_lock',
    'f_pure',
    'f_comment',
    'f_string',
    'f_recursive',
    'p_select_into',
    'p_xact_into',
    'p_upsert',
    'f_atomic_pure',
    'f_return',
    'a_odd',
  ])('%s', (name) => {
    expect(reach(`select ${name}(1)`)).toEqual({ stateful: [], plain: false })
  })

  test('when somebody says so', () => {
    const told = new Catalogue(answer, {
      harmless: new Set(['f_set_config', 'f_pure']),
      stateful: new Set(['f_string']),
    })

    expect(reach('select f_set_config()', told)).toEqual({ stateful: [], plain: true })
    expect(reach('select f_calls()', told).stateful).toEqual([])
    expect(reach('select f_pure(1)', told).plain).toBe(true)
    expect(reach('select f_string()', told).stateful).toEqual(['f_string'])
  })
})

describe('a write reaches the triggers', () => {
  test.each([
    'insert into t values (1)',
    'insert into public.t select 1',
    'with x as (insert into "t" values (1) returning *) select * from x',
    'merge into t using quiet on true when matched then do nothing',
    'copy t from stdin',
    'truncate quiet, only public.t cascade',
    'update only t set n = 1',
    'delete from t',
    'insert into t_view values (1)',
    'delete from parent',
    'insert into log values (1)',
    'insert into log_1 values (1)',
  ])('%s', (sql) => {
    expect(reach(sql).stateful.join()).toContain('tr_set')
  })

  test.each([
    'insert into quiet select n from t',
    'select * from t for update',
    'update quiet set n = 1',
    'select n from child',
  ])('not: %s', (sql) => {
    expect(reach(sql).stateful).toEqual([])
  })
})

describe('a read is plain', () => {
  test.each([
    'select 1',
    'select n from t where n = $1',
    'select upper(x), count(*), coalesce(a, b) from unnest($1::text[]) as x(x, a, b) where n in (1, 2)',
    'select now(), random(), pg_sleep(0.1), gen_random_uuid()',
    'select * from v_plain, v_now',
    'values (1), (2)',
  ])('%s', (sql) => {
    expect(reach(sql)).toEqual({ stateful: [], plain: true })
  })

  test.each([
    'select pg_backend_pid()',
    'select pg_catalog.PG_BACKEND_PID()',
    'select * from pg_locks',
    'select * from pg_prepared_statements',
    "select nextval('s')",
    'select pg_my_temp_schema()',
    'select f_pure(1)',
    'select * from v_random',
    "select pg_notify('a', 'b')",
    'select txid_current()',
    'select lower(1)',
  ])('not: %s', (sql) => {
    expect(reach(sql).plain).toBe(false)
  })
})

describe('a read may be sent twice', () => {
  test.each([
    'select n from t where n = $1',
    'select upper($1), now(), random(), pg_backend_pid(), txid_current()',
    'select * from pg_locks',
    'select * from v_plain, v_now, v_pid',
    'select t.n, f_field from t',
    'select n from tenanted where n = $1 and n @> n',
    'select n::d_pure from t',
  ])('%s', (sql) => {
    expect(catalogue.reachOf(sql).once).toBe(false)
  })

  test('when the user says that its functions are harmless', () => {
    const told = new Catalogue(answer, { harmless: new Set(['f_pure', 'f_set_config']), stateful: new Set(['upper']) })

    expect(told.reachOf('select f_pure(1), f_set_config()').once).toBe(false)
    expect(told.reachOf('select upper($1)').once).toBe(true)
  })

  test.each([
    'select f_pure(1)',
    'select p_update()',
    'select f_set_config()',
    'select n from unnest($1::int[]) as n where p_update() is null',
    'select a_odd(x) from t',
    'select lower(1)',
    "select nextval('numbers')",
    'select * from v_random',
    'select * from v_outer',
    'select * from v_draws',
    'select n from public.v_over as o where o.n > $1',
    'select * from v_sets',
    'select t.f_field from t',
    'select ( t ) . "f_field_of_any" from t',
    'select n from guarded where n = $1',
    'select n from drawing',
    'select n from v_drawing',
    'select a @@@ b from t',
    'select n::d_checked from t',
  ])('not: %s', (sql) => {
    expect(catalogue.reachOf(sql)).toMatchObject({ once: true, plain: false })
  })
})

test('a view is judged by the functions of PostgreSQL that it calls, as by others', () => {
  expect(reach('select * from v_draws')).toEqual({ stateful: [], plain: false })
  expect(reach('select * from v_pid')).toEqual({ stateful: [], plain: false })
  expect(reach('select * from v_sets')).toEqual({ stateful: ['set_config (of the view v_sets)'], plain: false })
})

test('a name that the catalogue did not have is named; tables and aliases with a list of columns are none', () => {
  for (const sql of [
    'create table if not exists made (n int)',
    'create index on public.made (n)',
    'insert into made (n) values (1)',
  ])
    expect(catalogue.reachOf(sql).unknown).toEqual([])
  expect(catalogue.reachOf('select made_later(1), upper(a) from (values (1)) as x(a)').unknown).toEqual(['made_later'])
})

test('functions of defaults are called by writes of their table, those of views by whoever names the view', () => {
  expect(catalogue.hidden).toEqual([])
  expect(reach('insert into defaulted values (default)').stateful).toEqual([
    'f_set_config (a default, constraint, index or type of defaulted)',
  ])
  expect(reach('select * from v_outer')).toEqual({ stateful: ['f_calls (of the view v_random)'], plain: false })
  expect(catalogue.judgesReads).toBe(true)
})

test('a function that asks for drawn numbers is known as such, by others too', () => {
  expect(catalogue.reachOf('select f_lastval()').asks).toEqual(['f_lastval'])
  expect(catalogue.reachOf('select f_set_config()').asks).toEqual([])
})

test('texts that make or change functions, triggers and views are known as such', () => {
  for (const sql of [
    'create or replace function f() returns int language sql as $$ select 1 $$',
    'drop trigger a on t',
    'create constraint trigger x after insert on t execute function f()',
    'alter procedure p rename to q',
    'create extension citext',
    'drop schema s cascade',
    'do $$ begin end $$',
    'select 1; create view v as select 1',
    'alter table audited rename to other',
    'create table log_2 partition of log for values from (10) to (20)',
    'alter table log attach partition log_2 for values from (10) to (20)',
    'alter table log_3 inherit log',
    'create table c (id int references parent on delete set null)',
    'create policy p on t using (f())',
    'create table copied (like defaulted including all)',
    'alter domain d add check (f(value))',
    'create cast (a as b) with function f(a)',
  ])
    expect([sql, mentionsOf(sql).changes]).toEqual([sql, true])
  for (const sql of [
    'create table function_calls (n int references t)',
    'select function from trigger',
    'alter table t add n int',
    'update t set rename = 1',
    'drop table t',
  ])
    expect([sql, mentionsOf(sql).changes]).toEqual([sql, false])
})

test('a statement that waits for the connection on which the engine reads its catalogue is served', async () => {
  await using database = await freshDatabase()
  await using other = await createDb(database.url).open()
  const db = await createDb(database.url, { pool: { max: 1 } }).open()
  const lock = await other.begin()
  await lock.status('lock table pg_trigger in access exclusive mode')
  const { functions } = await db.engineHere()
  functions.want()
  await until(() => db.stats().serving === 1, { what: 'the engine reads the catalogue' })
  const issued = db.scalar('select 1')
  const closing = db.close({ timeoutMs: 60_000 })
  await lock.rollback()

  expect([await issued, await closing]).toEqual([1, { drained: 1, broken: [] }])
})
