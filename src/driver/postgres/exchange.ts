// One unit on its way: writes its messages with one Sync at the end, routes the answers to its operations and settles them
// when the server is ready again. The session makes one for each unit and feeds it. It owns no socket and no timer, and
// decides alone what became of an operation that failed (its outcome).
import { type Failure, type Op, OpState, type Outcome, parseOnly, type RawConnection } from '../driver.ts'
import { UsageError } from '../../errors/index.ts'
import type { Compiled, Field } from '../../sql/compiled.ts'
import type { Bytes } from './rows/field-reader.ts'
import { checkAll, encodeAll, mostDescribed, needsTypes } from './encode.ts'
import type { MessageWriter } from './message-writer.ts'
import { type Fields, isRetyped, isStale, type PreparedCache, type Step } from './prepared.ts'
import type { Int8 } from './rows/type-table.ts'

export type Status = RawConnection['status']

/** What an exchange needs of its session. */
export interface ExchangeHost {
  readonly writer: MessageWriter
  readonly prepared: PreparedCache
  readonly int8: Int8
  /** Put before the names of statements; two sessions on one server process must not meet. */
  readonly prefix: string
  /** Sends what the writer holds. */
  flush(): void
}

/** PGlite ends itself over it. */
const copyIn = /\bcopy\b.*\bfrom\s+stdin\b/is
const misfit = 'a row does not fit the description of its columns'

export class Exchange {
  readonly ops: readonly Op[]
  /** The session's own: nobody is told that the connection is free. */
  readonly internal: boolean
  readonly #host: ExchangeHost
  readonly #before: Status
  #steps: Step[] = []
  /** The step that is being answered, the next one to write. */
  #at = 0
  #written = 0
  #synced = false
  #refused = false
  #committed = false
  #error: Fields | null = null
  #failedAt = -1
  #stale = false
  #retried = false
  #settled: (() => void)[] = []

  constructor(host: ExchangeHost, ops: readonly Op[], before: Status, internal: boolean) {
    this.#host = host
    this.ops = ops
    this.#before = before
    this.internal = internal
  }

  /** Looks up statements and writes parameters down. False: one could not be written, all have failed, nothing is sent. */
  plan(): boolean {
    this.#steps = this.#host.prepared.plan(this.ops, this.#host.prefix)
    for (let i = 0; i < this.#steps.length; i++) {
      try {
        this.#encodeEarly(this.#steps[i] as Step)
      } catch (cause) {
        this.#refused = true
        this.#failAt(i, cause)
        return false
      }
    }
    return true
  }

