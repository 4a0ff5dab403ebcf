// A unit of the engine on the shared connection, as a frame: a savepoint, the settings of its view, its operations, an end.
// BEGIN opens the savepoint of a transaction, COMMIT releases it, ROLLBACK goes back to it. A unit outside of a transaction has a
// savepoint that is gone afterwards. For every operation it is written down what is sent and what holds once that was answered;
// then all of it goes out at once. A failure is taken back to the innermost savepoint, so that the server's transaction stays
// usable for others, while the view counts as failed until its own end.
import type { Failure, Op } from '../../driver/driver.ts'
import { isStale } from '../../driver/postgres/prepared/stale.ts'
import { EngineOp } from '../../engine/query/op.ts'
import type { ControlText, SavepointVerb } from '../../sql/control-text.ts'
import type { Job } from './job.ts'
import { problemOf } from './problem.ts'
import type { SharedConnection } from './shared.ts'
import { newTransaction, type View, type ViewTransaction } from './view.ts'
import { allOk, firstFailure, guard, opens, refusedWith, Step } from './wire/step.ts'

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
/** No rollback takes back what they did, where settings outlive one. */
const outlives: ReadonlySet<string> = new Set(['SET', 'USE'])
/** The members of the dialect that write them. */
const members = { savepoint: 'savepoint', release: 'release', 'rollback to': 'rollbackTo' } as const

let savepointsMade = 0

/** Runs a unit of a view, unless nobody waits for it any more. */
export async function translate(shared: SharedConnection, view: View, job: Job): Promise<void> {
  const problem = problemOf(shared, view, job)
  if (problem !== null) {
    job.answer(problem.op, refusedWith(problem.error))
    return
  }
  await shared.savepoints.settle(shared)
  if (shared.savepoints.top === undefined) await shared.session.cleanUp()
  if (job.awaited) await new FramedUnit(shared, view, job).run(true)
}

/**
 * Whether it belongs to the transaction that a cursor opens for itself when it is iterated outside of one. That has no savepoint
 * and holds nobody up, because its loop may run statements on other connections: its statements stand for themselves.
 */
function isLoose({ transaction }: View, job: Job): boolean {
  if (transaction !== null) return transaction.savepoint === ''
  const last = job.ops.at(-1)
  return last instanceof EngineOp && last.transaction !== null && last.transaction.cursor !== null
}

class FramedUnit {
  readonly #shared: SharedConnection
  readonly #view: View
  readonly #job: Job
  readonly #pieces: Piece[] = []
  /** Outside of one, its operations are one for themselves. */
  readonly #transaction: ViewTransaction
  readonly #loose: boolean
  /** Its operations stand for themselves: committed together or not at all. */
  readonly #alone: boolean
  /** It begins a transaction that has a savepoint. */
  readonly #begins: boolean
  /** Its transaction went with the one around it; nothing of it is left on the server. */
  readonly #gone: boolean
  readonly #inForce: number
  /** Whether the transaction will count as failed at this point of the unit. */
  #failed: boolean

