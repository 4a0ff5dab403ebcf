// Finds the transaction for a cursor that is read for the first time: the one that is open around it, or one that is opened for it
// alone.
import { UsageError } from '../../errors/index.ts'
import type { Compiled } from '../../sql/compiled.ts'
import { readAgain } from '../../util/options.ts'
import type { Link } from '../context/chain.ts'
import type { Handle } from '../context/frame.ts'
import { fromAround } from '../context/place.ts'
import type { From } from '../core.ts'
import { readsAlone } from '../hosts/route.ts'
import { CursorTransaction, type CursorWait, type UnplacedCursor, partsOf } from '../query/cursor-transaction.ts'
import { notForReplicas } from '../query/query-terms.ts'
import type { Runner } from '../query/runner.ts'
import type { Slot } from '../slot/slot.ts'
import type { RunningEngine } from '../runtime.ts'
import { beginOrClose, makeRecord } from './begin.ts'
import type { TransactionOptions } from './options.ts'
import type { ManualTransaction } from './transaction.ts'

/** A transaction that a cursor opens for itself, and ends. */
async function openForCursor(
  engine: RunningEngine,
  shared: Slot | null,
  handle: Handle | null,
  cursor: UnplacedCursor,
  { until, signal, reads: can, from }: CursorWait,
): Promise<CursorTransaction> {
  const { chain } = cursor
  const reads = can && (from ?? fromAround(engine, chain) ?? shared?.reads?.from ?? engine.hosts?.reads) === 'replica'
  const where = { db: null, chain, handle, slot: shared }
  const record = makeRecord(engine, where, readAgain<TransactionOptions>({ signal }), cursor.place, cursor)
  if (shared === null) {
    record.slot.forCursor = true
    if (reads) record.slot.reads = readsAlone(engine.hosts)
  }
  record.reads = reads
  await beginOrClose(record, until)
  const handleOf = record.handle as ManualTransaction
  const end = async (well: boolean): Promise<void> => {
    if (record.taking) await (well ? handleOf.commit() : handleOf.rollback())
  }
  return new CursorTransaction(engine, record, engine.cursorName(), end)
}

/** Whether a replica can read it. */
function mayLeave({ hosts }: RunningEngine, stmt: Compiled, from: From | null): boolean {
  if (from === 'replica' && (stmt.cls !== 'read' || stmt.pins !== 0)) throw notForReplicas(stmt)
  return (
    hosts !== null && from !== 'primary' && (from === 'replica' ? hosts.mayRead(stmt) : hosts.isPlain({ from, stmt }))
  )
}

/** `from`: the chain of the code that pulls first. A promise: where it has to wait for its turn. */
export function openCursorTransaction(
  engine: RunningEngine,
  runner: Runner,
  cursor: UnplacedCursor,
  from: Link | undefined,
  wait: Omit<CursorWait, 'reads'>,
  stmt: Compiled,
): CursorTransaction | Promise<CursorTransaction> {
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
    return new CursorTransaction(engine, around, engine.cursorName(), null)
  }
  return openForCursor(engine, slot, handle, cursor, { ...wait, reads })
}
