/** What a scope relies on in its session survives that the pool may take its connection back, or an error says that it does not. */

import { setTimeout as pause } from 'node:timers/promises'
import { createDb, isGeneverError } from 'genever'
import { expect, onTestFinished, test } from 'vitest'
import { type FreshDatabase, freshDatabase, onServer } from '../support/database.ts'
import { functionsKnown } from '../support/functions.ts'
import { startProxy } from '../support/proxy.ts'
import { until } from '../support/until.ts'

const schema = `create table t (id serial primary key, who int);
  create function set_tenant(tenant text) returns text language sql as $$ select set_config('app.tenant', tenant, false) $$;
  create function draw(who int) returns int language sql as $$ insert into t (who) values (who) returning id $$`

async function place(): Promise<{ database: FreshDatabase; url: string }> {
  const database = await freshDatabase(schema)
  onTestFinished(() => database.drop())
  return { database, url: database.url }
}

test.each([2, 3])(
  'lastval() after a wait is right or refused, never the number of somebody else: pool of %i',
  async (max) => {
    const { url } = await place()
    await using db = createDb(url, { pool: { max } })
    const visit = (me: number): Promise<'right' | 'refused'> =>
      db.scope(async () => {
        await db.status('insert into t (who) values ($1)', [me])
        await pause(5)
        try {
          expect(await db.scalar('select who from t where id = $1', [await db.scalar('select lastval()')])).toBe(me)
          return 'right'
        } catch (error) {
          if (!isGeneverError(error, 'SESSION_MOVED')) throw error
          await db.status('insert into t (who) values ($1)', [me])
          expect(await db.scalar("select who from t where id = currval('t_id_seq')")).toBe(me)
          return 'refused'
        }
      })

    await Promise.all(Array.from({ length: 20 }, (_, me) => visit(me)))
    expect(await visit(20)).toBe('right')
  },
)

test('a scope that goes straight on, or holds its connection, has its own numbers', async () => {
  const { url } = await place()
  await using db = createDb(url, { pool: { max: 2 } })
  await Promise.all(
    Array.from({ length: 40 }, (_, me) =>
      db.scope(
        async () => {
          await db.status('insert into t (who) values ($1)', [me])
          if (me % 2 === 0) await pause(2)
          expect(await db.scalar('select who from t where id = lastval()')).toBe(me)
        },
        { hold: me % 2 === 0 },
      ),
    ),
  )
})

test('what a function of the user has set stays with its scope, which keeps its connection', async () => {
  const { url } = await place()
  await using db = createDb(url, { pool: { max: 2 } })
  await Promise.all(
    Array.from({ length: 20 }, (_, me) =>
      db.scope(async () => {
        await db.scalar('select set_tenant($1)', [String(me)])
        await pause(3)
        expect(await db.scalar("select current_setting('app.tenant', true)")).toBe(String(me))
      }),
    ),
  )
})

test('idle() and release({ permanent: false }) keep what a function of the user has set, or refuse', async () => {
  const { url } = await place()
  await using db = createDb(url, { pool: { max: 1 } })
  const tenant = (): Promise<unknown> => db.scalar("select current_setting('app.tenant', true)")
  await db.scope(async (own) => {
    await db.scalar('select set_tenant($1)', ['7'])
    await db.idle(async () => {
      expect(own.borrowed).toBe(true)
      await pause(2)
    })
    const refused = own
      .release({ permanent: false })
      .catch((error: unknown) => isGeneverError(error, 'TRANSACTION_STATE'))
    expect([await refused, await tenant()]).toEqual([true, '7'])
    await own.release({ permanent: false, discardSession: true })
    expect(own.borrowed).toBe(false)
  })
})

test('the number that a function has drawn is asked for where it was drawn, or refused', async () => {
  const { url } = await place()
  await using db = createDb(url, { pool: { max: 2 } })
  await Promise.all(
    Array.from({ length: 20 }, (_, me) =>
      db.scope(async () => {
        const id = await db.scalar('select draw($1)', [me])
        await pause(3)
        const last = await db.scalar('select lastval()').catch((error: unknown) => error)
        if (!isGeneverError(last, 'SESSION_MOVED')) expect(last).toBe(id)
      }),
    ),
  )
})

