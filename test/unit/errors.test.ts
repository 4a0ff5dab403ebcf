import { readFileSync } from 'node:fs'
import { inspect } from 'node:util'
import { describe, expect, test, vi } from 'vitest'
import * as errors from '../../src/errors/index.ts'
import {
  AcquireTimeoutError,
  AfterCommitError,
  AuthenticationError,
  ConnectError,
  ConnectionLostError,
  ConstraintViolationError,
  GeneverError,
  InvalidOptionError,
  isGeneverError,
  NotBoundError,
  NotFoundError,
  type Outcome,
  QueryError,
  SerializationError,
  StalePlanError,
  toConnectError,
  TooManyConnectionsError,
  TransactionAbortedError,
  UniqueViolationError,
  UsageError,
} from '../../src/errors/index.ts'
import { serverError } from '../../src/engine/query/failure.ts'
import { mysql } from '../../src/mysql/dialect.ts'
import { postgres } from '../../src/postgres/dialect.ts'

/** Every SQLSTATE that a text has. */
const statesIn = (text: string): string[] => [...new Set(text.match(/(?<!\w)(?=[A-Z]*\d)[A-Z\d]{5}(?!\w)/g))].toSorted()

/** The error for what PostgreSQL said to a statement. */
function toQueryError(
  fields: Readonly<Record<string, string>>,
  sql?: string,
  outcome: Outcome = 'rolled_back',
  cause?: unknown,
): QueryError {
  return serverError({ dialect: postgres }, { fields, outcome, cause }, sql)
}

/** The error for a connection that PostgreSQL refused with that state. */
function refusedWith(code: string): ConnectError {
  return toConnectError('x', { ...postgres.explain({ code }), reason: '', tls: null }, { sqlState: code })
}

type ErrorClass = typeof GeneverError

const classes = Object.values(errors).filter(
  (value): value is ErrorClass =>
    typeof value === 'function' && (value === GeneverError || value.prototype instanceof GeneverError),
)

describe('every error', () => {
  test.each(classes.map((kind) => [kind.name, kind] as const))('%s takes a message and details', (name, kind) => {
    const cause = new Error('why')
    const plain = new kind('What happened.')
    const full = new kind('What happened.', {
      cause,
      outcome: 'committed',
      retryable: true,
      statement: { sql: 'select 1' },
    })

    expect(plain).toMatchObject({
      name,
      message: 'What happened.',
      code: kind.code,
      retryable: kind.retryable,
      outcome: kind.outcome,
    })
    expect('statement' in plain || 'cause' in plain).toBe(false)
    expect(full).toMatchObject({ outcome: 'committed', retryable: true, statement: { sql: 'select 1' } })
    expect([full.cause, (full as { driverError?: unknown }).driverError]).toContain(cause)
    expect(plain.stack).toMatch(new RegExp(`^${name}: What happened\\.\\n    at .*errors\\.test\\.ts`))
  })

  test.each(classes.map((kind) => [kind.code, kind] as const))(
    '%s is recognised by class and by code',
    (code, kind) => {
      const error = new kind('What happened.')

      expect(error).toBeInstanceOf(Error)
      for (const known of [undefined, code, code.replace('GENEVER_', ''), 'ERROR'])
        expect(isGeneverError(error, known)).toBe(true)
      expect(isGeneverError(error, kind)).toBe(true)
      expect(isGeneverError(error, 'NOT_A_CODE')).toBe(false)
    },
  )
})

