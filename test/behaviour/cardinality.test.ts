/** The methods of a query: how many rows each expects, and what it gives. */

import {
  type Executor,
  MultipleResultsError,
  NoResultError,
  type Query,
  sql,
  type Statement,
  UsageError,
} from 'genever'
import { describe, expect, test } from 'vitest'
import { type ToStatement, toStatement } from '../../src/sql/statement.ts'
import { caught } from '../support/caught.ts'
import { fake } from '../support/fake.ts'
import { forEachDriver } from '../support/matrix.ts'

const methods = ['all', 'first', 'one', 'oneOrNone', 'scalar', 'status'] as const

/** Calls a method with whatever it is given. */
function run(executor: Executor, method: (typeof methods)[number], query: unknown): Promise<unknown> {
  return (executor[method] as (query: unknown) => Promise<unknown>).call(executor, query)
}

/** A query as models and baked statements make them. */
class Built implements ToStatement<{ n: number }> {
  readonly #statement: Statement<{ n: number }>
  constructor(statement: Statement<{ n: number }>) {
    this.#statement = statement
  }
  [toStatement](): Statement<{ n: number }> {
    return this.#statement
  }
}

forEachDriver((driver) => {
  const onMysql = driver.name === 'mysql'
  const onPostgres = test.skipIf(onMysql)
  const numbers = (from: number, to: number): string =>
    `select n from (${driver.words.series(Math.max(to, 1))}) as numbers where n between ${from} and ${to} order by n`
  const forms = [
    ['text', (from: number, to: number) => numbers(from, to)],
    [
      'a fragment',
      (from: number, to: number) =>
        sql<{
          n: number
        }>`select n from (${sql.raw(driver.words.series(20))}) as numbers where n between ${from} and ${to} order by n`,
    ],
    [
      'a built query',
      (from: number, to: number) =>
        new Built({
          sql: `select n from (${driver.words.series(20)}) as numbers
            where n between ${driver.words.placeholder(1)} and ${driver.words.placeholder(2)} order by n`,
          params: [from, to],
        }),
    ],
  ] as const

  describe.each(forms)('with %s', (_, make) => {
    const query = make as (from: number, to: number) => Query<{ n: number }>

    test('all gives every row, first and one the first, scalar its value, status what the server says', async () => {
      const db = await driver.db()

      expect(await db.all(query(1, 3))).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }])
      expect(await db.first(query(1, 3))).toEqual({ n: 1 })
      expect(await db.one(query(1, 1))).toEqual({ n: 1 })
      expect(await db.oneOrNone(query(1, 1))).toEqual({ n: 1 })
      expect(await db.scalar(query(7, 9))).toBe(7)
      expect(await db.status(query(1, 2))).toMatchObject({ command: 'SELECT', rowCount: 2, rows: [{ n: 1 }, { n: 2 }] })
    })

    test('without a row all is empty, first, oneOrNone and scalar are undefined', async () => {
      const db = await driver.db()

      expect(await db.all(query(1, 0))).toEqual([])
      expect(await db.first(query(1, 0))).toBeUndefined()
      expect(await db.oneOrNone(query(1, 0))).toBeUndefined()
      expect(await db.scalar(query(1, 0))).toBeUndefined()
      expect(await db.status(query(1, 0))).toMatchObject({ rowCount: 0, rows: [] })
    })

    test('one without a row is a NoResultError', async () => {
      const db = await driver.db()

      expect(await caught(db.one(query(1, 0)))).toBeInstanceOf(NoResultError)
    })

    test('one and oneOrNone with two rows are MultipleResultsErrors', async () => {
      const db = await driver.db()

      expect(await caught(db.one(query(1, 2)))).toBeInstanceOf(MultipleResultsError)
      expect(await caught(db.oneOrNone(query(1, 2)))).toBeInstanceOf(MultipleResultsError)
    })
  })

  test('scalar tells SQL NULL, which is null, from no row, which is undefined', async () => {
    const db = await driver.db()

    expect(await db.scalar('select null')).toBeNull()
    expect(await db.scalar('select 1 where false')).toBeUndefined()
  })

  test('scalar takes the first of several columns, and of columns with one name', async () => {
    const db = await driver.db()

    expect(await db.scalar("select 1 as a, 2 as b, 'c' as c")).toBe(1)
    expect(await db.scalar('select 1 as a, 2 as a')).toBe(1)
  })

  // MySQL knows no row limit: the other rows are thrown away as they come.
  onPostgres.each(['first', 'scalar'] as const)(
    '%s does not make the server compute the other rows',
    async (method) => {
      const db = await driver.db()
      const sequence = `${await driver.table('n int')}_seq`
      await db.status(`create sequence ${sequence}`)

      await run(db, method, `select nextval('${sequence}') from generate_series(1, 1000)`)

      expect(await db.scalar(`select last_value from ${sequence}`)).toBe(1)
    },
  )

  onPostgres('one makes it compute two', async () => {
    const db = await driver.db()
    const sequence = `${await driver.table('n int')}_seq`
    await db.status(`create sequence ${sequence}`)

    await caught(db.one(`select nextval('${sequence}') from generate_series(1, 1000)`))

    expect(await db.scalar(`select last_value from ${sequence}`)).toBe(2)
  })

  test('first of a write does all of it', async () => {
    const db = await driver.db()
    const t = await driver.table('n int')

    const first = await db.first(`insert into ${t} (n) ${driver.words.series(5)} returning n`)

    expect(first).toEqual({ n: 1 })
    expect(await db.scalar(`select count(*) from ${t}`)).toBe(5)
  })

  test('the connection serves on after a row limit, in a transaction too', async () => {
    const db = await driver.single()

    await db.transaction(async () => {
      expect(await db.first(numbers(1, 1000))).toEqual({ n: 1 })
      expect(await db.first(numbers(2, 1000))).toEqual({ n: 2 })
    })
    expect(await db.first(numbers(3, 1000))).toEqual({ n: 3 })
  })

  onPostgres.each([
    ['insert into {t} values (1), (2)', 'INSERT 0 2', 2],
    ['update {t} set n = 3 where n = 1', 'UPDATE 0', 0],
    ['delete from {t}', 'DELETE 0', 0],
    ['select 1 from {t}', 'SELECT 0', 0],
    ['create table {t}_2 (n int)', 'CREATE TABLE', null],
    ['merge into {t} using (select 1) s on false when not matched then insert values (1)', 'MERGE 1', 1],
  ] as const)('status of %s prints as PostgreSQL does', async (text, line, count) => {
    const db = await driver.db()
    const t = await driver.table('n int')

    const status = await db.status(text.replace('{t}', t))

    expect(String(status)).toBe(line)
    expect(status.rowCount).toBe(count)
  })

  test('status gives the rows of a write with RETURNING', async () => {
    const db = await driver.db()
    const t = await driver.table('n int')

    const status = await db.status(`insert into ${t} values (1), (2) returning n`)

    expect(status).toMatchObject({ command: 'INSERT', rowCount: 2, rows: [{ n: 1 }, { n: 2 }] })
  })

  test('a write without RETURNING has no rows', async () => {
    const db = await driver.db()
    const t = await driver.table('n int')

    expect(await db.all(`insert into ${t} values (1)`)).toEqual([])
    expect(await db.first(`insert into ${t} values (1)`)).toBeUndefined()
    expect(await db.scalar(`update ${t} set n = 2`)).toBeUndefined()
    expect(await caught(db.one(`delete from ${t}`))).toBeInstanceOf(NoResultError)
  })

  // An error of the server on MySQL.
  onPostgres('a text without a statement has no rows and an empty status', async () => {
    const db = await driver.db()

    expect(await db.all('')).toEqual([])
    expect(await db.first('-- nothing')).toBeUndefined()
    expect(String(await db.status(' ; '))).toBe('')
  })

  test('rows are plain objects, and a column called __proto__ is a column', async () => {
    const db = await driver.db()

    const [row] = await db.all(`select 1 as ${onMysql ? '`__proto__`' : '"__proto__"'}, 2 as constructor`)

    expect(Object.keys(row ?? {}).toSorted((a, b) => a.localeCompare(b))).toEqual(['__proto__', 'constructor'])
    expect(({} as Record<string, unknown>)['constructor']).toBe(Object)
  })

  test('the same statement runs many times, on one connection and without prepared statements', async () => {
    const plusOne = `${driver.words.integer} + 1`
    const named = await driver.single()
    for (let n = 0; n < 8; n++) expect(await named.scalar(plusOne, [n])).toBe(n + 1)
    await named.close()

    const unnamed = await driver.single({ prepare: false })
    for (let n = 0; n < 8; n++) expect(await unnamed.scalar(plusOne, [n])).toBe(n + 1)
  })
})

