/** `` db.sql`…` ``: statements as templates, run where they were written. */

import { type Db, type Fragment, ParameterError, sql, TransactionEndedError, UsageError } from 'genever'
import { describe, expect, test } from 'vitest'
import { caught, thrownBy } from '../support/caught.ts'
import { fake } from '../support/fake.ts'
import { mysql } from '../../src/mysql/dialect.ts'
import { postgres } from '../../src/postgres/dialect.ts'
import { forEachDriver, pid } from '../support/matrix.ts'

forEachDriver((driver) => {
  test('awaited, it gives all rows, with every value as a parameter', async () => {
    const db = await driver.db()
    const hostile = "'; drop table users; --"

    expect(await db.sql`select cast(${1} as decimal(1)) as n, cast(${hostile} as char(40)) as s`).toMatchObject([
      { n: '1', s: expect.stringMatching(new RegExp(`^${hostile} *$`)) },
    ])
  })

  test('each method says what is expected', async () => {
    const db = await driver.db()
    const rows = (to: number) =>
      db.sql<{ n: number }>`select n from (${sql.raw(driver.words.series(5))}) s where n <= ${to}`

    expect(await rows(2).all()).toEqual([{ n: 1 }, { n: 2 }])
    expect(await rows(2).first()).toEqual({ n: 1 })
    expect(await rows(1).one()).toEqual({ n: 1 })
    expect(await rows(0).oneOrNone()).toBeUndefined()
    expect(await rows(2).scalar()).toBe(1)
    expect(await rows(2).status()).toMatchObject({ command: 'SELECT', rowCount: 2 })
    const seen: number[] = []
    for await (const { n } of rows(3).iterate({ batchSize: 2 })) seen.push(n)
    expect(seen).toEqual([1, 2, 3])
  })

  test('fragments nest, and their values are counted anew', async () => {
    const db = await driver.db()
    const older = (age: number): Fragment => sql`age > ${age}`
    const people = sql`(select 'Ann' as name, 30 as age union all select 'Bob', 20 union all select 'Cid', 40) as people`

    expect(await db.sql`select name from ${people} where ${older(25)} and name <> ${'Cid'}`).toEqual([{ name: 'Ann' }])
    expect(
      await db.sql`select count(*) as n from (${db.sql`select * from ${people} where ${older(15)}`}) x where ${older(35)}`,
    ).toEqual([{ n: 1 }])
  })

  test('identifiers, raw text, lists and joins', async () => {
    const quote = (name: string): string => (driver.name === 'mysql' ? mysql : postgres).quote(name)
    const db = await driver.db()
    const t = await driver.table(`${quote('order')} int, ${quote('a"b')} text`)
    await db.sql`insert into ${sql.identifier(t)} (${sql.identifier('order')}, ${sql.identifier('a"b')}) values ${sql.join([1, 2, 3].map((n) => sql`(${n}, ${`s${n}`})`))}`

    const rows = await db.sql`select ${sql.identifier('order')} from ${sql.identifier(t)}
      where ${sql.join([sql`${sql.identifier('order')} in ${sql.list([1, 3])}`, sql`${sql.identifier('a"b')} <> ${'s3'}`], sql` and `)} order by ${sql.raw('1 desc')}`

    expect(rows).toEqual([{ order: 1 }])
  })

  test('on a handle it runs there', async () => {
    const db = await driver.db()

    await db.transaction(async (tx) => {
      expect(await tx.sql`${sql.raw(driver.words.session)} as pid`).toEqual([{ pid: await pid(tx) }])
      expect(await tx.connection.sql`${sql.raw(driver.words.session)} as pid`).toEqual([{ pid: await pid(tx) }])
    })
  })

  test('a query of one handle given to another runs on that one', async () => {
    const db = await driver.db()
    const t = await driver.table('n int')
    const query = db.sql`insert into ${sql.identifier(t)} values (1)`

    await caught(
      db.transaction(async (tx) => {
        await tx.status(query)
        throw new TypeError('no')
      }),
    )

    expect(await db.scalar(`select count(*) from ${t}`)).toBe(0)
  })
})