describe('isGeneverError', () => {
  test('knows the errors of another copy of the package, and of the kinds above theirs', async () => {
    vi.resetModules()
    const copy = await import('../../src/errors/index.ts')
    const error: unknown = copy.toQueryError({ kind: 'unique', retryable: false }, 'x', {
      fields: { constraint: 'users_email_key' },
    })

    expect(error).not.toBeInstanceOf(UniqueViolationError)
    expect(isGeneverError(error, UniqueViolationError) && error.constraint).toBe('users_email_key')
    expect(isGeneverError(error, ConstraintViolationError)).toBe(true)
    expect(isGeneverError(error, 'QUERY')).toBe(true)
    expect(isGeneverError(error, 'USAGE')).toBe(false)
  })

  test('is not taken in by what only looks like one', () => {
    const forged = JSON.parse('{"code":"GENEVER_NOT_BOUND","name":"NotBoundError","genever.error":true}') as unknown

    for (const value of [forged, new Error('x'), null, undefined, 'GENEVER_NOT_BOUND', () => {}])
      expect(isGeneverError(value)).toBe(false)
  })

  test('knows an error of a class of one’s own, which keeps its name and the code it has from ours', () => {
    class TeamNotFound extends NotFoundError {}
    const error = new TeamNotFound('No such team.')

    expect(error).toMatchObject({
      name: 'TeamNotFound',
      code: 'GENEVER_NOT_FOUND',
      status: 404,
      statusCode: 404,
      expose: true,
    })
    expect(isGeneverError(error, NotFoundError)).toBe(true)
  })
})

describe('an error', () => {
  test('keeps its name when a bundler has shortened that of its class', () => {
    const kind = {
      a: class extends UsageError {
        static override readonly code: string = 'GENEVER_NOT_BOUND'
      },
    }.a

    expect(new kind('x').name).toBe('NotBoundError')
  })

  test('of usage has not started anything and is never to be tried again', () => {
    expect(new NotBoundError('x')).toMatchObject({ outcome: 'not_started', retryable: false })
  })

  test('carries what its kind knows', () => {
    const timeout = { phase: 'transaction', timeoutMs: 50, holders: ['a'], stats: { open: 1 } }
    const options = [{ name: 'pool.maxx', problem: 'is not an option' }]

    expect(new AcquireTimeoutError('x', timeout)).toMatchObject({ ...timeout, retryable: true, outcome: 'not_started' })
    expect(new InvalidOptionError('x', { options }).options).toEqual(options)
  })

  test('of a lost connection is worth another try only if nothing took effect', () => {
    const retryable = (['not_started', 'rolled_back', 'committed', 'unknown'] as const).map(
      (outcome) => new ConnectionLostError('x', { outcome }).retryable,
    )

    expect(retryable).toEqual([true, true, false, false])
    expect(new ConnectionLostError('x').retryable).toBe(false)
  })

  test('of afterCommit has the result, and does not print it', () => {
    const error = new AfterCommitError('x', { result: { password: 'hunter2' }, errors: [new Error('hook')] })

    expect(error).toMatchObject({ outcome: 'committed', result: { password: 'hunter2' } })
    expect(inspect(error, { depth: Infinity, showHidden: true })).not.toContain('hunter2')
  })
})

