/** What every call of the engine and of a db does with arguments that are none. */

import {
  sql,
  type Connection,
  createDb,
  type Cursor,
  type Db,
  InvalidOptionError,
  type Transaction,
  UsageError,
} from 'genever'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { fake, sound } from '../support/fake.ts'
import { forEachDriver } from '../support/matrix.ts'

const none = undefined as never

/** What it throws, at once or later. */
const failure = (call: () => unknown): Promise<unknown> => caught((async () => call())())

/** Every call that takes options, with others than those it has. */
const doors: Record<string, (db: Db, options: never) => unknown> = {
  'all()': (db, options) => db.all('select 1', [], options),
  'first()': (db, options) => db.first(sql`select 1`, options),
  'one()': (db, options) => db.sql`select 1`.one(options),
  'oneOrNone()': (db, options) => db.bake('select 1').oneOrNone([], options),
  'scalar()': (db, options) => db.scalar('select 1', [], options),
  'status()': (db, options) => db.status('select 1', [], options),
  'executeMany()': (db, options) => db.executeMany('select :n', [{ n: 1 }], options),
  'iterate()': (db, options) => db.iterate('select 1', [], options).read(),
  'transaction()': (db, options) => db.transaction(() => 1, options),
  'begin()': (db, options) => db.begin(options),
  'scope()': (db, options) => db.scope(() => 1, options),
  'acquire()': (db, options) => db.acquire(options),
  'detached()': (db, options) => db.detached(() => 1, options),
  'close()': (db, options) => db.close(options),
  'bake()': (db, options) => db.bake('select 1', options),
  'with()': (db, options) => db.bake('select 1').with(options),
  'release()': (db, options) => db.acquire({ lazy: true }).then((connection) => connection.release(options)),
  'rawConnection()': (db, options) =>
    db.acquire({ lazy: true }).then((connection) => connection.rawConnection(options)),
}

class Options {
  timeoutMs = 5
}

const noOptions: Record<string, unknown> = {
  null: null,
  'a number': 5,
  'a text': 'x',
  'an array': [],
  'a Map': new Map([['timeoutMs', 5]]),
  'an instance of a class': new Options(),
  'a function': () => ({}),
  'a promise': Promise.resolve({}),
  'inherited members': Object.create({ timeoutMs: 5 }),
  'a member that throws': {
    get timeoutMs(): number {
      throw new RangeError('no')
    },
  },
  'a proxy that throws': new Proxy(
    {},
    {
      ownKeys() {
        throw new RangeError('no')
      },
    },
  ),
  'a symbol as a name': { [Symbol('timeoutMs')]: 5 },
  'a name that is hidden': Object.defineProperty({}, 'nothing', { value: 1, enumerable: false }),
  'a name there is not': { nothing: undefined },
}

describe.each(Object.keys(doors))('options of %s', (method) => {
  test.each(Object.keys(noOptions))('are not %s', async (what) => {
    await using server = await fake()
    const error = await failure(() => doors[method]?.(server.db, noOptions[what] as never))

    expect(error).toBeInstanceOf(UsageError)
    expect((error as Error).message).toContain(method)
    expect(server.sent()).toEqual([])
    await sound(server)
  })
})

describe('the message', () => {
  test('names all unknown options together, with the nearest there are', async () => {
    await using server = await fake()
    const error = await caught(
      server.db.transaction(() => 1, { isolationLevel: 'serializable', readonly: true } as never),
    )

    expect(error).toBeInstanceOf(InvalidOptionError)
    expect((error as Error).message).toBe(
      'Unknown options "isolationLevel", "readonly" of transaction(). Did you mean "isolation" for "isolationLevel", "readOnly" for "readonly"?',
    )
  })

  test('lists the options where none is near, and says what a value must be', async () => {
    await using server = await fake()
    const error = await caught(server.db.scalar('select 1', [], { xyz: 1, timeoutMs: Number.NaN } as never))

    expect((error as Error).message).toBe(
      'Unknown option "xyz" of scalar(). There are: timeoutMs, signal, on, from, types, into. The option "timeoutMs" of scalar() must be a number of ' +
        'milliseconds, 0 or more, or Infinity for no limit; it is NaN.',
    )
  })
})

