// Operations that stand for themselves: committed together or not at all, as a statement outside of a transaction is.
// They run in a savepoint that is gone afterwards. After a failure everything is undone before anybody hears of it.
import type { Failure, Op } from '../../../driver/driver.ts'
import { isStale } from '../../../driver/postgres/step.ts'
import { Dirty } from '../../../sql/compiled.ts'
import type { Job } from '../job.ts'
import type { SharedConnection } from '../shared.ts'
import type { View } from '../view.ts'
import { firstFailure, type Script, Step } from '../wire/step.ts'

export const guard = 'genever_sandbox'

/** True when they ran. */
export function* atomically(
  shared: SharedConnection,
  view: View,
  job: Job,
  ops: readonly Op[],
): Generator<readonly Step[], boolean, void> {
  if (ops.length === 0) return true
  const { session } = shared
  for (let again = false; ; again = true) {
    const before = session.inForce
    const save = shared.own(`SAVEPOINT ${guard}`)
    const head = [save, ...session.stepsFor(view, ops)]
    const sent = ops.map((op) => new Step(op.stmt, op))
    const release = shared.own(`RELEASE SAVEPOINT ${guard}`)
    yield* together(job, ops, head, sent, [release])
    if (allOk(head)) session.applied(view, ops)
    if (release.ok) {
      for (const step of sent) finish(shared, view, job, step)
      return true
    }
    if (save.ok) {
      yield shared.undo(guard)
      session.inForce = before
    }
    const reason = firstFailure([...head, ...sent, release])
    // A plan made before the tables changed: outside of a transaction drivers run it again by themselves.
    const stale = reason?.kind === 'server' && isStale(reason.fields ?? {})
    if (stale && !again && job.awaited) for (const step of sent) step.clear()
    else {
      tellFailed(shared, view, job, sent, reason)
      return false
    }
  }
}

/** A statement ran: its answer goes to the engine, and what it did to the session is remembered. */
export function finish(
  shared: SharedConnection,
  view: View,
  job: Job,
  { of, tag, count, insertId, failure }: Step,
): void {
  if (of === null) return
  shared.session.note(view, of)
  noteSchema(shared, view, of)
  of.tag = tag
  of.count = count
  if (insertId !== 0) of.insertId = insertId
  // It ran, only its answer could not be read.
  const committed = failure !== null && view.transaction === null && of.stmt.cls !== 'read'
  job.answer(of, committed ? { ...failure, outcome: 'committed' } : failure)
}

function noteSchema({ constraints }: SharedConnection, { transaction }: View, { stmt }: Op): void {
  if ((stmt.dirties & Dirty.unknown) !== 0 || stmt.cls === 'alone') constraints.stale = true
  if (!/^\s*set\s+constraints\b/i.test(stmt.text)) return
  if (transaction !== null) transaction.setsConstraints = true
  else {
    constraints.touched = true
    constraints.stale = true
  }
}

/** The statement that failed gets the reason, those before it were undone, those behind it did not run. */
function tellFailed(
  shared: SharedConnection,
  view: View,
  job: Job,
  sent: readonly Step[],
  reason: Failure | null,
): void {
  let told = false
  for (const step of sent) {
    const { of, ok } = step
    if (of === null) continue
    if (ok && shared.words.lenient && outlives.has(of.stmt.verb)) finish(shared, view, job, step)
    else if (ok) job.answer(of, { kind: 'skipped', outcome: 'rolled_back' })
    else {
      job.answer(of, told || reason === null ? { kind: 'skipped', outcome: 'not_started' } : reason)
      told = true
    }
  }
}

/** No rollback takes back what they did, where settings outlive one. */
const outlives: ReadonlySet<string> = new Set(['SET', 'USE'])

/** Sends as one unit what operations of a job need; several statements in one text share no Sync with others. */
export function* together(
  job: Job,
  ops: readonly Op[],
  head: readonly Step[],
  steps: readonly Step[],
  tail: readonly Step[],
): Script {
  if (ops.length === 1 && ops[0]?.stmt.cls === 'multi') {
    yield head
    if (job.awaited && allOk(head)) yield steps
    if (allOk(steps)) yield tail
  } else yield [...head, ...steps, ...tail]
}

export function allOk(steps: readonly Step[]): boolean {
  return steps.every(({ ok }) => ok)
}
