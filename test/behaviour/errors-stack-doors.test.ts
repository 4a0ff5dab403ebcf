/** The stack of an error has the caller's line, whichever method was called and however it fails. */

import { eq } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { createDb, type Db, GeneverError, globalDb } from 'genever'
import { ambient } from 'genever/drizzle'
import { kysely } from 'genever/kysely'
import { Model } from 'genever/models'
import { createRegistry } from 'genever/registry'
import { expect, test } from 'vitest'
import { type Doors, without } from '../support/caller-lines.ts'
import { caught } from '../support/caught.ts'
import { forEachDriver } from '../support/matrix.ts'

const missing = pgTable('no_such_table', { id: integer().primaryKey(), name: text().notNull() })
const row = { id: 1, name: 'a' }
const [select, insert] = ['select * from no_such_table', `insert into no_such_table values (1, 'a')`]

async function readAll(rows: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of rows);
}

function ofCore(db: Db): Doors {
  const baked = db.bake(select)
  return {
    'all()': async () => void (await db.all(select)),
    'status()': async () => void (await db.status(insert)),
    sql: async () => void (await db.sql`select * from no_such_table`),
    'bake().all()': async () => void (await baked.all()),
    'bake().iterate()': async () => readAll(baked.iterate()),
    'executeMany()': async () => void (await db.executeMany(insert, [[], []])),
    'iterate()': async () => readAll(db.iterate(select)),
    'copyFrom()': async () => void (await db.copyFrom('no_such_table').from('1\ta\n')),
    'copyTo()': async () => readAll(db.copyTo('no_such_table')),
    'transaction()': async () => void (await db.transaction((tx) => tx.all(select))),
    'transaction() in a transaction': async () =>
      void (await db.transaction((tx) => tx.transaction((inner) => inner.all(select)))),
    'begin()': async () => {
      await using tx = await db.begin()
      await tx.all(select)
    },
    'acquire()': async () => {
      await using connection = await db.acquire()
      await connection.all(select)
    },
    'scope()': async () => void (await db.scope(() => db.all(select))),
    'detached()': async () => void (await db.detached(() => db.all(select))),
    'lock()': async () => void (await db.lock('stack', () => db.all(select))),
    'listen()': async () => void (await db.listen('c'.repeat(80), () => {})),
    'notify()': () => db.notify('c'.repeat(80), 'x'),
  }
}

function ofModels(db: Db): Doors {
  class Missing extends Model(db, missing) {}
  const one = (): Missing => new Missing(row)
  return {
    'get()': async () => void (await Missing.get(1)),
    'query()': async () => void (await Missing.query()),
    'query().first()': async () => void (await Missing.query().first()),
    'query().count()': async () => void (await Missing.query().count()),
    'query().exists()': async () => void (await Missing.query().exists()),
    'query().page()': async () => void (await Missing.query().orderBy(Missing.c.id).limit(2).page()),
    'query().iterate()': async () => readAll(Missing.query().iterate()),
    'create()': async () => void (await Missing.create(row)),
    'createMany()': async () => void (await Missing.createMany([row, { ...row, id: 2 }])),
    'upsert()': async () => void (await Missing.upsert(row)),
    'Model.update()': async () => void (await Missing.update({ name: 'b' }).where(eq(Missing.c.id, 1))),
    'Model.delete()': async () => void (await Missing.delete().where(eq(Missing.c.id, 1))),
    'Model.delete().returning()': async () => void (await Missing.delete().where(eq(Missing.c.id, 1)).returning()),
    'update()': async () => void (await one().update({ name: 'b' })),
    'delete()': () => one().delete(),
    'reload()': async () => void (await one().reload()),
  }
}

function ofBuilders(db: Db): Doors {
  const d = ambient(db, (client) => drizzle({ client }))
  const k = kysely<{ no_such_table: typeof row }>(db)
  const all = k.selectFrom('no_such_table').selectAll()
  return {
    drizzle: async () => void (await d.select().from(missing)),
    'drizzle, insert': async () => void (await d.insert(missing).values(row)),
    'drizzle, transaction': async () => void (await d.transaction((tx) => tx.select().from(missing))),
    'all() of drizzle': async () => void (await db.all(d.select().from(missing))),
    kysely: async () => void (await all.execute()),
    'kysely, insert': async () => void (await k.insertInto('no_such_table').values(row).execute()),
    'kysely, stream()': async () => readAll(all.stream()),
    'kysely, transaction': async () =>
      void (await k.transaction().execute((tx) => tx.selectFrom('no_such_table').selectAll().execute())),
    'all() of kysely': async () => void (await db.all(all)),
  }
}

