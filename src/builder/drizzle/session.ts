// The session of a Drizzle instance, made ours: its statements keep to the transaction they were made in, its failures
// come out as errors of Genever, its transactions are the engine's. Built by `ambient`; the adapter borrows it to look
// into builders. It relies on what Drizzle's own drivers and those of others do: `prepareQuery` and `client`.
import { captureStack, isGeneverError, TransactionEndedError, UsageError } from '../../errors/index.ts'
import { currentChain, transactionAround } from '../../engine/context/chain.ts'
import type { Executor } from '../../engine/query/executor.ts'
import type { Enclosing } from '../../engine/context/frame.ts'
import { isA } from './core/kinds.ts'

/** Structural: what Drizzle 0.45 and 1.0 have in common. */
export interface DrizzleSession {
  readonly client: unknown
  readonly prepareQuery: (this: DrizzleSession, ...given: PrepareArguments) => Prepared
  readonly transaction: (this: DrizzleSession, work: (tx: object) => unknown, config?: never) => Promise<unknown>
}

/**
 * PostgreSQL: 0.45 gives query, fields, name, mode, mapper; 1.0 query, mode, name, mapper.
 * MySQL: 0.45 gives query, fields, mapper, generated ids, returned ids; 1.0 query, mode, mapper.
 */
export type PrepareArguments = [query: BuiltQuery, form: unknown, second?: unknown, third?: unknown, fourth?: unknown]

export interface BuiltQuery {
  readonly sql: string
  readonly params: readonly unknown[]
}

interface Prepared {
  execute: (this: Prepared, ...given: readonly unknown[]) => Promise<unknown>
  /** 0.45 only. */
  all?: (this: Prepared, ...given: readonly unknown[]) => Promise<unknown>
  /** MySQL only. */
  iterator?: () => unknown
}

export type DrizzleDialect = 'postgres' | 'mysql'

/** The parts of a builder that is prepared. The adapter takes them, and no prepared query is made. */
export interface Capture {
  readonly session: DrizzleSession
  readonly dialect: DrizzleDialect
  readonly query: BuiltQuery
  /** 0.45: the fields that are selected; 1.0: what the rows are, as a text. */
  readonly form: unknown
  readonly mapper: unknown
  /** An INSERT for MySQL makes ids of its answer. */
  readonly returnsIds: boolean
  /** 0.45 sets it on what `prepareQuery` returns. */
  joinsNotNullableMap: Readonly<Record<string, boolean>> | undefined
  setToken(): this
}

/** Set on sessions made for a transaction: once that has ended, what was built with them does not run. */
const madeIn = Symbol('genever.madeIn')

type Ours = DrizzleSession & { readonly [madeIn]?: Enclosing }

let capturing = false
let captured: Capture | null = null

/**
 * The query that the builder would send, without sending it; null when it belongs to another client.
 * @throws {TransactionEndedError} when it was made in a transaction that has ended.
 */
export function captureOf(builder: { prepare(name: string): unknown }): Capture | null {
  capturing = true
  try {
    builder.prepare('genever')
    return captured
  } finally {
    capturing = false
    captured = null
  }
}

/** Takes the session over. Its own `transaction` is returned: it knows Drizzle's classes. */
export function takeOver(
  session: DrizzleSession,
  transaction: DrizzleSession['transaction'],
): DrizzleSession['transaction'] {
  const { prepareQuery, transaction: stock } = session
  const dialect = dialectOfSession(session)
  Object.assign(session, {
    prepareQuery(this: Ours, ...given: PrepareArguments): Prepared | Capture {
      const record = this[madeIn] ?? null
      if (capturing) {
        checkOpen(record)
        return (captured = captureFrom(this, dialect, given))
      }
      if (dialect === 'mysql') {
        const prepared = prepareQuery.apply(this, given)
        guard(prepared, record)
        return prepared
      }
      const [query, form, name, ...rest] = given
      const prepared = prepareQuery.call(this, query, form, undefined, ...rest)
      // One prepared with a name is kept and used again, in whatever transaction there is then.
      guard(prepared, typeof name === 'string' || name === true ? null : record)
      return prepared
    },
    transaction,
  })
  return stock
}

export function dialectOfSession(session: DrizzleSession): DrizzleDialect {
  return isA(session, 'MySqlSession') ? 'mysql' : 'postgres'
}

function captureFrom(
  session: DrizzleSession,
  dialect: DrizzleDialect,
  [query, form, second, third, fourth]: PrepareArguments,
): Capture {
  const is1 = typeof form === 'string'
  const mapper = dialect === 'mysql' ? second : is1 ? third : fourth
  const returnsIds = dialect === 'mysql' && (is1 ? form === 'raw' && mapper !== undefined : fourth !== undefined)
  return { session, dialect, query, form, mapper, returnsIds, joinsNotNullableMap: undefined, setToken: itself }
}

/** The session for builders made here: it remembers the transaction around. */
export function sessionHere(base: DrizzleSession, executor: Executor): DrizzleSession {
  const chain = currentChain()
  if (chain === undefined) return base
  const engine = executor.engineQuietly()
  const record = engine === null ? null : transactionAround(engine, chain)
  if (record === null) return base
  const known = sessions.get(base)?.get(record)
  if (known !== undefined) return known
  const made = Object.create(base, { [madeIn]: { value: record } }) as DrizzleSession
  const all = sessions.get(base) ?? new WeakMap<Enclosing, DrizzleSession>()
  sessions.set(base, all.set(record, made))
  return made
}

const sessions = new WeakMap<DrizzleSession, WeakMap<Enclosing, DrizzleSession>>()

function itself(this: Capture): Capture {
  return this
}

function guard(prepared: Prepared, record: Enclosing | null): void {
  const { execute, all } = prepared
  prepared.execute = (...given) => run(prepared, execute, given, record)
  if (all !== undefined) prepared.all = (...given) => run(prepared, all, given, record)
  if (prepared.iterator !== undefined) prepared.iterator = refuseIterator
}

function refuseIterator(): never {
  throw new UsageError(
    'iterator() of a Drizzle query would read from a connection of mysql2: use db.iterate(query) of Genever, which streams its rows.',
  )
}

async function run(
  prepared: Prepared,
  method: Prepared['execute'],
  given: readonly unknown[],
  record: Enclosing | null,
): Promise<unknown> {
  checkOpen(record)
  try {
    return await method.apply(prepared, given as unknown[])
  } catch (error) {
    const cause = unwrapped(error)
    // From here the stack leads to the caller, past the frames of Drizzle that would fill it.
    if (isGeneverError(cause)) captureStack(cause, run)
    throw cause
  }
}

function checkOpen(record: Enclosing | null): void {
  if (record !== null && !record.taking) throw new TransactionEndedError(record.endedMessage())
}

/** Drizzle's wrapper has the parameters in its message. */
function unwrapped(error: unknown): unknown {
  const wrapped =
    error instanceof Error && error.cause !== undefined && 'query' in error && error.message.startsWith('Failed query')
  return wrapped ? error.cause : error
}
