/** What every PostgreSQL driver does, as sentences: `pg.test.ts` and `pglite.test.ts` run them on real servers. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import {
  type ConnectionHooks,
  type Driver,
  type Failure,
  type Op,
  OpState,
  type RawConnection,
  type StatementResult,
} from '../../src/driver/driver.ts'
import { ParameterError, UnsafeIntegerError } from '../../src/errors/index.ts'
import { postgres } from '../../src/postgres/dialect.ts'
import { StatementCache } from '../../src/sql/compile.ts'
import { type ColumnSpec, type Compiled, Dirty, type RowSpec } from '../../src/sql/compiled.ts'

export interface Contract {
  readonly name: string
  readonly driver: Driver
  /** Connection options of one database that lives as long as the file's tests. */
  readonly options: () => Promise<Record<string, unknown>>
}

/** A deadline that is never reached, unless a test says a shorter one. */
export const later = (ms = 50_000): number => performance.now() + ms

interface More {
  readonly spec?: RowSpec<any>
  readonly maxRows?: number
  readonly results?: StatementResult[]
}

export class TestOp implements Op<any> {
  readonly stmt: Compiled
  readonly params: readonly unknown[]
  readonly spec: RowSpec<any> | null
  readonly maxRows: number
  readonly rows: any[] = []
  readonly results: StatementResult[] | null
  tag = ''
  count = -1
  state: OpState = OpState.queued
  failure: Failure | null = null
  readonly settled: Promise<this>
  #settle: (() => void) | undefined

