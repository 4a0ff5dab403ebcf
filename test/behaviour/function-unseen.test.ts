/** What functions leave in a session that no statement calls by name: those of defaults, constraints, indexes, policies, operators and types. */

import { createDb, type Db } from 'genever'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { functionsKnown } from '../support/functions.ts'

const schema = `
create function leave(what text) returns text language sql as $$ select set_config('app.left', what, false) $$;
create function of_operator(a int, b int) returns boolean language plpgsql as $$ begin perform leave('operator'); return true; end $$;
create operator === (leftarg = int, rightarg = int, function = of_operator);
create function of_check(n int) returns boolean language plpgsql as $$ begin perform leave('check'); return true; end $$;
create function of_index(n int) returns int language plpgsql immutable as $$ begin perform leave('index'); return n; end $$;
create function of_default() returns int language plpgsql as $$ begin perform leave('default'); return 4; end $$;
create function of_policy() returns boolean language plpgsql stable as $$ begin perform leave('policy'); return true; end $$;
create function of_trigger() returns trigger language plpgsql as $$ begin return new; end $$;
create domain natural_number as int check (of_check(value));
create domain small_number as natural_number check (value < 100);
create type pair as (a small_number, b int);
create table typed (n natural_number);
create table pairs (p pair[]);
create table indexed (n int); create index on indexed (of_index(n));
create table stored (n int, g int generated always as (of_index(n)) stored);
create table defaulted (n int, d int default of_default());
create view over_defaulted as select n from defaulted; alter view over_defaulted alter n set default of_default();
create table checked (n int check (of_check(n)));
create table compared (n int check (n === 2));
create table partitioned (n int) partition by range (n); create table partition_1 (n int check (of_check(n)));
alter table partitioned attach partition partition_1 for values from (0) to (10);
create table guarded (n int); insert into guarded values (1);
alter table guarded enable row level security; alter table guarded force row level security;
create policy mine on guarded using (of_policy());
create view over_guarded with (security_invoker) as select n from guarded;
create table fired (n int); create trigger t before insert on fired for each row when (of_check(new.n)) execute function of_trigger();
create function with_default(n int default of_default()) returns int language sql as 'select n';
create view comparing as select 1 === 2 as same; create view casting as select n::natural_number as m from guarded;
create role visitor; grant all on all tables in schema public to visitor
`

let made = 0
let database: FreshDatabase
let db: Db
beforeAll(async () => {
  database = await freshDatabase(schema.replaceAll('visitor', `visitor_${process.pid}`))
  db = await createDb(database.url, { pool: { max: 1 } }).open()
})
afterAll(async () => {
  await db.close()
  await database.query(`drop owned by visitor_${process.pid}; drop role visitor_${process.pid}`)
  await database.drop()
})

const texts = [
  'select 1 === 2',
  'select 3::natural_number',
  'select cast(3 as small_number)',
  "select '(3,4)'::pair",
  'select with_default()',
  'select * from guarded',
  'select * from over_guarded',
  'select * from comparing',
  'select * from casting',
  'insert into typed values (3)',
  "insert into pairs values (array['(3,4)'::pair])",
  'insert into indexed values (1)',
  'insert into stored values (1)',
  'insert into defaulted values (1)',
  'insert into over_defaulted values (1)',
  'insert into checked values (1)',
  'insert into compared values (1)',
  'insert into partitioned values (1)',
  'insert into fired values (1)',
  'merge into checked using (select 1 as n) as s on false when not matched then insert values (s.n)',
]

const left = "select current_setting('app.left', true)"

test.each(texts)('nobody finds what %s has left', async (text) => {
  await functionsKnown(db)
  const run = (): Promise<unknown> => db.status(text)
  const frames: Readonly<Record<string, () => Promise<unknown>>> = {
    'no frame': run,
    'a scope': () => db.scope(run),
    settings: () => db.scope(run, { settings: { 'app.mine': 'x' } }),
    'a transaction': () => db.transaction(run),
    'a role': () => db.scope(run, { settings: { role: `visitor_${process.pid}` } }),
  }
  for (const [name, work] of Object.entries(frames)) {
    await work()
    expect([name, (await db.scalar(left)) ?? '']).toEqual([name, ''])
  }
})

test('rows of COPY are no different', async () => {
  await functionsKnown(db)
  await db.copyFrom('checked (n)').from(['1\n'])
  expect((await db.scalar(left)) ?? '').toBe('')
})

test('what does leave something is there for the rest of the scope', async () => {
  await functionsKnown(db)
  for (const [text, what] of [
    ['insert into checked values (1)', 'check'],
    ['select 1 === 2', 'operator'],
    ['select 3::natural_number', 'check'],
  ])
    expect(
      await db.scope(async () => {
        await db.status(text as string)
        return db.scalar(left)
      }),
    ).toBe(what)
})

test.each([
  'create table made_NAME (n int, d int default of_default())',
  'create table made_NAME (n int check (n === 2))',
  'create table made_NAME (n natural_number)',
  'create table made_NAME (like checked including all)',
  'create table made_NAME (n int); alter table made_NAME add d int default of_default()',
  'create table made_NAME (n int); create index on made_NAME (of_index(n))',
])('what %s calls is known from then on', async (text) => {
  await functionsKnown(db)
  const name = `made_${++made}`
  await db.status(text.replaceAll('made_NAME', name))
  await functionsKnown(db)
  await db.status(`insert into ${name} (n) values (1)`)
  expect((await db.scalar(left)) ?? '').toBe('')
})

test.each(['select 1 === 2', 'select 3::natural_number', 'select * from comparing'])(
  'nobody finds what %s has left before the catalogue was known, once it is',
  async (text) => {
    await using early = await createDb(database.url, { pool: { max: 2 } }).open()
    await Promise.all([early.scope(() => early.status(text)), early.scope(() => early.status(text))])
    await functionsKnown(early)
    const seen = await Promise.all([1, 2].map(() => early.scope(() => early.scalar(left))))
    expect(seen.map((each) => each ?? '')).toEqual(['', ''])
  },
)