describe('what is no query', () => {
  test.each([
    ['an object', {}],
    ['null', null],
    ['undefined', undefined],
    ['a number', 1],
    ['an array', ['select 1']],
    ['a date', new Date()],
    ['a forged statement', JSON.parse('{"sql":"select 1","params":[]}')],
  ])('%s is refused with a UsageError that says what a query is', async (_, query: unknown) => {
    await using server = await fake()

    for (const method of methods) {
      const error = await caught(run(server.db, method, query))
      expect(error).toBeInstanceOf(UsageError)
      expect(error.message).toContain('A query was expected')
      expect(error.outcome).toBe('not_started')
    }
    expect(server.sent()).toEqual([])
  })

  class SelectQueryBuilder {
    compile(): object {
      return { sql: 'select 1', parameters: [], query: {} }
    }
    execute(): Promise<unknown[]> {
      return Promise.resolve([])
    }
    toOperationNode(): object {
      return {}
    }
  }
  class PgSelect {
    toSQL(): object {
      return { sql: 'select 1', params: [] }
    }
  }
  Object.assign(PgSelect, { [Symbol.for('drizzle:entityKind')]: 'PgSelect' })

  test.each([
    ['Kysely', new SelectQueryBuilder()],
    ['Drizzle', new PgSelect()],
  ])(
    'a %s builder whose subpath was not imported is refused by name, with the import that is missing',
    async (name, query) => {
      await using server = await fake()

      const error = await caught(server.db.all(query as never))

      expect(error).toBeInstanceOf(UsageError)
      expect(error.message).toContain(name)
      expect(error.message).toContain(`import 'genever/${name.toLowerCase()}'`)
    },
  )
})
