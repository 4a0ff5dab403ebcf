// How a transaction begins: it borrows unless it is lazy, waits to be admitted and takes its place on the stack. BEGIN
// itself travels with the first statement.
import { TransactionStateError, UsageError } from '../../errors/index.ts'
import { noPlace } from '../../observe/place.ts'
import { clock } from '../../util/clock.ts'
import { readAgain } from '../../util/options.ts'
import type { Handle } from '../context/frame.ts'
import { fromAround } from '../context/place.ts'
import type { From } from '../core.ts'
import { readsAlone } from '../hosts/route.ts'
import { CursorHome, type CursorWait, type Guest, partsOf } from '../query/cursor-home.ts'
import { notForReplicas } from '../query/query-terms.ts'
import { thrownError } from '../query/failure.ts'
import type { Runner } from '../query/runner.ts'
import { reportBegin } from '../report.ts'
import { isLent, sendOwed } from '../slot/control.ts'
import type { OpenTransaction, Slot, TransactionPlace } from '../slot/slot.ts'
import { Turn } from '../slot/waiting.ts'
import { rollback, windUp } from './ending.ts'
import { ManualTransaction } from './transaction.ts'
import type { TransactionOptions } from './options.ts'
import { TransactionRecord } from './record.ts'
import type { Compiled } from '../../sql/compiled.ts'
import type { Link } from '../context/chain.ts'
import type { WorkingEngine } from '../works.ts'

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
    quiet: false,
    borrows: !lazy,
    reads: record.reads,
    act: () => takePlace(record),
    until,
    signal: record.options.signal,
  })
  record.slot.send(turn)
  return turn.wait()
}

/** What is done once it has its place. Null: nothing has to be waited for. */
export function begun(record: OpenTransaction): Promise<void> | null {
  if (!record.onStack) return null
  reportBegin(record)
  return isLent(record.slot) ? openNow(record) : null
}

/** Queries of users on the driver's own object belong inside too, so BEGIN cannot wait for the first statement of the engine. */
async function openNow(record: OpenTransaction): Promise<void> {
  try {
    await sendOwed(record.slot, record.where.chain, record.handle).wait()
  } catch (thrown) {
    await rollback(record)
    throw thrown
  }
}

/** @throws {TransactionStateError} when it asks for what the one around it is not. */
function takePlace(record: OpenTransaction): void {
  const { slot } = record
  const parent = slot.top
  if (parent !== null) checkNested(record, parent)
  else if (slot.lease?.raw.status === 'tx' || slot.lease?.raw.status === 'failed')
    throw new TransactionStateError(
      'A transaction begun by text is open on this connection. End it by text before calling transaction() or begin().',
    )
  if (parent === null) checkPromises(record)
  // Taken when it borrowed, because others have to wait.
  if (record.own && record.place === noPlace && slot.place !== null) record.place = slot.place
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
  engine: WorkingEngine,
  where: TransactionPlace,
  options: TransactionOptions,
): Promise<ManualTransaction> {
  const place = engine.beginPlace(clock.now(), beginManual)
  const slot = where.slot ?? engine.openSlot(where.chain, false, '')
  const record = new TransactionRecord(
    engine,
    slot,
    where,
    options,
    place,
    'manual',
    (self) => new ManualTransaction(self),
  )
  if (record.own) slot.owner = record
  await beginOrClose(record, options.timeoutMs === undefined ? Infinity : clock.now() + options.timeoutMs)
  if (record.bornIn !== null && record.onStack) record.bornIn.manual = { record, warned: false }
  return record.handle as ManualTransaction
}

async function beginOrClose(record: OpenTransaction, until: number): Promise<void> {
  try {
    await begin(record, until)
    await begun(record)
  } catch (thrown) {
    if (record.own) void record.slot.close()
    throw thrownError(thrown, record.engine)
  }
}

/** A transaction that a cursor opens for itself; `finish` ends it. */
async function openForCursor(
  engine: WorkingEngine,
  shared: Slot | null,
  handle: Handle | null,
  cursor: Guest,
  { until, signal, reads: can, from }: CursorWait,
): Promise<{ record: OpenTransaction; finish: (well: boolean) => Promise<void> }> {
  const { chain } = cursor
  const slot = shared ?? engine.openSlot(chain, false, '')
  const reads = can && (from ?? fromAround(engine, chain) ?? shared?.reads?.from ?? engine.hosts?.reads) === 'replica'
  if (shared === null) slot.forCursor = true
  if (shared === null && reads) slot.reads = readsAlone(engine.hosts)
  const record = new TransactionRecord(
    engine,
    slot,
    { db: null, chain, handle, slot: shared },
    readAgain<TransactionOptions>({ signal }),
    cursor.place,
    cursor,
    (self) => new ManualTransaction(self),
  )
  if (record.own) slot.owner = record
  record.reads = reads
  await beginOrClose(record, until)
  const handleOf = record.handle as ManualTransaction
  const end = async (well: boolean): Promise<void> => {
    if (record.taking) await (well ? handleOf.commit() : handleOf.rollback())
  }
  return { record, finish: end }
}

/** Whether a replica can read it. */
function mayLeave({ hosts }: WorkingEngine, stmt: Compiled, from: From | null): boolean {
  if (from === 'replica' && (stmt.cls !== 'read' || stmt.pins !== 0)) throw notForReplicas(stmt)
  return (
    hosts !== null && from !== 'primary' && (from === 'replica' ? hosts.mayRead(stmt) : hosts.isPlain({ from, stmt }))
  )
}

/** `from`: the chain of the code that pulls first. */
export async function openHome(
  engine: WorkingEngine,
  runner: Runner,
  cursor: Guest,
  from: Link | undefined,
  wait: Omit<CursorWait, 'reads'>,
  stmt: Compiled,
): Promise<CursorHome> {
  const { verbs } = partsOf(engine)
  if (!verbs.has(stmt.verb) || stmt.cls === 'multi')
    throw new UsageError(
      'iterate() streams one SELECT, WITH, VALUES or TABLE statement. Use all() or status() for this text.',
      { statement: { sql: stmt.text } },
    )
  const reads = mayLeave(engine, stmt, wait.from)
  const slot = runner.slotHere(engine, cursor.chain)
  const handle = runner.handleHere()
  // Not just the top: one that is open inside of it belongs to somebody else and is waited for.
  const around = slot?.stack.innermost(cursor.chain, handle) ?? slot?.stack.innermost(from, handle)?.outermost ?? null
  if (around !== null) {
    const refusal = around.refusal()
    if (refusal !== null) throw refusal
    around.cursors.add(cursor)
    return new CursorHome(engine, around, engine.cursorName(), null)
  }
  const { record, finish } = await openForCursor(engine, slot, handle, cursor, { ...wait, reads })
  return new CursorHome(engine, record, engine.cursorName(), finish)
}
