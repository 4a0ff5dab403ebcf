/** What fails comes out as an error of Genever, never as Drizzle's wrapper, which has the parameters in its message. */

import { eq, sql } from 'drizzle-orm'
import {
  ConnectError,
  createDb,
  isGeneverError,
  NotNullViolationError,
  QueryTimeoutError,
  UniqueViolationError,
  UsageError,
} from 'genever'
import { inspect } from 'node:util'
import { beforeEach, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { ambientOn, type Drizzle, onBoth } from './support.ts'
import { rowsSql, tablesDdl, users } from './tables.ts'

const secret = 'hunter2-secret'

onBoth(tablesDdl, (bench) => {
  beforeEach(() => bench.both(rowsSql))

  const failing: Readonly<Record<string, (q: Drizzle) => PromiseLike<unknown>>> = {
    'an insert': (q) => q.insert(users).values({ id: 1, name: secret }),
    'an insert with returning': (q) => q.insert(users).values({ id: 1, name: secret }).returning(),
    text: (q) => q.execute(sql`insert into users (id, name) values (1, ${secret})`),
    'a prepared insert': (q) =>
      q
        .insert(users)
        .values({ id: 1, name: sql.placeholder('name') })
        .prepare('p')
        .execute({ name: secret }),
    'an insert in a transaction': (q) => q.transaction((tx) => tx.insert(users).values({ id: 1, name: secret })),
    'a builder given to db': (q) => bench.db.status(q.insert(users).values({ id: 1, name: secret })),
  }

  test.each(Object.keys(failing))('%s that violates a constraint: typed, and without its values', async (name) => {
    const error = await caught(failing[name]!(bench.ours))

    expect(error).toBeInstanceOf(UniqueViolationError)
    expect(error).toMatchObject({ constraint: 'users_pkey', table: 'users', outcome: 'rolled_back' })
    expect(error.stack).toContain('test/drizzle/errors.test.ts')
    for (const text of [error.message, String(error), error.stack, inspect(error, { depth: 9 }), JSON.stringify(error)])
      expect(text).not.toContain(secret)
  })

  test('by class: what the server refuses, what is missing, what takes too long', async () => {
    const { db, ours } = bench

    expect(await caught(ours.insert(users).values({ name: null as never }))).toBeInstanceOf(NotNullViolationError)
    expect(await caught(ours.execute(sql`select nothing from users`))).toMatchObject({ sqlState: '42703' })
    expect(isGeneverError(await caught(ours.select().from(sql`nowhere`)), 'SQL_SYNTAX')).toBe(true)
    if (bench.driver === 'pglite') return // It sleeps in this process.
    const slow = db.all(ours.select({ slept: sql`pg_sleep(10)` }).from(users), { timeoutMs: 200 })
    expect(await caught(slow)).toBeInstanceOf(QueryTimeoutError)
  })

  test('after a failure the transaction goes on from a savepoint', async () => {
    await bench.ours.transaction(async (tx) => {
      await caught(tx.transaction((inner) => inner.insert(users).values({ id: 1, name: 'x' })))
      await tx.insert(users).values({ name: 'dan' })
    })

    expect(await bench.ours.$count(users)).toBe(4)
  })

  test('a database that cannot be reached is told by the first statement', async () => {
    const db = createDb('postgres://nobody@127.0.0.1:1/none', { retry: { limit: 0 } })

    expect(await caught(ambientOn(db).select().from(users).where(eq(users.name, secret)))).toBeInstanceOf(ConnectError)
    await db.close()
  })

  test('what the client cannot do is refused by name', async () => {
    const { $client } = bench.ours as unknown as { $client: { connect(): unknown; transaction(): unknown } }

    expect(() => $client.connect()).toThrow(UsageError)
    expect(() => $client.transaction()).toThrow(/use transaction\(\) of your Drizzle/)
  })
})
