// Translates a unit of the engine for the shared connection: BEGIN opens a savepoint, COMMIT releases it, ROLLBACK goes
// back to it, and a statement outside of a transaction runs in a separate savepoint. A script yields units and goes on
// when they were answered.
import type { Op } from '../../../driver/driver.ts'
import type { Job } from '../job.ts'
import type { SharedConnection } from '../shared.ts'
import type { View } from '../view.ts'
import { opens, refusedWith, type Script } from '../wire/step.ts'
import { atomically } from './atomic.ts'
import { closeCursors, isLoose, loosely } from './loose.ts'
import { problemOf } from './problem.ts'
import { TransactionUnit } from './transaction-unit.ts'

export function* translate(shared: SharedConnection, view: View, job: Job): Script {
  const problem = problemOf(shared, view, job)
  if (problem !== null) {
    job.answer(problem.op, refusedWith(problem.error))
    return
  }
  yield* shared.savepoints.settle(shared)
  if (shared.savepoints.top === undefined) {
    if (shared.constraints.stale) yield* shared.constraints.learn()
    yield* shared.session.cleanUp()
  }
  // Its caller gave up meanwhile, or its view has ended.
  if (!job.awaited) return
  if (isLoose(view, job)) yield* loosely(shared, view, job)
  else if (view.transaction !== null || job.ops.some(opens)) yield* new TransactionUnit(shared, view, job).run()
  else yield* atomically(shared, view, job, withoutControl(shared, job))
}

/** Rolls back what is open on a view. */
export function* undoing(shared: SharedConnection, view: View): Script {
  const { transaction } = view
  yield* closeCursors(shared, view)
  view.transaction = null
  const savepoint = transaction === null ? undefined : shared.savepoints.find(view, transaction.savepoint)
  if (savepoint === undefined) return
  yield shared.undo(savepoint.name)
  shared.wentBack(savepoint, false)
}

/** Answers control as a server does where no transaction is open, and gives what is left. */
function withoutControl({ words }: SharedConnection, job: Job): Op[] {
  return job.ops.filter((op) => {
    if (op.stmt.cls !== 'control') return true
    const control = words.control(op.stmt.text)
    const { kind } = control
    if (kind === 'commit' || kind === 'rollback') job.answerTag(op, kind.toUpperCase())
    else if (kind === 'modes') job.answerTag(op, 'SET')
    else {
      const failure = words.outside(kind, 'name' in control ? control.name : '')
      if (failure === null) job.answerTag(op, kind.toUpperCase())
      else job.answer(op, failure)
    }
    return false
  })
}
