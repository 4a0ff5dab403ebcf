// Sends the engine's own units past the queue of a slot, such as COMMIT and ROLLBACK. And the RELEASE and ROLLBACK TO of nested
// transactions that have ended, which go in front of the next unit.
import type { Failure, Op } from '../../driver/driver.ts'
import type { Lease } from '../../pool/lease.ts'
import type { Settings } from '../../sql/settings.ts'
import { clock } from '../../util/clock.ts'
import type { EngineCore } from '../core.ts'
import { InternalOp } from '../internal-op.ts'
import { engineStatement } from '../query/engine-statement.ts'
import type { EngineOp } from '../query/op.ts'
import { switchOps } from '../switching.ts'
import type { Unreleased } from './flight.ts'
import type { Holding } from './holding.ts'

/**
 * Sends transaction control past the queue; the caller has waited for quiet. Several texts share one unit. It is stopped like
 * any statement when it takes longer than `until`.
 */
export function sendControl(slot: Holding, until: number, ...texts: readonly string[]): EngineOp {
  const { engine } = slot
  return sendPast(
    slot,
    texts.map((text) => controlOp(engine, text, until)),
  )
}

/**
 * Sends COMMIT past the queue. Deferred triggers and the like, which run on the server at COMMIT, run with the settings of the
 * transaction and not with those of the last frame inside of it.
 */
export function sendCommit(slot: Holding, settings: Settings | null, until: number): EngineOp {
  const { engine, lease, flight } = slot
  const op = controlOp(engine, engine.dialect.commit, until)
  const { raw } = lease ?? {}
  const first =
    raw?.alive !== true || !engine.overlaid || raw.inForce.now === settings
      ? null
      : switchOps(engine, raw, settings, op, false)
  if (flight.undone !== null) return sendPast(slot, [op], [...releases(slot, flight.unreleased, op), ...(first ?? [])])
  return sendPast(slot, [op], first ?? [])
}

/**
 * Sends operations of the engine past the queue, in one unit behind `first`; the caller has waited for quiet. Gives the last of
 * them.
 */
export function sendPast(slot: Holding, ops: readonly EngineOp[], first: readonly Op[] = []): EngineOp {
  const { lease, flight } = slot
  const last = ops[ops.length - 1] as EngineOp
  if (lease === null || !lease.raw.alive) {
    last.refuse({ kind: 'lost', outcome: 'rolled_back' })
    return last
  }
  for (const op of ops) {
    op.slot = slot
    op.starting(lease.raw)
    flight.add(op, op === last)
  }
  lease.raw.submitUnit({ ops: first.length === 0 ? ops : [...first, ...ops] })
  return last
}

/** Transaction control that travels on its own. */
function controlOp(engine: EngineCore, text: string, until: number): EngineOp {
  const stmt = engine.statements.compileInternal(text)
  const op = engineStatement(engine, stmt, { until })
  op.begin()
  return op
}

/** RELEASE of a nested transaction that has ended, and ROLLBACK TO before it, in front of a statement of the one around it. */
class ReleaseOp extends InternalOp {
  readonly #slot: Holding
  readonly #main: EngineOp
  readonly #released: Unreleased

  constructor(slot: Holding, released: Unreleased, text: string, main: EngineOp) {
    super(slot.engine.statements.compileInternal(text))
    this.#slot = slot
    this.#main = main
    this.#released = released
  }

  protected over(failure: Failure | null): void {
    if (failure === null) return
    const { flight, lease } = this.#slot
    const { parent, undone } = this.#released
    if (failure.outcome === 'not_started') {
      // Nothing was sent: the statement behind it could not be written, or was stopped before its turn.
      if (flight.unreleased === null && parent?.onStack === true) deferRelease(this.#slot, this.#released)
    } else if (undone !== null) {
      // As a ROLLBACK that fails.
      const lost: Failure = { kind: 'lost', outcome: 'rolled_back', cause: failure.cause }
      this.#main.prefixFailure ??= lost
      lease?.raw.destroy(lost)
    } else {
      this.#main.prefixFailure ??= { ...failure, outcome: 'not_started' }
      parent?.advance({ type: 'failed', failure, stmt: this.stmt, spoils: failure.kind === 'server' })
    }
  }
}

/** The operations that go in front of `main` because a nested transaction has ended. */
export function releases(slot: Holding, released: Unreleased | null, main: EngineOp): Op[] {
  if (released === null) return []
  slot.flight.unreleased = null
  return releaseTexts(slot, released).map((text) => new ReleaseOp(slot, released, text, main))
}

function releaseTexts({ engine }: Holding, { savepoint, undone }: Unreleased): string[] {
  const words = engine.dialect.savepoint
  const release = words.release(savepoint)
  return undone === null ? [release] : [words.back(undone), release]
}

/**
 * A nested transaction has ended. Its RELEASE can wait for the next statement; its ROLLBACK TO, which lets rows go that others may wait
 * for, only to the end of this turn of the event loop.
 */
export function deferRelease(slot: Holding, released: Unreleased): void {
  slot.flight.unreleased = released
  if (released.undone !== null) clock.nextTick(() => void sendDeferredRollback(slot))
}

/** Sends ROLLBACK TO, if it is owed, without anything behind it; not while a statement is being stopped: it goes in front of the next. */
export async function sendDeferredRollback(slot: Holding): Promise<void> {
  const { unreleased } = slot.flight
  if (unreleased === null || unreleased.undone === null || slot.lease === null || slot.lease.raw.quarantined) return
  slot.flight.unreleased = null
  await sendUndoing(slot, ...releaseTexts(slot, unreleased))
}

/** Sends what takes back a transaction or savepoint. A connection on which that fails, or takes too long, is closed. */
export async function sendUndoing(slot: Holding, ...texts: readonly string[]): Promise<void> {
  const { engine } = slot
  const { raw } = slot.lease as Lease
  const op = sendControl(slot, Infinity, ...texts)
  const deadline = clock.now() + engine.options.cancelTimeoutMs
  try {
    await engine.ticker.within(deadline, op.wait(), () => raw.destroy({ kind: 'lost', outcome: 'unknown' }))
  } catch {
    raw.destroy({ kind: 'lost', outcome: 'rolled_back' })
  }
}
