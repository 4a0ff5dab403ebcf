// The transaction that a cursor opens for itself when it is iterated outside of one. It holds nobody up, because its
// loop may run statements on other connections: it has no savepoint, its statements stand for themselves, and at its
// end only its cursor is closed.
import type { Op } from '../../../driver/driver.ts'
import { EngineOp } from '../../../engine/query/op.ts'
import type { Job } from '../job.ts'
import type { SharedConnection } from '../shared.ts'
import { newTransaction, type View } from '../view.ts'
import type { Script } from '../wire/step.ts'
import { atomically, guard } from './atomic.ts'

export function isLoose({ transaction }: View, job: Job): boolean {
  if (transaction !== null) return transaction.savepoint === ''
  const last = job.ops.at(-1)
  return last instanceof EngineOp && last.transaction !== null && last.transaction.cursor !== null
}

export function* loosely(shared: SharedConnection, view: View, job: Job): Script {
  const statements: Op[] = []
  for (const op of job.ops) {
    const kind = op.stmt.cls === 'control' ? shared.words.control(op.stmt.text).kind : 'statement'
    if (kind === 'statement') statements.push(op)
    else job.answerTag(op, kind.toUpperCase())
    if (kind === 'begin') view.transaction = newTransaction('')
    if (kind === 'commit' || kind === 'rollback') {
      yield* closeCursors(shared, view)
      view.transaction = null
    }
  }
  const { transaction } = view
  if (transaction === null) return
  if (!(yield* atomically(shared, view, job, statements))) transaction.failed = true
  else
    for (const { stmt } of statements) {
      const [, verb = '', name = ''] = /^(DECLARE|CLOSE) (\S+)/.exec(stmt.text) ?? []
      if (verb === 'DECLARE') transaction.cursors.add(name)
      else if (verb === 'CLOSE') transaction.cursors.delete(name)
    }
}

export function* closeCursors(shared: SharedConnection, { transaction }: View): Script {
  for (const name of transaction?.cursors ?? []) yield* shared.guarded(guard, [shared.own(`CLOSE ${name}`)])
}
