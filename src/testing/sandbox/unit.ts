// A unit of the engine on the shared connection, operation by operation. BEGIN becomes a savepoint, COMMIT releases it, ROLLBACK goes
// back to it, and a savepoint of the user gets a name that no other view has. Statements run with the settings of their view, outside of a
// transaction in a savepoint that is gone afterwards. A failure is taken back to the innermost savepoint, so that the server's
// transaction stays usable for others, while the view counts as failed until its own end.
import type { Failure, Op } from '../../driver/driver.ts'
import { EngineOp } from '../../engine/query/op.ts'
import { TransactionStateError } from '../../errors/index.ts'
import type { ControlText, SavepointVerb } from '../../sql/control-text.ts'
import { isolationLevels } from '../../sql/dialect.ts'
import { allOk, firstFailure, refusedWith, type SandboxView, type Savepoint, Step } from './contract.ts'
import type { Job } from './job.ts'
import { abortedMessage, guard, type SharedConnection } from './shared.ts'

/** No rollback takes back what they did, where settings outlive one. */
const outlives: ReadonlySet<string> = new Set(['SET', 'USE'])
const rank = (level: string): number => isolationLevels.findIndex((each) => each === level)

export class ViewUnit {
  readonly #shared: SharedConnection
  readonly #view: SandboxView
  readonly #job: Job

  constructor(shared: SharedConnection, view: SandboxView, job: Job) {
    this.#shared = shared
    this.#view = view
    this.#job = job
  }

