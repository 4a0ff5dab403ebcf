// One unit on its way: writes its messages with one Sync at the end, routes the answers to its operations and settles them when the server
// is ready again. The session feeds the one at its head. It owns no socket and no timer, and decides alone what became of a failed operation.
import { type Failure, type Op, OpState, parseOnly } from '../driver.ts'
import { ProtocolError } from '../../errors/index.ts'
import type { Field } from '../../sql/compiled.ts'
import { giveData, takeData } from './copying.ts'
import { type Encoded, encodeAll } from '../../postgres/encode.ts'
import { type Answered, outOfPlace } from './message-reader.ts'
import type { Fields, Status, UnitState } from './outcome.ts'
import * as outcome from './outcome.ts'
import { dropsPrepared } from './prepared/prepared-cache.ts'
import { beginRows, endRows, isSimple } from './rows/several.ts'
import { takeRows } from './rows/take-rows.ts'
import { clear, commitsAlone, countsRows, isRepeatable, mayJoin, movesNames, noteTag, standsLast } from './op-rules.ts'
import { Phase, runs, type Step } from './step.ts'
import { isLookup, putLookup, tookTypes } from './type-lookup.ts'
import type { ExchangeHost } from './wire.ts'

export class Exchange implements Answered {
  /** What was asked for, and what had to be looked up for it. */
  ops: readonly Op[]
  #steps: Step[] = []
  #asked: readonly Op[]
  /** The same, once others have joined. */
  #joined: Op[] | null = null
  /** The session's own: nobody is told that the connection is free. */
  readonly internal: boolean
  sent = false
  /** Called when it comes to the head of the queue. */
  leading: (() => void) | null = null
  readonly #host: ExchangeHost
  #before: Status = 'idle'
  /** How many statements are being closed in front. */
  #closing = 0
  /** The step that is being answered, the next one to write. */
  #at = 0
  #written = 0
  #synced = false
  /** Where its Sync ends in what was written. */
  #end = 0
  #committed = false
  #error: Fields | null = null
  /** Why the session ends. */
  #farewell: Fields | null = null
  #failedAt = -1
  #stale = false
  #tries = 0
  #settled: (() => void)[] | null = null
  /** The server takes data, unless that has ended. */
  #data: { stop(): void } | null = null

  constructor(host: ExchangeHost, ops: readonly Op[], by: 'caller' | 'session') {
    this.#host = host
    this.ops = ops
    this.#asked = ops
    this.internal = by === 'session'
  }