const all = (db: Db): Doors => ({ ...ofCore(db), ...ofModels(db), ...ofBuilders(db) })

forEachDriver((driver) => {
  test('what the server refuses', async () => {
    expect(await without(all(await driver.db()))).toEqual([])
  })

  test('what comes too late, when the db is closed', async () => {
    const db = createDb(await driver.url())
    const doors = all(db)
    await db.close()
    expect(await without(doors)).toEqual([])
  })

  test('what comes too late on a handle', async () => {
    const db = await driver.db()
    const connection = await db.acquire()
    await connection.release()
    const ended = await db.transaction(async (tx) => tx)
    for (const handle of [connection, ended])
      expect(
        await without({
          'all()': async () => void (await handle.all(select)),
          sql: async () => void (await handle.sql`select * from no_such_table`),
          'sql.one()': async () => void (await handle.sql`select * from no_such_table`.one()),
          'iterate()': async () => readAll(handle.iterate(select)),
          'executeMany()': async () => void (await handle.executeMany(insert, [[]])),
          'transaction()': async () => void (await handle.transaction((tx) => tx.all(select))),
        }),
      ).toEqual([])
  })

  test('what comes behind a failure in a transaction', async () => {
    const db = await driver.db()
    const found = await caught(
      db.transaction(async () => {
        await caught(db.all(select))
        expect(await without(all(db))).toEqual([])
        throw new TypeError('done')
      }),
    )
    expect(found.message).toBe('done')
  })

  test('what finds no free connection', async () => {
    const db = await driver.single({ pool: { acquireTimeoutMs: 20 } })
    await using held = await db.detached(() => db.acquire())
    expect(await without(all(db))).toEqual([])
    await held.release()
  })
})

const nowhere = ['postgres://127.0.0.1:1/x', 'pg://127.0.0.1:1/x', 'mysql://127.0.0.1:1/x']

test.each(nowhere)('what finds no server: %s', async (url) => {
  const names = Object.keys(all(createDb()))
  // Each on a db that has not failed before, and so does not wait before it tries.
  const doors = names.map((name) => [name, () => all(createDb(url))[name]?.()] as const)
  expect(await without(Object.fromEntries(doors) as Doors)).toEqual([])
})

test('several callers that wait for the same opening each have their line', async () => {
  const db = createDb('postgres://127.0.0.1:1/x')
  async function first(): Promise<void> {
    await db.all('select 1')
  }
  async function second(): Promise<void> {
    await db.scalar('select 2')
  }
  const ends = await Promise.allSettled([first(), second()])
  const stacks = ends.map((end) => (end as PromiseRejectedResult).reason.stack as string)
  expect(stacks[0]).toMatch(/\bfirst\b/)
  expect(stacks[1]).toMatch(/\bsecond\b/)
})

test('a db without a database, one of the process, and one of a registry', async () => {
  const nameless = globalDb('errors-stack-doors', () => 'postgres://127.0.0.1:1/x')
  const registry = createRegistry({ main: 'postgres://127.0.0.1:1/x' })
  for (const db of [createDb(), nameless, registry]) expect(await without(ofCore(db))).toEqual([])
})

test('a limit of the process on the lines of a stack holds, but for those of the package', async () => {
  const limit = Error.stackTraceLimit
  try {
    Error.stackTraceLimit = 0
    expect(new GeneverError('none').stack).toBe('GeneverError: none')
    Error.stackTraceLimit = 3
    const error = await createDb()
      .all('select 1')
      .catch((thrown: unknown) => thrown as GeneverError)
    expect(error).toMatchObject({ stack: expect.stringContaining('errors-stack-doors.test.ts') })
    expect(Error.stackTraceLimit).toBe(3)
  } finally {
    Error.stackTraceLimit = limit
  }
})
