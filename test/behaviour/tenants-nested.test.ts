/** Tenants inside of tenants, scopes, transactions and savepoints: one connection, and each statement at its own tenant. */

import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { type Connection, type ManualTransaction, TransactionStateError } from 'genever'
import { geneverDialect, kysely } from 'genever/kysely'
import { Model } from 'genever/models'
import { createRegistry, type Registry } from 'genever/registry'
import { Kysely } from 'kysely'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { pid } from '../support/matrix.ts'
import { until } from '../support/until.ts'

const table = pgTable('notes', { id: integer().primaryKey(), body: text() })
let database: FreshDatabase
const filled = (schema: string): string =>
  `create schema ${schema}; create table ${schema}.notes (id int primary key, body text); insert into ${schema}.notes values (1, '${schema}');`
beforeAll(async () => {
  database = await freshDatabase(
    `create table notes (id int primary key, body text); insert into notes values (1, 'public');${['a', 'b', 'c'].map(filled).join('')}`,
  )
})
afterAll(() => database.drop())

function setUp(max = 1): { db: Registry<never, string>; Note: ReturnType<typeof noteOf> } {
  const db = createRegistry({ main: { url: database.url, pool: { max } }, tenancy: { schema: (id: string) => id } })
  onTestFinished(async () => void (await db.close({ force: true })))
  return { db, Note: noteOf(db) }
}

function noteOf(db: Registry<never, string>) {
  return class Note extends Model(db, table) {}
}

const body = 'select body from notes where id = 1'

