/** A setting that a function leaves never reaches the next borrower, whatever calls the function: little of it shows in the text. */

import { createDb, type Db } from 'genever'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { functionsKnown } from '../support/functions.ts'

/** Each is stable or immutable where PostgreSQL asks for it: what it does nobody checks. */
const schema = `
create function leave(t text) returns text language plpgsql stable as $$ begin perform set_config('app.tenant', t, false); return t; end $$;
create function leave_true(n int) returns boolean language plpgsql immutable as $$ begin perform set_config('app.tenant', 'a', false); return true; end $$;
create function login_sql(t text) returns text language sql as $$ select set_config('app.tenant', t, false) $$;
create function login_set() returns void language plpgsql as $$ begin set app.tenant = 'a'; end $$;
create function login_execute() returns void language plpgsql as $$ begin execute 'set app.tenant to a'; end $$;
create function login_row(int) returns setof int language plpgsql as $$ begin perform set_config('app.tenant', 'a', false); return next 1; end $$;
create procedure login_call() language plpgsql as $$ begin perform leave('a'); end $$;
create function login_nested() returns text language sql as $$ select leave('a') $$;
create function login_default(t text default leave('a')) returns int language plpgsql as $$ begin return 1; end $$;
create function login_builtin_default(t text default set_config('app.tenant', 'a', false)) returns int language plpgsql as $$ begin return 1; end $$;
create aggregate login_all(int) (sfunc = int4pl, stype = int, finalfunc = abs, initcond = '0');
create function login_step(int, int) returns int language plpgsql as $$ begin perform leave('a'); return 1; end $$;
create aggregate login_sum(int) (sfunc = login_step, stype = int, initcond = '0');

create table fired (n int);
create function fire() returns trigger language plpgsql as $$ begin perform leave('a'); return new; end $$;
create trigger t before insert on fired for each row execute function fire();
create table fired_when (n int);
create function fire_not() returns trigger language plpgsql as $$ begin return new; end $$;
create trigger t before insert on fired_when for each row when (leave_true(new.n)) execute function fire_not();

create view by_view as select leave('a') as t;
create view by_view_where as select n from generate_series(1, 2) as n where leave_true(n);
create view over_view as select t from by_view;
create view by_builtin as select set_config('app.tenant', 'a', false) as t;
create materialized view by_stored as select leave('a') as t with no data;

create table by_default (n int, t text default leave('a'));
create table by_builtin_default (n int, t text default set_config('app.tenant', 'a', false));
create table by_check (n int check (leave_true(n)));
create table by_generated (n int, t boolean generated always as (leave_true(n)) stored);
create table by_index (n int);
create index on by_index (leave_true(n));
create table by_partial_index (n int);
create index on by_partial_index (n) where leave_true(n);
insert into by_default (n, t) values (1, 'x');
create table by_parts (n int) partition by range (n);
create table by_parts_1 partition of by_parts for values from (0) to (10);
alter table by_parts_1 add check (leave_true(n));

create function either(int, int) returns boolean language plpgsql stable as $$ begin perform leave('a'); return true; end $$;
create operator @@@ (leftarg = int, rightarg = int, function = either);
create view by_operator as select 1 @@@ 2 as b;
create function login_operator() returns boolean language sql as $$ select 1 @@@ 2 $$;
create function login_view() returns text language sql as $$ select t from over_view $$;
create function login_table() returns void language plpgsql as $$ begin insert into by_default (n) values (1); end $$;
create domain checked as int check (leave_true(value));
create domain filled as text default leave('a');
create table of_domain (n checked);
create table of_filled (n int, f filled);
`

const settings = "select current_setting('app.tenant', true)"

/** Texts that leave a tenant when they run by themselves. */
const texts: readonly string[] = [
  "select leave('a')",
  "select login_sql('a')",
  'select login_set()',
  'select login_execute()',
  'select login_nested()',
  'select login_default()',
  'select login_builtin_default()',
  'select login_view()',
  'select login_table()',
  'select login_sum(n) from generate_series(1, 2) as n',
  'call login_call()',
  "do $$ begin perform set_config('app.tenant', 'a', false); end $$",
  "do $$ begin set app.tenant = 'a'; end $$",
  'select * from login_row(1)',
  'select n from generate_series(1, 2) as n where leave_true(n)',
  "select n from generate_series(1, 2) as n order by leave('a')",
  "with x as materialized (select leave('a')) select * from x",
  "select (select leave('a'))",
  "insert into by_index values ((select length(leave('a'))))",
  "explain analyze select leave('a')",
  "create table if not exists made as select leave('a') as t",
  'insert into fired values (1)',
  'insert into fired_when values (1)',
  'select * from by_view',
  'select * from by_view_where',
  'select * from over_view',
  'table over_view',
  'select * from by_builtin',
  'refresh materialized view by_stored',
  'insert into by_default (n) values (1)',
  'update by_default set t = default',
  'insert into by_builtin_default (n) values (1)',
  'insert into by_check values (1)',
  'insert into by_parts values (1)',
  'insert into by_generated values (1)',
  'insert into by_index values (1)',
  'insert into by_partial_index values (1)',
  'select 1 @@@ 2',
  'select 1 operator(public.@@@) 2',
  'select * from by_operator',
  'select login_operator()',
  'select 1::checked',
  'insert into of_domain values (1)',
  'insert into of_filled (n) values (1)',
]

let database: FreshDatabase
beforeAll(async () => {
  database = await freshDatabase(schema)
})
afterAll(() => database.drop())

async function open(): Promise<Db> {
  const db = await createDb(database.url, { pool: { max: 1 } }).open()
  onTestFinished(async () => void (await db.close({ timeoutMs: 1000 })))
  return db
}

/** Reads that show no call: nothing has made the engine read the catalogue before them. */
const showsNothing = /^(?:select \* from (?:by|over)_|table|select 1 @@@|select 1::)/

describe.each([true, false])('with the catalogue %s before', (known) => {
  test.each(texts.filter((text) => known || !showsNothing.test(text)))('%s', async (text) => {
    const db = await open()
    const left: unknown[] = []
    const look = async (): Promise<void> => void left.push((await db.scalar<string | null>(settings)) || null)
    for (const run of [() => db.status(text), () => db.scope(() => db.status(text))]) {
      if (known) await functionsKnown(db)
      else (await db.engineHere()).functions.forget()
      await run()
      await look()
      await db.scope(look)
      await db.transaction(look)
    }

    expect(left).toEqual([null, null, null, null, null, null])
  })
})
