/** Baked statements: written once, run with other values each time. */

import { inspect } from 'node:util'
import {
  type Baked,
  createDb,
  MultipleResultsError,
  NoResultError,
  NotBoundError,
  type Params,
  ParameterError,
  QueryTimeoutError,
  type Row,
  sql,
  TransactionEndedError,
  UniqueViolationError,
  UsageError,
} from 'genever'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { postgresWords } from '../support/dialect-words.ts'
import { hear } from '../support/events.ts'
import { forEachDriver, type TestedDriver } from '../support/matrix.ts'

interface User {
  id: number
  name: string | null
}

const people = async (driver: TestedDriver): Promise<string> => {
  const t = await driver.table('id int primary key, name text')
  const db = await driver.db()
  await db.status(`insert into ${t} values (1, 'Ada'), (2, 'Bob'), (3, null)`)
  return t
}

forEachDriver((driver) => {
  const { words } = driver
  const [one, two] = [words.placeholder(1), words.placeholder(2)]
  const onPostgres = driver.name !== 'mysql'
  const numbers = onPostgres ? `${one} …` : '?'

  describe('a baked statement', () => {
    type Made = readonly [query: unknown, params: Params]
    const forms: readonly (readonly [string, (t: string) => Made])[] = [
      ['a text with a number', (t) => [`select id, name from ${t} where id = ${one}`, [1]]],
      ['a text with :name', (t) => [`select id, name from ${t} where id = :id`, { id: 1 }]],
      ['a fragment', (t) => [sql`select id, name from ${sql.identifier(t)} where id = ${1}`, {}]],
      [
        'a function',
        (t) => [(p: { id: number }) => sql`select id, name from ${sql.identifier(t)} where id = ${p.id}`, { id: 1 }],
      ],
    ]
    test.each(forms)('made of %s runs by every method', async (_, make) => {
      const db = await driver.db()
      const [query, params] = make(await people(driver))
      const user = db.bake(query as string) as unknown as Baked<User>

      expect(await user.all(params)).toEqual([{ id: 1, name: 'Ada' }])
      expect(await user.first(params)).toEqual({ id: 1, name: 'Ada' })
      expect(await user.one(params)).toEqual({ id: 1, name: 'Ada' })
      expect(await user.oneOrNone(params)).toEqual({ id: 1, name: 'Ada' })
      expect(await user.scalar(params)).toBe(1)
      expect(String(await user.status(params))).toBe('SELECT 1')
      expect(await user.iterate(params).read()).toEqual({ id: 1, name: 'Ada' })
      expect(await user.bind(params)).toEqual([{ id: 1, name: 'Ada' }])
      expect(await user.bind(params).one()).toEqual({ id: 1, name: 'Ada' })
      expect(await db.first(user.bind(params))).toEqual({ id: 1, name: 'Ada' })
    })

    test('without a row gives what each method promises', async () => {
      const db = await driver.db()
      const user = db.bake<User, [id: number]>(`select id, name from ${await people(driver)} where id = ${one}`)

      expect(await user.all([9])).toEqual([])
      expect(await user.first([9])).toBeUndefined()
      expect(await user.oneOrNone([9])).toBeUndefined()
      expect(await user.scalar([9])).toBeUndefined()
      expect(await caught(user.one([9]))).toBeInstanceOf(NoResultError)
    })

    test('with several rows refuses one() and oneOrNone()', async () => {
      const db = await driver.db()
      const users = db.bake<User>(`select id, name from ${await people(driver)} order by id`)

      expect(await users.first()).toEqual({ id: 1, name: 'Ada' })
      expect(await caught(users.one())).toBeInstanceOf(MultipleResultsError)
      expect(await caught(users.oneOrNone())).toBeInstanceOf(MultipleResultsError)
    })

    test('has other values at each run, also at the same time', async () => {
      const db = await driver.db()
      const double = db.bake((p: { n: number }) => sql<{ n: number }>`select 2 * ${p.n} as n`)

      const rows = await Promise.all([1, 2, 3, 4].map((n) => double.one({ n })))

      expect(rows).toEqual([{ n: 2 }, { n: 4 }, { n: 6 }, { n: 8 }])
    })

    test('uses a value at several places, between values that are always the same', async () => {
      const db = await driver.db()
      const sum = db.bake(
        (p: { a: number; b: number }) => sql`select 1 * ${p.b} + 1 * ${p.a} * ${10} + 1 * ${p.b} as n`,
      )

      expect(await sum.scalar({ a: 1, b: 2 })).toBe(14)
      expect(await sum.scalar({ a: 2, b: 1 })).toBe(22)
    })

    test('takes fragments with placeholders inside', async () => {
      const db = await driver.db()
      const t = await people(driver)
      const users = db.bake((p: { from: number; name: string }) => {
        const conditions = [sql`id > ${p.from}`, sql`name = ${p.name}`]
        return sql<User>`select id, name from ${sql.identifier(t)} where ${sql.join(conditions, sql` and `)}`
      })

      expect(await users.all({ from: 1, name: 'Bob' })).toEqual([{ id: 2, name: 'Bob' }])
      expect(await users.all({ from: 1, name: 'Ada' })).toEqual([])
    })

    // MySQL has no arrays.
    test.runIf(onPostgres)('takes a list of any length as one value', async () => {
      const db = await driver.db()
      const t = await people(driver)
      const users = db.bake(
        (p: { names: string[] }) => sql<User>`
          select id, name from ${sql.identifier(t)} where name = any(cast(${p.names} as text[]))`,
      )

      expect(await users.all({ names: ['Bob', 'Eve'] })).toEqual([{ id: 2, name: 'Bob' }])
      expect(await users.all({ names: [] })).toEqual([])
    })

    test('is a query for connections and transactions, and part of another', async () => {
      const db = await driver.db()
      const user = db.bake<User, { id: number }>(`select id, name from ${await people(driver)} where id = :id`)
      const all = db.bake<User>('select 7 as id')

      await db.transaction(async (tx) => {
        expect(await tx.first(user.bind({ id: 2 }))).toEqual({ id: 2, name: 'Bob' })
        expect(await tx.connection.scalar(user.bind({ id: 2 }))).toBe(2)
        expect(await tx.all(all)).toEqual([{ id: 7 }])
      })
      expect(await db.scalar(sql`select count(*) from (${user.bind({ id: 2 })}) as u`)).toBe(1)
    })

    test('joins the transaction around it, and runs where `on` says', async () => {
      const db = await driver.db()
      const t = await people(driver)
      const add = db.bake<never, { id: number }>(`insert into ${t} (id) values (:id)`)

      await db.transaction(async (tx) => {
        await add.status({ id: 10 })
        await add.status({ id: 11 }, { on: tx })
        tx.raiseRollback()
      })
      await db.transaction(async (tx) => {
        await add.with({ on: tx }).status({ id: 12 })
        await add.executeMany([{ id: 13 }, { id: 14 }], { on: tx })
        expect(
          await db.bake(`select id from ${t} where id > 9`).iterate({}, { on: tx, batchSize: 1 }).read(9),
        ).toHaveLength(3)
      })

      expect(await db.all(`select id from ${t} where id > 9 order by id`)).toEqual([{ id: 12 }, { id: 13 }, { id: 14 }])
    })

    test('what is bound in a transaction does not run after it', async () => {
      const db = await driver.db()
      const one = db.bake('select 1 as n')
      const bound = await db.transaction(() => [one.bind()])

      expect(await caught(bound[0]!.all())).toBeInstanceOf(TransactionEndedError)
    })

    test('runs with many sets of parameters, all or nothing', async () => {
      const db = await driver.db()
      const t = await people(driver)
      const add = db.bake<never, { id: number }>(`insert into ${t} (id) values (:id)`)

      expect(String(await add.executeMany([{ id: 4 }, { id: 5 }]))).toBe('INSERT 0 2')
      expect(await caught(add.executeMany([{ id: 6 }, { id: 1 }]))).toBeInstanceOf(UniqueViolationError)
      expect(String(await add.executeMany([]))).toBe('')
      expect(await db.scalar(`select count(*) from ${t}`)).toBe(5)
    })

    test('streams in batches, with its loader', async () => {
      const db = await driver.db()
      const numbers = db.bake<{ n: number }, { to: number }>(words.series(':to'))
      const found: number[] = []

      for await (const n of numbers.with({ loader: ({ n }) => -n }).iterate({ to: 5 }, { batchSize: 2 })) found.push(n)

      expect(found).toEqual([-1, -2, -3, -4, -5])
    })

    test('keeps working when its table changes', async () => {
      const db = await driver.single()
      const t = await people(driver)
      const user = db.bake<Row, { id: number | string }>(`select * from ${t} where id = :id`)
      expect(await user.one({ id: 1 })).toEqual({ id: 1, name: 'Ada' })

      await db.status(`alter table ${t} add column age int`)
      expect(await user.one({ id: 1 })).toEqual({ id: 1, name: 'Ada', age: null })
      await db.status(words.toText(t, 'id'))
      expect(await user.one({ id: '1' })).toEqual({ id: '1', name: 'Ada', age: null })
    })

    test('as a static of a class it may be older than its table', async () => {
      const db = await driver.db()
      const t = `static_${process.pid}_${driver.name}`
      class People {
        static readonly byId = db.bake<User, { id: number }>(`select * from ${t} where id = :id`)
      }
      await db.status(`create table ${t} as select 1 as id, 'Ada' as name`)

      expect(await People.byId.one({ id: 1 })).toEqual({ id: 1, name: 'Ada' })
      expect(await People.byId.oneOrNone({ id: 2 })).toBeUndefined()
      await db.status(`drop table ${t}`)
    })

    test('runs without prepared statements', async () => {
      const db = await driver.db({ prepare: false })
      const baked = db.bake((p: { n: number }) => sql`select 1 * ${p.n} as n`)

      expect([await baked.scalar({ n: 1 }), await baked.scalar({ n: 2 })]).toEqual([1, 2])
    })

    test('may be longer than what is kept of texts', async () => {
      const db = await driver.single()
      const baked = db.bake<Row, [number]>(`select 1 * ${one} as n -- ${'long '.repeat(30_000)}`)

      for (const n of [1, 2]) expect(await baked.scalar([n])).toBe(n)
    })
  })

  describe('options', () => {
    // PGlite does not stop what runs.
    test.skipIf(driver.name === 'pglite')('a copy has its own, the original stays as it was', async () => {
      const db = await driver.db()
      const sleep = db.bake<Row, { s: number }>(words.sleep(':s').replace('select ', 'select 1 as n, '))
      const hurried = sleep.with({ timeoutMs: 100 })

      expect(await caught(hurried.all({ s: 60 }))).toBeInstanceOf(QueryTimeoutError)
      expect(await hurried.scalar({ s: 0.1 }, { timeoutMs: 10_000 })).toBe(1)
      expect(await hurried.with({ timeoutMs: 10_000 }).scalar({ s: 0.1 })).toBe(1)
      expect(await caught(hurried.all({ s: 60 }, { on: db }))).toBeInstanceOf(QueryTimeoutError)
      expect(await sleep.scalar({ s: 0.1 })).toBe(1)
    })

    test('a loader makes what rows become: of a row, of a page, or by the driver', async () => {
      const db = await driver.db()
      const users = db.bake<User>(`select id, name from ${await people(driver)} order by id`)
      const names = users.with({ loader: ({ name }) => name ?? '' })
      const pages = names.with({ loader: { decode: (rows) => rows.map(({ id }, i) => `${i}:${id}`) } })
      const ids = pages.with({ loader: { into: 'scalar', make: null, columns: null } })

      expect(await names.all()).toEqual(['Ada', 'Bob', ''])
      expect(await names.first()).toBe('Ada')
      expect((await names.status()).rows).toEqual(['Ada', 'Bob', ''])
      expect(await db.all(names.bind())).toEqual(['Ada', 'Bob', ''])
      expect(await pages.all()).toEqual(['0:1', '1:2', '2:3'])
      expect(await ids.all()).toEqual([1, 2, 3])
      expect(await names.scalar()).toBe(1)
      expect(await users.first()).toEqual({ id: 1, name: 'Ada' })
    })

    test('an error of a loader is that error', async () => {
      const db = await driver.db()
      const failing = db.bake('select 1', {
        loader: () => {
          throw new RangeError('no')
        },
      })

      expect(await caught(failing.all())).toBeInstanceOf(RangeError)
      expect(await db.scalar('select 1')).toBe(1)
    })

    test.each([
      ['an option there is not', { timeoutMS: 5 }],
      ['a time that is none', { timeoutMs: -1 }],
      ['something to run on that is none', { on: {} }],
      ['a loader that is none', { loader: {} }],
    ])('%s is refused when it is baked', (_, options) => {
      const db = createDb()

      expect(() => db.bake('select 1', options as never)).toThrow(UsageError)
      expect(() => db.bake('select 1').with(options as never)).toThrow(UsageError)
    })

    test('something to run on that is none rejects', async () => {
      const db = await driver.db()

      expect(await caught(db.bake('select 1').all([], { on: {} as never }))).toBeInstanceOf(UsageError)
      expect(await caught(db.bake('select 1').executeMany([[]], { on: {} as never }))).toBeInstanceOf(UsageError)
    })
  })

  describe('parameters that do not fit', () => {
    test.each([
      ['are missing', ':a + :b', { a: 1 }, 'There is no value for :b.'],
      ['are all missing', ':a', undefined, 'There is no value for :a.'],
      ['are too many', ':a', { a: 1, c: 2 }, 'The text has no placeholder for :c.'],
      [
        'are an array for names',
        ':a',
        [1],
        'The parameters of this statement are an object with a value for each name, not an array.',
      ],
      [
        'are an object for numbers',
        one,
        { a: 1 },
        `The parameters of this statement are an array for ${numbers}, not an object.`,
      ],
      [
        'are too few for numbers',
        `${one} + ${two}`,
        [1],
        `The text has ${onPostgres ? `placeholders up to ${two}` : '2 placeholders'}, but 1 value was given.`,
      ],
      ['are none at all', one, 'x', `The parameters of this statement are an array for ${numbers}, not a string.`],
      ['are undefined', ':a', { a: undefined }, 'Parameter :a is undefined: pass null for SQL NULL.'],
      ['are no data', ':a', { a: () => 1 }, 'Parameter :a is a function: only data can be sent.'],
    ])('and %s are a ParameterError, and nothing is sent', async (_, expression, params, message) => {
      const db = await driver.db({ name: 'refusing' })
      using heard = hear('refusing')
      const baked = db.bake(`select ${expression}`)

      const error = await caught(baked.all(params as Params))
      expect(error).toBeInstanceOf(ParameterError)
      expect((error as Error).message).toBe(message)
      expect(() => baked.bind(params as Params)).toThrow(ParameterError)
      expect(() => baked.iterate(params as Params)).toThrow(ParameterError)
      expect(heard.statements).toEqual([])
    })
  })

  test('on an unbound db it waits for a database, and every way to run it says so', async () => {
    const db = createDb()
    const n = db.bake<{ n: number }, { n: number }>('select 1 * :n as n')

    for (const run of ['all', 'first', 'one', 'oneOrNone', 'scalar', 'status'] as const)
      expect(await caught(n[run]({ n: 1 })), run).toBeInstanceOf(NotBoundError)
    expect(await caught(n.bind({ n: 1 }).all())).toBeInstanceOf(NotBoundError)
    expect(await caught(n.executeMany([{ n: 1 }]))).toBeInstanceOf(NotBoundError)
    expect(await caught(n.iterate({ n: 1 }).read())).toBeInstanceOf(NotBoundError)

    const other = await driver.db()
    await other.scope(async (connection) => expect(await n.one({ n: 2 }, { on: connection })).toEqual({ n: 2 }))
    await db.bind(await driver.url())
    expect(await n.one({ n: 3 })).toEqual({ n: 3 })
    await db.close()
  })

  test('one baked on a db runs on every engine that stands for it', async () => {
    const db = await driver.db()
    const n = db.bake<{ n: number }, { n: number }>('select 1 * :n as n')
    expect(await n.one({ n: 1 })).toEqual({ n: 1 })

    await db.withBind(await driver.url(), async () => expect(await n.one({ n: 2 })).toEqual({ n: 2 }))
    await db.withBind(await driver.url(), async () => expect(await n.one({ n: 3 })).toEqual({ n: 3 }))
    expect(await n.one({ n: 4 })).toEqual({ n: 4 })
  })
})