  /** Looks up statements and writes parameters down. False: one could not be written, all have failed, nothing is sent. */
  plan(): boolean {
    this.#steps = this.#host.prepared.plan(this.ops, this.#host, this.#tries)
    for (let i = 0; i < this.#steps.length; i++) {
      try {
        ;(this.#steps[i] as Step).encodeEarly(this.ops.length, this.#host)
      } catch (cause) {
        const { prepared, names, types } = this.#host
        prepared.dropUnparsed(this.#steps)
        if (movesNames(this.#steps)) names.unsend()
        // A column may have another type by now: the server is asked before a value is refused.
        if (prepared.doubts(this.#steps[i] as Step, types)) return this.plan()
        this.#failAt(i, cause)
        return false
      }
    }
    return true
  }

  /** Writes it. @param status What it is now: what is in flight before changes it from `tx` to `failed` at most. */
  begin(status: Status): void {
    this.sent = true
    this.#before = status
    this.#closing += this.#host.prepared.close(this.#host, status, this.ops)
    this.#write()
  }

  /** Puts one more behind the others. False: some of it has gone out, or something was written behind. */
  join(op: Op, opening: boolean): boolean {
    const { writer, prepared } = this.#host
    if (writer.end !== this.#end || this.ops !== this.#asked) return false
    if (!mayJoin(this.ops, op, opening, this.#joined !== null)) return false
    const step = opening ? prepared.joining(op, this.#host) : prepared.known(op)
    if (step?.encodes(this.#host) !== true || step.needsTypes) return false
    writer.unsync()
    this.#synced = false
    this.#joined ??= this.#asked = this.ops = [...this.ops]
    this.#joined.push(op)
    this.#steps.push(step)
    op.state = OpState.sent
    this.#write()
    return true
  }

  /** It is at the head of the queue: what comes is for it. @param status What the one before has left. */
  lead(status: Status): void {
    this.#before = status
    this.leading?.()
  }

  /** All of it was written, with its Sync. */
  get synced(): boolean {
    return this.#synced
  }

  parseComplete(): void {
    const step = this.#expect(Phase.parsed, 'ParseComplete')
    step.answered()
    if (step.entry !== null) step.entry.parsed = true
    if (step.due === 0 && step.maxRows === parseOnly) this.#complete()
  }

  parameterDescription(types: readonly number[]): void {
    const step = this.#expect(Phase.typed, 'ParameterDescription')
    step.answered()
    step.types = types
  }

  rowDescription(fields: readonly Field[]): void {
    const step = this.#steps[this.#at]
    if (step !== undefined && isSimple(step.due)) {
      this.#expect(step.due, '')
      beginRows(step, fields, this.#host)
    } else this.#described(fields, true)
  }

  noData(): void {
    this.#described([], false)
  }

  bindComplete(): void {
    this.#expect(Phase.bound, 'BindComplete').answered()
  }

  closeComplete(): void {
    if (this.#closing-- === 0) throw outOfPlace('CloseComplete')
  }

  dataRows(bytes: Buffer, from: number, to: number): number {
    const step = this.#steps[this.#at]
    if (step === undefined || !step.givesRows || this.#error !== null || this.#closing > 0) throw outOfPlace('DataRow')
    return takeRows(step, bytes, from, to, this.#host)
  }

  commandComplete(tag: string, count: number): void {
    const copied = this.#steps[this.#at]?.due === Phase.copied
    const step = copied ? this.#expect(Phase.copied, '') : this.#ending('CommandComplete')
    const { received } = step
    // The end of a COPY that never began: no row was taken or given.
    if (!copied && step.copy !== null) throw outOfPlace('CommandComplete')
    noteTag(step, tag, count)
    if (step.givesRows && received !== count && countsRows(tag, count, step.stmt))
      throw new ProtocolError(`${received} rows, but ${tag} ${count}`)
    if (step.stmt.cls === 'multi') endRows(step)
    if (tag === 'COMMIT') this.#committed = true
    else if (count < 0 && dropsPrepared(tag)) this.#host.prepared.clear()
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

  copyIn(): void {
    this.#data = takeData(this.#ending('CopyInResponse'), this.#host, () => this.#sync())
  }

  copyOut(): void {
    giveData(this.#ending('CopyOutResponse'), this.#host)
  }

  copyData(bytes: Buffer, at: number, end: number): void {
    const { op } = this.#expect(Phase.copyOut, 'CopyData')
    if (op.state !== OpState.abandoned) op.copy?.data(bytes.subarray(at, end))
  }

  copyDone(): void {
    this.#expect(Phase.copyOut, 'CopyDone').due = Phase.copied
  }

  errorResponse(fields: Fields): void {
    const last = outcome.endsSession(fields)
    // Behind the words of a server that ends the session a pooler may say so once more.
    if (this.#error !== null && !last && this.#farewell === null) throw outOfPlace('ErrorResponse')
    if (last) this.#farewell ??= fields
    if (this.#error !== null) return
    this.#error = fields
    this.#failedAt = Math.min(this.#at, this.#steps.length - 1)
    this.#stale = this.#steps[this.#failedAt]?.isStaleBy(fields, this.#host) ?? false
    this.#data?.stop()
    if (!this.#synced) this.#sync()
  }

  /** @throws {ProtocolError} when a ReadyForQuery comes too early, or says that what has run was not committed. */
  checkReady(status: Status): void {
    if (this.#error !== null) return
    const step = this.#steps[this.#at]
    const over = step?.allEnded === true || ((step?.due ?? 0) === 0 && this.#at >= this.#written)
    if (!over || !this.#synced || this.#closing > 0) throw outOfPlace('ReadyForQuery')
    if (status === 'idle' || !outcome.isStray(this.#before, this.ops)) return
    this.#before = status
    throw new ProtocolError(outcome.strayTransaction)
  }

  /**
   * ReadyForQuery. False: it has to be sent once more, since outside of a transaction a plan was stale or rows came in formats in which
   * they are not read, or since a stop was meant for another.
   * @param mayBeHit The server was asked to stop another unit, and has not answered yet: it may have stopped this one.
   */
  ready(status: Status, mayBeHit: boolean): boolean {
    if (this.#error !== null) this.#host.prepared.dropUnparsed(this.#steps)
    this.#host.names.ended(status, this.#error !== null, movesNames(this.#steps))
    const hit = mayBeHit && outcome.wasStopped(this.#error) && !this.ops.some(standsLast)
    this.sent = !(hit || this.#stale) || !this.#mayRunAgain(status)
    return this.sent
  }

  get steps(): readonly Step[] {
    return this.#steps
  }

  /** Settles every operation in order. */
  settle(status: Status): void {
    if (this.#failedAt >= 0) outcome.settleFailed(this.#steps, this.#failedAt, this.#error, status, this.#state)
    else
      for (const { op, failure } of this.#steps)
        if (failure === null) op.done()
        else op.fail({ ...failure, outcome: outcome.decodeOutcome(op, status, this.#state) })
    if (this.#settled !== null) for (const tell of this.#settled) tell()
  }

  /** The connection is gone: every operation fails with what is known. What a server refused that kept to the protocol is refused. */
  lose(failure: Failure): void {
    if (!this.sent) this.renew()
    const [error, state] = [this.#error, this.#state]
    const untold = error === null || error === this.#farewell || failure.kind === 'protocol'
    if (untold) outcome.loseAll(failure, error, state)
    else outcome.settleFailed(this.#steps, this.#failedAt, error, this.#committed ? 'idle' : 'failed', state)
    if (this.#settled !== null) for (const tell of this.#settled) tell()
  }

  get farewell(): Fields | null {
    return this.#farewell
  }

  get failed(): boolean {
    return this.#error !== null || this.#steps.some(({ failure }) => failure !== null)
  }

  /** True when the server said that it stopped the operation because it was asked to. */
  wasCancelled(op: Op): boolean {
    return outcome.wasStopped(this.#error) && this.#steps[this.#failedAt]?.op === op
  }

  whenSettled(told: () => void): void {
    ;(this.#settled ??= []).push(told)
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
    if (step.describe(fields, rows, this.#host)) this.#host.names.noticed()
    if (step.misread) this.#stale = this.ops.every(isRepeatable)
    if (step.maxRows === parseOnly) this.#complete()
    else if (step.asked) this.#write()
  }

  /** Writes what can be written: up to a statement that must be described first, else to the end. */
  #write(): void {
    const { writer } = this.#host
    for (; this.#written < this.#steps.length; this.#written++) {
      const step = this.#steps[this.#written] as Step
      const { stmt, params, maxRows } = step
      if (stmt.cls === 'multi' || (this.#closing === 0 && commitsAlone(this.ops))) {
        writer.query(stmt.text)
        step.ask(stmt.cls === 'multi' ? Phase.simple : Phase.running)
        this.#synced = true
        continue
      }
      if (step.parse && !step.asked) step.askParse(writer)
      if (maxRows === parseOnly) continue
      if (step.needsTypes) {
        if (!step.asked) {
          step.askTypes(writer)
          this.#host.flush()
          return
        }
        if (putLookup(this.#steps, this.#written, this.#host)) {
          this.ops = this.#steps.map(({ op }) => op)
          this.#written--
          continue
        }
        try {
          step.values = encodeAll(params, step.types, step.writing(this.#host.types))
        } catch (cause) {
          this.#failAt(this.#written, cause)
          this.#sync()
          return
        }
      }
      step.askRun(writer, step.values as Encoded[], this.#host)
      // A pooler that counts would wait for an answer to a Sync that the server takes for data.
      if (isLookup(stmt) || step.copy?.gives === true) return this.#await()
    }
    if (this.#synced) this.#host.flush()
    else this.#sync()
  }

  /** What stands behind is written when it was answered, or behind the data that the server takes. */
  #await(): void {
    this.#written++
    this.#host.writer.flush()
    this.#host.flush()
  }

  #sync(): void {
    const { writer } = this.#host
    this.#synced = true
    writer.sync()
    this.#end = writer.end
    this.#host.flush()
  }

  #failAt(index: number, cause: unknown): void {
    this.#failedAt = index
    ;(this.#steps[index] as Step).failure = { kind: 'encode', outcome: 'not_started', cause }
  }

  /** Nothing before the stale statement may outlive the error, and no transaction may be open. */
  #mayRunAgain(status: Status): boolean {
    const clean = this.#tries < 2 && this.#before === 'idle' && status === 'idle'
    return clean && this.#steps.slice(0, this.#failedAt).every(({ op }) => op.stmt.cls !== 'control')
  }

  /** It is sent once more: as if it had never been. */
  renew(): void {
    if (this.#error === null && !this.#stale) return
    this.#tries++
    this.#stale = false
    this.#error = this.#farewell = null
    this.#failedAt = -1
    this.#at = this.#written = 0
    this.#synced = false
    this.ops = this.#asked
    for (const op of this.ops) clear(op)
  }

  #complete(): void {
    const step = this.#steps[this.#at] as Step
    if (step.stmt.cls === 'multi') {
      step.received = 0
      step.ended++
      step.due = Phase.simpleMore
    } else {
      step.over()
      this.#at++
      if (tookTypes(step, this.#host)) {
        this.#closing++
        this.#write()
      }
    }
  }

  get #state(): UnitState {
    const [before, committed, written, synced] = [this.#before, this.#committed, this.#written, this.#synced]
    return { ops: this.ops, before, sent: this.sent, committed, written, synced }
  }
}
