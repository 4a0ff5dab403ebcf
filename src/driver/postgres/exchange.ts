// One unit on its way: writes its messages with one Sync at the end, routes the answers to its operations and settles them
// when the server is ready again. The session makes one for each unit and feeds it. It owns no socket and no timer, and
// decides alone what became of an operation that failed (its outcome).
import { type Failure, type Op, OpState, parseOnly } from '../driver.ts'
import { ProtocolError } from '../../errors/index.ts'
import type { Field } from '../../sql/compiled.ts'
import { isMisfit, misfit } from './rows/decoder.ts'
import type { Bytes } from './rows/field-reader.ts'
import { encodeAll } from './encode.ts'
import type { MessageWriter } from './message-writer.ts'
import type { NameSpace } from './name-space.ts'
import type { Fields, Status, UnitState } from './outcome.ts'
import * as outcome from './outcome.ts'
import { dropsPrepared, type PreparedCache } from './prepared.ts'
import { countsRows, lookupFor, noteTag, Phase, runs, type Step } from './step.ts'
import type { Int8 } from './rows/type-table.ts'
import { type TypeBook, typeLookup, type TypeRow } from './type-book.ts'

/** What an exchange needs of its session. */
export interface ExchangeHost {
  readonly writer: MessageWriter
  readonly prepared: PreparedCache
  readonly int8: Int8
  readonly types: TypeBook
  readonly names: NameSpace
  /** Put before the names of statements; two sessions on one server process must not meet. */
  readonly prefix: string
  /** Sends what the writer holds. */
  flush(): void
}

function outOfPlace(name: string): ProtocolError {
  return new ProtocolError(`${name} out of place`)
}

export class Exchange {
  ops: readonly Op[]
  /** The session's own: nobody is told that the connection is free. */
  readonly internal: boolean
  readonly #host: ExchangeHost
  #before: Status = 'idle'
  /** How many statements are being closed in front. */
  #closing = 0
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

  constructor(host: ExchangeHost, ops: readonly Op[], internal: boolean) {
    this.#host = host
    this.ops = ops
    this.internal = internal
  }

