// The source of connections for a Kysely instance: the executor it runs on, and the two ways of taking a connection from it. Called by
// drivers. Only a caller that may give up waiting borrows here.
import { Connection } from '../../../engine/connection.ts'
import type { Slot } from '../../../engine/slot/slot.ts'
import { ambientDefaults, ambientFrame } from '../../../engine/context/chain.ts'
import type { Engine } from '../../../engine/engine.ts'
import type { Executor } from '../../../engine/query/executor.ts'
import { Source } from '../../../engine/source.ts'
import type { Transaction } from '../../../engine/transaction/transaction.ts'
import type { Db } from '../../../db/db.ts'
import { KyselyConnection } from './connection.ts'

/** The source of a Kysely. Statements on a `Db` or engine follow the context. A connection or transaction takes all of them. */
export type KyselySource = Db | Engine | Connection | Transaction

/** Statements go wherever they would go without Kysely; a transaction is one of `begin()`. */
export function statementsOf(source: Executor): KyselyConnection {
  return new KyselyConnection(source, { begin: (options) => source.begin(options) })
}

/**
 * One connection for all that Kysely does until it gives it back: the ambient one, else one of its own. A transaction on the
 * ambient connection is opened there, inside of the transaction around it; never on a second connection.
 *
 * @throws {TransactionEndedError} in code of a transaction that has ended.
 */
export async function connectionOf(source: KyselySource, atOnce: boolean): Promise<KyselyConnection> {
  if (!(source instanceof Source)) return statementsOf(source)
  const here = source.engineHere()
  const engine = here instanceof Promise ? await here : here
  const chain = source.chainHere()
  const frame = ambientFrame(engine, chain)
  if (frame?.transaction) return statementsOf(source.at(frame.transaction.handle as Transaction))
  const shared = (frame?.slot ?? null) as Slot | null
  const slot = shared ?? engine.openSlot(chain, { what: 'Kysely connection', explicit: false, settings: undefined })
  const as = shared === null ? 'owner' : 'reusing'
  const connection = new Connection(engine, slot, chain, as, ambientDefaults(engine, chain))
  // Kysely may rely on the session.
  connection.hold()
  if (atOnce) await borrow(connection)
  return new KyselyConnection(connection, {
    begin: (options) => engine.beginOn({ db: null, chain: source.chainHere(), handle: connection, slot }, options),
    release: () => connection.release(),
  })
}

async function borrow(connection: Connection): Promise<void> {
  try {
    await connection.borrow()
  } catch (error) {
    await connection.release()
    throw error
  }
}
