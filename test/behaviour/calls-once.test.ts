/**
 * A read that calls a function which may change something runs once, however quick it is and whatever becomes of its connection: it
 * shares none with others, and is never sent again.
 */

import { createDb, type Db, type EngineOptions } from 'genever'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { freshDatabase, type FreshDatabase } from '../support/database.ts'
import { functionsKnown } from '../support/functions.ts'

let database: FreshDatabase

const body = `begin
    perform nextval('calls');
    if ends then perform pg_terminate_backend(pg_backend_pid()); end if;
    return 1;
  end`

beforeAll(async () => {
  database = await freshDatabase(`
    create sequence calls;
    create function book(ends boolean) returns int language plpgsql as $$ ${body} $$;
    create function book_stable(ends boolean) returns int language plpgsql stable as $$ ${body} $$;
    create function book_by_sql(ends boolean) returns int language sql as
      $$ select 1 from (select nextval('calls'), case when ends then pg_terminate_backend(pg_backend_pid()) end) as done $$;
    create table ending (now boolean);
    insert into ending values (false);
    create view booked as select book(now) as n from ending;
    create view drawn as select nextval('calls') as n, case when now then pg_terminate_backend(pg_backend_pid()) end as ended from ending;
    create view beyond as select n from drawn;
    create function booking(ending) returns int language sql as $$ select book($1.now) $$;
    create view inside as select n from (select ending.booking as n from ending) as e;
    create function book_unless(boolean, boolean) returns boolean language sql as $$ select book($1 and $2) = 1 $$;
    create operator @@@ (leftarg = boolean, rightarg = boolean, function = book_unless);
    create domain ends as boolean check (book(value) = 1);
  `)
})
afterAll(() => database.drop())

/** Reads of these texts are known to be quick. */
async function warm(texts: readonly string[], options: EngineOptions = {}): Promise<Db> {
  const db = createDb(database.url, {
    driver: 'socket',
    ...options,
    pool: { max: 2, connectTimeoutMs: 60_000, ...options.pool },
  })
  await db.open()
  await functionsKnown(db)
  for (let n = 0; n < 6; n++) for (const text of texts) await db.scalar(text, [false])
  return db
}

const calls = async (db: Db): Promise<number> => Number(await db.scalar('select last_value from calls'))

/** How often they were called by statements of which the first ends its session. */
async function called(db: Db, text: string, statements: number): Promise<number> {
  const before = await calls(db)
  const ends = await Promise.allSettled(Array.from({ length: statements }, (_, n) => db.scalar(text, [n === 0])))
  expect(ends.filter(({ status }) => status === 'rejected').length).toBeGreaterThan(0)
  return (await calls(db)) - before
}

describe.each([
  'select book($1)',
  'select book_stable($1)',
  'select book_by_sql($1)',
  'select 1 where public . "book"($1) > 0',
])('%s', (text) => {
  test('runs once when its session ends, also while nobody knows its function', async () => {
    await using db = await warm([text])

    expect(await called(db, text, 1)).toBe(1)
    for (let n = 0; n < 6; n++) await db.scalar(text, [false])
    ;(await db.engineHere()).functions.forget()
    expect(await called(db, text, 1)).toBe(1)
  })

  test('runs once for each time it was issued, beside others like it', async () => {
    await using db = await warm([text])

    expect(await called(db, text, 20)).toBe(20)
  })
})

test.each([
  ['a view', 'select n from booked'],
  ['a view of a function of the database', 'select n from drawn'],
  ['a view of a view', 'select n from beyond'],
  ['a column that is a function of the row', 'select e.booking from ending e'],
  ['such a column in brackets', 'select (e)."booking" from ending as e'],
  ['a view with such a column', 'select n from inside'],
  ['an operator', 'select true @@@ now from ending'],
  ['a check of a domain', 'select now::ends from ending'],
])('a read that calls one by %s runs once', async (_, text) => {
  await using db = await warm([])
  for (let n = 0; n < 6; n++) await db.scalar(text)

  const before = await calls(db)
  await db.status('update ending set now = true')
  const ended = await caught(db.scalar(text))
  await db.status('update ending set now = false')

  expect(ended.name).toBe('ConnectionLostError')
  expect(await calls(db)).toBe(before + 1)
})
