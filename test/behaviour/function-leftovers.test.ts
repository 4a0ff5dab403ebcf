/**
 * What functions leave where little shows it: behind the settings of somebody else, without a scope, as temporary functions and
 * types, by defaults and policies.
 */

import { AsyncLocalStorage } from 'node:async_hooks'
import { createDb, type Db, type EngineOptions } from 'genever'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { hear } from '../support/events.ts'
import { functionsKnown } from '../support/functions.ts'
import { until } from '../support/until.ts'

const schema = `
create function leave(tenant text) returns text language sql as $$
  select set_config('app.left', tenant, false) || set_config('app.tenant', tenant, false) $$;
create function as_monitor() returns void language plpgsql as $$ begin set session authorization pg_monitor; end $$;
create function temp_function() returns void language plpgsql as $$ begin
  create function pg_temp.mine() returns int language sql as 'select 7'; end $$;
create function temp_type() returns void language plpgsql as $$ begin create type pg_temp.mine as (n int); end $$;
create function seeded() returns void language plpgsql as $$ begin perform setseed(0.5); end $$;
create schema other;
create function other.leave_here() returns text language sql as $$ select set_config('app.left', 'other', false) $$;
create function leave_here() returns text language sql as $$ select 'nothing' $$;
create function audit() returns trigger language plpgsql as $$ begin perform leave('trigger'); return new; end $$;
create table audited (n int);
create trigger a before insert on audited for each row execute function audit();
`

const left = "select concat(current_setting('app.left', true), current_setting('app.tenant', true))"
/** Which of them depends on how long the machine takes. */
const refused = /^(?:AcquireTimeout|SelfDeadlock)Error$/
let made = 0

async function on({ url }: FreshDatabase, options: EngineOptions = {}): Promise<Db> {
  const db = createDb(url, { name: `leftovers-${++made}`, pool: { max: 1 }, ...options })
  await db.open()
  onTestFinished(async () => void (await db.close({ timeoutMs: 1000 })))
  return db
}

describe.each([true, false])('with the catalogue %s before', (known) => {
  let database: FreshDatabase
  beforeAll(async () => {
    database = await freshDatabase(schema)
    return () => database.drop()
  })

  test.each([
    ['a call', "select leave('left')"],
    ['a trigger', 'insert into audited values (1)'],
    ['a name that another schema has too', 'select other.leave_here()'],
    ['several statements', "select 1; select leave('left')"],
  ])('behind the settings of a scope, without a frame: nobody finds what %s has left', async (_, text) => {
    const db = await on(database)
    const after: Readonly<Record<string, () => Promise<unknown>>> = {
      'a scope with other settings': () => db.scope(() => db.scalar(left), { settings: { 'app.me': 'x' } }),
      'a scope': () => db.scope(() => db.scalar(left)),
      'a statement': () => db.scalar(left),
      'a transaction': () => db.transaction(() => db.scalar(left)),
      'a scope with the same setting': () =>
        db.scope(() => db.scalar("select concat(current_setting('app.left', true))"), {
          settings: { 'app.tenant': 'mine' },
        }),
    }
    for (const [name, look] of Object.entries(after)) {
      if (known) await functionsKnown(db)
      else (await db.engineHere()).functions.forget()
      const seen = await db.scope(() => db.scalar("select current_setting('app.tenant')"), {
        settings: { 'app.tenant': 'of a scope' },
      })
      expect(seen).toBe('of a scope')
      await db.status(text)
      expect([name, await look()]).toEqual([name, ''])
    }
  })

  test.each([
    'select as_monitor()',
    'select temp_function()',
    'select temp_type()',
    'select seeded()',
    'select other.leave_here()',
  ])('a scope keeps its connection after %s, and the next borrower finds nothing', async (text) => {
    const db = await on(database)
    if (known) await functionsKnown(db)
    await db.scope(async (own) => {
      await db.status(text)
      const waiter = db.detached(() => caught(db.scalar('select 7', [], { timeoutMs: 50 })))
      expect((await waiter).name).toMatch(refused)
      expect(own.borrowed).toBe(true)
    })

    expect(
      await db.scope(async () => [
        await db.scalar('select session_user = current_user'),
        await db.scalar('select session_user'),
        await db.scalar('select count(*)::int from pg_proc where pronamespace = pg_my_temp_schema()'),
        await db.scalar("select to_regtype('pg_temp.mine')::text"),
        await db.scalar(left),
      ]),
    ).toEqual([true, new URL(database.url).username, 0, null, ''])
  })
})

test('a function that another program makes while a scope waits is unknown: it keeps the connection', async () => {
  const database = await freshDatabase(schema)
  onTestFinished(() => database.drop())
  const db = await on(database)
  await functionsKnown(db)
  await database.query(
    "create function made_later() returns text language sql as $$ select set_config('app.left', 'later', false) $$",
  )

  await db.scope(async () => {
    await db.scalar('select made_later()')
    const waiter = db.detached(() => caught(db.scalar('select 7', [], { timeoutMs: 50 })))
    expect((await waiter).name).toMatch(refused)
    expect(await db.scalar(left)).toBe('later')
  })

  expect(await db.scope(() => db.scalar(left))).toBe('')
})

test('functions that no text shows are named by a notice, unless they are harmless, and what they leave is not found', async () => {
  const database = await freshDatabase(`${schema}
    create function by_cast(p point) returns int language plpgsql as $$ begin perform leave('cast'); return 1; end $$;
    create function pure(c circle) returns int language sql as $$ select 1 $$;
    create cast (point as int) with function by_cast(point) as implicit;
    create cast (circle as int) with function pure(circle) as implicit;
    create table watched (n int default by_cast('1, 1'))`)
  onTestFinished(() => database.drop())
  const told = async (options: EngineOptions): Promise<string[]> => {
    using heard = hear(`leftovers-${made + 1}`)
    const db = await on(database, { pool: { max: 1 }, ...options })
    await functionsKnown(db)
    await db.scalar("select point '1, 1' + 1")
    if (options.functions === undefined) expect(await db.scalar(left)).toBe('')
    return heard.notices.filter(({ code }) => code === 'functions-hidden').map(({ message }) => message)
  }

  const [message, ...more] = await told({})
  expect(more).toEqual([])
  expect(message).toContain('by_cast')
  expect(message).not.toContain('pure')
  expect(await told({ functions: { harmless: ['by_cast'] } })).toEqual([])
})

test('a view whose function leaves something takes no read to another connection', async () => {
  const database = await freshDatabase(
    `${schema} create view leaving as select leave('view') as n; create view around as select n from leaving`,
  )
  onTestFinished(() => database.drop())
  const db = await on(database, { pool: { min: 3, max: 3 } })
  await functionsKnown(db)
  await until(() => db.stats().idle === 3)
  const outside = AsyncLocalStorage.snapshot()

  for (let round = 0; round < 5; round++)
    await db.scope(async () => {
      expect(await Promise.all([db.scalar('select n from around'), db.scalar(left), db.scalar(left)])).toEqual(
        Array(3).fill('viewview'),
      )
      expect(await outside(() => Promise.all([db.scalar(left), db.scalar(left)]))).toEqual(['', ''])
      expect(await db.scalar(left)).toBe('viewview')
    })
  expect(await Promise.all([1, 2, 3].map(() => db.scope(() => db.scalar(left))))).toEqual(['', '', ''])
})
