// A position of a database in its log, as text that may leave the process, and how it is read when it comes back.
import { TransactionStateError, UsageError } from '../../errors/index.ts'
import { firstColumn } from '../../sql/compiled.ts'
import { refuse } from '../../util/options.ts'
import { currentChain } from '../context/chain.ts'
import type { Enclosing, Handle } from '../context/frame.ts'
import type { EngineCore, QueryDefaults } from '../core.ts'
import { thrownError } from '../query/failure.ts'
import { engineStatement } from '../query/engine-statement.ts'
import type { EngineOp } from '../query/op.ts'
import type { Reached } from './host.ts'

declare const ofPosition: unique symbol

/** The result of `position()`: a text to be kept and given back. */
export type Position = string & { readonly [ofPosition]?: never }

/** The executor that is asked for it. */
interface Asked {
  engineHere(): EngineCore | Promise<EngineCore>
  transactionHere(): Enclosing | null
  defaultsHere(): QueryDefaults | null
  handleHere(): Handle | null
  send(op: EngineOp): void
}

/** Asks the primary, on the connection of the scope if there is one. */
export async function askPosition(executor: Asked): Promise<Position> {
  const here = executor.engineHere()
  const engine = here instanceof Promise ? await here : here
  const { replication, title } = engine.dialect
  if (replication === undefined)
    throw new UsageError(`position() needs a log that replicas follow, and ${title} has none that can be asked for.`)
  if (executor.transactionHere()?.open === true)
    throw new TransactionStateError(
      'position() was called inside of a transaction, whose writes are not committed yet. Call it after the transaction.',
    )
  const stmt = engine.statements.compileInternal(replication.position)
  const until = engine.until(null, executor.defaultsHere())
  const chain = currentChain()
  const op = engineStatement(engine, stmt, { chain, handle: executor.handleHere(), spec: firstColumn, until })
  op.from = 'primary'
  executor.send(op)
  try {
    await op.wait()
  } catch (thrown) {
    throw thrownError(thrown, op)
  }
  return op.rows[0] as Position
}

/** @throws {InvalidOptionError} for what is no position. */
export function reached({ dialect }: EngineCore, after: Position | undefined): Reached | null {
  if (after === undefined) return null
  const read = dialect.replication?.readPosition(after) ?? null
  if (read === null) refuse([{ name: 'after', problem: 'is not what position() gave' }], 'scope()')
  return read
}
