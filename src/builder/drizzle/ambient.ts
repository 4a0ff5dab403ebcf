// `ambient(db, make)`: the user's own Drizzle, built on our client. Called once per Drizzle instance, by users. It knows
// Drizzle by its shape only, so that no version of it is in the declarations and none has to be installed to load this.
import { createRequire } from 'node:module'
import { needsExecutor } from '../../engine/handle.ts'
import { UsageError } from '../../errors/index.ts'
import { describeType, needsFunction } from '../../util/options.ts'
import type { Executor } from '../../engine/query/executor.ts'
import { Transaction } from '../../engine/transaction/transaction.ts'
import { makeClient } from './client.ts'
import { isA } from './core/kinds.ts'
import { dialectOfSession, type DrizzleSession, sessionHere, takeOver } from './session.ts'
import { type DrizzleDatabase, Transactions } from './transaction.ts'

/**
 * Runs your Drizzle on the connections and transactions of `db`. `make` builds it on the client that it is given. Its result
 * is returned with its types untouched.
 *
 * Statements of the instance run where statements of `db` would: in the transaction or scope around them, else on any free
 * connection. Its `transaction()` is `db.transaction()`. If a connection or transaction is given instead of a `Db`,
 * everything runs there.
 *
 * @example
 * const q = ambient(db, (client) => drizzle({ client, schema }))
 *
 * @throws {UsageError} when `make` returns no Drizzle instance on that client, or one of an unsupported version.
 */
export function ambient<Q extends object>(
  db: Executor,
  // oxlint-disable-next-line typescript/no-explicit-any -- Drizzle's entries ask for different clients.
  make: (client: any) => Q,
): Q {
  needsFunction(make, 'ambient()', 'which makes a Drizzle of the client it is given')
  const client = makeClient(needsExecutor(db, 'ambient()'))
  const made = make(client)
  const database = made as unknown as DrizzleDatabase
  const base = sessionOf(made, client)
  const transactions = new Transactions(database, base)
  const transact = transactions.on(db)
  transactions.stock = takeOver(base, transact)
  Object.defineProperty(made, 'transaction', { value: transact, configurable: true, writable: true })
  // Through a transaction's handle everything runs in it, or not at all.
  if (!(db instanceof Transaction)) {
    const session = { get: () => sessionHere(base, db), configurable: true }
    Object.defineProperty(made, 'session', session)
    for (const builder of Object.values(database.query ?? {})) Object.defineProperty(builder, 'session', session)
  }
  return made
}

/** Kinds of sessions whose SQL is for neither PostgreSQL nor MySQL. */
const otherDatabases = ['SQLiteSession', 'SingleStoreSession', 'MsSqlSession'] as const

const supported = '0.36.4 up to 0.45, and 1.0.0-rc.5 up to 2'

function sessionOf(made: unknown, client: unknown): DrizzleSession {
  const database = made as Partial<DrizzleDatabase> | null | undefined
  // That of MySQL in 0.45 has it here alone.
  const session = (database?._?.session ?? database?.session) as (DrizzleSession & Record<string, unknown>) | undefined
  if (typeof session !== 'object' || session === null || typeof session.prepareQuery !== 'function')
    throw new UsageError(
      'ambient(db, make): make must return the result of drizzle() from an entry of drizzle-orm for PostgreSQL or from drizzle-orm/mysql2, as in ' +
        `ambient(db, (client) => drizzle({ client })). ${versions()}`,
    )
  if (otherDatabases.some((kind) => isA(session, kind)))
    throw new UsageError(
      `ambient(db, make): make returned a Drizzle for another database (its session is ${describeType(session)}). Use an entry of drizzle-orm ` +
        'for PostgreSQL, or drizzle-orm/mysql2 for MySQL and MariaDB.',
    )
  if (dialectOfSession(session) === 'mysql' && !isA(session, 'MySql2Session'))
    throw new UsageError(
      'ambient(db, make): for MySQL and MariaDB, make must use the entry drizzle-orm/mysql2: the other entries send no statements through that ' +
        `client. The session of this one is ${describeType(session)}.`,
    )
  const is045 = typeof session['all'] === 'function' && !('prepareRelationalQuery' in session)
  const is1 = typeof session['objects'] === 'function' && typeof session['arrays'] === 'function'
  if (!is045 && !is1)
    throw new UsageError(`ambient(db, make): this version of drizzle-orm is not supported. ${versions()}`)
  if (session.client !== client)
    throw new UsageError(
      'ambient(db, make): make must build Drizzle on the client it gets, as in ' +
        `ambient(db, (client) => drizzle({ client })). ${versions()}`,
    )
  return session
}

/** Which are supported, and which one is found from here; only for messages. */
function versions(): string {
  let found = ''
  try {
    const { npmVersion } = createRequire(import.meta.url)('drizzle-orm/version') as { npmVersion?: unknown }
    found = ` Found: ${String(npmVersion)}.`
  } catch {
    found = ''
  }
  return `Supported are drizzle-orm ${supported}.${found}`
}