  constructor(shared: SharedConnection, view: View, job: Job) {
    this.#shared = shared
    this.#view = view
    this.#job = job
    this.#inForce = shared.session.inForce
    const { transaction } = view
    this.#loose = isLoose(view, job)
    this.#begins = !this.#loose && transaction === null && job.ops.some(opens)
    this.#alone = this.#loose || (transaction === null && !this.#begins)
    this.#transaction = transaction ?? newTransaction(this.#begins ? newSavepoint() : '')
    this.#gone =
      !this.#alone && !this.#begins && shared.savepoints.find(view, this.#transaction.savepoint) === undefined
    this.#failed = this.#transaction.failed
    for (const op of job.ops) if (!this.#add(op)) break
  }

  /** `again`: it may run a second time, as drivers do by themselves outside of a transaction. */
  async run(again: boolean): Promise<void> {
    const { session, savepoints } = this.#shared
    const { ops } = this.#job
    const steps = this.#pieces.flatMap((piece) => piece.steps)
    const statements = this.#pieces.some((piece) => piece.steps.length > 0 && piece.op.stmt.cls !== 'control')
    const { top } = savepoints
    // Another view has opened something inside of this one's savepoint: going back must not undo that.
    const within = !this.#begins && top !== undefined && top.view !== this.#view
    const plain = this.#pieces.every(({ op }) => op.stmt.cls !== 'control')
    const guarded = statements && (this.#alone || (within && plain))
    const name = guarded ? guard : this.#begins ? this.#transaction.savepoint : null
    const save = name === null ? [] : [this.#own(`SAVEPOINT ${name}`)]
    const head = [...save, ...(statements ? session.stepsFor(this.#view, ops) : [])]
    const check = session.constraints?.check() ?? []
    const sets = this.#alone && top === undefined && ops.some(({ stmt }) => stmt.verb === 'SET')
    const tail = guarded ? [...(sets ? check : []), this.#own(`RELEASE SAVEPOINT ${guard}`)] : []
    if (this.#loose && ops.some(({ stmt: { control } }) => control === 'commit' || control === 'rollback'))
      await this.#shared.closeCursor(this.#transaction.cursor)
    await this.#send(head, steps, tail)
    if (statements && allOk(head)) session.applied(this.#view, ops)
    const saved = allOk(save)
    const undone = guarded && !allOk(tail)
    const reason = firstFailure(undone ? [...head, ...steps, ...tail] : head)
    if (undone && saved) await this.#undo(guard)
    // A plan made before the tables changed.
    const stale = this.#alone && undone && reason?.kind === 'server' && isStale(reason.fields ?? {})
    if (stale && again && this.#job.awaited) {
      for (const { rows, results } of steps) for (const answer of [rows, results ?? []]) answer.length = 0
      return new FramedUnit(this.#shared, this.#view, this.#job).run(false)
    }
    const failed = this.#tell(saved, undone, reason)
    if (undone) this.#transaction.failed = !this.#shared.words.lenient
    else if (!this.#alone && failed !== null) await this.#recover(saved, failed)
  }

  /** Sends all as one unit; several statements in one text, or a COPY, share no Sync with others. */
  async #send(head: readonly Step[], steps: readonly Step[], tail: readonly Step[]): Promise<void> {
    if (this.#job.ops.some(({ stmt, copy = null }) => stmt.cls === 'multi' || copy !== null)) {
      await this.#shared.send(head)
      if (this.#job.awaited && allOk(head)) await this.#shared.send(steps)
      if (allOk(steps)) await this.#shared.send(tail)
    } else await this.#shared.send([...head, ...steps, ...tail])
  }

  /**
   * Tells every operation how it ended; gives the first that did not run, and leaves those behind it as skipped. `undone`: what ran
   * was taken back.
   */
  #tell(saved: boolean, undone: boolean, reason: Failure | null): Op | null {
    let broken: Op | null = null
    let told = false
    const tell = (op: Op, failure: Failure | null): void => {
      if (failure !== null && !told) this.#job.answer(op, failure)
      told ||= failure !== null
    }
    for (const { op, steps, failure, done } of this.#pieces) {
      const ran =
        failure === null && saved && steps.every((step) => step.ok || (!undone && step.failure?.kind === 'decode'))
      if (broken !== null || !ran) {
        broken ??= op
        tell(op, failure ?? reason ?? firstFailure(steps))
      } else if (!undone || steps.length === 0 || (this.#shared.words.lenient && outlives.has(op.stmt.verb))) done()
      else this.#job.answer(op, { kind: 'skipped', outcome: 'rolled_back' })
    }
    const last = this.#pieces.at(-1)
    if (undone && last !== undefined) tell(last.op, reason)
    return broken
  }

  /** Makes the server's transaction usable again after a failure that no guard has undone. */
  async #recover(saved: boolean, failed: Op): Promise<void> {
    const { savepoints, raw } = this.#shared
    const { savepoint } = this.#transaction
    const innermost = savepoints.innermost(this.#view)
    if (this.#begins && this.#view.transaction !== this.#transaction) {
      if (saved) await this.#undo(savepoint)
    } else if (failed.stmt.control === 'commit') {
      await this.#undo(savepoint)
      this.#ended(false)
    } else if (raw.status === 'failed' && innermost !== undefined) {
      await this.#shared.send([this.#own(this.#shared.engine.dialect.rollbackTo(innermost.known))])
      this.#shared.wentBack(innermost, true)
      this.#transaction.failed = true
    }
  }

  /** Back to before the unit. */
  async #undo(name: string): Promise<void> {
    await this.#shared.send(this.#shared.undo(name))
    this.#shared.session.inForce = this.#inForce
  }

  /** False: it fails without being sent, and what follows does not run. */
  #add(op: Op): boolean {
    const { words } = this.#shared
    const control = op.stmt.cls === 'control' ? words.control(op.stmt.text) : null
    const ends = control !== null && (this.#gone ? endOrInner : end).test(control.kind)
    if (this.#failed && !ends) return this.#fail(op, words.aborted(this.#gone ? goneMessage : abortedMessage))
    if (control === null) return this.#addStatement(op)
    if (this.#alone || this.#gone) return this.#addAnswered(op, control)
    if (control.kind === 'begin') this.#addBegin(op, control.readOnly)
    else if (control.kind === 'modes') this.#push(op, 'modes', this.#readOnly(control.readOnly))
    else if (control.kind === 'commit' || control.kind === 'rollback') this.#addEnd(op, control.kind === 'commit')
    else if ('name' in control) this.#addSavepoint(op, control.kind, control.name)
    return true
  }

  /** It fails without being sent. */
  #fail(op: Op, failure: Failure): false {
    this.#pieces.push({ op, steps: [], failure, done: () => {} })
    return false
  }

  #push(op: Op, kind: ControlText['kind'], steps: readonly Step[], apply: () => void = () => {}): true {
    const tag = kind === 'modes' ? 'SET' : kind === 'rollback to' ? 'ROLLBACK' : kind.toUpperCase()
    const done = (): void => {
      apply()
      this.#job.answerBy(op, { tag, count: -1, insertId: 0, failure: null }, false)
    }
    this.#pieces.push({ op, steps, failure: null, done })
    return true
  }

  #own(text: string): Step {
    return this.#shared.own(text)
  }

  #addStatement(op: Op): boolean {
    const { words, session } = this.#shared
    const transaction = this.#transaction
    const refusal = transaction.readOnly ? words.refusesToWrite(op) : null
    if (refusal !== null) return this.#fail(op, refusal)
    const step = new Step(op.stmt, op)
    // It ran: its answer goes to the engine, and what it did to the session is remembered.
    const done = (): void => {
      session.note(this.#view, op)
      if (this.#alone) [, transaction.cursor = transaction.cursor] = /^DECLARE (\S+)/.exec(op.stmt.text) ?? []
      this.#job.answerBy(op, step, this.#view.transaction === null)
    }
    this.#pieces.push({ op, steps: [step], failure: null, done })
    return true
  }

  /** Control where nothing of the transaction is on the server: it has no savepoint, or not any more, or was not begun. */
  #addAnswered(op: Op, control: ControlText): boolean {
    const { kind } = control
    const outside = this.#alone && !this.#loose && 'name' in control
    const failure = outside ? this.#shared.words.outside(kind, control.name) : null
    if (failure !== null) return this.#fail(op, failure)
    return this.#push(op, this.#gone && kind === 'commit' ? 'rollback' : kind, [], () => {
      if (kind === 'begin') this.#view.transaction = this.#transaction
      else if (kind === 'commit' || kind === 'rollback') this.#view.transaction = null
    })
  }

  #readOnly(wanted: boolean): Step[] {
    const { readOnly } = this.#shared.words
    return wanted && readOnly !== null ? [this.#own(readOnly)] : []
  }

  #addBegin(op: Op, readOnly: boolean): void {
    const { savepoints, session, words } = this.#shared
    const transaction = this.#transaction
    // A second BEGIN does nothing on a server either.
    if (!this.#begins) {
      this.#push(op, 'begin', [])
      return
    }
    transaction.readOnly = readOnly && words.readOnly === null
    const deferral = savepoints.top === undefined ? (session.constraints?.deferral() ?? []) : []
    this.#push(op, 'begin', [...deferral, ...this.#readOnly(readOnly)], () => {
      savepoints.open(this.#view, transaction.savepoint, this.#inForce)
      this.#view.transaction = transaction
    })
  }

  #addEnd(op: Op, commit: boolean): void {
    const { savepoints, session } = this.#shared
    const { savepoint: name } = this.#transaction
    const keep = commit && !this.#failed
    const savepoint = savepoints.find(this.#view, name)
    const steps: Step[] = []
    if (keep && savepoints.bottom?.view === this.#view) steps.push(...(session.constraints?.check() ?? []))
    if (!keep) steps.push(...this.#shared.undo(name))
    else if (savepoint === undefined || !savepoints.covered(savepoint))
      steps.push(this.#own(`RELEASE SAVEPOINT ${name}`))
    this.#push(op, keep ? 'commit' : 'rollback', steps, () => this.#ended(keep))
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
    const { savepoints, session, words, engine } = this.#shared
    const back = kind === 'rollback to'
    const makes = kind === 'savepoint'
    const savepoint = makes ? undefined : savepoints.find(this.#view, name)
    const covered = kind === 'release' && savepoint !== undefined && savepoints.covered(savepoint)
    const known = makes ? newSavepoint() : savepoint?.known
    // One that is not there is an error of the server.
    const step = known === undefined ? new Step(op.stmt, op) : this.#own(engine.dialect[members[kind]](known))
    if (back) this.#failed = false
    this.#push(op, kind, covered ? [] : [step], () => {
      const now = savepoints.find(this.#view, name)
      if (known !== undefined && makes) {
        if (words.lenient && now !== undefined) now.name = ''
        savepoints.open(this.#view, name, session.inForce, known)
      } else if (now !== undefined && !back) savepoints.release(now)
      else if (now !== undefined) {
        this.#shared.wentBack(now, true)
        this.#transaction.failed = false
      }
    })
  }
}

function newSavepoint(): string {
  return `genever_sandbox_${++savepointsMade}`
}