  constructor(stmt: Compiled, params: readonly unknown[] = [], more: More = {}) {
    this.stmt = stmt
    this.params = params
    this.spec = more.spec ?? null
    this.maxRows = more.maxRows ?? 0
    this.results = more.results ?? null
    this.settled = new Promise((resolve) => (this.#settle = () => resolve(this)))
  }

  done(): void {
    this.state = OpState.settled
    this.#settle?.()
  }

  fail(failure: Failure): void {
    this.failure ??= failure
    this.state = OpState.settled
    this.#settle?.()
  }

  /** `INSERT 1`, `server 23505 rolled_back`, `pending`. */
  get end(): string {
    if (this.state !== OpState.settled) return 'pending'
    if (this.failure === null) return this.count < 0 ? this.tag : `${this.tag} ${this.count}`.trim()
    const { kind, outcome, fields } = this.failure
    return [kind, fields?.['code'], outcome].filter(Boolean).join(' ')
  }
}

/** A connection with what its hooks were told. */
export class TestConnection implements ConnectionHooks {
  readonly told: string[] = []
  readonly #cache = new StatementCache({ dialect: postgres, prepare: true })
  raw!: RawConnection

  /** Prepared under a name, as the engine does; the same text is the same statement. */
  named(text: string): Compiled {
    return this.#cache.compile(text).compiled
  }

  plain(text: string): Compiled {
    return { ...this.#cache.compile(text).compiled, name: '' }
  }

  op(text: string | Compiled, params?: readonly unknown[], more?: More): TestOp {
    return new TestOp(typeof text === 'string' ? this.plain(text) : text, params, more)
  }

  /** The operation after it has ended, well or not. */
  run(text: string | Compiled, params?: readonly unknown[], more?: More): Promise<TestOp> {
    const op = this.op(text, params, more)
    this.raw.submit(op)
    return op.settled
  }

  async rows(text: string | Compiled, params?: readonly unknown[]): Promise<any[]> {
    const op = await this.run(text, params)
    expect(op.failure).toBeNull()
    return op.rows
  }

  async value(text: string | Compiled, params?: readonly unknown[]): Promise<any> {
    const [row] = await this.rows(text, params)
    return Object.values(row as object)[0]
  }

  /** How the operations of a unit ended. */
  async unit(...texts: (string | TestOp)[]): Promise<string[]> {
    const ops = texts.map((text) => (typeof text === 'string' ? this.op(text) : text))
    this.raw.submitUnit({ ops })
    await Promise.all(ops.map(({ settled }) => settled))
    return ops.map(({ end }) => end)
  }

  idle(): void {
    this.told.push('idle')
  }

  room(): void {
    this.told.push('room')
  }

  lost(_raw: RawConnection, { kind, fields }: Failure): void {
    this.told.push(['lost', kind, fields?.['code']].filter(Boolean).join(' '))
  }

  notice({ message }: Readonly<Record<string, string>>): void {
    this.told.push(`notice ${message}`)
  }

  notification(channel: string, payload: string): void {
    this.told.push(`notification ${channel} ${payload}`)
  }
}

const opened: TestConnection[] = []

/** An open connection; closed after the test. */
export async function connect(driver: Driver, options: Record<string, unknown>): Promise<TestConnection> {
  const connection = new TestConnection()
  connection.raw = await driver.open(driver.parse(options), connection, later(60_000))
  opened.push(connection)
  return connection
}

export async function closeAll(): Promise<void> {
  await Promise.all(opened.splice(0).map(({ raw }) => raw.close(later())))
}

export async function failureOf(opening: Promise<unknown>): Promise<Failure> {
  return opening.then(
    () => expect.fail('it opened'),
    (failure: unknown) => failure as Failure,
  )
}

/** SQL expression, what it becomes. */
const values: readonly (readonly [sql: string, value: unknown])[] = [
  ['32767::int2', 32767],
  ["'-2147483648'::int4", -2147483648],
  ['4294967295::oid', 4294967295],
  ['9007199254740991::int8', 9007199254740991],
  ['1.5::float4', 1.5],
  ["'1e300'::float8", 1e300],
  ["'NaN'::float8", NaN],
  ["'-Infinity'::float4", -Infinity],
  ["'12345678901234567890.1234567890'::numeric", '12345678901234567890.1234567890'],
  ["'NaN'::numeric", 'NaN'],
  ['true', true],
  ['false', false],
  ["'é ☃ 😀'::text", 'é ☃ 😀'],
  ["''::text", ''],
  ["'ab'::char(4)", 'ab  '],
  ["'x'::varchar(3)", 'x'],
  ['\'a\'::"char"', 'a'],
  ["'a name'::name", 'a name'],
  [`'{"a":[1,null,"x"]}'::json`, { a: [1, null, 'x'] }],
  [`'{"a":{"b":1.5}}'::jsonb`, { a: { b: 1.5 } }],
  ['\'"text"\'::jsonb', 'text'],
  ["'null'::jsonb", null],
  ["'\\x00ff10'::bytea", Buffer.from([0, 255, 16])],
  ["''::bytea", Buffer.alloc(0)],
  ["'2024-02-29 12:34:56.789123+02'::timestamptz", new Date('2024-02-29T10:34:56.789Z')],
  ["'1999-12-31 23:59:59'::timestamp", new Date('1999-12-31T23:59:59.000Z')],
  ["'0001-01-01 00:00:00 BC'::timestamp", new Date('0000-01-01T00:00:00.000Z')],
  ["'0044-03-15 12:00:00+00 BC'::timestamptz", new Date('-000043-03-15T12:00:00.000Z')],
  ["'12024-05-06 07:08:09.5+00'::timestamptz", new Date('+012024-05-06T07:08:09.500Z')],
  ["'0099-01-02 03:04:05'::timestamp", new Date('0099-01-02T03:04:05.000Z')],
  ["'1969-12-31 23:59:59.999999+00'::timestamptz", new Date('1969-12-31T23:59:59.999Z')],
  ["'infinity'::timestamptz", Infinity],
  ["'-infinity'::timestamp", -Infinity],
  ["'2024-02-29'::date", '2024-02-29'],
  ["'infinity'::date", 'infinity'],
  ["'12:34:56.7'::time", '12:34:56.7'],
  ["'1 day 02:03:04'::interval", '1 day 02:03:04'],
  ["'12.34'::money", '$12.34'],
  ["'[1,5)'::int4range", '[1,5)'],
  ["'(1,2)'::point", '(1,2)'],
  ["'10.0.0.1/32'::inet", '10.0.0.1'],
  ["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid", 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'],
  ['array[1,null,3]', [1, null, 3]],
  ['array[]::int4[]', []],
  [
    'array[[1,2],[3,4]]',
    [
      [1, 2],
      [3, 4],
    ],
  ],
  ["'[0:1]={5,6}'::int4[]", [5, 6]],
  ['array[1::int8]', [1]],
  ['array[true,false,null]', [true, false, null]],
  [
    "array['a','b c','d\"e','f\\g','NULL',null,'','{x}','a,b']",
    ['a', 'b c', 'd"e', 'f\\g', 'NULL', null, '', '{x}', 'a,b'],
  ],
  ["array['x']::varchar[]", ['x']],
  ["array['1.10']::numeric[]", ['1.10']],
  ["array[1.5::float8,'NaN']", [1.5, NaN]],
  [`array['{"a":"x,y"}'::jsonb, null]`, [{ a: 'x,y' }, null]],
  [`array['[1,2]'::json]`, [[1, 2]]],
  ["array['\\x01ff'::bytea]", [Buffer.from([1, 255])]],
  ["array['2024-01-01 00:00:00+00'::timestamptz,'infinity']", [new Date('2024-01-01T00:00:00Z'), Infinity]],
  ["array['2024-01-01'::date]", ['2024-01-01']],
  ["array['(1,2),(0,0)'::box,'(3,4),(0,0)']", ['(1,2),(0,0)', '(3,4),(0,0)']],
  ["array['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid]", ['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11']],
  ["array['a b'::name]", ['a b']],
]

const decimal = { toJSON: (): string => '12.50' }

/** Cast of the parameter, what is given, its text on the server. */
const parameters: readonly (readonly [cast: string, value: unknown, text: string | null])[] = [
  ['text', 'é ☃ 😀', 'é ☃ 😀'],
  ['text', '', ''],
  [
    'text',
    'a longer text with \\ and "quotes" and \'apostrophes\'',
    'a longer text with \\ and "quotes" and \'apostrophes\'',
  ],
  ['text', null, null],
  ['int4', -5, '-5'],
  ['float8', 1e21, '1e+21'],
  ['float8', NaN, 'NaN'],
  ['float8', -Infinity, '-Infinity'],
  ['numeric', 0.1, '0.1'],
  ['int8', 9223372036854775807n, '9223372036854775807'],
  ['bool', true, 'true'],
  ['bool', false, 'false'],
  ['jsonb', true, 'true'],
  ['jsonb', 5, '5'],
  ['jsonb', '"text"', '"text"'],
  ['jsonb', { a: 1 }, '{"a": 1}'],
  ['jsonb', [1, [2]], '[1, [2]]'],
  ['jsonb', [], '[]'],
  ['jsonb', new Date(0), '"1970-01-01T00:00:00.000Z"'],
  ['json', ['x'], '["x"]'],
  ['numeric', decimal, '12.50'],
  ['jsonb', decimal, '"12.50"'],
  ['bytea', Buffer.from([0, 1, 255]), '\\x0001ff'],
  ['bytea', new Uint8Array([7]), '\\x07'],
  ['bytea', new Uint16Array([1]).buffer, '\\x0100'],
  ['timestamptz', new Date('2024-02-29T10:34:56.789Z'), '2024-02-29 10:34:56.789+00'],
  ['timestamp', new Date('2024-02-29T10:34:56.789Z'), '2024-02-29 10:34:56.789'],
  ['date', new Date('2024-02-29T23:59:59.999Z'), '2024-02-29'],
  ['timestamptz', new Date('-000043-03-15T12:00:00.000Z'), '0044-03-15 12:00:00+00 BC'],
  ['timestamptz', new Date('+012024-05-06T07:08:09.500Z'), '12024-05-06 07:08:09.5+00'],
  ['timestamp', new Date('0000-01-01T00:00:00Z'), '0001-01-01 00:00:00 BC'],
  ['timestamptz', Infinity, 'infinity'],
  ['int4[]', [1, null, 3], '{1,NULL,3}'],
  [
    'int4[]',
    [
      [1, 2],
      [3, 4],
    ],
    '{{1,2},{3,4}}',
  ],
  ['int4[]', [], '{}'],
  ['int8[]', [1n], '{1}'],
  ['bool[]', [true, null], '{t,NULL}'],
  ['float8[]', [NaN, 1.5], '{NaN,1.5}'],
  ['text[]', ['a', 'b c', 'd"e', 'f\\g', 'NULL', '', '{x}', 'a,b'], '{a,"b c","d\\"e","f\\\\g","NULL","","{x}","a,b"}'],
  ['jsonb[]', [{ a: 1 }, [2], null], '{"{\\"a\\": 1}",[2],NULL}'],
  ['timestamptz[]', [new Date(0)], '{"1970-01-01 00:00:00+00"}'],
  ['bytea[]', [Buffer.from([1])], '{"\\\\x01"}'],
]

const circular: unknown[] = []
circular.push({ again: circular })

/** Parameters that cannot be written, and what the message says of them. */
const unwritable: readonly (readonly [value: unknown, says: RegExp])[] = [
  [() => 'secret', /\$2 .*function/],
  [Symbol('secret'), /\$2 .*symbol/],
  [undefined, /\$2 .*undefined/],
  [new Date(NaN), /\$2 .*invalid date/],
  ['secret\0', /\$2 .*NUL/],
  ['secret\ud800', /\$2 .*surrogate/],
  [{ member: 1n }, /\$2 .*\.member.*JSON/],
  [[new Date(NaN)], /\$2 .*invalid date/],
  [circular, /\$2 .*JSON/],
  [new Map([['secret', 1]]), /\$2 .*Map/],
  [
    {
      get secret(): never {
        throw new Error('secret')
      },
    },
    /\$2 /,
  ],
]

const columns = (...list: (string | Partial<ColumnSpec>)[]): ColumnSpec[] =>
  list.map((column) =>
    typeof column === 'string'
      ? { path: column.split('.'), mode: 'default' }
      : { path: [], mode: 'default', ...column },
  )

export function driverContract({ name, driver, options }: Contract): void {
  const open = async (more: Record<string, unknown> = {}): Promise<TestConnection> =>
    connect(driver, { ...(await options()), ...more })
  let tables = 0
  const table = (): string => `t_${++tables}`
  let keeper: TestConnection

  // Held open throughout, because some servers live as long as their last connection.
  beforeAll(async () => {
    keeper = await open()
    opened.length = 0
  })
  afterAll(() => keeper.raw.close(later()))
  afterEach(closeAll)

  describe(`${name}: units`, () => {
    test('an operation has its rows, tag and count when it is done, and the connection is free', async () => {
      const c = await open()
      const op = c.op('select 1 as a, null as b')
      c.raw.submit(op)

      expect([c.raw.inFlight, c.raw.status, op.state, c.told]).toEqual([1, 'unknown', OpState.sent, []])
      await op.settled
      expect([op.rows, op.end]).toEqual([[{ a: 1, b: null }], 'SELECT 1'])
      expect([c.raw.inFlight, c.raw.status, c.told]).toEqual([0, 'idle', ['room', 'idle']])
    })

    test('every kind of statement has its tag and count', async () => {
      const c = await open()
      const t = table()
      const ends: string[] = []
      for (const text of [
        `create table ${t} (a int)`,
        `insert into ${t} select generate_series(1,3)`,
        `update ${t} set a = a where a < 3`,
        `delete from ${t} where a = 1`,
        `create table ${t}_copy as select * from ${t}`,
        `values (1),(2)`,
        'begin',
        'savepoint one',
        'release savepoint one',
        'commit',
        "set application_name to 'x'",
        '',
        '-- nothing',
      ])
        ends.push((await c.run(text)).end)

      expect(ends).toEqual([
        ...[
          'CREATE TABLE',
          'INSERT 3',
          'UPDATE 2',
          'DELETE 1',
          'SELECT 2',
          'SELECT 2',
          'BEGIN',
          'SAVEPOINT',
          'RELEASE',
        ],
        ...['COMMIT', 'SET', '', ''],
      ])
    })

    test('the status is that of the last answer', async () => {
      const c = await open()
      const seen: string[] = []
      for (const text of ['begin', 'select 1', 'select 1/0', 'rollback']) {
        await c.run(text)
        seen.push(c.raw.status)
      }

      expect(seen).toEqual(['tx', 'tx', 'failed', 'idle'])
    })

    test('BEGIN and the first statement travel together', async () => {
      const c = await open()

      expect(await c.unit('begin', 'savepoint one', 'select 1')).toEqual(['BEGIN', 'SAVEPOINT', 'SELECT 1'])
      expect(c.raw.status).toBe('tx')
      expect(c.told).toEqual(['room', 'idle'])
    })

    test('a BEGIN that fails keeps the statement behind it from running', async () => {
      const c = await open()
      const t = table()
      await c.run(`create table ${t} (a int)`)

      expect(await c.unit('begin isolation level none', `insert into ${t} values (1)`)).toEqual([
        'server 42601 rolled_back',
        'skipped not_started',
      ])
      expect(await c.value(`select count(*) from ${t}`)).toBe(0)
    })

    test('without a transaction an error takes back what stood before it in the unit', async () => {
      const c = await open()
      const t = table()
      await c.run(`create table ${t} (a int)`)

      expect(await c.unit(`insert into ${t} values (1)`, 'select 1/0', 'select 1')).toEqual([
        'skipped rolled_back',
        'server 22012 rolled_back',
        'skipped not_started',
      ])
      expect(await c.value(`select count(*) from ${t}`)).toBe(0)
    })

    test('in a transaction an error leaves what stood before it to the transaction', async () => {
      const c = await open()

      expect(await c.unit('begin', 'select 1', 'select 1/0', 'select 2')).toEqual([
        'BEGIN',
        'SELECT 1',
        'server 22012 rolled_back',
        'skipped not_started',
      ])
      expect(c.raw.status).toBe('failed')
    })

    test('what was committed within the unit stays committed', async () => {
      const c = await open()
      const t = table()
      await c.run(`create table ${t} (a int)`)

      expect(
        await c.unit('begin', `insert into ${t} values (1)`, 'commit', `insert into ${t} values (2)`, 'select 1/0'),
      ).toEqual(['BEGIN', 'INSERT 1', 'COMMIT', 'skipped rolled_back', 'server 22012 rolled_back'])
      expect(await c.rows(`select * from ${t}`)).toEqual([{ a: 1 }])
    })

    test('a constraint that is checked at the end fails the statement after its tag', async () => {
      const c = await open()
      const t = table()
      await c.run(`create table ${t} (a int primary key, b int references ${t} deferrable initially deferred)`)

      expect((await c.run(`insert into ${t} values (1, 2)`)).end).toBe('server 23503 rolled_back')
      expect(await c.unit('begin', `insert into ${t} values (1, 2)`, 'commit')).toEqual([
        'BEGIN',
        'INSERT 1',
        'server 23503 rolled_back',
      ])
      expect(c.raw.status).toBe('idle')
    })

    test('an error has the fields of the server', async () => {
      const c = await open()
      const t = table()
      await c.run(`create table ${t} (a int constraint positive check (a > 0))`)
      const { failure } = await c.run(`insert into ${t} values (-1)`)

      expect(failure?.fields).toMatchObject({ code: '23514', constraint: 'positive', table: t, schema: 'public' })
      expect(failure?.fields?.['message']).toContain('violates check constraint')
    })

    test('a row limit ends a query early and lets a write run to its end', async () => {
      const c = await open()
      const t = table()
      await c.run(`create table ${t} (a int)`)
      const first = await c.run('select generate_series(1,10) as a', [], { maxRows: 1 })
      const two = await c.run(c.named('select generate_series(1,10) as a'), [], { maxRows: 2 })
      const none = await c.run('select 1 where false', [], { maxRows: 2 })
      const write = await c.run(`insert into ${t} select generate_series(1,3) returning a`, [], { maxRows: 1 })

      expect([first, two, none, write].map(({ rows, end }) => [rows.length, end])).toEqual([
        [1, '1'],
        [2, '2'],
        [0, 'SELECT 0'],
        [1, '1'],
      ])
      expect(await c.value(`select count(*) from ${t}`)).toBe(3)
    })

    test('several statements in one text have the result of the last', async () => {
      const c = await open()
      const both = await c.run('select 1 as a; select 2 as b, 3 as c')
      const last = await c.run("select 1 as a; set application_name to 'x'")
      const failed = await c.run('select 1 as a; select 1/0')

      expect([both.rows, both.end]).toEqual([[{ b: 2, c: 3 }], 'SELECT 1'])
      expect([last.rows, last.end]).toEqual([[], 'SET'])
      expect(failed.end).toBe('server 22012 rolled_back')
      expect((await c.run('begin; commit; select 1/0')).end).toBe('server 22012 unknown')
    })

    test('several statements in one text have the results of each, for an operation that wants them', async () => {
      const c = await open()
      const text =
        "select 1 as a; select 2 as b, 3 as c; select 4 as d where false; set application_name to 'x'; select 5 as a"
      const op = await c.run(text, [], { results: [] })
      const failed = await c.run('select 1 as a; select 1/0', [], { results: [] })

      expect(
        op.results?.map(({ tag, count, rows, fields }) => [tag, count, rows, fields.map(({ name }) => name)]),
      ).toEqual([
        ['SELECT', 1, [{ a: 1 }], ['a']],
        ['SELECT', 1, [{ b: 2, c: 3 }], ['b', 'c']],
        ['SELECT', 0, [], ['d']],
        ['SET', -1, [], []],
        ['SELECT', 1, [{ a: 5 }], ['a']],
      ])
      expect([op.rows, op.end]).toEqual([[{ a: 5 }], 'SELECT 1'])
      expect(failed.end).toBe('server 22012 rolled_back')
    })

    test('a connection that is busy refuses more without harm', async () => {
      const c = await open()
      const running = Array.from({ length: c.raw.maxInFlight }, () => c.op('select 1'))
      for (const op of running) c.raw.submit(op)
      const more = c.op('select 2')
      c.raw.submit(more)

      expect(more.end).toBe('pending')
      expect((await more.settled).end).toBe('closed not_started')
      for (const op of running) expect((await op.settled).end).toBe('SELECT 1')
    })

    test('rows of an abandoned operation are thrown away, the connection stays usable', async () => {
      const c = await open()
      const op = c.op('select generate_series(1,100)')
      c.raw.submit(op)
      op.state = OpState.abandoned
      await op.settled

      expect(op.rows).toEqual([])
      expect(await c.value('select 1')).toBe(1)
    })

    test('COPY from and to the client fails, the connection stays usable', async () => {
      const c = await open()
      const t = table()
      await c.run(`create table ${t} (a int)`)
      const ends = [await c.run(`copy ${t} from stdin`), await c.run(`copy (select 1) to stdout`)].map(
        ({ failure }) => failure,
      )

      expect(ends.map((failure) => failure !== null)).toEqual([true, true])
      expect(await c.value('select 1')).toBe(1)
    })

    test('notices and notifications reach their hooks', async () => {
      const c = await open()
      await c.run("do $$ begin raise notice 'hello'; end $$")
      await c.run('listen harbour')
      await c.run("notify harbour, 'ship'")

      const told = c.told.filter((what) => !/^(idle|room)$/.test(what))
      expect(told).toEqual(['notice hello', 'notification harbour ship'])
    })
  })

  describe(`${name}: rows`, () => {
    test.each(values)('%s', async (sql, value) => {
      const c = await open()

      expect(await c.rows(`select ${sql} as v, null::int as n`)).toEqual([{ v: value, n: null }])
    })

    test('every type has NULL and an array with NULL in it', async () => {
      const c = await open()
      const types =
        'bool bytea int2 int4 int8 oid float4 float8 numeric text json jsonb uuid date time timestamp timestamptz'
      for (const type of types.split(' '))
        expect(await c.rows(`select null::${type} as a, array[null]::${type}[] as b`)).toEqual([{ a: null, b: [null] }])
    })

    test('an 8-byte integer becomes what int8 says', async () => {
      const sql = 'select 9223372036854775807 as a, array[1::int8] as b'

      expect(await (await open({ int8: 'bigint' })).rows(sql)).toEqual([{ a: 9223372036854775807n, b: [1n] }])
      await closeAll()
      expect(await (await open({ int8: 'string' })).rows(sql)).toEqual([{ a: '9223372036854775807', b: ['1'] }])
    })

    test('an integer that no number holds fails its operation alone', async () => {
      const c = await open()
      const t = table()
      await c.run(`create table ${t} (a int8)`)
      const read = await c.run('select 9007199254740992')
      const write = await c.run(`insert into ${t} values (9007199254740993) returning a`)

      expect([read.end, write.end]).toEqual(['decode rolled_back', 'decode committed'])
      expect(write.failure?.cause).toBeInstanceOf(UnsafeIntegerError)
      expect(String(write.failure?.cause)).not.toContain('9007199254740993')
      expect(await c.unit('begin', `insert into ${t} values (9007199254740993) returning a`, 'rollback')).toEqual([
        'BEGIN',
        'decode rolled_back',
        'ROLLBACK',
      ])
      expect(await c.value(`select count(*) from ${t}`)).toBe(1)
    })

    test('the bytea of older servers is read as well', async () => {
      const c = await open()
      await c.run('set bytea_output to escape')

      expect(await c.value(`select '\\x005c27ff41'::bytea`)).toEqual(Buffer.from([0, 92, 39, 255, 65]))
    })

    test('a date style that is not ISO fails what has dates, and nothing else', async () => {
      const c = await open()
      await c.run('set datestyle to german')

      expect((await c.run('select now()')).end).toBe('decode rolled_back')
      expect(await c.value('select 1')).toBe(1)
      expect(await c.raw.reset(Dirty.settings, later())).toBe(true)
      expect(await c.value('select now()')).toBeInstanceOf(Date)
    })

    test('other time zones change nothing', async () => {
      const c = await open()
      await c.run("set timezone to 'Asia/Kolkata'")
      const instant = new Date('2024-02-29T10:34:56.789Z')

      expect(await c.value("select '2024-02-29 10:34:56.789+00'::timestamptz")).toEqual(instant)
      expect(await c.value('select $1::timestamptz', [instant])).toEqual(instant)
      expect(await c.value('select $1::timestamp', [instant])).toEqual(instant)
      expect(await c.value("select '1850-01-01 00:00:00+00'::timestamptz")).toEqual(new Date('1850-01-01T00:00:00Z'))
    })

    test('columns may have any name; of equal names the last wins', async () => {
      const c = await open()
      const [row] = await c.rows(
        `select 1 as "__proto__", 2 as "constructor", 3 as "toString", 4 as "a""b", 5 as "é ", 6 as x, 7 as x, 8 as "0"`,
      )

      expect(Object.getPrototypeOf(row)).toBe(Object.prototype)
      expect(Object.entries(row as object).toSorted(([a], [b]) => (a < b ? -1 : 1))).toEqual([
        ['0', 8],
        ['__proto__', 1],
        ['a"b', 4],
        ['constructor', 2],
        ['toString', 3],
        ['x', 7],
        ['é ', 5],
      ])
      expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
    })

    test('a row may be wide and an answer long', async () => {
      const c = await open()
      const list = Array.from({ length: 300 }, (_, i) => `${i} as c${i}`).join(', ')
      const [wide] = await c.rows(`select ${list}`)
      const long = await c.rows("select i, 'row ' || i as t from generate_series(1, 100000) i")

      expect([Object.keys(wide as object).length, wide.c299]).toEqual([300, 299])
      expect([long.length, long[0], long[99_999]]).toEqual([
        100_000,
        { i: 1, t: 'row 1' },
        { i: 100_000, t: 'row 100000' },
      ])
      expect((await c.value("select repeat('é', 1000000)")).length).toBe(1_000_000)
    })

    test('a specification makes arrays and scalars', async () => {
      const c = await open()
      const sql = "select 1 as a, 'x' as a, now() as t"
      const array = await c.run(sql, [], { spec: { into: 'array', make: null, columns: null } })
      const scalar = await c.run(sql, [], { spec: { into: 'scalar', make: null, columns: null } })

      expect([array.rows, scalar.rows]).toEqual([[[1, 'x', expect.any(Date)]], [1]])
    })

    test('a specification nests, renames, converts and makes objects', async () => {
      class Author {
        id = 0
        readonly kind = 'author'
        name!: string
      }
      const c = await open()
      const twice = (value: unknown): unknown => [value, value]
      const spec: RowSpec<any> = {
        into: 'object',
        make: () => new Author(),
        columns: columns('id', { path: ['name'], map: twice }, 'team.name', 'team.city.name', {
          path: ['none'],
          map: twice,
        }),
      }
      const { rows } = await c.run("select 1, 'n', 't', 'c', null", [], { spec })

      expect(rows[0]).toBeInstanceOf(Author)
      expect(rows[0]).toEqual(
        Object.assign(new Author(), { id: 1, name: ['n', 'n'], team: { name: 't', city: { name: 'c' } }, none: null }),
      )
    })

    test('an object whose columns are all NULL is NULL', async () => {
      const c = await open()
      const list = columns('id', { path: ['team', 'id'], nullGroup: 1 }, { path: ['team', 'name'], nullGroup: 1 })
      const spec: RowSpec<any> = { into: 'object', make: null, columns: list }
      const { rows } = await c.run("values (1, null, null), (2, 3, null), (4, 5, 'x')", [], { spec })
      const tuple: RowSpec<any> = {
        into: 'array',
        make: null,
        columns: columns({ path: ['0', 'id'], nullGroup: 1 }, { path: ['1', 'id'], nullGroup: 2 }),
      }

      expect(rows).toEqual([
        { id: 1, team: null },
        { id: 2, team: { id: 3, name: null } },
        { id: 4, team: { id: 5, name: 'x' } },
      ])
      expect((await c.run('values (1, null::int), (2, 3)', [], { spec: tuple })).rows).toEqual([
        [{ id: 1 }, null],
        [{ id: 2 }, { id: 3 }],
      ])
    })

    test('it is NULL by what the server sent, and not by what is made of that', async () => {
      const c = await open()
      const map = (): null => null
      const list = columns('id', { path: ['team', 'id'], nullGroup: 1, mode: 'string', map })
      const spec: RowSpec<any> = { into: 'object', make: null, columns: list }

      expect((await c.run("values (1, null), (2, 'x')", [], { spec })).rows).toEqual([
        { id: 1, team: null },
        { id: 2, team: { id: null } },
      ])
    })

    test('a fold takes the place of the push', async () => {
      const c = await open()
      const fold = (target: unknown[], row: unknown): void => {
        target[0] = Number(target[0] ?? 0) + Number(row)
      }
      const spec: RowSpec<any> = { into: 'scalar', make: null, columns: null, fold }

      expect((await c.run('select generate_series(1,4)', [], { spec })).rows).toEqual([10])
    })

    test('modes decide for a column', async () => {
      const c = await open()
      const modes = [
        'string',
        'number',
        'bigint',
        'date',
        'json',
        'buffer',
        'raw-text',
        'number',
        'date',
        'string',
      ] as const
      const spec: RowSpec<any> = { into: 'array', make: null, columns: columns(...modes.map((mode) => ({ mode }))) }
      const sql = `select now() > now(), '1.5'::numeric, 9223372036854775807, '2024-01-02'::date, '[1]'::text, '\\x01'::bytea,
        array[1,2], array['1.5'::numeric], '2024-01-02 03:04:05'::timestamp, array[1]`
      const { rows } = await c.run(sql, [], { spec })

      expect(rows[0]).toEqual([
        ...['f', 1.5, 9223372036854775807n, new Date('2024-01-02T00:00:00Z'), [1], Buffer.from([1]), '{1,2}', [1.5]],
        ...[new Date('2024-01-02T03:04:05Z'), ['1']],
      ])
    })

    test('a conversion that throws fails its operation alone, and so does a specification of another width', async () => {
      const c = await open()
      const cause = new ParameterError('mine')
      const map = (): never => {
        throw cause
      }
      const thrown = await c.run('select 1', [], {
        spec: { into: 'object', make: null, columns: columns({ path: ['a'], map }) },
      })
      const misfit = await c.run('select 1, 2', [], { spec: { into: 'object', make: null, columns: columns('a') } })

      expect([thrown.end, misfit.end, thrown.failure?.cause]).toEqual([
        'decode rolled_back',
        'decode rolled_back',
        cause,
      ])
      expect(await c.value('select 1')).toBe(1)
    })
  })

  describe(`${name}: parameters`, () => {
    test.each(parameters)('$1::%s of %o', async (cast, value, text) => {
      const c = await open()
      await c.run("set timezone to 'UTC'")
      const sql = `select $1::${cast}::text as v`

      expect(await c.value(sql, [value])).toBe(text)
      expect(await c.value(c.named(sql), [value])).toBe(text)
      expect(await c.value(c.named(sql), [value])).toBe(text)
    })

    test.each(unwritable)(
      'a parameter that cannot be written fails before anything is sent: %#',
      async (value, says) => {
        const c = await open()
        const op = c.op('select $1::text, $2::text', ['secret', value])
        c.raw.submit(op)

        expect(op.end).toBe('pending')
        expect((await op.settled).end).toBe('encode not_started')
        const message = String((op.failure?.cause as Error | undefined)?.message)
        expect(op.failure?.cause).toBeInstanceOf(ParameterError)
        expect(message).toMatch(says)
        expect(message).not.toContain('secret')
        expect([c.told, c.raw.status]).toEqual([['room', 'idle'], 'idle'])
        expect(await c.unit('begin', c.op('select $1::text, $2::text', ['secret', value]), 'select 1')).toEqual([
          'skipped not_started',
          'encode not_started',
          'skipped not_started',
        ])
        expect(await c.value('select 1')).toBe(1)
      },
    )

    test('an array is JSON for a JSON column and an array for all else, from the first run on', async () => {
      const c = await open()
      const t = table()
      await c.run(`create table ${t} (j jsonb, a text[])`)
      const sql = `insert into ${t} values ($1, $2) returning *`
      const array = ['x', 'y']
      for (const statement of [c.plain(sql), c.named(sql), c.named(sql)])
        expect(await c.rows(statement, [array, array])).toEqual([{ j: array, a: array }])
      const op = c.op(c.plain(`${sql} `), [[], []])

      expect(await c.unit('begin', op, 'commit')).toEqual(['BEGIN', 'INSERT 1', 'COMMIT'])
      expect(op.rows).toEqual([{ j: [], a: [] }])
    })

    test('what the first run learnt serves other connections', async () => {
      const c = await open()
      const t = table()
      await c.run(`create table ${t} (j jsonb, a text[])`)
      const statement = c.named(`insert into ${t} values ($1, $2) returning *`)
      await c.run(statement, [[1], ['x']])
      await closeAll()
      const d = await open()

      expect(statement.shape?.params).toEqual([3802, 1009])
      expect(await d.rows(statement, [[2], ['y']])).toEqual([{ j: [2], a: ['y'] }])
    })

    test('a column that becomes JSON gets JSON', async () => {
      const c = await open()
      const t = table()
      await c.run(`create table ${t} (a text[])`)
      for (const statement of [c.named(`insert into ${t} values ($1)`), c.plain(`insert into ${t} values ($1) `)]) {
        await c.run(`alter table ${t} alter a type text[] using null`)
        expect((await c.run(statement, [['x']])).end).toBe('INSERT 1')
        await c.run(`alter table ${t} alter a type jsonb using to_jsonb(a)`)
        expect((await c.run(statement, [['y']])).end).toBe('INSERT 1')
      }
      expect(await c.value(`select a from ${t} offset 3`)).toEqual(['y'])
    })

    test('a unit that fails while a statement is described ends in order', async () => {
      const c = await open()

      expect(await c.unit('select 1', c.op('select $1::int[] from nowhere', [[1]]), 'select 2')).toEqual([
        'skipped rolled_back',
        'server 42P01 rolled_back',
        'skipped not_started',
      ])
      expect(await c.unit('select 1/0', c.op('select $1::int[]', [[1]]))).toEqual([
        'server 22012 rolled_back',
        'skipped not_started',
      ])
      expect(await c.value('select 1')).toBe(1)
    })

    test('what turns out to be unwritable late leaves the connection in order', async () => {
      const c = await open()

      const late = [c.op('select $1::jsonb', [[1n]]), c.op('select $1::text[]', [['\0']])]
      for (const op of late) {
        expect(await c.unit('begin', op, 'select 2')).toEqual(['BEGIN', 'encode not_started', 'skipped not_started'])
        expect(c.raw.status).toBe('tx')
        await c.run('rollback')
      }
      expect(await c.value('select $1::int8[]', [[1n]])).toEqual([1])
    })

    test('a statement takes 65535 parameters and no more', async () => {
      const c = await open()
      const numbers = Array.from({ length: 65_536 }, (_, i) => i)
      const sql = (count: number): string =>
        `select count(*) from (values ${numbers
          .slice(0, count)
          .map((i) => `($${i + 1}::int4)`)
          .join()}) v`

      expect(await c.value(sql(65_535), numbers.slice(0, 65_535))).toBe(65_535)
      expect((await c.run('select 1', numbers)).end).toBe('encode not_started')
      expect((await c.run('select $1::int, $2::int', [1])).end).toBe('server 08P01 rolled_back')
      expect(await c.value('select 1')).toBe(1)
    })
  })

  describe(`${name}: prepared statements`, () => {
    const known = 'select count(*) from pg_prepared_statements'

    test('a named statement is parsed once', async () => {
      const c = await open()
      const statement = c.named('select $1::int as a')
      for (let i = 0; i < 3; i++) expect(await c.rows(statement, [i])).toEqual([{ a: i }])

      expect(await c.value(`${known} where statement = 'select $1::int as a'`)).toBe(1)
    })

    test('one unit may use a new statement twice', async () => {
      const c = await open()
      const statement = c.named('select $1::int as a')

      expect(await c.unit(c.op(statement, [1]), c.op(statement, [2]))).toEqual(['SELECT 1', 'SELECT 1'])
      expect(await c.value(`${known} where statement = 'select $1::int as a'`)).toBe(1)
    })

    test('one that could not be parsed is not remembered', async () => {
      const c = await open()
      const t = table()
      const statement = c.named(`select * from ${t}`)

      expect((await c.run(statement)).end).toBe('server 42P01 rolled_back')
      await c.run(`create table ${t} (a int)`)
      expect((await c.run(statement)).end).toBe('SELECT 0')
    })

    test('one whose result has changed runs again by itself outside a transaction', async () => {
      const c = await open()
      const t = table()
      await c.run(`create table ${t} as select 1 as a`)
      const statement = c.named(`select * from ${t}`)
      await c.run(statement)
      await c.run(`alter table ${t} add b text default 'new'`)

      expect(await c.rows(statement)).toEqual([{ a: 1, b: 'new' }])
      await c.run(`alter table ${t} alter a type text`)
      expect(await c.rows(statement)).toEqual([{ a: '1', b: 'new' }])
      expect(c.told.filter((what) => what === 'idle').length).toBe(6)
    })

    test('one whose parameters have become of other types runs again by itself outside a transaction', async () => {
      const c = await open()
      const t = table()
      await c.run(`create table ${t} (a int)`)
      await c.run(`create function ${t}_alter() returns trigger language plpgsql as $$ begin
        execute 'alter table ${t} alter a type ' || new.wanted; return new; end $$`)
      await c.run(`create table ${t}_fired (wanted text)`)
      await c.run(`create trigger alters after insert on ${t}_fired for each row execute function ${t}_alter()`)
      // Nobody can see that it alters anything.
      const becomes = (type: string): Promise<unknown> => c.run(`insert into ${t}_fired values ('${type}')`)
      const insert = c.named(`insert into ${t} values ($1)`)
      const find = c.named(`select count(*) from ${t} where a = any($1)`)
      const unnamed = c.plain(`insert into ${t} values ($1) `)
      const all = async (value: unknown): Promise<string[]> =>
        [await c.run(insert, [value]), await c.run(unnamed, [value]), await c.run(find, [[value]])].map(
          ({ end }) => end,
        )
      const well = ['INSERT 1', 'INSERT 1', 'SELECT 1']
      expect(await all(7)).toEqual(well)
      await becomes('bigint')
      expect(await all(5_000_000_000)).toEqual(well)
      await becomes('numeric')
      expect(await all('1.5')).toEqual(well)
      await becomes('text')
      expect(await all('x')).toEqual(well)
      expect(await all('y')).toEqual(well)

      await becomes('int using 1')
      expect(await all('z')).toEqual(Array(3).fill('server 22P02 rolled_back'))
      expect(await all(8)).toEqual(well)
      await becomes('bigint')
      expect(await c.unit('begin', c.op(insert, [5_000_000_001]))).toEqual(['BEGIN', 'server 22003 rolled_back'])
      await c.run('rollback')
      expect(await c.unit('begin', c.op(insert, [5_000_000_001]), 'commit')).toEqual(['BEGIN', 'INSERT 1', 'COMMIT'])
    })

    test('inside a transaction it fails, and works in the next', async () => {
      const c = await open()
      const t = table()
      await c.run(`create table ${t} as select 1 as a`)
      await c.run(`create function ${t}_alter() returns trigger language plpgsql as $$ begin
        alter table ${t} add b int default 2; return new; end $$`)
      await c.run(`create table ${t}_fired (n int)`)
      await c.run(`create trigger alters after insert on ${t}_fired for each row execute function ${t}_alter()`)
      const statement = c.named(`select * from ${t}`)
      await c.run(statement)
      // Nobody can see that it alters anything.
      await c.run(`insert into ${t}_fired values (1)`)

      expect(await c.unit('begin', c.op(statement))).toEqual(['BEGIN', 'server 0A000 rolled_back'])
      expect(c.raw.status).toBe('failed')
      await c.run('rollback')
      expect(await c.unit('begin', c.op(statement))).toEqual(['BEGIN', 'SELECT 1'])
    })

    test('sessions that see other tables under one name keep their own results', async () => {
      const c = await open()
      const t = table()
      await c.run(
        `create schema other_${t}; create table ${t} as select 1 as a; create table other_${t}.${t} as select 'x' as b`,
      )
      const statement = c.named(`select * from ${t}`)

      expect(await c.rows(statement)).toEqual([{ a: 1 }])
      await c.run(`set search_path to other_${t}`)
      expect(await c.rows(statement)).toEqual([{ b: 'x' }])
      await c.run(`set search_path to public`)
      expect(await c.rows(statement)).toEqual([{ a: 1 }])
    })

    test('there are never more than the limit, and all go on working', async () => {
      const c = await open({ statementCacheSize: 5 })
      const ours = await c.value(known)
      const statements = Array.from({ length: 20 }, (_, i) => c.named(`select ${i} as a, $1::int as b`))
      for (let round = 0; round < 2; round++)
        for (const [i, statement] of statements.entries())
          expect(await c.rows(statement, [7])).toEqual([{ a: i, b: 7 }])
      const many = await c.unit(...statements.map((statement) => c.op(statement, [1])))

      expect(await c.value(known)).toBeLessThanOrEqual(Number(ours) + 5)
      expect(new Set(many)).toEqual(new Set(['SELECT 1']))
    })

    test('beyond the limit they run unnamed once, and take the place of others when they come again soon', async () => {
      const c = await open({ statementCacheSize: 3 })
      const prepared = async (): Promise<string[]> => {
        const texts = (await c.rows(
          "select statement as v from pg_prepared_statements where statement like 'select % as kept'",
        )) as { v: string }[]
        return texts.map(({ v }) => v.split(' ')[1] as string).toSorted()
      }
      const run = async (...numbers: number[]): Promise<void> => {
        for (const n of numbers) expect(await c.rows(c.named(`select ${n} as kept`))).toEqual([{ kept: n }])
      }

      await run(1, 2, 3, 1, 2, 3)
      await run(...Array.from({ length: 20 }, (_, n) => n + 10))
      expect(await prepared()).toEqual(['1', '2', '3'])
      await run(40, 41, 40)
      expect(await prepared()).toContain('40')
      expect(await prepared()).toHaveLength(3)
    })

    test('a limit of 0 prepares nothing', async () => {
      const c = await open({ statementCacheSize: 0 })
      const ours = await c.value(known)

      expect(await c.rows(c.named('select $1::int as a'), [1])).toEqual([{ a: 1 }])
      expect(await c.value(known)).toBe(ours)
    })

    test.each(['deallocate all', 'discard all', "do $$ begin execute 'deallocate all'; end $$"])(
      '%s does no harm',
      async (text) => {
        const c = await open()
        const statement = c.named('select $1::int as a')
        await c.run(statement, [1])
        await c.run(text)

        expect(await c.rows(statement, [2])).toEqual([{ a: 2 }])
      },
    )

    test('the columns of a FETCH are asked for every time', async () => {
      const c = await open()
      const statement = { ...c.named('fetch 1 from c'), name: 'fetched' }
      await c.run('begin')
      await c.run('declare c cursor for select 1 as a')
      expect(await c.rows(statement)).toEqual([{ a: 1 }])
      await c.run('close c')
      await c.run("declare c cursor for select 'x' as b")
      expect(await c.rows(statement)).toEqual([{ b: 'x' }])
    })
  })

  describe(`${name}: reset`, () => {
    const state: readonly (readonly [name: string, dirty: number, make: string, left: string])[] = [
      ['settings', Dirty.settings, "set work_mem to '1MB'", "select current_setting('work_mem') = '1MB'"],
      [
        'own settings',
        Dirty.settings,
        "select set_config('app.tenant', 'a', false)",
        "select current_setting('app.tenant') = 'a'",
      ],
      ['role', Dirty.role, 'set role pg_monitor', "select current_user = 'pg_monitor'"],
      ['session', Dirty.role, 'set session authorization pg_monitor', "select session_user = 'pg_monitor'"],
      ['temporary tables', Dirty.temp, 'create temp table tt (a int)', "select to_regclass('pg_temp.tt') is not null"],
      ['LISTEN', Dirty.listen, 'listen harbour', 'select count(*) > 0 from pg_listening_channels()'],
      [
        'advisory locks',
        Dirty.locks,
        'select pg_advisory_lock(42)',
        "select count(*) > 0 from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()",
      ],
      [
        'cursors',
        Dirty.cursors,
        'declare cc cursor with hold for select 1',
        "select count(*) > 0 from pg_cursors where name = 'cc'",
      ],
      [
        'PREPARE',
        Dirty.prepared,
        'prepare pp as select 1',
        'select count(*) > 0 from pg_prepared_statements where from_sql',
      ],
    ]

    test.each(state)('undoes %s, when told so and when told nothing', async (_what, dirty, make, left) => {
      const c = await open()
      const statement = c.named('select $1::int as a')
      for (const bits of [dirty, Dirty.unknown, 0]) {
        await c.run(make)
        expect(await c.value(left)).toBe(true)
        expect(await c.raw.reset(bits, later())).toBe(true)
        expect(
          await c.value(left.replace("current_setting('app.tenant')", "current_setting('app.tenant', true)")),
        ).not.toBe(true)
        expect(await c.value(statement, [1])).toBe(1)
      }
      expect([c.raw.dirty, c.raw.status]).toEqual([0, 'idle'])
    })

    test('gathers what statements soil, when they are sent', async () => {
      const c = await open()
      const op = c.op('listen harbour')
      c.raw.submit(op)

      expect(c.raw.dirty).toBe(Dirty.listen)
      await op.settled
      await c.run("set work_mem to '1MB'")
      expect(c.raw.dirty).toBe(Dirty.listen | Dirty.settings)
    })

    test('keeps the statements that we have prepared', async () => {
      const c = await open()
      const statement = c.named('select $1::int as kept')
      await c.run(statement, [1])
      await c.run('prepare "their own" as select 1')
      for (const dirty of [Dirty.settings | Dirty.role | Dirty.temp, Dirty.unknown]) await c.raw.reset(dirty, later())

      expect(
        await c.rows("select statement from pg_prepared_statements where statement like '%kept' or from_sql"),
      ).toEqual([{ statement: 'select $1::int as kept' }])
    })

    test('rolls back an open or failed transaction', async () => {
      const c = await open()
      const t = table()
      await c.run(`create table ${t} (a int)`)
      for (const last of ['select 1', 'select 1/0']) {
        await c.unit('begin', `insert into ${t} values (1)`, last)
        expect(await c.raw.reset(0, later())).toBe(true)
        expect(c.raw.status).toBe('idle')
      }
      expect(await c.value(`select count(*) from ${t}`)).toBe(0)
    })

    test('restores the baseline', async () => {
      const c = await open()
      c.raw.setBaseline("select set_config('work_mem', '2MB', false);")
      await c.run("set work_mem to '1MB'")

      expect(await c.raw.reset(Dirty.settings, later())).toBe(true)
      expect(await c.value('show work_mem')).toBe('2MB')
    })

    test('says no when it failed, when it is late, and when something is in flight', async () => {
      const c = await open()
      c.raw.setBaseline('select 1/0')
      expect(await c.raw.reset(Dirty.settings, later())).toBe(false)
      const d = await open()
      d.raw.submit(d.op('select 1'))
      expect(await d.raw.reset(0, later())).toBe(false)
    })

    test('a ping is answered, and tells nobody', async () => {
      const c = await open()

      expect(await c.raw.ping(later())).toBe(true)
      expect(c.told).toEqual([])
    })
  })

  describe(`${name}: the end`, () => {
    test('destroying fails what is in flight in order, then tells once', async () => {
      const c = await open()
      const ops = ['select 1', 'select 2'].map((text) => c.op(text))
      const order: unknown[] = []
      c.raw.submitUnit({ ops })
      for (const op of ops) void op.settled.then(() => order.push(op))
      c.raw.destroy({ kind: 'closed', outcome: 'unknown' })
      c.raw.destroy({ kind: 'closed', outcome: 'unknown' })

      expect([c.raw.alive, c.raw.status, ops.map(({ end }) => end)]).toEqual([false, 'unknown', ['pending', 'pending']])
      await Promise.all(ops.map(({ settled }) => settled))
      expect(ops.map(({ end }) => end)).toEqual(['closed unknown', 'closed unknown'])
      await Promise.resolve()
      expect([order, c.told]).toEqual([ops, ['lost closed']])
      expect((await c.run('select 1')).end).toBe('closed not_started')
    })

    const losses: readonly (readonly [before: string[], unit: string[], ends: string[]])[] = [
      [[], ['select 1'], ['unknown']],
      [[], ['insert into nowhere values (1)'], ['unknown']],
      [[], ['begin', 'select 1'], ['rolled_back', 'rolled_back']],
      [[], ['begin', 'select 1', 'commit'], ['unknown', 'unknown', 'unknown']],
      [['begin'], ['select 1'], ['rolled_back']],
      [['begin'], ['commit'], ['unknown']],
      [['begin'], ['rollback'], ['rolled_back']],
      [['begin'], ['rollback', 'select 1'], ['rolled_back', 'unknown']],
      [
        ['begin', 'savepoint a'],
        ['rollback to savepoint a', 'select 1'],
        ['rolled_back', 'rolled_back'],
      ],
      [['begin', 'select 1/0'], ['commit'], ['rolled_back']],
      [['begin'], ['select 1; commit'], ['unknown']],
      [[], ['vacuum'], ['unknown']],
    ]

    test.each(losses)('after %j the outcome of losing %j is %j', async (before, texts, outcomes) => {
      const c = await open()
      for (const text of before) await c.run(text)
      const ops = texts.map((text) => c.op(text))
      c.raw.submitUnit({ ops })
      c.raw.destroy({ kind: 'lost', outcome: 'unknown' })
      await Promise.all(ops.map(({ settled }) => settled))

      expect(ops.map(({ failure }) => failure?.outcome)).toEqual(outcomes)
    })

    test('a statement that waits to be described has not started', async () => {
      const c = await open()
      const op = c.op('select $1::int[]', [[1]])
      c.raw.submit(op)
      c.raw.destroy({ kind: 'lost', outcome: 'unknown' })

      expect((await op.settled).end).toBe('lost not_started')
    })

    test('cancelling, resetting and pinging what is lost is answered', async () => {
      const c = await open()
      const op = c.op('select 1')
      c.raw.destroy({ kind: 'lost', outcome: 'unknown' })

      expect(await c.raw.cancel(op, later())).toBe('broken')
      expect(await c.raw.reset(0, later())).toBe(false)
      expect(await c.raw.ping(later())).toBe(false)
      await c.raw.close(later())
    })

    test('cancelling what has ended is no cancel', async () => {
      const c = await open()
      const op = await c.run('select 1')

      expect(await c.raw.cancel(op, later())).toBe('completed')
      expect([c.raw.quarantined, await c.value('select 1')]).toEqual([false, 1])
    })

    test('closing ends the connection and tells once', async () => {
      const c = await open()
      await Promise.all([c.raw.close(later()), c.raw.close(later())])

      expect([c.raw.alive, c.told]).toEqual([false, ['lost closed']])
    })

    test('closing fails what is in flight', async () => {
      const c = await open()
      const op = c.op('select 1')
      c.raw.submit(op)
      await c.raw.close(later())

      expect((await op.settled).end).toBe('closed unknown')
    })

    test('unknown and wrong options are refused together', () => {
      expect(() => driver.parse({ nonsense: 1, int8: 'no', another: true })).toThrow(/nonsense.*int8.*another/)
    })
  })
}
