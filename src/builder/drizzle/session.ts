// The session of a Drizzle instance, made ours: its statements keep to the transaction they were made in, its failures
// come out as errors of Genever, its transactions are the engine's. Built by `ambient`; the adapter borrows it to look
// into builders. It relies on what Drizzle's own drivers and those of others do: `prepareQuery` and `client`.
import { isGeneverError, TransactionEndedError } from '../../errors/index.ts'
import { currentChain, transactionAround } from '../../engine/context/chain.ts'
import type { Executor } from '../../engine/query/executor.ts'
import type { TransactionRecord } from '../../engine/transaction/record.ts'

/** Structural: what Drizzle 0.45 and 1.0 have in common. */
export interface DrizzleSession {
  readonly client: unknown
  readonly prepareQuery: (this: DrizzleSession, ...given: PrepareArguments) => Prepared
  readonly transaction: (this: DrizzleSession, work: (tx: object) => unknown, config?: never) => Promise<unknown>
}

/** 0.45: query, fields, name, mode, mapper. 1.0: query, mode, name, mapper. */
export type PrepareArguments = [query: BuiltQuery, form: unknown, name: unknown, third?: unknown, fourth?: unknown]

export interface BuiltQuery {
  readonly sql: string
  readonly params: readonly unknown[]
}

interface Prepared {
  execute: (this: Prepared, ...given: readonly unknown[]) => Promise<unknown>
  /** 0.45 only. */
  all?: (this: Prepared, ...given: readonly unknown[]) => Promise<unknown>
}

/** What a builder hands over when it is prepared: taken by the adapter instead of being made a prepared query. */
export interface Capture {
  readonly session: DrizzleSession
  readonly query: BuiltQuery
  readonly form: unknown
  readonly third: unknown
  readonly fourth: unknown
  /** 0.45 sets it on what `prepareQuery` returns. */
  joinsNotNullableMap: Readonly<Record<string, boolean>> | undefined
  setToken(): this
}

/** Set on sessions made for a transaction: once that has ended, what was built with them does not run. */
const madeIn = Symbol('genever.madeIn')

type Ours = DrizzleSession & { readonly [madeIn]?: TransactionRecord }

let capturing = false
let captured: Capture | null = null

/**
 * What the builder would send, without sending it; null when it belongs to another client.
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
  Object.assign(session, {
    prepareQuery(this: Ours, ...[query, form, name, third, fourth, ...rest]: PrepareArguments): Prepared | Capture {
      const record = this[madeIn] ?? null
      if (capturing) {
        checkOpen(record)
        return (captured = {
          session: this,
          query,
          form,
          third,
          fourth,
          joinsNotNullableMap: undefined,
          setToken: itself,
        })
      }
      const prepared = prepareQuery.call(this, query, form, undefined, third, fourth, ...rest)
      // One prepared with a name is kept and used again, in whatever transaction there is then.
      guard(prepared, typeof name === 'string' || name === true ? null : record)
      return prepared
    },
    transaction,
  })
  return stock
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
  const all = sessions.get(base) ?? new WeakMap<TransactionRecord, DrizzleSession>()
  sessions.set(base, all.set(record, made))
  return made
}

const sessions = new WeakMap<DrizzleSession, WeakMap<TransactionRecord, DrizzleSession>>()

function itself(this: Capture): Capture {
  return this
}

function guard(prepared: Prepared, record: TransactionRecord | null): void {
  const { execute, all } = prepared
  prepared.execute = (...given) => run(prepared, execute, given, record)
  if (all !== undefined) prepared.all = (...given) => run(prepared, all, given, record)
}

async function run(
  prepared: Prepared,
  method: Prepared['execute'],
  given: readonly unknown[],
  record: TransactionRecord | null,
): Promise<unknown> {
  checkOpen(record)
  try {
    return await method.apply(prepared, given as unknown[])
  } catch (error) {
    const cause = unwrapped(error)
    // From here the stack leads to the caller, past the frames of Drizzle that would fill it.
    if (isGeneverError(cause)) Error.captureStackTrace(cause, run)
    throw cause
  }
}

function checkOpen(record: TransactionRecord | null): void {
  if (record !== null && record.state !== 'open') throw new TransactionEndedError(record.endedMessage())
}

/** Drizzle's wrapper has the parameters in its message. */
function unwrapped(error: unknown): unknown {
  const wrapped =
    error instanceof Error && error.cause !== undefined && 'query' in error && error.message.startsWith('Failed query')
  return wrapped ? error.cause : error
}
