/** What the engine does because of what a text says: who may send it, and on which connection. */

import { type Executor, ParameterError, TransactionStateError, UsageError } from 'genever'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { fake } from '../support/fake.ts'
import { forEachDriver } from '../support/matrix.ts'

const control = [
  'begin',
  'START TRANSACTION',
  ' /* so */ commit -- now',
  'END',
  'rollback',
  'abort',
  'savepoint a',
  'rollback to a',
  'release a',
  'set transaction read only',
  "prepare transaction 'x'",
]

describe('transaction control by text', () => {
  test.each(control)('%s is refused everywhere but on a handle of acquire()', async (text) => {
    await using server = await fake()
    const { db } = server
    const refused = async (executor: Executor): Promise<void> => {
      for (const method of ['all', 'first', 'one', 'oneOrNone', 'scalar', 'status'] as const) {
        const error = await caught((executor[method] as (text: string) => Promise<unknown>).call(executor, text))
        expect(error).toBeInstanceOf(TransactionStateError)
        expect(error.message).toMatch(/transaction\(work\) or begin\(\)/)
      }
      expect(await caught(executor.executeMany(text, [[]]))).toBeInstanceOf(TransactionStateError)
      expect(await caught(executor.iterate(text).read())).toBeInstanceOf(UsageError)
    }

    await refused(db)
    await db.scope(async (connection) => {
      await refused(db)
      await refused(connection)
      await refused(await db.acquire({ reuse: true }))
    })
    await db.transaction(async (tx) => {
      await refused(db)
      await refused(tx)
      await refused(tx.connection)
    })
    await using tx = await db.begin()
    await refused(tx)
    await tx.rollback()

    expect(server.sent()).toEqual([])
  })

  test.each(['select 1; commit', 'begin; select 1', "do 'x'; rollback"])(
    'hidden in several statements it is refused alike: %s',
    async (text) => {
      await using server = await fake()

      expect(await caught(server.db.status(text))).toBeInstanceOf(TransactionStateError)
      expect(await caught(server.db.transaction((tx) => tx.status(text)))).toBeInstanceOf(TransactionStateError)
      expect(server.sent()).toEqual([])
    },
  )

  test('while the engine has a transaction open on it, a handle of acquire() refuses it too', async () => {
    await using server = await fake()
    await using connection = await server.db.acquire()

    await connection.transaction(async () => {
      expect(await caught(connection.status('commit'))).toBeInstanceOf(TransactionStateError)
    })
    await using tx = await connection.begin()
    expect(await caught(connection.status('commit'))).toBeInstanceOf(TransactionStateError)
    await tx.rollback()

    expect(server.sent()).toEqual([])
  })
})

