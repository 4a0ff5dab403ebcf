// What a method does with the transaction around it: the seven modes of Spring and nestjs-cls.
import type { Db } from '../../../db/db.ts'
import { ambientFrame, currentChain } from '../../../engine/context/chain.ts'
import type { TransactionOptions } from '../../../engine/transaction/options.ts'
import { TransactionStateError, UsageError } from '../../../errors/index.ts'

/**
 * How a method takes part in the transaction around it.
 *
 * - `REQUIRED`: It joins that transaction, or begins one.
 * - `REQUIRES_NEW`: It begins another one on another connection.
 * - `NESTED`: It runs in a savepoint of that transaction, or begins one.
 * - `SUPPORTS`: It joins that transaction, or runs without one.
 * - `NOT_SUPPORTED`: It runs without a transaction. If there is one around it, it uses another connection.
 * - `MANDATORY`: It joins that transaction. Without one it throws.
 * - `NEVER`: It runs without a transaction. Inside of one it throws.
 */
export type Propagation = 'REQUIRED' | 'REQUIRES_NEW' | 'NESTED' | 'SUPPORTS' | 'NOT_SUPPORTED' | 'MANDATORY' | 'NEVER'

const modes: readonly Propagation[] = [
  'REQUIRED',
  'REQUIRES_NEW',
  'NESTED',
  'SUPPORTS',
  'NOT_SUPPORTED',
  'MANDATORY',
  'NEVER',
]

/** The modes that may begin a transaction, which options can be for. */
const beginning: readonly Propagation[] = ['REQUIRED', 'REQUIRES_NEW', 'NESTED']

/** @throws {UsageError} for a mode there is not, and for options that the mode never uses. */
export function checkPropagation(mode: Propagation, options: TransactionOptions): void {
  if (!modes.includes(mode))
    throw new UsageError(`Transactional() has no propagation of that name. There are ${modes.join(', ')}.`)
  const given = Object.entries(options).filter(([, value]) => value !== undefined)
  const [first] = given
  if (first !== undefined && !beginning.includes(mode))
    throw new UsageError(
      `Transactional() with the propagation ${mode} begins no transaction, so it cannot have the option ${first[0]}.`,
    )
}

/** Runs `work` as `mode` says. `what` is its name, for messages. */
export async function propagate<T>(
  db: Db,
  mode: Propagation,
  options: TransactionOptions,
  what: string,
  work: () => Promise<T>,
): Promise<T> {
  const inside = await isInTransaction(db)
  switch (mode) {
    case 'REQUIRED':
      return inside && !demands(options) ? work() : db.transaction(work, options)
    case 'REQUIRES_NEW':
      return db.transaction(work, { ...options, reuse: false })
    case 'NESTED':
      return db.transaction(work, options)
    case 'SUPPORTS':
      return work()
    case 'NOT_SUPPORTED':
      return inside ? db.scope(work, { reuse: false }) : work()
    case 'MANDATORY':
      if (!inside)
        throw new TransactionStateError(
          `${what} must be called in a transaction (propagation MANDATORY), and there is none here. Call it from a method ` +
            'with Transactional(), or within db.transaction().',
        )
      return work()
    case 'NEVER':
      if (inside)
        throw new TransactionStateError(
          `${what} must not be called in a transaction (propagation NEVER), and there is one here. Call it outside, or ` +
            'take NOT_SUPPORTED to run it on another connection.',
        )
      return work()
  }
}

/** @throws {TransactionEndedError} in code of a transaction that has ended. */
async function isInTransaction(db: Db): Promise<boolean> {
  const engine = await db.engineHere()
  const frame = ambientFrame(engine, currentChain())
  return frame !== null && frame.transaction !== null
}

/** Whether the options say something that only a savepoint can hold to: joining it would drop them. */
function demands(options: TransactionOptions): boolean {
  const names = ['isolation', 'readOnly', 'deferrable', 'timeoutMs', 'signal', 'query'] as const
  return names.some((name) => options[name] !== undefined)
}
