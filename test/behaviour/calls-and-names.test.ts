/**
 * A function may move the search_path or change tables. Statements that were prepared before it, and those that are issued together
 * with it, mean what names mean behind it: also in a transaction, where a stale one would be the end.
 */

import { createDb, type Db } from 'genever'
import { describe, expect, test } from 'vitest'
import { freshDatabase } from '../support/database.ts'
import { functionsKnown } from '../support/functions.ts'

const schema = `
  create schema a; create schema b;
  create table a.t (x int); create table b.t (x text, y int);
  insert into a.t values (1); insert into b.t values ('b', 2);
  create function public.go(s text) returns text language sql as $$ select set_config('search_path', s, false) $$;
  create function public.wander(s text) returns text language plpgsql as $$ begin execute 'set search_path = ' || s; return s; end $$;
  create table public.grown (n int); insert into public.grown values (1);
  create function public.does(s text) returns int language plpgsql as $$ begin execute s; return 1; end $$;
  create function public.grow() returns int language plpgsql as $$ begin alter table public.grown add column more int; return 1; end $$;
  create function public.grows_by_another() returns int language sql as $$ select public.grow() $$;
`
const rows = { a: [{ x: 1 }], b: [{ x: 'b', y: 2 }] }

/** Inside of a transaction, or in a scope alone. */
const places: Record<string, (db: Db, work: () => Promise<unknown>) => Promise<unknown>> = {
  'in a transaction': (db, work) => db.transaction(work),
  'in a scope': (db, work) => db.scope(work),
}

describe.each(['pg', 'socket'] as const)('over %s', (driver) => {
  describe.each(Object.keys(places))('%s', (place) => {
    const within = places[place]!

    test.each(['go', 'wander'])(
      'what is issued together with %s() has its search_path, and so has what comes later',
      async (name) => {
        await using database = await freshDatabase(schema)
        await using db = createDb(database.url, { driver, pool: { max: 2, connectTimeoutMs: 60_000 } })
        await within(db, async () => {
          await db.scalar(`select public.${name}('a')`)
          for (let n = 0; n < 3; n++) expect(await db.all('select * from t')).toEqual(rows.a)

          const [, first, second] = await Promise.all([
            db.scalar(`select public.${name}($1)`, ['b']),
            db.all('select * from t'),
            db.all('select * from t'),
          ])
          expect([first, second]).toEqual([rows.b, rows.b])

          await db.scalar(`select public.${name}($1)`, ['a'])
          expect(await db.all('select * from t')).toEqual(rows.a)
        })
      },
    )

    test.each([
      ['select public.does($1)', ['alter table public.grown add column more int']],
      ['select public.grow()', []],
      ['select public.grows_by_another()', []],
    ])('a table that %s changes is read as it is then, also after a rollback', async (text, params) => {
      await using database = await freshDatabase(schema)
      await using db = createDb(database.url, { driver, pool: { max: 1, connectTimeoutMs: 60_000 } })
      const columns = async (): Promise<number> =>
        Object.keys((await db.all('select * from grown'))[0] as object).length
      await functionsKnown(db)

      for (const ends of ['rollback', 'commit']) {
        for (let n = 0; n < 3; n++) expect(await db.scope(columns)).toBe(1)
        await within(db, async () => {
          expect(await columns()).toBe(1)
          const [, together] = await Promise.all([db.scalar(text, params), columns()])
          expect([together, await columns(), await columns()]).toEqual([2, 2, 2])
          if (ends === 'rollback' && place === 'in a transaction') throw new Error('taken back')
          if (ends === 'rollback') await db.status('alter table grown drop column more')
        }).catch((error: unknown) => expect((error as Error).message).toContain('taken back'))
      }
      expect([await columns(), await db.transaction(columns)]).toEqual([2, 2])
    })
  })
})

test('a call that is issued together with a read is not stopped with it, and runs once', async () => {
  await using database = await freshDatabase(
    `create sequence calls; create function book() returns bigint language plpgsql as $$ begin return nextval('calls'); end $$`,
  )
  await using db = createDb(database.url, { driver: 'socket', pool: { max: 1, connectTimeoutMs: 60_000 } })
  await db.scope(async () => {
    await Promise.all([db.scalar('select 1'), db.scalar('select book()')])
    const [slow, ...booked] = await Promise.allSettled([
      db.scalar('select pg_sleep(30)', [], { timeoutMs: 50 }),
      db.scalar('select book()'),
      db.scalar('select book()'),
    ])

    expect(slow.status).toBe('rejected')
    expect(booked.map((each) => each.status === 'fulfilled' && Number(each.value))).toEqual([2, 3])
  })
})