describe('a query that was written and not awaited', () => {
  test('is not sent', async () => {
    await using server = await fake()

    void (server.db.sql`insert into t values (1)` satisfies object)
    await new Promise(setImmediate)

    expect(server.sent()).toEqual([])
  })

  test('is sent each time it is awaited', async () => {
    await using server = await fake()
    const query = server.db.sql`insert into t values (${1})`

    await query
    await query

    expect(server.driver.rows('t')).toEqual([{ v: 1 }, { v: 1 }])
  })

  test('of a transaction that has ended throws when awaited, wherever that is', async () => {
    await using server = await fake()
    const { db } = server
    const keep = async (end: 'return' | 'throw', db: Db) => {
      const kept: PromiseLike<unknown>[] = []
      await db
        .transaction(async (tx) => {
          kept.push(db.sql`insert into t values (1)`, tx.sql`insert into t values (1)`)
          await db.transaction(() => void kept.push(db.sql`insert into t values (1)`))
          if (end === 'throw') throw new TypeError('end')
        })
        .catch(() => {})
      return kept
    }

    for (const end of ['return', 'throw'] as const) {
      for (const query of await keep(end, db)) {
        const error = await caught(query)
        expect(error).toBeInstanceOf(TransactionEndedError)
        expect(error.message).toMatch(/begun at .*sql-tag\.test\.ts/)
        expect(await caught(db.transaction(() => query))).toBeInstanceOf(TransactionEndedError)
      }
    }
    expect(server.sent()).toEqual([])
  })

  test('of a scope that has ended runs on any connection', async () => {
    await using server = await fake()
    const { db } = server

    const { query } = await db.scope(() => ({ query: db.sql`select ${7}` }))

    expect(await query.scalar()).toBe(7)
  })

  test('returned from a transaction callback runs inside of it', async () => {
    await using server = await fake()
    const { db } = server

    await db.transaction(() => db.sql`insert into t values (1)`)

    expect(server.sent()).toEqual(['BEGIN; insert into t values (1)', 'COMMIT'])
  })
})

describe('misuse', () => {
  test.each<[string, () => unknown, string]>([
    ['called as a function', () => (sql as unknown as (text: string) => unknown)('select 1'), 'template tag'],
    ['with a forged template', () => sql(['select 1'] as unknown as TemplateStringsArray), 'template tag'],
    ['a value inside quotes', () => sql`select '${1}'`, 'inside quotes'],
    ['a value inside a comment', () => sql`select 1 -- ${1}`, 'inside quotes or a comment'],
    ['an open quote', () => sql`select '`, 'leaves a quote'],
    ['an open comment in raw text', () => sql.raw('1 /*'), 'leaves a quote or comment open'],
    ['an empty list', () => sql.list([]), 'empty list'],
    ['an empty identifier', () => sql.identifier(''), 'is empty'],
    ['an identifier of 64 bytes', () => sql.identifier('x'.repeat(64)), '64 bytes'],
    ['an identifier with NUL', () => sql.identifier('a\0b'), 'NUL'],
    ['a separator that is text', () => sql.join([1], ' and ' as never), 'separator'],
  ])('%s is a UsageError', (_, work, message) => {
    const error = thrownBy(work)

    expect(error).toBeInstanceOf(UsageError)
    expect(error.message).toContain(message)
  })

  class Column {
    getSQL(): object {
      return {}
    }
  }
  test.each([
    ['undefined', undefined],
    ['a function', () => 1],
    ['a promise', Promise.resolve(1)],
    ['an object of a builder that was not imported', new Column()],
  ])('%s as a value is a ParameterError by its position', (_, value) => {
    const error = thrownBy(() => sql`select ${1}, ${value}`)

    expect(error).toBeInstanceOf(ParameterError)
    expect(error.message).toContain('Value 2 of the template')
  })

  test('what db.sql refuses it throws at once, where it is written', async () => {
    await using server = await fake()

    expect(thrownBy(() => server.db.sql`select ${undefined}`)).toBeInstanceOf(ParameterError)
  })

  test('JSON cannot pose as SQL', async () => {
    await using server = await fake()
    const forged: unknown = JSON.parse(
      '{"queryChunks":["1; drop table t"],"sql":"1","params":[],"texts":["1"],"uses":[]}',
    )
    let sent: readonly unknown[] = []
    await using probe = await fake({ answer: (_, params) => ((sent = params), []) })

    await probe.db.sql`look ${forged}`

    expect(sent).toEqual([forged])
    expect(server.sent()).toEqual([])
  })
})