describe('a duration', () => {
  const timed: Record<string, (db: Db, timeoutMs: never) => unknown> = {
    scalar: (db, timeoutMs) => db.scalar('select 1', [], { timeoutMs }),
    iterate: (db, timeoutMs) => db.iterate('select 1', [], { timeoutMs }),
    executeMany: (db, timeoutMs) => db.executeMany('select 1', [[]], { timeoutMs }),
    transaction: (db, timeoutMs) => db.transaction(() => 1, { timeoutMs }),
    'a retry': (db, intervalMs) => db.transaction(() => 1, { retry: { limit: 1, intervalMs } }),
    idleTimeoutMs: (db, idleTimeoutMs) => db.begin({ idleTimeoutMs }),
    resolveCommitMs: (db, resolveCommitMs) => db.begin({ resolveCommitMs }),
    scope: (db, timeoutMs) => db.scope(() => 1, { timeoutMs }),
    acquire: (db, timeoutMs) => db.acquire({ timeoutMs }),
    'defaults of a scope': (db, timeoutMs) => db.scope(() => 1, { query: { timeoutMs } }),
    'a baked statement': (db, timeoutMs) => db.bake('select 1', { timeoutMs }),
    close: (db, timeoutMs) => db.close({ timeoutMs }),
  }

  test.each(Object.keys(timed))('of %s is a number of milliseconds', async (what) => {
    await using server = await fake()
    for (const value of [Number.NaN, -1, '50', null, -Infinity, {}, 5n]) {
      const error = await failure(() => timed[what]?.(server.db, value as never))
      expect(error, typeof value).toBeInstanceOf(InvalidOptionError)
    }
    expect(server.sent()).toEqual([])
    await sound(server)
  })

  test.each(Object.keys(timed))(
    'of %s is shown where it is a number that cannot be, and by its type where it is none',
    async (what) => {
      await using server = await fake()

      expect(((await failure(() => timed[what]?.(server.db, -7 as never))) as Error).message).toContain('-7')
      expect(((await failure(() => timed[what]?.(server.db, '50' as never))) as Error).message).not.toContain('50')
    },
  )
})

describe('arguments beside options', () => {
  const calls: Record<string, (db: Db, connection: Connection, cursor: Cursor<unknown>) => unknown> = {
    'a scope without work': (db) => db.scope(none),
    'a transaction without work': (db) => db.transaction({} as never),
    'idle without work': (db) => db.idle(none),
    'detached without work': (db) => db.detached(5 as never),
    'run without work': (_, connection) => connection.run(none),
    'withBind without work': (db) => db.withBind('pglite://memory/arguments', none),
    'withBind without a source': (db) => db.withBind(none, () => 1),
    'a hook that is none': (db) => db.transaction((tx) => tx.afterCommit('x' as never)),
    'a query that is none': (db) => db.all(5 as never),
    'a handle as a query': (db, connection) => db.all(connection as never),
    'parameters in a Map': (db) => db.all('select :a', new Map([['a', 1]]) as never),
    'parameters of a class': (db) => db.all('select :timeoutMs', new Options() as never),
    'a parameter that throws': (db) =>
      db.all('select :a', {
        get a(): number {
          throw new RangeError('no')
        },
      }),
    'options behind those of a built query': (db) => db.all(sql`select 1` as never, {}, {} as never),
    'values beside a built query': (db) => db.all(sql`select 1`, [1] as never),
    'sets that are no list': (db) => db.executeMany('select 1', {} as never),
    'a function for many': (db) => db.executeMany((() => sql`select 1`) as never, [[]]),
    'a number of rows that is none': (_, __, cursor) => cursor.read(Number.NaN),
    'a negative number of rows': (_, __, cursor) => cursor.skip(-1),
    'half a row': (_, __, cursor) => cursor.read(0.5),
    'rows as text': (_, __, cursor) => cursor.read('1' as never),
    'bind with options': (db) => (db.bake('select 1').bind as (...given: unknown[]) => unknown)({}, {}),
    'an engine that is given options': (db) => createDb().bind(db.engineHere() as never, {}),
    'an engine as a source': (db) => createDb(db.engineHere() as never),
    'a number as a source': () => createDb(5 as never),
    'null as a source': () => createDb(null as never),
    'a time that throws': (db, connection) => db.transaction(() => 1, { on: new Proxy(connection, {}) }),
  }

  test.each(Object.keys(calls))('%s is refused, and nothing is sent', async (what) => {
    await using server = await fake()
    const connection = await server.db.acquire({ lazy: true })
    const cursor = server.db.iterate('select 1')
    server.sent()
    const error = await failure(() => calls[what]?.(server.db, connection, cursor))

    expect(error).toBeInstanceOf(UsageError)
    expect(server.sent()).toEqual([])
    await connection.release()
    await sound(server)
  })

  test('a db that was given undefined says so', async () => {
    expect(((await caught(createDb(undefined).scalar('select 1'))) as Error).message).toContain('given undefined')
    expect(((await caught(createDb().scalar('select 1'))) as Error).message).not.toContain('undefined')
  })
})