  /** … unless nobody waits for it any more. */
  async run(): Promise<void> {
    const { ops } = this.#job
    if (this.#shared.top === undefined) await this.#shared.words.cleanUp()
    for (let at = 0; at < ops.length && (at === 0 || this.#job.awaited);) {
      const { stmt } = ops[at] as Op
      const control = stmt.cls === 'control' ? this.#shared.words.control(stmt.text) : null
      const next = ops.findIndex((op, index) => index > at && (control !== null || op.stmt.cls === 'control'))
      const run = ops.slice(at, next < 0 ? ops.length : next)
      at += run.length
      if (this.#refuses(run, control)) return
      if (!(await (control === null ? this.#statements(run) : this.#control(run[0] as Op, control)))) return
    }
  }

  /** Whether one of them cannot run, which is answered without sending any. */
  #refuses(ops: readonly Op[], control: ControlText | null): boolean {
    for (const op of ops) {
      const refusal = this.#shared.words.refusal(this.#view, op) ?? this.#advice(op, control) ?? this.#aborted(control)
      if (refusal === null) continue
      const text = typeof refusal === 'string' ? `${refusal} (The sandbox was opened at ${this.#shared.place}.)` : ''
      const error = new TransactionStateError(text, { statement: { sql: op.stmt.text } })
      this.#job.answer(op, typeof refusal === 'string' ? refusedWith(error) : refusal)
      return true
    }
    return false
  }

  /** The failure of what a transaction does not take any more. */
  #aborted(control: ControlText | null): Failure | null {
    const { failed = null, savepoint = null } = this.#view.transaction ?? {}
    const taken = savepoint === null ? /^(?:commit|rollback|rollback to|release)$/ : /^(?:commit|rollback|rollback to)$/
    if (failed === null || (control !== null && taken.test(control.kind))) return null
    return this.#shared.words.aborted(failed)
  }

  #advice({ stmt }: Op, control: ControlText | null): string | null {
    const { isolation } = this.#shared
    if (stmt.cls === 'multi' && stmt.hasControl)
      return (
        'Transaction control among several statements in one text cannot run in a sandbox. Run them one by one, or use ' +
        'transaction(work).'
      )
    if (control?.kind === 'other')
      return `${control.what} cannot run in a sandbox, which never commits. Test it outside of one.`
    if (control?.kind !== 'begin' && control?.kind !== 'modes') return null
    if (control.isolation !== null && rank(control.isolation) > rank(isolation))
      return (
        `A transaction asked for the isolation level "${control.isolation}", but the sandbox around it has "${isolation}". ` +
        `Open the sandbox with { isolation: '${control.isolation}' }.`
      )
    return control.kind === 'begin' ? this.#tooLate() : null
  }

  /** A transaction begins inside of one that runs inside of it: it would take that one's statements back with its own. */
  #tooLate(): string | null {
    const { top } = this.#shared
    const { holding } = this.#job
    const at = top === undefined || this.#view.transaction !== null ? -1 : holding.indexOf(top)
    if (top === undefined || at < 0 || holding.indexOf(this.#view) < at) return null
    return (
      `The ${this.#view.describe()} would run its first statement inside of the ${top.describe()}, which runs inside of it. In a ` +
      'sandbox they are savepoints of one connection: run a statement in the outer one first.'
    )
  }

  /** False: it failed, and what follows does not run. */
  async #control(op: Op, control: ControlText): Promise<boolean> {
    if ('name' in control) return this.#inner(op, control.kind, control.name)
    if (!('readOnly' in control)) return this.#end(op, control.kind === 'commit')
    const { readOnly } = this.#shared.words
    const modes = control.readOnly && readOnly !== null ? [this.#shared.own(readOnly)] : []
    return control.kind === 'begin' ? this.#begin(op, control.readOnly, modes) : this.#sends(op, 'modes', null, modes)
  }

  async #begin(op: Op, readOnly: boolean, modes: readonly Step[]): Promise<boolean> {
    const { words, top } = this.#shared
    // A second BEGIN does nothing on a server either.
    if (this.#view.transaction !== null) return this.#says(op, 'begin')
    const savepoint = this.#loose ? null : this.#shared.savepoint(this.#view)
    const refuses = readOnly && words.readOnly === null
    this.#view.transaction = { savepoint, failed: null, readOnly: refuses, cursor: '' }
    if (savepoint === null) return this.#says(op, 'begin')
    const begun = this.#sends(op, 'begin', savepoint, [...(top === undefined ? words.deferral() : []), ...modes])
    if (!(await begun) && this.#shared.find(this.#view) !== savepoint) this.#view.transaction = null
    return begun
  }

  /**
   * Whether it opens the transaction that a cursor has for itself when it is iterated outside of one. That has no savepoint and holds
   * nobody up, because its loop may run statements on other connections: its statements stand for themselves.
   */
  get #loose(): boolean {
    return this.#job.ops.some((op) => op instanceof EngineOp && (op.transaction?.cursor ?? null) !== null)
  }

  /** Sends control, which begins with a savepoint or makes none. */
  async #sends(op: Op, kind: string, savepoint: Savepoint | null, others: readonly Step[] = []): Promise<boolean> {
    const steps = savepoint === null ? others : [this.#shared.own(`SAVEPOINT ${savepoint.known}`), ...others]
    await this.#shared.send(steps)
    if (savepoint !== null && steps[0]?.ok === true) this.#shared.stack.push(savepoint)
    if (allOk(steps)) return this.#says(op, kind)
    this.#job.answer(op, firstFailure(steps))
    await this.#recover()
    return false
  }

  /** The control did what it should. */
  #says(op: Op, kind: string): true {
    const { started } = this.#shared.words
    const plain = op.stmt.verb === 'START' ? started : kind.toUpperCase()
    const tag = kind === 'modes' ? 'SET' : kind === 'rollback to' ? 'ROLLBACK' : plain
    this.#job.answerBy(op, { tag, count: -1, shape: null, insertId: 0, failure: null }, false)
    return true
  }

  async #end(op: Op, commit: boolean): Promise<boolean> {
    const { words, stack } = this.#shared
    const { savepoint = null, failed = null, cursor = '' } = this.#view.transaction ?? {}
    const keep = commit && failed === null
    await this.#shared.closeCursor(cursor)
    const check = keep && stack[0] === savepoint ? words.check() : []
    const released = savepoint !== null && keep ? await this.#shared.release(savepoint, check) : []
    const failure = firstFailure(released)
    if (savepoint !== null && (!keep || failure !== null)) await this.#shared.goBack(savepoint, false)
    this.#view.transaction = null
    this.#says(op, keep ? 'commit' : 'rollback')
    if (failure !== null) this.#job.answer(op, failure)
    else if (savepoint !== null && keep) words.committed(this.#view, this.#shared.top === undefined)
    return failure === null
  }

  async #inner(op: Op, kind: SavepointVerb, name: string): Promise<boolean> {
    const { transaction } = this.#view
    const { words, stack } = this.#shared
    const outside = transaction === null ? words.outside(kind) : null
    if (outside !== null) {
      this.#job.answer(op, outside)
      return false
    }
    if (transaction === null ? kind === 'savepoint' : transaction.savepoint === null) return this.#says(op, kind)
    const savepoint = this.#shared.find(this.#view, name)
    if (kind === 'savepoint') {
      if (words.lenient && savepoint !== undefined) stack.splice(stack.indexOf(savepoint), 1)
      return this.#sends(op, kind, this.#shared.savepoint(this.#view, name))
    }
    // One that is not there is an error of the server.
    if (savepoint === undefined) return this.#statements([op])
    if (kind === 'release') await this.#shared.release(savepoint)
    else {
      await this.#shared.goBack(savepoint, true)
      if (transaction !== null) transaction.failed = null
    }
    return this.#says(op, kind)
  }

  /** Statements without control among them. `again`: they may run a second time, as drivers do by themselves outside of a transaction. */
  async #statements(ops: readonly Op[], again = true): Promise<boolean> {
    const { words, top, engine } = this.#shared
    const { transaction } = this.#view
    const alone = (transaction?.savepoint ?? null) === null
    // Where another view has opened something inside of this one's savepoint, going back must not undo that.
    const base = alone || top !== this.#view ? this.#shared.savepoint(this.#view, '', guard) : null
    const save = base === null ? [] : [this.#shared.own(`SAVEPOINT ${guard}`)]
    const settings = words.stepsFor(this.#view, ops)
    const steps = ops.map((op) => new Step(op.stmt, op))
    const check = alone && top === undefined && ops.some(({ stmt }) => stmt.verb === 'SET') ? words.check() : []
    const tail = base === null ? [] : [...check, this.#shared.own(`RELEASE SAVEPOINT ${guard}`)]
    await this.#send([...save, ...settings], steps, [...words.behind(ops), ...tail])
    if (allOk([...save, ...settings])) words.applied(this.#view, ops)
    const undone = base !== null && !allOk(tail)
    const reason = firstFailure([...save, ...settings, ...steps, ...tail])
    if (undone && allOk(save)) await this.#shared.goBack(base, false)
    const { kind } = engine.dialect.explain(reason?.fields ?? {})
    // A plan made before the tables changed.
    if (alone && undone && again && (kind === 'stale-plan' || kind === 'lost-statement') && this.#job.awaited) {
      for (const { rows, results } of steps) for (const answer of [rows, results ?? []]) answer.length = 0
      return this.#statements(ops, false)
    }
    const ran = this.#tell(steps, undone, reason)
    if (undone && transaction !== null && !words.lenient) transaction.failed = abortedMessage
    if (!undone && !ran) await this.#recover()
    return ran
  }

  /** Sends all as one unit; several statements in one text, or a COPY, share no Sync with others. */
  async #send(head: readonly Step[], steps: readonly Step[], tail: readonly Step[]): Promise<void> {
    if (steps.some(({ stmt, copy }) => stmt.cls === 'multi' || copy !== null)) {
      await this.#shared.send(head)
      if (this.#job.awaited && allOk(head)) await this.#shared.send(steps)
      if (allOk(steps)) await this.#shared.send(tail)
    } else await this.#shared.send([...head, ...steps, ...tail])
  }

  /** Answers every operation but those behind the first that did not run. `undone`: what ran was taken back. False: not all ran. */
  #tell(steps: readonly Step[], undone: boolean, reason: Failure | null): boolean {
    const { words } = this.#shared
    let broken = false
    for (const step of steps) {
      const op = step.of as Op
      const ran = step.ok || (!undone && step.failure?.kind === 'decode')
      if (ran && (!undone || (words.lenient && outlives.has(op.stmt.verb)))) this.#ran(op, step)
      else if (ran) this.#job.answer(op, { kind: 'skipped', outcome: 'rolled_back' })
      else if (!broken && reason !== null) this.#job.answer(op, reason)
      broken ||= !ran
    }
    if (undone && !broken) this.#job.answer(steps.at(-1)?.of as Op, reason)
    return !undone && !broken
  }

  /** A statement ran: its answer goes to the engine, and what it did to the session is remembered. */
  #ran(op: Op, step: Step): void {
    const { transaction } = this.#view
    this.#shared.words.note(this.#view, op)
    if (transaction?.savepoint === null)
      [, transaction.cursor = transaction.cursor] = /^DECLARE (\S+)/.exec(op.stmt.text) ?? []
    this.#job.answerBy(op, step, transaction === null)
  }

  /** Makes the server's transaction usable again after a failure that no guard has undone. */
  async #recover(): Promise<void> {
    if (this.#shared.raw.status !== 'failed') return
    const savepoint = this.#shared.find(this.#view)
    if (savepoint !== undefined) await this.#shared.goBack(savepoint, true)
    if (this.#view.transaction !== null) this.#view.transaction.failed = abortedMessage
  }
}