describe('SQLSTATE', () => {
  test.each([
    ['23505', 'UniqueViolationError', false],
    ['23503', 'ForeignKeyViolationError', false],
    ['23001', 'ForeignKeyViolationError', false],
    ['23502', 'NotNullViolationError', false],
    ['23514', 'CheckViolationError', false],
    ['23P01', 'ExclusionViolationError', false],
    ['23000', 'ConstraintViolationError', false],
    ['40001', 'SerializationError', true],
    ['40P01', 'DeadlockDetectedError', true],
    ['55P03', 'LockTimeoutError', true],
    ['57014', 'QueryCanceledError', false],
    ['25006', 'ReadOnlyError', false],
    ['42601', 'SqlSyntaxError', false],
    ['42P01', 'SqlSyntaxError', false],
    ['42703', 'SqlSyntaxError', false],
    ['42883', 'SqlSyntaxError', false],
    ['0A000', 'QueryError', false],
    ['25P02', 'QueryError', false],
    ['22012', 'QueryError', false],
    ['P0001', 'QueryError', false],
    ['XX000', 'QueryError', false],
  ])('%s is a %s', (code, name, retryable) => {
    expect(toQueryError({ code, message: 'x' })).toMatchObject({
      name,
      sqlState: code,
      retryable,
      outcome: 'rolled_back',
    })
  })

  test('0A000 is a stale plan if the server says so, in whatever language', () => {
    expect(toQueryError({ code: '0A000', message: 'cached plan must not change result type' })).toBeInstanceOf(
      StalePlanError,
    )
    const german = {
      code: '0A000',
      message: 'gecachter Plan darf den Ergebnistyp nicht ändern',
      routine: 'RevalidateCachedQuery',
    }
    expect(toQueryError(german)).toMatchObject({ name: 'StalePlanError', retryable: true })
  })

  test('gives the fields that name things, and a statement without parameters', () => {
    const fields = {
      code: '23505',
      severity: 'ERROR',
      message: 'duplicate key value violates unique constraint "users_email_key"',
      constraint: 'users_email_key',
      table: 'users',
      schema: 'public',
      position: '12',
    }
    const error = toQueryError(fields, 'insert into users values ($1)', 'not_started')

    expect(error).toMatchObject({
      ...fields,
      code: 'GENEVER_UNIQUE_VIOLATION',
      sqlState: '23505',
      position: 12,
      outcome: 'not_started',
    })
    expect(error.statement).toEqual({ sql: 'insert into users values ($1)' })
    expect('column' in error).toBe(false)
  })

  test('is not needed: an answer without fields still is an error', () => {
    expect(toQueryError({})).toMatchObject({
      name: 'QueryError',
      sqlState: '',
      message: 'The database refused the statement.',
    })
    expect(toQueryError({ code: 'XX000' }).message).toContain('(SQLSTATE XX000)')
  })

  test('the tables and the classes call the same retryable', async () => {
    await mysql.ready?.()
    const numbers = Array.from({ length: 4_000 }, (_, index) => String(1_000 + index))
    const tables = [
      {
        dialect: postgres,
        codes: statesIn(readFileSync(new URL('../../src/postgres/sqlstate.ts', import.meta.url), 'utf8')),
      },
      { dialect: mysql, codes: numbers },
    ]
    const said = tables.map(({ dialect, codes }) =>
      codes.flatMap((code) => {
        const error = serverError({ dialect }, { fields: { code, message: 'x' }, outcome: 'rolled_back' })
        const { retryable } = dialect.explain({ code, message: 'x' })
        expect([code, error.retryable, (error.constructor as ErrorClass).retryable]).toEqual([
          code,
          retryable,
          retryable,
        ])
        return retryable ? [code] : []
      }),
    )

    expect(said).toEqual([
      ['40001', '40P01', '55P03'],
      ['1020', '1205', '1213', '1614', '3572'],
    ])
  })

  test('of a refused connection is an AuthenticationError, a TooManyConnectionsError or a ConnectError', () => {
    expect(refusedWith('28P01')).toBeInstanceOf(AuthenticationError)
    expect(refusedWith('28000').retryable).toBe(false)
    expect(refusedWith('53300')).toBeInstanceOf(TooManyConnectionsError)
    expect(refusedWith('3D000')).toMatchObject({ name: 'ConnectError', retryable: false, sqlState: '3D000' })
    expect(refusedWith('57P03')).toMatchObject({ name: 'ConnectError', retryable: true })
    expect(
      toConnectError('x', { kind: '', opening: '', reason: 'ECONNREFUSED', tls: null }, { cause: 1 }),
    ).toMatchObject({
      name: 'ConnectError',
      retryable: true,
      cause: 1,
    })
    expect(refusedWith('42501').retryable).toBe(false)
    expect(['57P01', '57P02', '57P03', '57014'].map((code) => postgres.explain({ code }).health)).toEqual([
      ...['shutdown', 'shutdown', 'shutdown', 'well'],
    ])
    expect(new ConnectError('x').outcome).toBe('not_started')
  })
})