describe('on one connection', () => {
  test('a tenant inside of a tenant, with text, queries and models, in a scope and in a transaction', async () => {
    const { db, Note } = setUp()
    const all = async (): Promise<unknown[]> => [
      await db.scalar(body),
      (await Note.getOr404(1)).body,
      (await db.sql<{ body: string }>`select body from notes where id = 1`.one()).body,
    ]
    const nested = (): Promise<unknown[]> =>
      db.withTenant('a', async () => [
        await all(),
        await db.withTenant('b', async () => [await all(), await db.withSchema('c', all), await all()]),
        await db.withTenant(null, () => db.scalar(body)),
        await all(),
      ])
    const wanted = [
      ['a', 'a', 'a'],
      [
        ['b', 'b', 'b'],
        ['c', 'c', 'c'],
        ['b', 'b', 'b'],
      ],
      'public',
      ['a', 'a', 'a'],
    ]

    expect(await nested()).toEqual(wanted)
    expect(await db.scope(nested)).toEqual(wanted)
    expect(await db.transaction(nested)).toEqual(wanted)
    expect(await db.withTenant('c', () => db.transaction(nested))).toEqual(wanted)
    expect(await db.scalar(body)).toBe('public')
  })

  test('two tenants side by side in one transaction share its connection', async () => {
    const { db, Note } = setUp()
    const seen = await db.transaction(async (tx) => {
      const outer = await pid(tx)
      const each = await Promise.all(
        ['a', 'b', 'c', 'a', 'b', 'c'].map((tenant) =>
          db.withTenant(tenant, async () => [
            tenant,
            (await Note.getOr404(1)).body,
            await db.scalar(body),
            await pid(db),
          ]),
        ),
      )
      return each.map(([tenant, first, second, where]) => [first === tenant, second === tenant, where === outer])
    })

    expect(seen).toEqual(Array.from({ length: 6 }, () => [true, true, true]))
  })

  test('a savepoint that is rolled back takes the path back, and the next statement has its own', async () => {
    const { db } = setUp()
    const seen = await db.transaction(async () => {
      await db.withTenant('a', () => db.scalar(body))
      await caught(
        db.transaction(async () => {
          await db.withTenant('b', () => db.status("insert into notes values (7, 'b')"))
          throw new Error('back')
        }),
      )
      await caught(db.withTenant('c', () => db.transaction(() => db.all('select 1/0'))))
      return [
        await db.withTenant('b', () => db.scalar('select count(*) from notes where id = 7')),
        await db.withTenant('a', () => db.scalar(body)),
        await db.withTenant('c', () => db.scalar(body)),
        await db.scalar(body),
      ]
    })

    expect(seen).toEqual([0, 'a', 'c', 'public'])
    expect(await db.withTenant('c', () => db.scalar(body))).toBe('c')
  })

  test('queries and objects of another tenant go there, also through the handle of a transaction', async () => {
    const { db, Note } = setUp()
    const made = await db.withTenant('b', async () => ({ query: Note.query(), note: await Note.getOr404(1) }))
    const seen = await db.withTenant('a', () =>
      db.transaction(async (tx) => {
        const rows: unknown[] = [
          (await made.query.one()).body,
          (await made.query.one(tx)).body,
          (await tx.all(made.query))[0]?.body,
          (await Note.using({ tenant: 'c' }).getOr404(1, tx)).body,
          (await db.using({ schema: 'b' }).all<{ body: string }>(body))[0]?.body,
          await tx.scalar(body),
        ]
        rows.push(
          (await db.using({ schema: 'c' }).all<{ body: string }>(body, [], tx))[0]?.body,
          await Note.using({ tenant: 'c' }).query().count(tx),
          await db.using({ schema: 'c' }).transaction((inner) => inner.scalar(body), tx),
          (await Note.using({ tenant: 'c' }).getOr404(1, { on: db })).body,
        )
        await made.note.update({ body: 'changed' }).apply(tx)
        return [...rows, await db.withTenant('b', () => tx.scalar(body)), await tx.scalar(body)]
      }),
    )

    expect(seen).toEqual(['b', 'b', 'b', 'c', 'b', 'a', 'c', 1, 'c', 'c', 'changed', 'a'])
    await database.query("update b.notes set body = 'b'")
  })

  test('a connection or transaction that a db of using() has given is at its tenant, and follows those inside', async () => {
    const { db, Note } = setUp(8)
    const there = db.using({ tenant: 'c' })
    const k = kysely<{ notes: { id: number; body: string } }>(there)
    const query = k.selectFrom('notes').select('body').where('id', '=', 1)
    const plain = new Kysely<{ notes: { id: number; body: string } }>({ dialect: geneverDialect(there) })
    const bodies = async (on: Connection | ManualTransaction): Promise<unknown[]> => [
      await on.scalar(body),
      await db.scalar(body, [], { on }),
      (await Note.getOr404(1, on)).body,
      await on.run(() => db.scalar(body)),
      await db.withTenant('b', () => on.scalar(body)),
    ]
    const seen = await db.withTenant('a', async () => {
      await using connection = await there.acquire()
      await using tx = await there.begin()
      const all = [await bodies(connection), await bodies(tx)]
      const savepoint = await tx.begin()
      all.push([await savepoint.scalar(body), await savepoint.connection.scalar(body)])
      await savepoint.rollback()
      const trx = await k.startTransaction().execute()
      all.push([
        (await query.executeTakeFirstOrThrow()).body,
        await trx.executeQuery(query).then(({ rows }) => rows[0]?.body),
      ])
      await trx.rollback().execute()
      all.push(await plain.transaction().execute(async (inner) => [(await inner.executeQuery(query)).rows[0]?.body]))
      all.push([
        (await plain.selectFrom('notes').select('body').where('id', '=', 1).executeTakeFirstOrThrow()).body,
        await there.scope(() => db.scalar(body)),
        await there.transaction(() => db.scalar(body)),
        await there.detached(() => db.scalar(body)),
        await there.lock('tenants', () => db.scalar(body)),
        await db.scope(() => there.lock('tenants', () => db.scalar(body))),
        await db.transaction(() => there.lock('tenants', () => db.scalar(body))),
        ...(await db.transaction(() =>
          plain.transaction().execute(async (inner) => [(await inner.executeQuery(query)).rows[0]?.body]),
        )),
      ])
      await using own = await db.acquire()
      all.push([await db.scalar(body), await own.scalar(body), await db.detached(() => own.scalar(body))])
      return all
    })

    const at = ['c', 'c', 'c', 'c', 'b']
    expect(seen).toEqual([at, at, ['c', 'c'], ['c', 'c'], ['c'], Array.from({ length: 8 }, () => 'c'), ['a', 'a', 'a']])
  })

  test('rows of a cursor come from the tenant it was made at, whatever is done between them', async () => {
    const { db, Note } = setUp()
    await database.query("insert into a.notes select n, 'a' from generate_series(100, 120) n")
    const seen = await db.transaction(async () => {
      const bodies = new Set<unknown>()
      const cursor = await db.withTenant('a', () => ({
        rows: db.using({ tenant: 'a' }).iterate<{ body: string }>('select body from notes', [], { batchSize: 4 }),
      }))
      for await (const row of cursor.rows) {
        bodies.add(row.body)
        expect(await db.withTenant('b', async () => (await Note.getOr404(1)).body)).toBe('b')
      }
      return [...bodies]
    })

    expect(seen).toEqual(['a'])
    await database.query('delete from a.notes where id >= 100')
  })
})

