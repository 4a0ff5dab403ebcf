// A unit of a view in a transaction, or one that begins it. For every operation it is written down what is sent and what
// holds once that was answered; then all of it goes out at once. A failure is taken back to the innermost savepoint, so
// that the server's transaction stays usable for others while the view counts as failed until its own end.
import type { Failure, Op } from '../../../driver/driver.ts'
import type { Job } from '../job.ts'
import type { SharedConnection } from '../shared.ts'
import { newTransaction, type View, type ViewTransaction } from '../view.ts'
import type { SavepointVerb } from '../../../sql/control-text.ts'
import { firstFailure, type Script, Step } from '../wire/step.ts'
import { allOk, finish, guard, together } from './atomic.ts'

interface Piece {
  readonly op: Op
  readonly steps: readonly Step[]
  /** Its failure, if it is not sent at all. */
  readonly failure: Failure | null
  /** All of its steps have run. */
  readonly done: () => void
}

const end = /^(?:commit|rollback|rollback to)$/
const endOrInner = /^(?:commit|rollback|rollback to|release)$/
const abortedMessage = 'current transaction is aborted, commands ignored until end of transaction block'
const goneMessage =
  'this transaction was rolled back with the one around it: in a sandbox, reuse: false is a savepoint of that'

let savepointsMade = 0

export class TransactionUnit {
  readonly #shared: SharedConnection
  readonly #view: View
  readonly #job: Job
  readonly #pieces: Piece[] = []
  readonly #transaction: ViewTransaction
  /** The savepoint that opens the transaction, sent before everything else. */
  readonly #begin: Step | null
  readonly #inForce: number
  /** Whether the transaction will count as failed at this point of the unit. */
  #failed: boolean

  constructor(shared: SharedConnection, view: View, job: Job) {
    this.#shared = shared
    this.#view = view
    this.#job = job
    this.#inForce = shared.session.inForce
    const savepoint = newSavepoint()
    this.#transaction = view.transaction ?? newTransaction(savepoint)
    this.#begin = view.transaction === null ? shared.own(`SAVEPOINT ${savepoint}`) : null
    this.#failed = this.#transaction.failed
    for (const op of job.ops) if (!this.#add(op)) break
  }

  *run(): Script {
    const { session, savepoints } = this.#shared
    const { top } = savepoints
    const pieces = this.#pieces
    const steps = pieces.flatMap((piece) => piece.steps)
    const statements = pieces.some((piece) => piece.steps.some(({ of }) => of !== null && of.stmt.cls !== 'control'))
    const { ops } = this.#job
    const prefix = statements ? session.stepsFor(this.#view, ops) : []
    // Another view has opened something inside of this one's savepoint: going back must not undo that.
    const within = this.#begin === null && top !== undefined && top.view !== this.#view
    const guarded = within && statements && pieces.every(({ op }) => op.stmt.cls !== 'control')
    const save = guarded ? this.#shared.own(`SAVEPOINT ${guard}`) : this.#begin
    const head = [...(save === null ? [] : [save]), ...prefix]
    const release = guarded ? [this.#shared.own(`RELEASE SAVEPOINT ${guard}`)] : []
    yield* together(this.#job, ops, head, steps, release)
    if (statements && allOk(head)) session.applied(this.#view, ops)
    const failed = this.#tell(firstFailure(head))
    if (guarded && save?.ok === true && !allOk(release)) yield* this.#backToGuard()
    else if (this.#begin?.ok === true && this.#view.transaction !== this.#transaction && failed !== null)
      yield* this.#rollBack(false)
    else if (failed !== null && isCommit(failed)) yield* this.#rollBack(true)
    else if (this.#shared.raw.status === 'failed') yield* this.#backToInnermost()
  }

  /** Tells every operation how it ended; gives the first that did not run, and leaves those behind it as skipped. */
  #tell(reason: Failure | null): Op | null {
    let broken: Op | null = null
    let told = false
    for (const { op, steps, failure, done } of this.#pieces) {
      const own = failure ?? reason ?? firstFailure(steps)
      const ran = this.#begin?.ok !== false && steps.every((step) => step.ok || step.failure?.kind === 'decode')
      if (broken === null && failure === null && ran) done()
      else {
        broken ??= op
        if (own !== null && !told) this.#job.answer(op, own)
        told ||= own !== null
      }
    }
    return broken
  }

  *#backToGuard(): Script {
    yield this.#shared.undo(guard)
    this.#shared.session.inForce = this.#inForce
    this.#transaction.failed = !this.#shared.words.lenient
  }

  *#backToInnermost(): Script {
    const savepoint = this.#shared.savepoints.innermost(this.#view)
    if (savepoint === undefined) return
    yield [this.#own(this.#shared.engine.dialect.rollbackTo(savepoint.name))]
    this.#shared.wentBack(savepoint, true)
    this.#transaction.failed = true
  }

  /** Back to before the transaction: it did not begin (`open` false), or COMMIT was refused. */
  *#rollBack(open: boolean): Script {
    yield this.#shared.undo(this.#transaction.savepoint)
    if (open) this.#ended(false)
    else this.#shared.session.inForce = this.#inForce
  }

  /** False: it fails without being sent, and what follows does not run. */
  #add(op: Op): boolean {
    const control = op.stmt.cls === 'control' ? this.#shared.words.control(op.stmt.text) : null
    const ends = control !== null && (this.#transaction.gone ? endOrInner : end).test(control.kind)
    if (this.#failed && !ends) {
      return this.#fail(op, this.#shared.words.aborted(this.#transaction.gone ? goneMessage : abortedMessage))
    }
    const refusal = control === null && this.#transaction.readOnly ? this.#shared.words.refusesToWrite(op) : null
    if (refusal !== null) return this.#fail(op, refusal)
    if (control === null) this.#addStatement(op)
    else if (control.kind === 'begin') this.#addBegin(op, control.readOnly)
    else if (control.kind === 'modes') this.#push(op, 'SET', this.#readOnly(control.readOnly))
    else if (control.kind === 'commit' || control.kind === 'rollback') this.#addEnd(op, control.kind === 'commit')
    else if ('name' in control) this.#addSavepoint(op, control.kind, control.name)
    return true
  }

  /** It fails without being sent. */
  #fail(op: Op, failure: Failure): false {
    this.#pieces.push({ op, steps: [], failure, done: () => {} })
    return false
  }

  #readOnly(wanted: boolean): Step[] {
    const { readOnly } = this.#shared.words
    return wanted && readOnly !== null ? [this.#own(readOnly)] : []
  }

  #own(text: string): Step {
    return this.#shared.own(text)
  }

  #push(op: Op, tag: string, steps: readonly Step[], apply: () => void = () => {}): void {
    const done = (): void => {
      apply()
      this.#job.answerTag(op, tag)
    }
    this.#pieces.push({ op, steps, failure: null, done })
  }

  #addStatement(op: Op): void {
    const step = new Step(op.stmt, op)
    const done = (): void => finish(this.#shared, this.#view, this.#job, step)
    this.#pieces.push({ op, steps: [step], failure: null, done })
  }

  #addBegin(op: Op, readOnly: boolean): void {
    const { savepoints, constraints } = this.#shared
    // A second BEGIN does nothing on a server either.
    if (this.#begin === null) {
      this.#push(op, 'BEGIN', [])
      return
    }
    const steps = savepoints.top === undefined ? constraints.deferral() : []
    steps.push(...this.#readOnly(readOnly))
    this.#transaction.readOnly = readOnly && this.#shared.words.readOnly === null
    this.#push(op, 'BEGIN', steps, () => {
      savepoints.open(this.#view, this.#transaction.savepoint, this.#inForce)
      this.#view.transaction = this.#transaction
    })
  }