forEachDriver((driver) => {
  test('rollback outside of a transaction gives no row', async () => {
    const db = await driver.db()
    await using connection = await db.acquire()

    expect(await connection.first('rollback')).toBeUndefined()
    expect(String(await connection.status('rollback'))).toBe('ROLLBACK')
  })

  test('status takes several statements, and gives rows and counts of the last', async () => {
    const db = await driver.db()
    const t = await driver.table('n int')

    const status = await db.status(
      `insert into ${t} values (1); insert into ${t} values (2), (3); select n from ${t} where n > 1`,
    )

    expect(status).toMatchObject({ command: 'SELECT', rowCount: 2, rows: [{ n: 2 }, { n: 3 }] })
  })

  test('the results of several statements are those of each, in their order', async () => {
    const db = await driver.db()
    const t = await driver.table('n int, s text')
    const text = `insert into ${t} values (1, 'a'), (2, 'b') returning n; update ${t} set s = 'c' where n > 1;
      select s from ${t} where n > 7; create index on ${t} (n); select s, n from ${t} order by n`
    const expected = [
      { command: 'INSERT', rowCount: 2, rows: [{ n: 1 }, { n: 2 }] },
      { command: 'UPDATE', rowCount: 1, rows: [] },
      { command: 'SELECT', rowCount: 0, rows: [] },
      { command: 'CREATE INDEX', rowCount: null, rows: [] },
      {
        command: 'SELECT',
        rowCount: 2,
        rows: [
          { s: 'a', n: 1 },
          { s: 'c', n: 2 },
        ],
      },
    ]
    const status = await db.status(text)
    expect(status.results).toEqual(expected)
    expect(status.results.map(String)).toEqual(['INSERT 0 2', 'UPDATE 1', 'SELECT 0', 'CREATE INDEX', 'SELECT 2'])
    expect(status).toMatchObject(expected.at(-1) as object)

    await db.status(`truncate ${t}`)
    expect((await db.transaction((tx) => tx.status(text))).results).toEqual(expected)
    await db.status(`truncate ${t}`)
    expect((await db.scope(() => db.status(text), { settings: { 'app.x': '7' } })).results).toEqual(expected)
  })

  test('the result of a single statement is the status itself', async () => {
    const db = await driver.db()
    const one = await db.status('select 1 as n;')
    const none = await db.status('-- nothing')

    expect(one.results).toHaveLength(1)
    expect(one.results[0]).toBe(one)
    expect(JSON.parse(JSON.stringify(one))).toEqual({ command: 'SELECT', rowCount: 1, rows: [{ n: 1 }] })
    expect(none.results[0]).toBe(none)
  })

  test('values of types that nobody has met yet are there in each of several results', async () => {
    const db = await driver.db()
    const t = await driver.table('n int')
    await db.status(`create type ${t}_mood as enum ('ok', 'sad'); create type ${t}_size as enum ('s')`)
    const fresh = await driver.db({ types: { [`${t}_mood`]: (value) => `mood ${value}` } })
    const { results } = await fresh.status(
      `select 'ok'::${t}_mood as a; select 1 as n; select array['s']::${t}_size[] as b;
       select 's'::${t}_size as c where false; select array['sad']::${t}_mood[] as d, 2 as n`,
    )

    expect(results.map(({ rows }) => rows)).toEqual([
      [{ a: 'mood ok' }],
      [{ n: 1 }],
      [{ b: '{s}' }],
      [],
      [{ d: ['mood sad'], n: 2 }],
    ])
  })

  test('rows of several results are lists of values with their fields, or what into makes of them', async () => {
    const db = await driver.db()
    const text = 'select 1 as a, 2 as a; select 3 as b'
    const listed = await db.status(text, undefined, { rows: 'array' })
    const made = await db.status(text, undefined, { into: (row) => Object.keys(row) })

    expect(listed.results.map(({ fields, rows }) => [fields.map(({ name }) => name), rows])).toEqual([
      [['a', 'a'], [[1, 2]]],
      [['b'], [[3]]],
    ])
    expect([listed.fields, listed.rows]).toEqual([listed.results[1]?.fields, [[3]]])
    expect(made.results.map(({ rows }) => rows)).toEqual([[['a']], [['b']]])
  })

  test('a rule that adds queries gives one result for its statement, with the rows of the last of them', async () => {
    const db = await driver.db()
    const t = await driver.table('n int')
    await db.status(`create rule also as on insert to ${t} do also (select n from ${t}; select n, 'x' as s from ${t})`)
    await db.status(`insert into ${t} values (1)`)
    const { results } = await db.status(`insert into ${t} values (2); select 3 as n`)

    expect(results).toEqual([
      {
        command: 'INSERT',
        rowCount: 1,
        rows: [
          { n: 1, s: 'x' },
          { n: 2, s: 'x' },
        ],
      },
      { command: 'SELECT', rowCount: 1, rows: [{ n: 3 }] },
    ])
  })

  test('several statements outside of a transaction are one: a failing one takes all back', async () => {
    const db = await driver.db()
    const t = await driver.table('n int')

    await caught(db.status(`insert into ${t} values (1); select 1 / 0; insert into ${t} values (2)`))

    expect(await db.scalar(`select count(*) from ${t}`)).toBe(0)
  })

  test('several statements run inside a transaction, as its first statement too', async () => {
    const db = await driver.db()
    const t = await driver.table('n int')

    await db.transaction(async (tx) => {
      await tx.status(`insert into ${t} values (1); insert into ${t} values (2)`)
      await tx.transaction((inner) => inner.status(`insert into ${t} values (3); insert into ${t} values (4)`))
    })
    await caught(
      db.transaction(async (tx) => {
        await tx.status(`insert into ${t} values (5); insert into ${t} values (6)`)
        throw new TypeError('no')
      }),
    )

    expect(await db.scalar(`select count(*) from ${t}`)).toBe(4)
  })

  test('several statements run with the settings of a scope, as its first statement too', async () => {
    const db = await driver.db()
    const t = await driver.table('s text')

    await db.scope(() => db.status(`insert into ${t} values (current_setting('app.x')); select 1`), {
      settings: { 'app.x': '7' },
    })

    expect(await db.all(`select s from ${t}`)).toEqual([{ s: '7' }])
  })
})