test('the number that a trigger has drawn is that of its scope, or refused', async () => {
  await using database = await freshDatabase(`create sequence drawn; create table t (owner int, n int);
    create function number() returns trigger language plpgsql as $$ begin new.n := nextval('drawn'); return new; end $$;
    create trigger number before insert on t for each row execute function number()`)
  await using db = createDb(database.url, { pool: { max: 2 } })
  const seen = await Promise.all(
    Array.from({ length: 20 }, (_, me) =>
      db.scope(async () => {
        await db.status('insert into t (owner) values (:me)', { me })
        await pause(3)
        const n = await db.scalar('select lastval()').catch((error: unknown) => {
          if (!isGeneverError(error, 'SESSION_MOVED')) throw error
          return null
        })
        return n === null || (await db.scalar('select owner from t where n = :n', { n })) === me
      }),
    ),
  )

  expect(seen).toEqual(Array(20).fill(true))
})

test('functions of PostgreSQL that leave nothing keep no connection', async () => {
  const { url } = await place()
  await using db = createDb(url, { pool: { max: 1 } })
  await db.scope(async () => {
    await db.all(
      'select lower($1), now(), count(*), coalesce(max(id), 0) from t where id in (1, 2) group by lower($1)',
      ['A'],
    )
    await db.status('insert into t (who) values (1)')
    expect(await db.detached(() => db.scalar('select 7'))).toBe(7)
  })
})

test.each(['update t set who = who', 'select 1 from t for update', 'delete from t where false'])(
  'a write that draws no number brings none back: lastval() stays refused after %s',
  async (write) => {
    const { url } = await place()
    await using db = createDb(url, { pool: { max: 1 } })

    const code = await db.scope(async () => {
      await db.status('insert into t (who) values (1)')
      await db.detached(() => db.scope((own) => own.status('insert into t (who) values (2)')))
      await db.status(write)
      return db.scalar('select lastval()').catch((error: unknown) => isGeneverError(error, 'SESSION_MOVED'))
    })

    expect(code).toBe(true)
  },
)

test('an upsert with a list of columns does not keep the connection', async () => {
  const { url } = await place()
  await using db = createDb(url, { pool: { max: 1 } })

  await db.scope(async (own) => {
    await db.status('insert into t (id, who) values (1, 2) on conflict (id) do update set (id, who) = (1, 3)')
    expect(await db.detached(() => db.scalar('select 1'))).toBe(1)
    expect(own.borrowed).toBe(false)
  })
})

test('a session that took too long to say what keeps its connection is asked again', async () => {
  await using database = await freshDatabase()
  const name = `asked-${process.pid}`
  await using proxy = await startProxy(database.url)
  await using db = createDb(proxy.url, { applicationName: name, pool: { max: 1 }, resetTimeoutMs: 100 })
  await functionsKnown(await db.open())
  const ask = { to: 'server', text: 'pg_my_temp_schema', when: 'after' } as const
  const asked = proxy.on(ask, () => {})
  const idle = "select from pg_stat_activity where application_name = $1 and state = 'idle'"
  await using locker = createDb(database.url, { pool: { max: 1 } })

  await db.scope(async () => {
    await db.status('create temp table kept (n int)')
    await db.status('drop table kept')
    let waiter: Promise<unknown> = Promise.resolve()
    await locker.transaction(async () => {
      await locker.status('lock table pg_class in access exclusive mode')
      waiter = db.detached(() => db.scalar('select 7'))
      await until(() => asked.link !== null)
      await until(() => proxy.links.some(({ cancels }) => cancels))
      await until(async () => (await onServer(idle, [name])).length === 1)
    })
    expect(await waiter).toBe(7)
  })
})
