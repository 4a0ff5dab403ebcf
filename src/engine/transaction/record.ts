// What the engine knows of one open transaction: an entry on the stack of a slot. It answers who may run inside and
// what is said when it has ended. How it ends is in `ending.ts`; users hold a `Transaction`.
import type { Failure } from '../../driver/driver.ts'
import { type Outcome, TransactionEndedError, TransactionStateError } from '../../errors/index.ts'
import { notice } from '../../observe/notice.ts'
import type { Place } from '../../observe/place.ts'
import type { Compiled } from '../../sql/compiled.ts'
import type { Fate, Follower, Within } from '../../sql/statement.ts'
import { ambientDefaults, isInside, type Link } from '../context/chain.ts'
import type { Frame } from '../context/frame.ts'
import type { Cursor } from '../query/cursor.ts'
import type { Engine } from '../engine.ts'
import { abortedBy, failureError, wasIdle } from '../query/failure.ts'
import type { Handle } from '../handle.ts'
import { reportEnd } from '../report.ts'
import type { EngineOp } from '../query/op.ts'
import type { QueryDefaults } from '../query/query-options.ts'
import type { Slot } from '../slot/slot.ts'
import type { Waiting } from '../slot/waiting.ts'
import { endedMessage } from './ended.ts'
import type { TransactionExit } from './exit.ts'
import { Followers } from './followers.ts'
import { Hooks } from './hooks.ts'
import type { TransactionOptions } from '../transaction-options.ts'
import { clock } from '../../util/clock.ts'

/**
 * - `open`: takes new work.
 * - `closing`: its callback has returned, or `commit()` was called. It runs what was issued before, and nothing else.
 * - `ending`: it is being committed or rolled back, and runs nothing.
 */
export type TransactionState = 'open' | 'closing' | 'ending' | 'committed' | 'rolled_back' | 'unknown'

/** A statement that failed inside. */
interface Spoiler {
  readonly failure: Failure
  readonly stmt: Compiled
}

export class TransactionRecord implements Within {
  /** Whether BEGIN or SAVEPOINT is on the server: it travels with the first statement. */
  wire: 'none' | 'sent' | 'open' | 'ending' = 'none'
  state: TransactionState = 'open'
  /** For events; 0 until somebody listened to its beginning. */
  id = 0
  decision: TransactionExit | null = null
  /** The first statement that failed inside. */
  firstFailure: Failure | null = null
  /** The first statement that failed after the callback had returned. */
  lateFailure: Failure | null = null
  /** Why nothing can run in it any more although it is open: BEGIN failed, the connection died, the server ended it. */
  broken: Failure | null = null
  parent: TransactionRecord | null = null
  /** The savepoint's name; empty for the outermost. */
  savepoint = ''
  /** COMMIT or RELEASE, while it is on the wire. */
  last: EngineOp | null = null
  /**
   * Its number on the server, noted before COMMIT is sent so that its outcome can be asked for; null: it changed nothing;
   * undefined: not noted.
   */
  xid: string | null | undefined = undefined
  /** Of COMMIT. `sought`: it did not come, the server is being asked what became of it; `missed`: it did not come. */
  answer: 'due' | 'sought' | 'missed' = 'due'
  /** Its connection leads to a server that takes no writes, and is closed when it has ended. */
  stale: Failure | null = null
  /** Issued as one statement is (`executeMany`): the one around it waits for it before it ends. */
  batch = false
  /** Where or how it ended, for messages. */
  endedAt = ''
  readonly manual: boolean
  /** The frame in which a manual transaction was begun. */
  bornIn: Frame | null = null
  /** The handle through which it was opened; null when implicit. */
  enteredBy: Handle | null = null
  /** The handle on which a manual transaction was begun: statements through it run inside. */
  owner: Handle | null = null
  /** Set when the transaction was opened for this cursor alone: nothing else runs in it. */
  cursor: Cursor<unknown> | null = null
  /** When it was made, monotonic milliseconds. */
  readonly since: number = clock.now()
  /** Cursors opened inside. */
  readonly cursors: Set<Cursor<unknown>> = new Set()
  readonly hooks: Hooks = new Hooks()
  readonly #followers = new Followers()
  readonly engine: Engine
  readonly slot: Slot
  readonly chain: Link | undefined
  readonly options: TransactionOptions
  readonly place: Place
  /** The handle users hold; statements through it run inside. */
  readonly handle: Handle
  /** Defaults for the statements inside. */
  defaults: QueryDefaults | null
  #controller: AbortController | null = null
  #savepoints = 0
  /** The first statement inside of which somebody was told that it is rolled back. */
  #spoiled: Spoiler | null = null
  #left: (() => void)[] | null = null