describe('baking', () => {
  const db = createDb()
  // A db that has no database yet writes for PostgreSQL.
  const [one, two, three] = [1, 2, 3].map((n) => postgresWords.placeholder(n))

  test.each([
    ['a number', 1],
    ['null', null],
    ['an object', { sql: 'select 1' }],
    ['a function that gives text', () => 'select 1'],
    ['a function that gives a promise', async () => sql`select 1`],
  ])('%s is refused with a UsageError', (_, query) => {
    expect(() => db.bake(query as never)).toThrow(UsageError)
  })

  test('both kinds of placeholders in one text are refused', () => {
    expect(() => db.bake(`select ${one}, :name`)).toThrow(ParameterError)
  })

  test('a function is called once, also while the database is not open', () => {
    let calls = 0
    db.bake((p: { n: number }) => {
      calls++
      return sql`select ${p.n}`
    })

    expect(calls).toBe(1)
  })

  test('nothing can be computed with a value that is not there yet', () => {
    expect(() => db.bake((p: { name: string }) => sql`select ${`%${p.name}%`}`)).toThrow(UsageError)
    expect(() => db.bake((p: { n: number }) => sql`select ${p.n + 1}`)).toThrow(/:n is not known/)
    expect(() => db.bake((p: { n: object }) => sql`select ${JSON.stringify(p.n)}`)).toThrow(UsageError)
    expect(() => db.bake(([n]: [number]) => sql`select ${n}`)).toThrow(/have names/)
  })

  test('it prints its text and the number of its placeholders, and never a value', () => {
    const secret = 'hunter2'
    const baked = db.bake((p: { a: number }) => sql`select ${p.a}, ${secret}, ${p.a}`)

    expect(inspect(baked)).toBe(`Baked { select ${one}, ${two}, ${three} } with 1 placeholder`)
    expect(String(db.bake('select :a, :b'))).toBe('Baked { select :a, :b } with 2 placeholders')
    expect(inspect(db.bake(`select ${one}`).bind(['hunter2']), { depth: 9, showHidden: true })).not.toContain(secret)
    expect(inspect((db.bake('select 1'), baked), { depth: 9, showHidden: true })).not.toContain(secret)
    expect(() => db.bake((p: { a: number }) => (expect(inspect(p.a)).toBe(':a'), sql`select 1`))).not.toThrow()
  })

  test('types: rows, parameters and loaders', () => {
    const byName = db.bake<User, { name: string }>('select id, name from users where name = :name')
    expectTypeOf(byName).toEqualTypeOf<Baked<User, { name: string }>>()
    type ByName = typeof byName
    expectTypeOf<ByName['all']>().returns.resolves.toEqualTypeOf<User[]>()
    expectTypeOf<ByName['first']>().returns.resolves.toEqualTypeOf<User | undefined>()
    expectTypeOf<ByName['all']>().parameter(0).toEqualTypeOf<{ name: string }>()

    const built = db.bake((p: { id: number; tags?: string[] }) => sql<User>`select ${p.id} ${p.tags}`)
    expectTypeOf(built).toEqualTypeOf<Baked<User, { id: number; tags?: string[] }>>()
    const plain = db.bake('select 1')
    expectTypeOf(plain).toEqualTypeOf<Baked<Row>>()
    const mapped = db.bake('select 1 as n', { loader: (row: { n: number }) => String(row.n) })
    expectTypeOf(mapped).toEqualTypeOf<Baked<string, Params, { n: number }>>()
    const loaded = built.with({ loader: ({ id }) => id })
    expectTypeOf(loaded).toEqualTypeOf<Baked<number, { id: number; tags?: string[] }, User>>()
    expectTypeOf(loaded.with({ timeoutMs: 5 })).toEqualTypeOf(loaded)

    const right = (): void => {
      expectTypeOf(db.all(byName.bind({ name: 'Ada' }))).resolves.toEqualTypeOf<User[]>()
      expectTypeOf(db.all(db.bake<User>('select 1'))).resolves.toEqualTypeOf<User[]>()
    }
    const wrong = (): void => {
      // @ts-expect-error -- the parameter is missing
      void byName.all()
      // @ts-expect-error -- it has no such name
      void byName.all({ nome: 'Ada' })
      // @ts-expect-error -- another type
      void byName.first({ name: 1 })
      // @ts-expect-error -- one too many
      void byName.one({ name: 'Ada', id: 1 })
      // @ts-expect-error -- its values are missing
      void db.all(byName)
      // @ts-expect-error -- one set lacks its value
      void byName.executeMany([{ name: 'Ada' }, {}])
      // @ts-expect-error -- no option of a run
      void byName.all({ name: 'Ada' }, { timeout: 5 })
      // @ts-expect-error -- no such parameter
      db.bake((p: { id: number }) => sql`select ${p.nome}`)
    }
    expect([right, wrong]).toHaveLength(2)
  })
})
