// How a transaction begins: it borrows unless it is lazy, waits to be admitted and takes its place on the stack. BEGIN
// itself travels with the first statement.
import { TransactionStateError, UsageError } from '../../errors/index.ts'
import { noPlace, type Place } from '../../observe/place.ts'
import { clock } from '../../util/clock.ts'
import { thrownError } from '../query/failure.ts'
import { reportBegin } from '../report.ts'
import { isLent, sendPrefix } from '../slot/control.ts'
import type { OpenTransaction, TransactionPlace } from '../slot/slot.ts'
import { Turn } from '../slot/waiting.ts'
import { rollback, windUp } from './ending.ts'
import type { OpenCursor } from './statement-transaction.ts'
import { ManualTransaction, Transaction } from './transaction.ts'
import type { TransactionOptions } from './options.ts'
import { TransactionRecord } from './record.ts'
import type { RunningEngine } from '../runtime.ts'

/** A transaction that begins there. `opens`: who ends it; a cursor opens one for itself alone. */
export function makeRecord(
  engine: RunningEngine,
  where: TransactionPlace,
  options: TransactionOptions,
  place: Place,
  opens: 'managed' | 'manual' | OpenCursor,
): OpenTransaction {
  const slot = where.slot ?? engine.openSlot(where.chain)
  const handle = opens === 'managed' ? managedHandle : manualHandle
  const record = new TransactionRecord(slot, where, options, place, opens, handle)
  if (record.own) slot.owner = record
  return record
}

const managedHandle = (record: OpenTransaction): Transaction => new Transaction(record)
const manualHandle = (record: OpenTransaction): ManualTransaction => new ManualTransaction(record)

/** Null: it has its place, because nothing had to be waited for. Rejects, and throws, with a `Failure` or an error. */
export function begin(record: OpenTransaction, until: number): Promise<void> | null {
  const { slot, options } = record
  const lazy = options.lazy === true
  // Only the transaction knows its own slot: there is nothing to ask, and no queue.
  if (!record.own || options.signal?.aborted === true || !(lazy || slot.borrowAtOnce()))
    return placeLater(record, lazy, until)
  takePlace(record)
  return null
}

function placeLater(record: OpenTransaction, lazy: boolean, until: number): Promise<void> | null {
  const turn = new Turn(record.engine, record.chain, record.where.handle, {
    untilQuiet: false,
    borrows: !lazy,
    reads: record.reads,
    act: () => takePlace(record),
    begins: record,
    until,
    signal: record.options.signal,
  })
  record.slot.send(turn)
  return turn.wait()
}

/** Called once it has its place. Null: nothing has to be waited for. */
export function begun(record: OpenTransaction): Promise<void> | null {
  if (!record.onStack) return null
  reportBegin(record)
  return isLent(record.slot) ? openNow(record) : null
}

/** Queries of users on the driver's own object belong inside too, so BEGIN cannot wait for the first statement of the engine. */
async function openNow(record: OpenTransaction): Promise<void> {
  try {
    await sendPrefix(record.slot, record.where.chain, record.handle).wait()
  } catch (thrown) {
    await rollback(record)
    throw thrown
  }
}

/** @throws {TransactionStateError} when it asks for what the one around it is not. */
function takePlace(record: OpenTransaction): void {
  const { slot } = record
  const parent = slot.top
  const status = slot.lease?.raw.status ?? 'idle'
  if (parent !== null) checkNested(record, parent)
  else if (status !== 'idle' && status !== 'unknown')
    throw new TransactionStateError(
      'A transaction begun by text is open on this connection. End it by text before calling transaction() or begin().',
    )
  if (parent === null) checkPromises(record)
  // Taken when it borrowed, because others have to wait.
  if (record.own && record.place === noPlace && slot.place !== null) record.place = slot.place
  record.writesBefore = slot.writes
  slot.enter(record)
  // Issued before its connection was released.
  if (parent === null && slot.closed) windUp(record).catch(() => {})
}

/** @throws {UsageError} for a limit or a question that its database does not have. */
function checkPromises({ engine: { dialect, options }, resolveCommitMs, idleTimeoutMs }: OpenTransaction): void {
  if (resolveCommitMs > 0 && dialect.outcome === null)
    throw new UsageError(
      `${dialect.title} cannot be asked afterwards whether a transaction was committed: leave out the option resolveCommitMs.`,
    )
  if (idleTimeoutMs !== Infinity && options.descriptor.where === 'server' && dialect.idleLimit(idleTimeoutMs) === null)
    throw new UsageError(
      `${dialect.title} has no limit for transactions that run nothing: leave out idleTimeoutMs and transactionIdleTimeoutMs, and limit ` +
        'the whole of it by timeoutMs.',
    )
}

function checkNested(record: OpenTransaction, parent: OpenTransaction): void {
  const refusal = parent.refusal(record.batch)
  if (refusal !== null) throw refusal
  const { outermost } = parent
  const { isolation, transactionIdleTimeoutMs: idleTimeoutMs } = record.engine.options
  const defaults = { isolation, readOnly: false, deferrable: false, idleTimeoutMs }
  for (const key of ['isolation', 'readOnly', 'deferrable', 'idleTimeoutMs'] as const) {
    const asked = record.options[key]
    if (asked === undefined || asked === (outermost.options[key] ?? defaults[key])) continue
    throw new TransactionStateError(
      `A nested transaction asks for ${key} ${String(asked)}, but the one around it, begun at ${outermost.place}, is ` +
        'another. Set it on the outermost, or pass reuse: false for a separate connection.',
    )
  }
}

/** Opens one that its holder ends. */
export async function beginManual(
  engine: RunningEngine,
  where: TransactionPlace,
  options: TransactionOptions,
): Promise<ManualTransaction> {
  const place = engine.beginPlace(clock.now(), beginManual)
  const record = makeRecord(engine, where, options, place, 'manual')
  await beginOrClose(record, options.timeoutMs === undefined ? Infinity : clock.now() + options.timeoutMs)
  if (record.bornIn !== null && record.onStack) record.bornIn.manual = { record, warned: false }
  return record.handle as ManualTransaction
}

/** Begins one that is not run by a callback; what fails is an error, and its connection goes back. */
export async function beginOrClose(record: OpenTransaction, until: number): Promise<void> {
  try {
    await begin(record, until)
    await begun(record)
  } catch (thrown) {
    if (record.own) void record.slot.close()
    throw thrownError(thrown, record.engine)
  }
}
