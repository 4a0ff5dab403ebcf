/** Settings of a scope beside what cannot share its unit with them: BEGIN with an isolation level, and what runs in no transaction. */

import { createDb, type Db, type TransactionOptions } from 'genever'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { freshDatabase } from '../support/database.ts'
import { fake, sound } from '../support/fake.ts'
import { forEachDriver } from '../support/matrix.ts'

const settings = { 'app.tenant': '7' }
const both = `select current_setting('transaction_isolation') || ' ' || coalesce(current_setting('app.tenant', true), '')`
const levels: readonly TransactionOptions[] = [
  { isolation: 'repeatable read' },
  { isolation: 'serializable' },
  { isolation: 'serializable', readOnly: true, deferrable: true },
]

forEachDriver((driver) => {
  describe.each(levels)(
    'a transaction with %o is the first to use the connection of a scope with settings',
    (options) => {
      const wanted = `${options.isolation} 7`
      const first = async (work: (db: Db) => Promise<unknown>): Promise<unknown> => {
        const db = await driver.single()
        return db.scope(() => work(db), { settings })
      }

      test('around a callback', async () => {
        expect(await first((db) => db.transaction(() => db.scalar(both), options))).toBe(wanted)
      })

      test('nested, with nothing outside', async () => {
        const nested = (db: Db) => db.transaction((tx) => tx.transaction(() => db.scalar(both)), options)
        expect(await first(nested)).toBe(wanted)
      })

      test('begun when its first statement comes', async () => {
        expect(await first((db) => db.transaction(() => db.scalar(both), { ...options, lazy: true }))).toBe(wanted)
      })

      test('by hand', async () => {
        const db = await driver.single()
        const seen = await db.scope(
          async () => {
            await using tx = await db.begin(options)
            return await tx.scalar(both)
          },
          { settings },
        )
        expect(seen).toBe(wanted)
      })

      test('on a connection of its own', async () => {
        expect(await first((db) => db.transaction(() => db.scalar(both), { ...options, reuse: false }))).toBe(wanted)
      })

      test('by text, on an acquired connection', async () => {
        const seen = await first(async (db) => {
          await using connection = await db.acquire()
          await connection.status(`begin isolation level ${options.isolation}`)
          const inside = await connection.scalar(both)
          await connection.status('rollback')
          await connection.status('begin')
          await connection.status(`set transaction isolation level ${options.isolation}`)
          const again = await connection.scalar(both)
          await connection.status('commit')
          return [inside, again]
        })
        expect(seen).toEqual([wanted, wanted])
      })

      test('after idle(), after a rollback and after a first statement that fails', async () => {
        const seen = await first(async (db) => {
          const inTransaction = (): Promise<unknown> => db.transaction(() => db.scalar(both), options)
          await db.scalar('select 1')
          await db.idle(() => {})
          const values = [await inTransaction()]
          await caught(db.transaction(() => db.scalar('select 1 / 0'), options))
          values.push(await inTransaction())
          await caught(
            db.transaction((tx) => tx.scalar('select 1').then(() => Promise.reject(new Error('back'))), options),
          )
          values.push(await inTransaction(), await db.scalar(`select current_setting('app.tenant')`))
          return values
        })
        expect(seen).toEqual([wanted, wanted, wanted, '7'])
      })
    },
  )

  test('the isolation level of the engine is kept beside settings', async () => {
    const db = await driver.single({ isolation: 'serializable' })
    expect(await db.scope(() => db.transaction(() => db.scalar(both)), { settings })).toBe('serializable 7')
  })

  test.each([
    'vacuum _',
    'vacuum (analyze) _',
    'create index concurrently _i on _ (n)',
    'reindex table concurrently _',
    'call _p()',
    'do $$ begin insert into _ values (9); commit; end $$',
    'create table _x as select 1 as n; drop table _x',
    'analyze _',
    'cluster',
    'checkpoint',
  ])('what runs in no transaction is the first of a scope with settings: %s', async (pattern) => {
    const table = await driver.table('n int')
    const text = pattern.replaceAll('_', (_, at: number) => (pattern[at - 1] === '(' ? '_' : table))
    const db = await driver.single()
    await db.status(
      `create or replace procedure ${table}p() language plpgsql as $$ begin insert into ${table} values (1); commit; end $$`,
    )
    const ways: readonly (() => Promise<unknown>)[] = [
      () => db.scope(() => db.status(text), { settings }),
      () => db.scope((connection) => connection.status(text), { settings, reusable: false }),
      () => db.detached(() => db.status(text), { settings }),
    ]
    for (const way of ways) {
      await way()
      await db.status(`drop index if exists ${table}i`)
    }
    const after = await db.scope(async () => [await db.status(text), await db.scalar(both)][1], { settings })
    expect(after).toBe('read committed 7')
  })

  test('the settings hold for a procedure that is called first', async () => {
    const table = await driver.table('who text')
    const db = await driver.single()
    await db.status(
      `create procedure ${table}p() language plpgsql as $$ begin
        insert into ${table} values (current_setting('app.tenant', true)); commit;
        insert into ${table} values (current_setting('app.tenant', true)); end $$`,
    )
    await db.scope(() => db.status(`call ${table}p()`), { settings })
    expect(await db.all(`select who from ${table}`)).toEqual([{ who: '7' }, { who: '7' }])
  })
})

test('ALTER SYSTEM, CREATE and DROP DATABASE run as the first of a scope with settings', async () => {
  await using database = await freshDatabase()
  await using db = createDb(database.url, { pool: { max: 1 } })
  const other = `${database.name}_other`
  for (const text of [`create database "${other}"`, `drop database "${other}"`, 'alter system reset work_mem'])
    await db.scope(() => db.status(text), { settings })
})

test('behind a pooler, where the settings would be those of another transaction, it is refused', async () => {
  await using server = await fake({}, { pooler: 'transaction' })
  const { db } = server
  for (const text of ['vacuum t', 'call p()', 'create index concurrently i on t (n)', 'drop database d']) {
    const error = await caught(db.scope(() => db.status(text), { settings }))
    expect(error).toMatchObject({ code: 'GENEVER_TRANSACTION_STATE', outcome: 'not_started' })
    expect(error.message).toContain('pooler')
  }
  expect(server.sent()).toEqual([])
  await sound(server)
})

test('settings cost a round trip of their own only in front of what takes none beside it', async () => {
  await using server = await fake({ answer: () => [] })
  const { db } = server
  let tenant = 0
  const sent = async (text: string): Promise<number> => {
    await db.scope(() => db.status(text), { settings: { 'app.tenant': String(++tenant) } })
    return server.sent().filter((line) => !line.includes('reset')).length
  }
  expect(await sent('select 1')).toBe(1)
  expect(await sent('insert into t values (1)')).toBe(1)
  expect(await sent('vacuum t')).toBe(2)
  await db.scope(() => db.transaction(() => db.status('select 1'), { isolation: 'serializable' }), { settings })
  expect(server.sent()[0]).toMatch(/^BEGIN ISOLATION LEVEL SERIALIZABLE; .*set_config.*; select 1/)
})
