// Hooks of whatever transaction is open where they are given: `db.afterCommit(work)` and `conn.afterCommit(work)`, for code
// that was passed nothing.
import { needsFunction } from '../../util/checks.ts'
import { ambientFrame, currentChain } from '../context/chain.ts'
import type { Engine } from '../engine.ts'
import type { Handle } from '../handle.ts'
import type { Slot } from '../slot/slot.ts'
import type { Hook } from './hooks.ts'
import type { TransactionRecord } from './record.ts'

export type HookKind = 'commit' | 'rollback'

/** Rejects with what a hook throws that runs at once, because no transaction is open. */
export async function addHook(kind: HookKind, hook: Hook, find: () => TransactionRecord | null): Promise<void> {
  const [name, what] = kind === 'commit' ? ['afterCommit()', 'commit'] : ['afterRollback()', 'rollback']
  needsFunction(hook, name, `what runs after the ${what}`)
  const record = find()
  if (record !== null) record.hooks.add(kind, hook)
  else if (kind === 'commit') await hook()
}

/**
 * The transaction that statements without a handle run in here; null: none.
 * @throws {TransactionEndedError} when it has ended.
 */
export function transactionHere(engine: Engine): TransactionRecord | null {
  const frame = ambientFrame(engine, currentChain())
  if (frame === null) return null
  if (frame.manual !== null) engine.warnOfManual(frame)
  return frame.slot === null ? null : innermost(frame.slot, null)
}

/** The innermost open transaction on `slot` that a statement through `handle` would run in here. */
export function innermost(slot: Slot, handle: Handle | null): TransactionRecord | null {
  const chain = currentChain()
  return slot.stack.findLast((record) => record.admitsFrom(chain, handle)) ?? null
}