describe('several statements', () => {
  test('have the results of each on a FakeDriver', async () => {
    await using server = await fake()
    const { results } = await server.db.status('insert into t values (1); insert into t values (2); select 3')

    expect(results.map(String)).toEqual(['INSERT 0 1', 'INSERT 0 1', 'SELECT 1'])
    expect(results.at(-1)?.rows).toHaveLength(1)
  })

  test('do not run when the BEGIN in front of them fails', async () => {
    await using server = await fake()
    server.driver.faults.at('BEGIN', { error: '53400' })

    const error = await caught(
      server.db.transaction((tx) => tx.status('insert into t values (1); insert into t values (2)')),
    )

    expect(error).toMatchObject({ sqlState: '53400', outcome: 'not_started' })
    expect(server.driver.rows('t')).toEqual([])
    expect(server.sent()).toEqual(['BEGIN; select 1'])
  })

  test('do not run when the settings in front of them fail', async () => {
    await using server = await fake()
    const { db } = server
    server.driver.faults.at('select set_config', { error: '42501' })

    const error = await caught(
      db.scope(() => db.status('insert into t values (1); select 1'), { settings: { 'app.x': '1' } }),
    )

    expect(error).toMatchObject({ sqlState: '42501' })
    expect(server.driver.rows('t')).toEqual([])
  })

  test.each(['all', 'first', 'one', 'oneOrNone', 'scalar'] as const)('are refused by %s', async (method) => {
    await using server = await fake()
    const { db } = server

    const error = await caught((db[method] as (text: string) => Promise<unknown>).call(db, 'select 1; select 2'))

    expect(error).toBeInstanceOf(UsageError)
    expect(error.message).toContain('status(text)')
    expect(server.sent()).toEqual([])
  })

  test('are refused with parameters', async () => {
    await using server = await fake()

    expect(await caught(server.db.status('select $1; select 2', [1]))).toBeInstanceOf(UsageError)
    expect(await caught(server.db.status('select :a; select 2', { a: 1 }))).toBeInstanceOf(UsageError)
    expect(await caught(server.db.status('select $1; select 2'))).toBeInstanceOf(ParameterError)
    expect(server.sent()).toEqual([])
  })

  test('are not meant by a semicolon at the end, in quotes or in a comment', async () => {
    await using server = await fake({ answer: () => [{ n: 1 }] })

    for (const text of ['look;', "look ';' as n;;", 'look /* ; */', 'look $$ ; $$ as n -- ;'])
      expect(await server.db.scalar(text)).toBe(1)
  })
})

const stateful = [
  "set search_path to 'x'",
  'SET SESSION statement_timeout = 5',
  'set role other',
  'set session authorization other',
  'listen news',
  'create temp table x (n int)',
  'create temporary view v as select 1',
  'select 1 as n into temp x',
  'select pg_advisory_lock(1)',
  'select pg_try_advisory_lock(1), 2',
  "select set_config('app.x', '1', false)",
  'declare c cursor with hold for select 1',
  'prepare x as select 1',
]

describe('session state without a frame', () => {
  test.each(stateful)('%s is refused with advice', async (text) => {
    await using server = await fake()

    const error = await caught(server.db.status(text))

    expect(error).toBeInstanceOf(UsageError)
    expect(error.message).toMatch(/scope\(work\).*acquire\(\)/)
    expect(server.sent()).toEqual([])
  })

  test.each(stateful)('%s is allowed in a scope, in a transaction and on an acquired connection', async (text) => {
    await using server = await fake({ answer: () => [] })
    const { db } = server

    await db.scope(() => db.status(text))
    await db.transaction((tx) => tx.status(text))
    await using connection = await db.acquire()
    await connection.status(text)

    expect(server.sent().filter((line) => line.endsWith(text))).toHaveLength(3)
  })

  test.each(["select nextval('s')", 'unlisten *', 'reset all'])(
    '%s leaves none behind and needs no frame',
    async (text) => {
      await using server = await fake({ answer: () => [] })

      await server.db.status(text)

      expect(server.sent()[0]).toBe(text)
    },
  )
})