  begin(): void {
    for (const name of this.#host.prepared.takeClosing()) this.#host.writer.closeStatement(name)
    this.#write()
  }

  parseComplete(): void {
    const { entry, parse } = this.#step
    if (entry !== null && parse) this.#host.prepared.add(entry)
  }

  parameterDescription(types: readonly number[]): void {
    this.#step.types = types
  }

  /** RowDescription, or NoData as no fields. */
  rowDescription(fields: readonly Field[]): void {
    const step = this.#step
    if (step.op.stmt.cls === 'multi') step.op.rows.length = 0
    step.describe(fields, this.#host.int8)
    if (step.op.maxRows === parseOnly) this.#complete()
    else if (step.values === null) this.#write()
  }

  /** A DataRow: the body of the message, from the count of its fields to before `end`. */
  dataRow(bytes: Buffer, at: number, end: number): void {
    const step = this.#step
    const { op, decoder } = step
    step.received++
    if (step.failure !== null || op.state === OpState.abandoned) return
    try {
      const count = ((bytes[at] as number) << 8) | (bytes[at + 1] as number)
      if (decoder !== null && decoder.width === count) decoder.push(bytes as Bytes, at + 2, end, op.rows)
      else {
        step.failure = { kind: 'protocol', outcome: 'unknown', cause: misfit }
        if (step.entry !== null) this.#host.prepared.forget(step.entry)
      }
    } catch (cause) {
      step.failure = { kind: 'decode', outcome: 'unknown', cause }
    }
  }

  commandComplete(text: string): void {
    const { op, received } = this.#step
    let end = text.length
    while (end > 0 && text.charCodeAt(end - 1) >= 48 && text.charCodeAt(end - 1) <= 57) end--
    op.count = end === text.length ? -1 : Number(text.slice(end))
    op.tag = end === text.length ? text : text.startsWith('INSERT') ? 'INSERT' : text.slice(0, end - 1)
    if (op.stmt.cls === 'multi' && received === 0) op.rows.length = 0
    if (text === 'COMMIT') this.#committed = true
    if (text === 'DEALLOCATE ALL' || text === 'DISCARD ALL') this.#host.prepared.clear()
    this.#complete()
  }

  portalSuspended(): void {
    const { op, received } = this.#step
    op.tag = ''
    op.count = received
    this.#complete()
  }

  emptyQuery(): void {
    this.#complete()
  }

  /** The server waits for data that nobody has. */
  copyIn(): void {
    this.#host.writer.copyFail('COPY FROM STDIN is not supported')
    if (this.#step.op.stmt.cls !== 'multi') this.#host.writer.sync()
    this.#host.flush()
  }

  copyOut(): void {
    this.#step.failure = { kind: 'decode', outcome: 'unknown', cause: 'COPY TO STDOUT is not supported' }
  }

  errorResponse(fields: Fields): void {
    if (this.#error === null) {
      this.#error = fields
      this.#failedAt = Math.min(this.#at, this.#steps.length - 1)
      this.#stale = this.#forgetStale(fields)
    }
    if (!this.#synced) this.#sync()
  }

  /** ReadyForQuery. False: a stale plan outside a transaction, the unit goes out once more and is still in flight. */
  ready(status: Status): boolean {
    if (this.#mayRunAgain(status)) {
      this.#runAgain()
      return false
    }
    return true
  }

  /** Settles every operation in order. */
  settle(status: Status): void {
    const failed = this.#failedAt
    const rolledBackFrom = this.#error === null ? Infinity : this.#implicitStart(failed)
    this.#steps.forEach((step, i) => {
      const { op } = step
      if (i === failed) op.fail(step.failure?.kind === 'encode' ? step.failure : this.#serverFailure(op))
      else if (this.#refused || (failed >= 0 && i > failed)) op.fail({ kind: 'skipped', outcome: 'not_started' })
      else if (i >= rolledBackFrom) op.fail({ kind: 'skipped', outcome: 'rolled_back' })
      else if (step.failure !== null) op.fail({ ...step.failure, outcome: this.#decodeOutcome(op, status) })
      else op.done()
    })
    this.#tellSettled()
  }

  /** The connection is gone: every operation fails with what is known of it. */
  lose(failure: Failure): void {
    const fields = failure.fields ?? this.#error
    const told = fields === null ? failure : { ...failure, fields }
    this.#steps.forEach((step, i) => step.op.fail({ ...told, outcome: this.#lossOutcome(i) }))
    this.#tellSettled()
  }

  get failed(): boolean {
    return this.#error !== null || this.#steps.some(({ failure }) => failure !== null)
  }

  /** True when the server said that it stopped the operation because it was asked to. */
  wasCancelled(op: Op): boolean {
    return this.#error?.['code'] === '57014' && this.#steps[this.#failedAt]?.op === op
  }

  whenSettled(told: () => void): void {
    this.#settled.push(told)
  }

  #tellSettled(): void {
    for (const told of this.#settled.splice(0)) told()
  }

  get #step(): Step {
    return this.#steps[Math.min(this.#at, this.#steps.length - 1)] as Step
  }

  #encodeEarly(step: Step): void {
    const { stmt, params } = step.op
    if (step.parse && stmt.text.includes('\0')) throw new UsageError('The SQL text holds a NUL character.')
    if (stmt.cls === 'multi' && (this.ops.length > 1 || params.length > 0)) {
      throw new UsageError('Several statements in one text take no parameters and no company.')
    }
    if ((stmt.verb === 'COPY' || stmt.cls === 'multi') && copyIn.test(stmt.text)) {
      throw new UsageError('COPY FROM STDIN is not supported: there is nothing to read from.')
    }
    step.describable = params.length <= mostDescribed && stmt.cls !== 'control'
    const open = step.describable && needsTypes(params)
    const types = step.entry?.shape?.params ?? stmt.shape?.params ?? null
    if (open && step.parse) step.declared = types
    if (!open || types !== null) step.values = encodeAll(params, types)
    else checkAll(params)
  }

  /** Writes what can be written: up to a statement that must be described first, else to the end. */
  #write(): void {
    const { writer } = this.#host
    for (; this.#written < this.#steps.length; this.#written++) {
      const step = this.#steps[this.#written] as Step
      const { stmt, params, maxRows } = step.op
      if (stmt.cls === 'multi') {
        writer.query(stmt.text)
        this.#synced = true
        continue
      }
      const name = step.entry?.name ?? ''
      if (step.parse && !step.asked) {
        writer.parse(name, stmt.text, step.declared)
        if (step.describable) writer.describeStatement(name)
      }
      if (maxRows === parseOnly) continue
      if (step.values === null) {
        if (!step.asked) {
          step.asked = true
          if (!step.parse) writer.describeStatement(name)
          writer.flush()
          this.#host.flush()
          return
        }
        try {
          step.values = encodeAll(params, step.types)
        } catch (cause) {
          this.#failAt(this.#written, cause)
          this.#sync()
          return
        }
      }
      writer.bind(name, step.values)
      if (!this.#isDescribed(step)) writer.describePortal()
      writer.execute(maxRows)
    }
    if (this.#synced) this.#host.flush()
    else this.#sync()
  }

  #isDescribed(step: Step): boolean {
    if (step.asked || step.op.stmt.cls === 'control') return true
    return step.parse ? step.describable : step.knowsResult(this.#host.int8)
  }

  #sync(): void {
    this.#synced = true
    this.#host.writer.sync()
    this.#host.flush()
  }

  #failAt(index: number, cause: unknown): void {
    this.#failedAt = index
    const step = this.#steps[index]
    if (step !== undefined) step.failure = { kind: 'encode', outcome: 'not_started', cause }
  }

  /** Nothing before the stale statement may outlive the error, and no transaction may be open. */
  #mayRunAgain(status: Status): boolean {
    if (!this.#stale || this.#retried) return false
    const clean = this.#before === 'idle' && status === 'idle'
    return clean && this.#steps.slice(0, this.#failedAt).every(({ op }) => op.stmt.cls !== 'control')
  }

  /** What was known of the failed statement no longer holds: it is described anew when it runs next. */
  #forgetStale(fields: Fields): boolean {
    const step = this.#steps[this.#failedAt]
    if (step === undefined) return false
    const { entry, parse, declared, op } = step
    const retyped = isRetyped(fields) && (declared !== null || !parse)
    if (retyped) op.stmt.shape = null
    if (entry === null || parse) return retyped
    if (!retyped && !isStale(fields)) return false
    this.#host.prepared.forget(entry)
    return true
  }

  #runAgain(): void {
    this.#retried = true
    this.#stale = false
    this.#error = null
    this.#failedAt = -1
    this.#at = 0
    this.#written = 0
    this.#synced = false
    for (const op of this.ops) {
      op.rows.length = 0
      op.tag = ''
      op.count = -1
    }
    if (this.plan()) this.begin()
  }

  #complete(): void {
    if (this.#step.op.stmt.cls === 'multi') this.#step.received = 0
    else this.#at++
  }

  #serverFailure(op: Op): Failure {
    const fields = this.#error ?? {}
    const { cls } = op.stmt
    const alone = this.#before === 'idle' && !this.ops.some(({ stmt }) => begins(stmt))
    const partly = (cls === 'multi' && this.#committed) || (cls === 'alone' && alone)
    return { kind: 'server', outcome: partly || fields['code'] === '40003' ? 'unknown' : 'rolled_back', fields }
  }

  #decodeOutcome(op: Op, status: Status): Outcome {
    const kept = status === 'idle' && (this.#committed || !this.ops.some(({ stmt }) => ends(stmt)))
    return kept && op.stmt.cls !== 'read' ? 'committed' : 'rolled_back'
  }

  /** The first of the operations before `end` that an error takes back because they had no transaction of their own. */
  #implicitStart(end: number): number {
    let start = this.#before === 'idle' ? 0 : Infinity
    this.ops.slice(0, end).forEach(({ stmt }, i) => {
      if (begins(stmt)) start = Infinity
      else if (ends(stmt)) start = i + 1
    })
    return start
  }

