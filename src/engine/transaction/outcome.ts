import { isFailure } from '../../driver/driver.ts'
// The outcome of a COMMIT whose answer did not come. The server knows, if it is asked by the number of the transaction;
// the transaction asks for that before COMMIT is sent. Called where transactions end. It never sends a COMMIT.
import { firstColumn } from '../../sql/compiled.ts'
import { engineStatement } from '../query/engine-statement.ts'
import type { EngineOp } from '../query/op.ts'
import { sendPast } from '../slot/sending.ts'
import { untilQuiet } from '../slot/waiting.ts'
import type { OutcomeQuestion } from '../../sql/dialect.ts'
import type { OpenTransaction } from '../slot/slot.ts'
import { clock, sleep } from '../../util/clock.ts'

const firstPauseMs = 10
const longestPauseMs = 500
/** A connection that says nothing is not waited for until the end. */
const shortestWaitMs = 1_000

/** Whose number it is that was noted of a transaction: of the server with these connections. */
const numberedBy = new WeakMap<OpenTransaction, object>()

/**
 * Notes the number of a transaction that is about to be committed, one round trip, if its COMMIT is to be resolved. Never
 * rejects: what fails here has failed in the transaction.
 */
export async function noteNumber(record: OpenTransaction): Promise<void> {
  const { engine, slot, handle } = record
  if (record.options.readOnly === true) {
    record.xid = null
    return
  }
  const { outcome } = engine.dialect
  if (outcome === null) return
  const op = statement(record, outcome.number, [], Infinity)
  op.transaction = record
  sendPast(slot, [op])
  try {
    await engine.ticker.within(engine.until(null, handle.defaultsHere()), op.wait(), () =>
      op.abandon({ kind: 'timeout', outcome: 'unknown' }),
    )
    record.xid = op.rows[0] as string | null | undefined
    numberedBy.set(record, engine.pool)
  } catch (thrown) {
    if (!isFailure(thrown)) throw thrown
  }
}

/**
 * Asks the server, again while the transaction is in progress or nobody answers, for `resolveCommitMs` at most. Whoever
 * waits for the transaction to end waits for this too. `unknown`: no answer in time, or the server does not know any more.
 */
export async function fateOf(record: OpenTransaction): Promise<'committed' | 'rolled_back' | 'unknown'> {
  const until = clock.now() + record.resolveCommitMs
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
    const state = await ask(record, until)
    const left = until - clock.now()
    if (state !== 'running') return state
    if (left <= 0) return 'unknown'
    await sleep(Math.min(pauseMs, left))
  }
}

/** The answer of the server; `running` also when nobody answered, `unknown` when nobody will. */
async function ask(record: OpenTransaction, latest: number): Promise<ReturnType<OutcomeQuestion['read']>> {
  const { engine, slot } = record
  const { outcome } = engine.dialect
  // Another primary may have given the number to another transaction.
  if (outcome === null || engine.pool !== numberedBy.get(record)) return 'unknown'
  const now = clock.now()
  const until = Math.min(latest, now + Math.max(shortestWaitMs, (latest - now) / 2))
  try {
    // Its own connection, if that survived, when the pool has no other.
    if (slot.lease !== null && engine.pool.exhausted) await untilQuiet(slot, record, 'front', until)
    const op = statement(record, outcome.fate, [record.xid], until)
    op.begin()
    if (slot.lease !== null && engine.pool.exhausted) sendPast(slot, [op])
    else engine.pool.place(op)
    await op.wait()
    return engine.pool === numberedBy.get(record) ? outcome.read(op.rows[0]) : 'unknown'
  } catch (thrown) {
    if (!isFailure(thrown)) throw thrown
    const { kind, opening } = engine.dialect.explain(thrown.fields ?? {})
    const hopeless = thrown.kind === 'server' && kind !== 'cancelled' && opening !== 'endpoint' && opening !== 'full'
    return hopeless || engine.closed ? 'unknown' : 'running'
  }
}

/** Outside of every context: it waits for nobody's transaction. */
function statement({ engine }: OpenTransaction, text: string, params: unknown[], until: number): EngineOp {
  const compiled = engine.statements.compileInternal(text)
  return engineStatement(engine, compiled, { params, spec: firstColumn, until })
}