describe('members of a polluted Object.prototype', () => {
  test('are no options of anything', async () => {
    await using server = await fake()
    const names = [
      'timeoutMs',
      'on',
      'isolation',
      'readOnly',
      'deferrable',
      'reuse',
      'lazy',
      'settings',
      'query',
      'batchSize',
      'retry',
      'loader',
      'options',
      'permanent',
    ]
    for (const name of names)
      // oxlint-disable-next-line no-extend-native -- what is tested
      Object.defineProperty(Object.prototype, name, { value: 'evil', configurable: true, writable: true })
    try {
      const { db } = server
      await db.transaction((tx) => tx.all('select 1'))
      await db.scope(() => db.scalar('select 1'), {})
      await db.all('select 1', [], {})
      await db.executeMany('select 1', [[], []])
      await (await db.begin({})).rollback()
      await (await db.acquire()).release()
      await db.iterate('select 1').close()
    } finally {
      for (const name of names) delete (Object.prototype as Record<string, unknown>)[name]
    }
    expect(server.sent().join('\n')).not.toContain('evil')
    await sound(server)
  })
})

forEachDriver((driver) => {
  describe('a transaction or a connection in place of options', () => {
    const insert = (table: string): string => `insert into ${table} (id) values (1)`
    const calls: Record<string, (db: Db, table: string, tx: Transaction) => Promise<unknown>> = {
      text: (db, table, tx) => db.all(insert(table), [], tx),
      '{ on } of text': (db, table, tx) => db.status(insert(table), [], { on: tx }),
      'a fragment': (db, table, tx) => db.status(sql`insert into ${sql.identifier(table)} values (1)`, tx),
      'the tag': (db, table, tx) => db.sql`insert into ${sql.identifier(table)} values (1)`.status(tx),
      '{ on } of the tag': (db, table, tx) => db.sql`insert into ${sql.identifier(table)} values (1)`.all({ on: tx }),
      'a baked statement': (db, table, tx) => db.bake(insert(table)).status([], tx),
      'what is baked there': (db, table, tx) => db.bake(insert(table), tx).status(),
      executeMany: (db, table, tx) =>
        db.executeMany(`insert into ${table} (id) values (${driver.words.placeholder(1)})`, [[1]], tx),
      'executeMany of a built query': (db, table, tx) =>
        db.executeMany(sql`insert into ${sql.identifier(table)} values (1)`, [[]], { on: tx }),
      'executeMany of a baked statement': (db, table, tx) =>
        db.executeMany(db.bake(`insert into ${table} (id) values (:id)`), [{ id: 1 }], tx),
      transaction: (db, table, tx) => db.transaction((inner) => inner.all(insert(table)), tx),
      '{ on } of transaction': (db, table, tx) => db.transaction(() => db.all(insert(table)), { on: tx }),
      begin: async (db, table, tx) => {
        const inner = await db.begin({ on: tx })
        await inner.all(insert(table))
        await inner.commit()
      },
      connection: (db, table, tx) => db.all(insert(table), [], tx.connection),
    }

    test.each(Object.keys(calls))('is where %s runs', async (what) => {
      const db = await driver.db()
      const table = await driver.table('id int')
      const tx = await db.begin()
      await calls[what]?.(db, table, tx)

      expect(await tx.scalar(`select count(*) from ${table}`)).toBe(1)
      await tx.rollback()
      expect(await db.scalar(`select count(*) from ${table}`)).toBe(0)
    })

    test('reads there, row by row', async () => {
      const db = await driver.db()
      const tx = await db.begin()
      const table = await driver.table('id int')
      await tx.all(`insert into ${table} values (7)`)

      const rows: unknown[] = []
      for await (const row of db.iterate(`select id from ${table}`, [], tx)) rows.push(row)
      expect(rows).toEqual([{ id: 7 }])
      await tx.rollback()
    })

    test('is refused where parameters stand, with the place where it goes', async () => {
      const db = await driver.db()
      const tx = await db.begin()
      const error = await caught(db.all('select 1', tx as never))

      expect(error).toBeInstanceOf(UsageError)
      expect((error as Error).message).toBe(
        'A ManualTransaction stands where all() takes parameters. Pass it after them: all(text, [], handle).',
      )
      await tx.rollback()
    })

    test.each<[string, (db: Db, tx: Transaction) => unknown]>([
      ['where something else says that it is not there', (db, tx) => db.transaction(() => 1, { on: tx, reuse: false })],
      ['in place of options that have no place', (db, tx) => db.scope(() => 1, tx as never)],
    ])('is refused %s', async (_, call) => {
      const db = await driver.db()
      const tx = await db.begin()

      expect(await failure(() => call(db, tx))).toBeInstanceOf(UsageError)
      await tx.rollback()
    })

    test('is refused when it has ended, or belongs to another database', async () => {
      const db = await driver.db()
      const other = createDb('pglite://memory/another')
      const tx = await db.begin()
      expect(((await caught(other.all('select 1', [], tx))) as Error).message).toContain('belongs to another database')
      await tx.rollback()

      expect(await caught(db.all('select 1', [], tx))).toBeInstanceOf(UsageError)
      await other.close()
    })

    test('a db or an engine there is refused with advice', async () => {
      const db = await driver.db()

      expect(((await caught(db.all('select 1', [], db as never))) as Error).message).toContain('pass { on }')
      expect(await db.scalar('select 1', [], { on: db })).toBe(1)
    })
  })
})