  #lossOutcome(index: number): Outcome {
    if (this.#written <= index && !this.#synced) return 'not_started'
    const stmts = this.ops.map(({ stmt }) => stmt)
    const endsAt = stmts.findIndex(ends)
    const end = stmts[endsAt]
    // Without an end nothing was kept of a transaction, nor of what had no Sync yet to commit it.
    if (end === undefined) {
      const open = this.#before !== 'idle' || stmts.some(begins) || !this.#synced
      return open && !stmts.some(({ cls }) => cls === 'alone') ? 'rolled_back' : 'unknown'
    }
    const undone = index <= endsAt && end.cls === 'control' && (this.#before === 'failed' || !commits(end))
    return undone ? 'rolled_back' : 'unknown'
  }
}

function begins({ cls, verb }: Compiled): boolean {
  return cls === 'control' && (verb === 'BEGIN' || verb === 'START')
}

function commits({ cls, verb }: Compiled): boolean {
  return cls === 'control' && (verb === 'COMMIT' || verb === 'END' || verb === 'PREPARE')
}

/** Ends the transaction either way; ROLLBACK TO only ends a savepoint, several statements in one text may do anything. */
function ends(stmt: Compiled): boolean {
  if (commits(stmt) || (stmt.cls === 'multi' && stmt.hasControl)) return true
  return stmt.cls === 'control' && /^(ROLLBACK|ABORT)$/.test(stmt.verb) && !/\bTO\b/i.test(stmt.text)
}