  constructor(
    engine: Engine,
    slot: Slot,
    chain: Link | undefined,
    options: TransactionOptions,
    place: Place,
    manual: boolean,
    handle: (record: TransactionRecord) => Handle,
  ) {
    this.engine = engine
    this.slot = slot
    this.chain = chain
    this.options = options
    this.place = place
    this.manual = manual
    this.handle = handle(this)
    this.defaults = options.query ?? null
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    return this.#controller.signal
  }

  get outermost(): TransactionRecord {
    return this.parent === null ? this : this.parent.outermost
  }

  decide(exit: TransactionExit): void {
    if (this.decision === null || !exit.commit) this.decision = exit
  }

  /** Whether a waiting statement or transaction belongs inside: by the code that issued it, or by its handle. */
  admits(item: Waiting): boolean {
    return this.admitsFrom(item.chain, item.handle)
  }

  admitsFrom(chain: Link | undefined, handle: Handle | null): boolean {
    if (handle !== null && this.#isBy(handle)) return true
    return this.cursor === null && isInside(this, chain)
  }

  /** Whether statements through that handle run inside, whoever issues them. */
  #isBy(handle: Handle): boolean {
    if (handle === this.owner || handle.home === this) return true
    // While a savepoint begun by hand is open, the handles of the transaction it was begun on run in it.
    return this.owner !== null && this.parent !== null && this.owner.home === this.parent && this.parent.#isBy(handle)
  }

  /** It and all around it take new work. */
  get open(): boolean {
    return this.state === 'open' && (this.parent === null || this.parent.open)
  }

  /** It is on its way off the stack: the one around it waits for that. */
  get leaving(): boolean {
    return this.batch || this.state !== 'open'
  }

  /** It is `outer`, or a savepoint of it, however deep. */
  isWithin(outer: TransactionRecord): boolean {
    return this === outer || (this.parent !== null && this.parent.isWithin(outer))
  }

  /** Why an admitted statement may not run after all. `issued`: it was so before the callback had returned. */
  refusal(issued = false): Error | null {
    return this.#closed(issued || this.batch) ?? this.abortedError(null)
  }