describe('code that runs later is at the tenant at which it was given', () => {
  test('hooks of a transaction, whatever is around that', async () => {
    const { db, Note } = setUp(2)
    const seen: unknown[] = []
    const look = (name: string) => async () =>
      void seen.push([name, db.tenant, await db.scalar(body), (await Note.getOr404(1)).body])

    await db.transaction(async (tx) => {
      await db.withTenant('a', () => db.afterCommit(look('ambient')))
      await db.withTenant('b', async () => {
        tx.afterCommit(look('of tx'))
        await db.current?.afterCommit(look('of a connection'))
        await db.withSchema('c', () => db.afterCommit(look('in a schema')))
      })
      await caught(
        db.transaction(async (inner) => {
          await db.withTenant('c', async () => inner.afterRollback(look('rolled back')))
          throw new Error('back')
        }),
      )
      await db.afterCommit(async () => void seen.push(['none', db.tenant, await db.scalar(body)]))
    })
    expect(seen.splice(0)).toEqual([
      ['ambient', 'a', 'a', 'a'],
      ['of tx', 'b', 'b', 'b'],
      ['of a connection', 'b', 'b', 'b'],
      ['in a schema', 'b', 'c', 'c'],
      ['rolled back', 'c', 'c', 'c'],
      ['none', undefined, 'public'],
    ])

    await db.withTenant('b', () =>
      db.transaction(async () => {
        await db.withTenant('a', () => db.afterCommit(look('inner')))
        await db.withTenant(null, () => db.afterCommit(async () => void seen.push(await db.scalar(body))))
        await db.using({ tenant: 'c' }).afterCommit(look('of using()'))
        await db.afterCommit(look('outer'))
      }),
    )
    expect(seen.splice(0)).toEqual([
      ['inner', 'a', 'a', 'a'],
      'public',
      ['of using()', 'c', 'c', 'c'],
      ['outer', 'b', 'b', 'b'],
    ])

    const left = await db.withTenant('a', async () => {
      const tx = await db.begin()
      await tx.scalar(body)
      tx.afterCommit(look('by hand'))
      return tx
    })
    await left.commit()
    expect(seen).toEqual([['by hand', 'a', 'a', 'a']])
  })

  test('the callback of listen()', async () => {
    const { db, Note } = setUp(2)
    const seen: unknown[] = []
    const listener = await db.withTenant('a', () =>
      db.listen('notes', async ({ payload }) => {
        seen.push([payload, db.tenant, await db.scalar(body), (await Note.getOr404(1)).body])
      }),
    )
    await db.withTenant('b', () => db.notify('notes', 'first'))
    await db.notify('notes', 'second')
    await until(() => seen.length === 2, { what: 'both are heard' })
    await listener.unlisten()

    const other = await db.withTenant('a', () =>
      db.using({ tenant: 'c' }).listen('notes', async () => void seen.push(await db.scalar(body))),
    )
    await db.notify('notes')
    await until(() => seen.length === 3, { what: 'the third is heard' })
    await other.unlisten()
    expect(seen.pop()).toBe('c')

    expect(seen).toEqual([
      ['first', 'a', 'a', 'a'],
      ['second', 'a', 'a', 'a'],
    ])
  })
})

describe('text that leaves the tenant', () => {
  test.each([
    'reset role',
    'set role postgres',
    'SET LOCAL ROLE postgres',
    'set session authorization default',
    'reset session authorization',
    'reset all',
    'discard all',
    'set search_path = public',
    'set local "search_path" to public',
    "set schema 'public'",
    'reset search_path',
    "select set_config('search_path', 'public', true)",
    "select 1, pg_catalog.set_config ( 'ROLE', $1, false)",
    '/* a */ set -- b\n search_path = public',
    "update notes set body = set_config('search_path', 'public', true)",
  ])('%s is refused inside, and nothing is sent', async (sql) => {
    const { db } = setUp()
    const params = sql.includes('$1') ? ['none'] : []

    for (const run of [() => db.all(sql, params), () => db.transaction((tx) => tx.all(sql, params))])
      expect(await caught(db.withTenant('a', run))).toMatchObject({
        code: TransactionStateError.code,
        message: expect.stringMatching(/inside of withTenant\(\)/) as string,
      })
    expect(await db.withTenant('a', () => db.scalar(body))).toBe('a')
  })

  test('several texts at once are looked at each, and others go through', async () => {
    const { db } = setUp()
    await db.withTenant('a', async () => {
      expect(await caught(db.transaction((tx) => tx.status('select 1; reset role')))).toBeInstanceOf(
        TransactionStateError,
      )
      await db.transaction(async (tx) => {
        await tx.status("set local work_mem = '5MB'")
        await tx.status("update notes set body = 'set role x' where id = 1")
        await tx.status("update notes set body = 'a' where id = 1")
        expect(await tx.scalar("select set_config('app.mine', '1', true)")).toBe('1')
      })
    })
    expect(await db.transaction((tx) => tx.all("set local search_path = 'b'"))).toEqual([])
  })
})
