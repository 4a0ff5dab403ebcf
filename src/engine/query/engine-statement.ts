// A statement of the engine itself that waits in the queues of slots and of the pool, as those of callers do. Only the engine uses its
// rows.
import type { Compiled, RowSpec } from '../../sql/compiled.ts'
import type { Link } from '../context/chain.ts'
import type { Handle } from '../context/frame.ts'
import type { EngineCore } from '../core.ts'
import { EngineOp } from './op.ts'

interface Terms<R> {
  /** The chain of the code for which it is sent, and the handle of that code. Default: none, so it waits for no transaction. */
  readonly chain?: Link | undefined
  readonly handle?: Handle | null
  readonly params?: readonly unknown[]
  readonly spec?: RowSpec<R> | null
  /** Default: it has no deadline. */
  readonly until?: number
}

const noValues: readonly unknown[] = []

export function engineStatement<R = unknown>(
  engine: EngineCore,
  stmt: Compiled,
  { chain, handle = null, params = noValues, spec = null, until = Infinity }: Terms<R>,
): EngineOp<R> {
  return new EngineOp<R>(engine, chain, handle, stmt, params, spec, null, 0, until, null)
}