describe('the message of a QueryError', () => {
  const message = (code: string, text: string): string => toQueryError({ code, message: text }).message

  test.each([
    ['22P02', 'invalid input syntax for type integer: "hunter2"', 'invalid input syntax for type integer: "…"'],
    ['22P02', 'invalid input syntax for type integer: "a"hunter2"b"', 'invalid input syntax for type integer: "…"'],
    ['22P02', 'invalid input value for enum mood: "hunter2', 'invalid input value for enum mood: "…"'],
    ['22003', 'value "99999999999" is out of range for type integer', 'value "…" is out of range for type integer'],
    ['22008', 'date field value out of range: 2024-13-01', 'date field value out of range: …'],
    ['22021', 'invalid byte sequence for encoding "UTF8": 0xe5 0x20', 'invalid byte sequence for encoding "…"'],
    ['22023', 'invalid value for parameter "TimeZone": "hunter2"', 'invalid value for parameter "…"'],
    ['22001', 'value too long for type character varying(3)', 'value too long for type character varying(3)'],
    ['22P03', 'incorrect binary data format in bind parameter 12', 'incorrect binary data format in bind parameter 12'],
    ['22012', 'division by zero', 'division by zero'],
    ['22P02', 'ungültige Eingabesyntax für Typ integer: »hunter2«', 'ungültige Eingabesyntax für Typ integer: "…"'],
    [
      '22P02',
      'syntaxe en entrée invalide pour le type integer : « hunter2 »',
      'syntaxe en entrée invalide pour le type integer : "…"',
    ],
    ['22P02', 'დიაპაზონის არასწორი სტრიქონი: hunter2', 'The database refused a value.'],
    ['23000', "Duplicate entry 'hunter2' for key 'users.email'", 'Duplicate entry "…"'],
    ['HY000', "Incorrect string value: 'hunter2' for column 'a' at row 1", 'Incorrect string value: "…" at row …'],
    ['', 'something with "hunter2"', 'something with "…"'],
    ['42601', 'syntax error in tsquery: "hunter2 &&& ("', 'syntax error in tsquery: "…"'],
    ['42601', 'syntax error in tsquery: "users"hunter2" (', 'syntax error in tsquery: "…" ('],
    ['42P01', 'relation "hunter2" does not exist', 'relation "…" does not exist'],
    ['42704', 'type "hunter2" does not exist', 'type "…" does not exist'],
    ['54000', 'requested character too large for encoding: 99999999', 'requested character too large for encoding: …'],
    ['42704', 'large object 9999 does not exist', 'large object … does not exist'],
    [
      '42601',
      'improper relation name (too many dotted names): a.b.c.hunter2',
      'improper relation name (too many dotted names): …',
    ],
    [
      '0A000',
      'cross-database references are not implemented: "hunter2.b.c"',
      'cross-database references are not implemented: "…"',
    ],
    ['3D000', 'database "hunter2" does not exist', 'database "…" does not exist'],
    ['22023', 'setseed parameter 9999 is out of allowed range [-1,1]', 'setseed parameter … is out of'],
    ['58P01', 'could not open file "/hunter2" for reading', 'could not open file "…" for reading'],
  ])('leaves out what the server quotes of the input: %s %s', (code, text, expected) => {
    expect(message(code, text)).toContain(expected.slice(0, 40))
    expect(message(code, text)).not.toMatch(/hunter2|9999|2024|0xe5/)
    expect(toQueryError({ code, message: text }).serverMessage).toBe(text)
  })

  test.each([
    ['23505', 'duplicate key value violates unique constraint "users_email_key"'],
    ['23502', 'null value in column "name" of relation "users" violates not-null constraint'],
    ['42703', 'column "nmae" does not exist'],
    ['42883', 'function lowr(text) does not exist'],
    ['42601', 'syntax error at or near "form"'],
    ['P0001', 'raised by a function of the user: "as it is"'],
    ['42501', 'permission denied for table "users"'],
    ['55P03', 'could not obtain lock on row in relation "users"'],
    ['40P01', 'deadlock detected'],
  ])('keeps the names of things: %s %s', (code, text) => {
    const parsed = code.startsWith('42') && code !== '42501'
    expect(toQueryError({ code, message: text, ...(parsed ? { position: '8' } : {}) }).message).toBe(text)
  })

  test('keeps names that stand in the statement or in the fields, without a position too', () => {
    const sql = 'drop table Users, "team s"'
    const say = (text: string, fields = {}): string =>
      toQueryError({ code: '42P01', message: text, ...fields }, sql).message

    expect(say('table "users" does not exist')).toBe('table "users" does not exist')
    expect(say('table "team s" does not exist')).toBe('table "team s" does not exist')
    expect(say('table "user" does not exist')).toBe('table "…" does not exist')
    expect(say('index "i" of "users" has "x"', { constraint: 'i' })).toBe('index "i" of "users" has "…"')
  })

  test('is as its author wants it when a function raises it, whatever the state', () => {
    const fields = { code: '22023', message: 'No team is called "Blue".', routine: 'exec_stmt_raise' }

    expect(toQueryError(fields).message).toBe(fields.message)
  })

  test('is cut when the server writes a book', () => {
    expect(message('XX000', 'x'.repeat(1_000_000)).length).toBeLessThan(2_100)
  })

  test('takes time in proportion to its length', () => {
    const hostile = [
      '"'.repeat(200_000),
      '1'.repeat(200_000),
      '-'.repeat(200_000),
      '1.'.repeat(100_000),
      '+-1'.repeat(70_000),
    ]
    const before = process.cpuUsage()
    for (const text of hostile) message('22P02', text)

    expect(process.cpuUsage(before).user).toBeLessThan(2_000_000)
  })
})