  /** It or one around it was left early or has ended: nothing more runs inside. */
  #closed(issued: boolean): Error | null {
    if (this.decision !== null) return this.decision
    if (this.state !== 'open' && !(issued && this.state === 'closing')) return this.ended()
    return this.parent === null ? null : this.parent.#closed(issued || this.batch)
  }

  /** Nothing that is sent in it now could ever be committed. */
  get doomed(): boolean {
    return this.broken !== null || this.#spoiled !== null || (this.parent !== null && this.parent.doomed)
  }

  /** What a statement is told that comes after the one that has failed; null while none has. */
  abortedError(stmt: Compiled | null): Error | null {
    const { broken } = this
    if (broken === null && this.#spoiled === null) return this.parent === null ? null : this.parent.abortedError(stmt)
    if (broken?.kind === 'lost') return failureError({ ...broken, outcome: 'rolled_back' }, null, this)
    const first = broken === null ? this.#spoiled : { failure: broken, stmt: null }
    return abortedBy(`the transaction begun at ${this.place}`, first, stmt)
  }

  /** The statement that keeps it from being committed. */
  get spoiler(): Spoiler | null {
    return this.#spoiled
  }

  /** It is off the stack, or a transaction around it is ending: that one takes it along, nothing is sent for it alone. */
  get overtaken(): boolean {
    if (!this.slot.stack.includes(this)) return true
    for (let outer = this.parent; outer !== null; outer = outer.parent)
      if (outer.state !== 'open' && outer.state !== 'closing') return true
    return false
  }

  /** Takes its place on the stack. @throws {TransactionStateError} when it asks for what the one around it is not. */
  enter(): void {
    const parent = this.slot.top ?? null
    if (parent !== null) this.#checkNested(parent)
    else if (this.slot.lease?.raw.status === 'tx' || this.slot.lease?.raw.status === 'failed')
      throw new TransactionStateError(
        'A transaction begun by text is open on this connection. End it by text before calling transaction() or begin().',
      )
    this.parent = parent
    this.defaults ??= this.enteredBy?.defaultsHere() ?? ambientDefaults(this.engine, this.chain)
    if (parent !== null) this.savepoint = parent.nextSavepoint()
    this.slot.stack.push(this)
    this.slot.tied()
  }

  #checkNested(parent: TransactionRecord): void {
    const refusal = parent.refusal(this.batch)
    if (refusal !== null) throw refusal
    const { outermost } = parent
    const { isolation, transactionIdleTimeoutMs: idleTimeoutMs } = this.engine.options
    const defaults = { isolation, readOnly: false, deferrable: false, idleTimeoutMs }
    for (const key of ['isolation', 'readOnly', 'deferrable', 'idleTimeoutMs'] as const) {
      const asked = this.options[key]
      if (asked === undefined || asked === (outermost.options[key] ?? defaults[key])) continue
      throw new TransactionStateError(
        `A nested transaction asks for ${key} ${String(asked)}, but the one around it, begun at ${outermost.place}, is ` +
          'another. Set it on the outermost, or pass reuse: false for a connection of its own.',
      )
    }
  }

  nextSavepoint(): string {
    return `genever_${++this.outermost.#savepoints}`
  }

  /** The statement that opens it. */
  opening(): Compiled {
    const { dialect, statements, options } = this.engine
    // Else it is what every session starts with.
    const usual = options.pooler === undefined ? undefined : options.isolation
    const text =
      this.parent === null
        ? dialect.begin({
            isolation: this.options.isolation ?? usual,
            readOnly: this.options.readOnly,
            deferrable: this.options.deferrable,
          })
        : dialect.savepoint(this.savepoint)
    return statements.compileInternal(text)
  }

  /** Of the outermost: how long it may run no statement, in milliseconds. */
  get idleTimeoutMs(): number {
    return this.outermost.options.idleTimeoutMs ?? this.engine.options.transactionIdleTimeoutMs
  }

  /** What limits that on the server, to be sent behind what opens it. */
  idleLimit(): Compiled | null {
    const { dialect, statements, options } = this.engine
    if (this.parent !== null || this.idleTimeoutMs === Infinity) return null
    // It would never come back: there is no server whose session could be closed.
    if ((typeof options.driver === 'string' ? options.driver : options.driver.name) === 'pglite') return null
    return statements.compileInternal(dialect.idleTimeout(this.idleTimeoutMs))
  }

  /** It is not open on the server. Null: nothing was sent, because the statement behind it could not be written. */
  beginFailed(failure: Failure | null, stmt: Compiled): void {
    this.wire = 'none'
    if (failure === null) return
    this.broken ??= failure
    if (this.parent === null) return
    this.parent.firstFailure ??= failure
    // There is nothing to roll back to.
    if (failure.kind === 'server') this.parent.#spoiled ??= { failure, stmt }
  }

  noteFailure(failure: Failure, { stmt }: EngineOp): void {
    if (stmt.cls === 'control') return
    this.firstFailure ??= failure
    if (failure.outcome !== 'not_started') this.#spoiled ??= { failure, stmt }
    if (this.state !== 'open') this.lateFailure ??= failure
  }

  /** Whatever the server thinks of it: it cannot be committed. */
  get mustRollBack(): boolean {
    return this.broken !== null || this.#spoiled !== null || this.lateFailure !== null
  }

  /** COMMIT has been sent: whatever happens before its answer leaves the outcome unknown. */
  get committing(): boolean {
    return this.answer === 'sought' || (this.last !== null && this.parent === null)
  }

  /** RELEASE has been sent: it is a matter of its answer whether its work belongs to the transaction around. */
  get releasing(): boolean {
    return this.last !== null && this.parent !== null
  }

  /** How long the server may be asked for the outcome of its COMMIT, in milliseconds; 0: not at all. */
  get resolveCommitMs(): number {
    return this.options.resolveCommitMs ?? this.engine.options.resolveCommitMs
  }

  /** The server says that no transaction is open although this one is: something else ended it. */
  endedByServer(): void {
    if (this.wire !== 'open') return
    this.wire = 'none'
    this.broken ??= {
      kind: 'protocol',
      outcome: 'unknown',
      cause: new TransactionStateError(
        `The transaction begun at ${this.place} was ended on the server by something else: a statement that commits or ` +
          'rolls back by itself.',
      ),
    }
  }

  lose(failure: Failure): void {
    this.broken ??= { ...failure, kind: 'lost', outcome: 'rolled_back' }
    this.wire = this.wire === 'ending' ? 'ending' : 'none'
    if (!wasIdle(failure)) return
    this.interrupt(failureError(this.broken, null, this))
    if (this.parent !== null) return
    notice('transaction-idle', 'The server ended a transaction that ran no statement for too long.', {
      engine: this.engine.name,
      places: [this.describe()],
    })
  }

  /** Which hooks run, once it has ended. */
  get fate(): Fate {
    if (this.state === 'unknown') return 'unknown'
    return this.state === 'committed' ? 'commit' : 'rollback'
  }

  follow(follower: Follower): void {
    this.#followers.add(follower)
  }

  /** Its caller is told now that it was not committed, although it is still being ended: what follows it is told before. */
  forsake(fate: Fate): void {
    const { stack } = this.slot
    const inside = stack.includes(this) ? stack.slice(stack.indexOf(this)) : [this]
    for (const record of inside.toReversed()) record.#followers.tell(fate)
  }

  /** It left the stack; one that is still open was rolled back with the one around it. */
  popped(): void {
    if (this.state === 'open' || this.state === 'closing' || this.state === 'ending') {
      this.state = 'rolled_back'
      if (this.endedAt === '') this.endedAt = 'with the transaction around it'
    }
    const { parent, bornIn } = this
    if (bornIn !== null && bornIn.manual?.place === this.place) bornIn.manual = null
    if (parent !== null) {
      parent.hooks.adopt(this.hooks, this.state === 'committed')
      if (this.batch && this.state !== 'committed' && parent.state === 'closing') {
        parent.firstFailure ??= this.firstFailure
        parent.lateFailure ??= this.firstFailure
      }
    }
    if (this.state === 'committed' && this.parent !== null) this.#followers.join(this.parent.#followers)
    else this.#followers.tell(this.fate)
    reportEnd(this)
    for (const cursor of this.cursors) cursor.ended(this)
    this.cursors.clear()
    for (const tell of this.#left ?? []) tell()
    this.#left = null
  }

  /** Settles when it is off the stack. It is on it now. */
  whenLeft(): Promise<void> {
    return new Promise((resolve) => (this.#left ??= []).push(resolve))
  }

  interrupt(reason: unknown): void {
    this.#controller ??= new AbortController()
    this.#controller.abort(reason)
  }

  /** `outcome`: of a statement that was on the wire. */
  ended(outcome: Outcome = 'not_started'): TransactionEndedError {
    const signal = this.#controller?.signal
    const cause: unknown = signal?.aborted === true ? signal.reason : undefined
    return new TransactionEndedError(this.endedMessage(), { outcome, cause })
  }

  endedMessage(): string {
    return endedMessage(this)
  }

  describe(): string {
    if (this.cursor !== null) return `cursor opened at ${this.cursor.place}`
    return `${this.manual ? 'manual transaction' : this.savepoint === '' ? 'transaction' : 'nested transaction'} begun at ${this.place}`
  }
}
