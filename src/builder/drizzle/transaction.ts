// `transaction` of a Drizzle instance, as a transaction of the engine: ambient inside, nested as savepoints. The callback gets the
// instance on a client that always runs in that transaction, with Drizzle's own ways to leave it.
import { UsageError } from '../../errors/index.ts'
import { type IsolationLevel, parseIsolation } from '../../sql/dialect.ts'
import { currentChain } from '../../engine/context/chain.ts'
import type { Executor } from '../../engine/query/executor.ts'
import { thrownError } from '../../engine/query/failure.ts'
import { engineStatement } from '../../engine/query/engine-statement.ts'
import type { TransactionOptions } from '../../engine/transaction/options.ts'
import type { Transaction } from '../../engine/transaction/transaction.ts'
import { makeClient } from './client.ts'
import { quoteText } from './core/render.ts'
import type { DrizzleSession } from './session.ts'

/** Drizzle's PgTransactionConfig, and MySqlTransactionConfig. */
export interface DrizzleTransactionConfig {
  readonly isolationLevel?: string | undefined
  readonly accessMode?: string | undefined
  readonly deferrable?: boolean | undefined
  /** 1.0 only. */
  readonly snapshot?: string | undefined
  /** MySQL only. */
  readonly withConsistentSnapshot?: boolean | undefined
}

/** Structural: `drizzle()` of either version. */
export interface DrizzleDatabase {
  readonly session: DrizzleSession
  readonly _: { readonly session: DrizzleSession }
  readonly query?: Readonly<Record<string, object>> | undefined
}

type Work = (tx: object) => unknown
export type Transact = (work: Work, config?: DrizzleTransactionConfig) => Promise<unknown>

/** Makes `transaction` of an instance, or of what a transaction hands out. */
export class Transactions {
  readonly #database: DrizzleDatabase
  readonly #base: DrizzleSession
  #stock: DrizzleSession['transaction'] | null = null
  #rollback: (() => never) | null = null

  constructor(database: DrizzleDatabase, base: DrizzleSession) {
    this.#database = database
    this.#base = base
  }

  /** Drizzle's own `transaction`: called once, on a client that answers nothing, for the error its `rollback` throws. */
  set stock(stock: DrizzleSession['transaction']) {
    this.#stock = stock
  }

  on(executor: Executor): Transact {
    return async (work, config) =>
      executor.transaction(async (tx) => {
        this.#rollback ??= await rollbackOf(this.#base, this.#stock)
        if (config?.snapshot !== undefined) await setTransaction(tx, { snapshot: config.snapshot })
        return work(this.#handOut(tx, this.#rollback))
      }, optionsOf(config))
  }

  #handOut(tx: Transaction, rollback: () => never): object {
    const transaction = this.on(tx)
    const session = Object.create(this.#base, {
      client: { value: makeClient(tx) },
      transaction: { value: transaction },
    }) as DrizzleSession
    const database = this.#database
    let query: Record<string, object> | undefined
    return Object.create(database, {
      _: { value: { ...database._, session } },
      session: { value: session },
      query: { get: () => (query ??= relationsOn(session, database.query ?? {})) },
      transaction: { value: transaction },
      rollback: { value: rollback },
      setTransaction: { value: (config: DrizzleTransactionConfig) => setTransaction(tx, config) },
    }) as object
  }
}

/** `q.query.users` and the others, on another session. */
function relationsOn(session: DrizzleSession, query: Readonly<Record<string, object>>): Record<string, object> {
  const entries = Object.entries(query).map(([name, builder]) => [
    name,
    Object.create(builder, { session: { value: session } }) as object,
  ])
  return Object.fromEntries(entries) as Record<string, object>
}

/** `@throws {UsageError}` for a level, mode or flag there is not. */
function optionsOf(config: DrizzleTransactionConfig | undefined): TransactionOptions {
  if (config === undefined || config === null) return {}
  const { isolationLevel, accessMode, deferrable, withConsistentSnapshot } = config
  if (withConsistentSnapshot === true)
    throw new UsageError(
      'A transaction cannot begin withConsistentSnapshot: its snapshot is taken by its first read. Leave the option out and read first.',
    )
  return {
    isolation: isolationLevel as IsolationLevel | undefined,
    readOnly: accessMode === undefined ? undefined : isReadOnly(accessMode),
    deferrable,
  }
}

function isReadOnly(accessMode: string): boolean {
  if (accessMode === 'read only') return true
  if (accessMode === 'read write') return false
  throw new UsageError('The option accessMode of a transaction must be "read only" or "read write".')
}

/**
 * SET TRANSACTION, which the server takes before the first query only. It neither begins nor ends anything, so it passes
 * where control statements are refused.
 */
async function setTransaction(tx: Transaction, config: DrizzleTransactionConfig): Promise<void> {
  const { isolationLevel, accessMode, deferrable, snapshot } = config
  const modes = [
    isolationLevel === undefined ? '' : `isolation level ${parseIsolation(isolationLevel)}`,
    accessMode === undefined ? '' : isReadOnly(accessMode) ? 'read only' : 'read write',
    deferrable === undefined ? '' : deferrable ? 'deferrable' : 'not deferrable',
  ].filter((mode) => mode !== '')
  if (modes.length > 0) await sendControl(tx, `set transaction ${modes.join(' ')}`)
  if (snapshot !== undefined) await sendControl(tx, `set transaction snapshot ${quoteText(snapshot)}`)
}

async function sendControl(tx: Transaction, text: string): Promise<void> {
  const slot = tx.slotHere()
  const engine = tx.engineHere()
  const stmt = { ...engine.statements.compileInternal(text), cls: 'write' as const, hasControl: false }
  const until = engine.until(null, tx.defaultsHere())
  const op = engineStatement(engine, stmt, { chain: currentChain(), handle: tx, until })
  slot.send(op)
  try {
    await op.wait()
  } catch (thrown) {
    throw thrownError(thrown, op)
  }
}

/** `rollback` of Drizzle's own transactions, so that what it throws is of the class users catch. */
async function rollbackOf(base: DrizzleSession, stock: DrizzleSession['transaction'] | null): Promise<() => never> {
  let rollback: (() => never) | undefined
  const nothing = Object.assign([{}], { rows: [] })
  const silent = { query: () => Promise.resolve(nothing), transaction: (work: Work) => work(silent) }
  try {
    const session = Object.create(base, { client: { value: silent } }) as DrizzleSession
    await stock?.call(session, (tx) => {
      ;({ rollback } = tx as { rollback?: () => never })
    })
  } catch {
    // A proxy has no transactions.
  }
  if (rollback !== undefined) return rollback
  const { TransactionRollbackError } = await import('drizzle-orm')
  return () => {
    throw new TransactionRollbackError()
  }
}