describe('values', () => {
  const canary = 'hunter2'
  const fields = {
    code: '22P02',
    message: `invalid input syntax for type integer: "${canary}"`,
    detail: `Key (email)=(${canary}) already exists.`,
    hint: canary,
    where: `unnamed portal parameter $1 = '${canary}'`,
    internalQuery: `select '${canary}'`,
  }
  const driverError = Object.assign(new Error(fields.message), fields)
  const error = toQueryError(fields, 'select $1::int', 'rolled_back', driverError)

  test.each([
    ['printed', (value: unknown) => inspect(value)],
    ['printed with all that is hidden', (value: unknown) => inspect(value, { depth: Infinity, showHidden: true })],
    [
      'printed without its own form',
      (value: unknown) => inspect(value, { depth: Infinity, showHidden: true, customInspect: false }),
    ],
    ['serialised', (value: unknown) => JSON.stringify(value)],
    ['turned into text', (value: unknown) => `${String(value)} ${String((value as Error).stack)}`],
    ['cloned', (value: unknown) => inspect(structuredClone(value), { showHidden: true })],
    ['spread', (value: unknown) => inspect({ ...(value as object) }, { showHidden: true })],
    [
      'walked by a logger',
      (value: unknown) =>
        Object.entries(value as object)
          .flat()
          .join(' ') + String((value as Error).cause),
    ],
  ])('are not in a QueryError that is %s, nor in one it caused', (_, print) => {
    expect(print(error)).not.toContain(canary)
    expect(print(new TransactionAbortedError('x', { cause: error }))).not.toContain(canary)
  })

  test('can be had by those who ask for them', () => {
    const { serverMessage, detail, hint, where, internalQuery } = error

    expect({ message: serverMessage, detail, hint, where, internalQuery, code: '22P02' }).toEqual(fields)
    expect(error.fields).toBe(fields)
    expect(error.driverError).toBe(driverError)
    expect(error.cause).toBeUndefined()
  })

  test('are no reason to hide an error of ours behind it', () => {
    const cause = new NotBoundError('x')

    expect(new QueryError('x', { cause }).cause).toBe(cause)
    expect(new SerializationError('x', { cause }).driverError).toBeUndefined()
  })
})

describe('docs/errors.md', () => {
  const page = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8')

  test.each(classes.map((kind) => [kind.code, kind] as const))('says of %s what is so', (code, kind) => {
    const section = page.split(/^## /m).find((each) => each.startsWith(`${code}\n`)) ?? ''
    const above = Object.getPrototypeOf(kind) as ErrorClass
    const line = section.split('\n')[2] ?? ''

    expect(line).toContain(`\`${kind.name}\``)
    expect(line).toContain(above === (Error as unknown) ? 'the root' : `a \`${above.name}\``)
    expect(line).toContain(`outcome: \`${kind.outcome}\``)
    if (kind !== ConnectionLostError) expect(line).toContain(kind.retryable ? 'retryable: yes' : 'retryable: no')
    expect(section.split('\n').slice(3).join('').length).toBeGreaterThan(60)
  })
})
