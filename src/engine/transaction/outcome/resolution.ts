// What became of a COMMIT whose answer did not come. The server knows, if it is asked by the number of the transaction;
// the transaction asks for that before COMMIT is sent. Called where transactions end. It never sends a COMMIT.
import { firstColumn } from '../../query/execute.ts'
import { isFailure } from '../../query/failure.ts'
import { EngineOp } from '../../query/op.ts'
import { answeredBy, sendPast } from '../../slot/control.ts'
import { quiet } from '../../slot/turn.ts'
import type { TransactionRecord } from '../record.ts'
import { clock, sleep } from '../../../util/clock.ts'

/** NULL: it has changed nothing so far. Asking gives it no number, which would cost the server a commit record. */
const numberOfOwn = 'select pg_catalog.pg_current_xact_id_if_assigned()::text'

/** A standby may not have heard of it yet, so it is not the one to say. NULL: it was too long ago. */
const stateOf =
  "select case when pg_catalog.pg_is_in_recovery() then 'in progress' else pg_catalog.pg_xact_status($1::pg_catalog.xid8) end"

const firstPauseMs = 10
const longestPauseMs = 500
/** A connection that says nothing is not waited for until the end. */
const shortestWaitMs = 1_000

/**
 * Notes the number of a transaction that is about to be committed, one round trip, if its COMMIT is to be resolved. Never
 * rejects: what fails here has failed in the transaction.
 */
export async function noteNumber(record: TransactionRecord): Promise<void> {
  const { engine, slot, handle } = record
  if (record.options.readOnly === true) {
    record.xid = null
    return
  }
  const op = statement(record, numberOfOwn, [], Infinity)
  op.transaction = record
  sendPast(slot, [op])
  try {
    await answeredBy(engine, op, engine.until(null, handle.defaultsHere()), () =>
      op.abandon({ kind: 'timeout', outcome: 'unknown' }),
    )
    record.xid = op.rows[0] as string | null | undefined
  } catch (thrown) {
    if (!isFailure(thrown)) throw thrown
  }
}

/**
 * Asks the server, again while the transaction is in progress or nobody answers, for `resolveCommitMs` at most. Whoever
 * waits for the transaction to end waits for this too. `unknown`: no answer in time, or the server does not know any more.
 */
export async function fateOf(record: TransactionRecord): Promise<'committed' | 'rolled_back' | 'unknown'> {
  const until = clock.now() + record.resolveCommitMs
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
    const state = await ask(record, until)
    if (state === 'committed') return 'committed'
    if (state === 'aborted') return 'rolled_back'
    const left = until - clock.now()
    if (state !== 'in progress' || left <= 0) return 'unknown'
    await sleep(Math.min(pauseMs, left))
  }
}

/** What the server says; `in progress` too when nobody answered; undefined when nobody will. */
async function ask(record: TransactionRecord, latest: number): Promise<unknown> {
  const { engine, slot } = record
  const now = clock.now()
  const until = Math.min(latest, now + Math.max(shortestWaitMs, (latest - now) / 2))
  try {
    // Its own connection, if that survived, when the pool has no other.
    if (slot.lease !== null && engine.pool.exhausted) await quiet(slot, record, true, until)
    const op = statement(record, stateOf, [record.xid], until)
    op.begin()
    if (slot.lease !== null && engine.pool.exhausted) sendPast(slot, [op])
    else engine.pool.place(op)
    await op.wait()
    return op.rows[0]
  } catch (thrown) {
    if (!isFailure(thrown)) throw thrown
    const hopeless = thrown.kind === 'server' && !/^(08|53|57)/.test(thrown.fields?.['code'] ?? '')
    return hopeless || engine.closed ? undefined : 'in progress'
  }
}

/** Outside of every context: it waits for nobody's transaction. */
function statement({ engine }: TransactionRecord, text: string, params: unknown[], until: number): EngineOp {
  const compiled = engine.statements.compileInternal(text)
  return new EngineOp(engine, undefined, null, compiled, params, firstColumn, null, 0, until, null)
}