test('the types say the same of what is written as a literal', () => {
  const compiled = (db: Db, tx: Transaction, connection: Connection): void => {
    // @ts-expect-error -- there is no such option
    void db.all('select 1', [], { timeout: 5 })
    // @ts-expect-error -- nor beside one that there is
    void db.all('select 1', [], { timeoutMs: 5, owner: true })
    // @ts-expect-error -- nor of the tag
    void db.sql`select 1`.one({ limit: 1 })
    // @ts-expect-error -- nor of a transaction
    void db.transaction(() => 1, { isolationLevel: 'serializable' })
    // @ts-expect-error -- nor of a scope
    void db.scope(() => 1, { lasy: true })
    // @ts-expect-error -- a handle is no options of a scope
    void db.scope(() => 1, tx)
    // @ts-expect-error -- nor of acquire()
    void db.acquire(connection)
    // @ts-expect-error -- a db is no handle
    void db.all('select 1', [], db)
    // @ts-expect-error -- a handle stands behind parameters
    void db.all('select 1', tx)
    void db.all('select 1', [], tx)
    void db.all(sql`select 1`, connection)
    void db.sql`select 1`.scalar({ on: tx, timeoutMs: 5 })
    void db.transaction(() => 1, connection)
    void db.iterate('select 1', [], tx)
    void db.executeMany('select :n', [{ n: 1 }], tx)
  }
  expect(compiled).toBeTypeOf('function')
})