  /** Looks up statements and writes parameters down. False: one could not be written, all have failed, nothing is sent. */
  plan(): boolean {
    this.#steps = this.#host.prepared.plan(this.ops, this.#host.prefix)
    for (let i = 0; i < this.#steps.length; i++) {
      try {
        ;(this.#steps[i] as Step).encodeEarly(this.ops.length, this.#host.types)
      } catch (cause) {
        this.#refused = true
        this.#failAt(i, cause)
        this.#host.names.unsend()
        return false
      }
    }
    return true
  }

  /** @param status What it was when its turn had come. */
  begin(status: Status): void {
    this.#before = status
    const closing = this.#host.prepared.takeClosing()
    this.#closing += closing.length
    for (const name of closing) this.#host.writer.closeStatement(name)
    this.#write()
  }

  parseComplete(): void {
    const step = this.#expect(Phase.parsed, 'ParseComplete')
    step.answered()
    const { entry, parse } = step
    if (entry !== null && parse && step.op.stmt !== typeLookup) this.#host.prepared.add(entry)
    if (step.due === 0 && step.op.maxRows === parseOnly) this.#complete()
  }

  parameterDescription(types: readonly number[]): void {
    const step = this.#expect(Phase.typed, 'ParameterDescription')
    step.answered()
    step.types = types
  }

  rowDescription(fields: readonly Field[]): void {
    const step = this.#steps[this.#at]
    if (step !== undefined && (step.due === Phase.simple || step.due === Phase.simpleMore)) {
      this.#expect(step.due, '')
      step.op.rows.length = 0
      step.received = 0
      step.due = Phase.simpleRows
      step.describe(fields, true, this.#host.int8)
    } else this.#described(fields, true)
  }

  noData(): void {
    this.#described([], false)
  }

  bindComplete(): void {
    this.#expect(Phase.bound, 'BindComplete').answered()
  }

  closeComplete(): void {
    if (this.#closing === 0) throw outOfPlace('CloseComplete')
    this.#closing--
  }

  /** A DataRow: the body of the message, from the count of its fields to before `end`. */
  dataRow(bytes: Buffer, at: number, end: number): void {
    const step = this.#steps[this.#at]
    if (step === undefined || !step.givesRows || this.#error !== null || this.#closing > 0) throw outOfPlace('DataRow')
    if (end < at + 2 || (((bytes[at] as number) << 8) | (bytes[at + 1] as number)) !== step.width) throw misfit()
    const { op, decoder } = step
    step.received++
    if (step.failure !== null || op.state === OpState.abandoned || decoder === null) return
    try {
      decoder.push(bytes as Bytes, at + 2, end, op.rows)
    } catch (cause) {
      if (isMisfit(cause)) throw cause
      step.failure = { kind: 'decode', outcome: 'unknown', cause }
    }
  }

  commandComplete(text: string): void {
    const copied = this.#steps[this.#at]?.due === Phase.copied
    const step = copied ? this.#expect(Phase.copied, '') : this.#ending('CommandComplete')
    const { op, received } = step
    noteTag(op, text)
    if (step.givesRows) {
      if (received !== op.count && countsRows(op)) throw new ProtocolError(`${received} rows, but ${text}`)
    } else if (op.stmt.cls === 'multi') op.rows.length = 0
    if (text === 'COMMIT') this.#committed = true
    if (dropsPrepared(text)) this.#host.prepared.clear()
    this.#complete()
  }

  portalSuspended(): void {
    const { op, received, due } = this.#ending('PortalSuspended')
    if (due !== Phase.running || received === 0 || op.maxRows !== received) throw outOfPlace('PortalSuspended')
    op.tag = ''
    op.count = received
    this.#complete()
  }

  emptyQuery(): void {
    if (this.#ending('EmptyQueryResponse').givesRows) throw outOfPlace('EmptyQueryResponse')
    this.#complete()
  }

  /** The server waits for data that nobody has. */
  copyIn(): void {
    const step = this.#ending('CopyInResponse')
    step.due = Phase.copyIn
    this.#host.writer.copyFail('COPY FROM STDIN is not supported')
    if (step.op.stmt.cls !== 'multi') this.#host.writer.sync()
    this.#host.flush()
  }

  copyOut(): void {
    const step = this.#ending('CopyOutResponse')
    step.due = Phase.copyOut
    step.failure = { kind: 'decode', outcome: 'unknown', cause: 'COPY TO STDOUT is not supported' }
  }

  copyData(): void {
    this.#expect(Phase.copyOut, 'CopyData')
  }

  copyDone(): void {
    this.#expect(Phase.copyOut, 'CopyDone').due = Phase.copied
  }

  errorResponse(fields: Fields): void {
    if (this.#error !== null) {
      if (fields['severity'] !== 'FATAL' && fields['severity'] !== 'PANIC') throw outOfPlace('ErrorResponse')
      this.#error = fields
      return
    }
    this.#error = fields
    this.#failedAt = Math.min(this.#at, this.#steps.length - 1)
    this.#stale = this.#steps[this.#failedAt]?.isStaleBy(fields, this.#host) ?? false
    if (!this.#synced) this.#sync()
  }

  /** @throws {ProtocolError} when a ReadyForQuery comes before all that was asked was answered. */
  checkReady(): void {
    if (this.#error !== null) return
    const step = this.#steps[this.#at]
    const over = step?.allEnded === true || ((step?.due ?? 0) === 0 && this.#at >= this.#written)
    if (!over || !this.#synced || this.#closing > 0) throw outOfPlace('ReadyForQuery')
  }

  /** ReadyForQuery. False: a stale plan outside a transaction, the unit goes out once more and is still in flight. */
  ready(status: Status): boolean {
    this.#host.names.ended(status, this.#error !== null)
    if (this.#mayRunAgain(status)) {
      this.#runAgain()
      return false
    }
    return true
  }

  /** Settles every operation in order. */
  settle(status: Status): void {
    const failed = this.#failedAt
    const rolledBackFrom = this.#error === null ? Infinity : outcome.implicitStart(this.#state, failed)
    this.#steps.forEach((step, i) => {
      const { op } = step
      if (i === failed)
        op.fail(
          step.failure?.kind === 'encode' ? step.failure : outcome.serverFailure(op, this.#error ?? {}, this.#state),
        )
      else if (this.#refused || (failed >= 0 && i > failed)) op.fail({ kind: 'skipped', outcome: 'not_started' })
      else if (i >= rolledBackFrom) op.fail({ kind: 'skipped', outcome: 'rolled_back' })
      else if (step.failure !== null)
        op.fail({ ...step.failure, outcome: outcome.decodeOutcome(op, status, this.#state) })
      else op.done()
    })
    for (const tell of this.#settled.splice(0)) tell()
  }

  /** The connection is gone: every operation fails with what is known of it. */
  lose(failure: Failure): void {
    const fields = failure.fields ?? this.#error
    const told = fields === null ? failure : { ...failure, fields }
    this.ops.forEach((op, i) => op.fail({ ...told, outcome: outcome.lossOutcome(this.#state, i) }))
    for (const tell of this.#settled.splice(0)) tell()
  }

  /** The server's last error. */
  get error(): Fields | null {
    return this.#error
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

  /** The step whose answer is due, if that is what comes now. @throws {ProtocolError} */
  #expect(phase: number, name: string): Step {
    const step = this.#steps[this.#at]
    if (step === undefined || (step.due & 15) !== phase || this.#error !== null || this.#closing > 0)
      throw outOfPlace(name)
    return step
  }

  /** The step that a message ends or turns into a COPY. */
  #ending(name: string): Step {
    const step = this.#steps[this.#at]
    if (step === undefined || this.#error !== null || this.#closing > 0 || !runs(step.due)) throw outOfPlace(name)
    return step
  }

  #described(fields: readonly Field[], rows: boolean): void {
    const step = this.#expect(Phase.described, rows ? 'RowDescription' : 'NoData')
    step.answered()
    step.describe(fields, rows, this.#host.int8)
    if (step.op.maxRows === parseOnly) this.#complete()
    else if (step.values === null) this.#write()
  }

  /** Writes what can be written: up to a statement that must be described first, else to the end. */
  #write(): void {
    const { writer } = this.#host
    for (; this.#written < this.#steps.length; this.#written++) {
      const step = this.#steps[this.#written] as Step
      const { stmt, params, maxRows } = step.op
      if (stmt.cls === 'multi') {
        writer.query(stmt.text)
        step.ask(Phase.simple)
        this.#synced = true
        continue
      }
      if (step.parse && !step.asked) step.askParse(writer)
      if (maxRows === parseOnly) continue
      if (step.values === null) {
        if (!step.asked) {
          step.askTypes(writer)
          this.#host.flush()
          return
        }
        if (this.#looksUp(step)) continue
        try {
          step.values = encodeAll(params, step.types, this.#host.types)
        } catch (cause) {
          this.#failAt(this.#written, cause)
          this.#sync()
          return
        }
      }
      step.askRun(writer, step.values, this.#host.int8)
      if (stmt === typeLookup) return this.#await()
    }
    if (this.#synced) this.#host.flush()
    else this.#sync()
  }

  /** Puts a look-up of the types that its parameters are for in front, to be written next: once for all sessions. */
  #looksUp(step: Step): boolean {
    const tried = this.#steps[this.#written - 1]?.op.stmt === typeLookup
    const lookup = tried ? null : lookupFor(step, this.#host.types, this.#host.prefix)
    if (lookup === null) return false
    this.#steps.splice(this.#written, 0, lookup)
    this.ops = this.#steps.map(({ op }) => op)
    this.#written--
    return true
  }

  /** What stands behind is written when it was answered. */
  #await(): void {
    this.#written++
    this.#host.writer.flush()
    this.#host.flush()
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
    if (this.plan()) this.begin('idle')
  }

  #complete(): void {
    const step = this.#steps[this.#at] as Step
    if (step.op.stmt.cls === 'multi') {
      step.received = 0
      step.ended++
      step.due = Phase.simpleMore
    } else {
      step.due = 0
      this.#at++
      if (step.op.stmt === typeLookup) {
        this.#host.types.learn(step.op.rows as TypeRow[])
        this.#host.writer.closeStatement(step.entry?.name ?? '')
        this.#closing++
        this.#write()
      }
    }
  }

  get #state(): UnitState {
    const { ops } = this
    return { ops, before: this.#before, committed: this.#committed, written: this.#written, synced: this.#synced }
  }
}