  #addEnd(op: Op, commit: boolean): void {
    const { savepoint: name, setsConstraints, gone } = this.#transaction
    const { savepoints, constraints } = this.#shared
    const keep = commit && !this.#failed
    const savepoint = savepoints.find(this.#view, name)
    const outermost = savepoints.bottom?.view === this.#view
    const steps = keep ? (outermost ? constraints.check(setsConstraints) : []) : []
    if (!keep && !gone) steps.push(this.#own(`ROLLBACK TO SAVEPOINT ${name}`))
    const released = keep ? savepoint === undefined || !savepoints.covered(savepoint) : !gone
    if (released) steps.push(this.#own(`RELEASE SAVEPOINT ${name}`))
    this.#push(op, keep ? 'COMMIT' : 'ROLLBACK', steps, () => this.#ended(keep))
    this.#failed = false
  }

  #ended(committed: boolean): void {
    const { savepoints, session } = this.#shared
    const savepoint = savepoints.find(this.#view, this.#transaction.savepoint)
    this.#view.transaction = null
    if (savepoint === undefined) return
    if (committed) {
      savepoints.release(savepoint)
      session.committed(this.#view, savepoints.top === undefined)
    } else this.#shared.wentBack(savepoint, false)
  }

  #addSavepoint(op: Op, kind: SavepointVerb, name: string): void {
    const { savepoints, session } = this.#shared
    const back = kind === 'rollback to'
    if (this.#transaction.gone) {
      this.#push(op, back ? 'ROLLBACK' : 'RELEASE', [])
      return
    }
    const savepoint = kind === 'savepoint' ? undefined : savepoints.find(this.#view, name)
    const covered = kind === 'release' && savepoint !== undefined && savepoints.covered(savepoint)
    if (back) this.#failed = false
    const { lenient } = this.#shared.words
    const known = !lenient ? name : kind === 'savepoint' ? newSavepoint() : savepoint?.known
    const step =
      lenient && known !== undefined
        ? this.#own(this.#shared.engine.dialect[members[kind]](known))
        : new Step(op.stmt, op)
    this.#push(op, back ? 'ROLLBACK' : kind.toUpperCase(), covered ? [] : [step], () => {
      const now = savepoints.find(this.#view, name)
      if (kind === 'savepoint') {
        if (lenient && now !== undefined) now.name = ''
        savepoints.open(this.#view, name, session.inForce, known)
      } else if (now !== undefined && !back) savepoints.release(now)
      else if (now !== undefined) {
        this.#shared.wentBack(now, true)
        this.#transaction.failed = false
      }
    })
  }
}

/** The members of the dialect that write them. */
const members = { savepoint: 'savepoint', release: 'release', 'rollback to': 'rollbackTo' } as const

function isCommit({ stmt }: Op): boolean {
  return stmt.cls === 'control' && stmt.control === 'commit'
}

function newSavepoint(): string {
  return `genever_sandbox_${++savepointsMade}`
}
