// The statements of a slot that are on the wire, in the order of their answers, and the fence: while a unit that opens
// a session or a transaction is unanswered, nothing may follow it. Also what is known of a transaction begun by text.
import type { Failure, RawConnection } from '../../driver/driver.ts'
import type { Lease } from '../../pool/lease.ts'
import { type Compiled, Pin } from '../../sql/compiled.ts'
import { type EngineOp, roomForOne } from '../query/op.ts'
import type { ResolvedOptions } from '../../options/options.ts'
import type { Waiting } from './waiting.ts'
import type { StatementTransaction } from '../transaction/statement-transaction.ts'
import type { Spoiler } from '../transaction/state.ts'
import { abortedBy } from '../query/failure.ts'
import { clock } from '../../util/clock.ts'

/** A nested transaction that has ended, as far as its RELEASE needs it. */
export interface Unreleased {
  readonly savepoint: string
  readonly parent: StatementTransaction | null
  /** The savepoint to which the server has to go back before; null: all of it is kept. */
  readonly undone: string | null
}

/** To move up what stands behind the first costs less in a shorter list than to keep account of it. */
const long = 1000

export class Flight {
  readonly #ops: (EngineOp | null)[] = roomForOne()
  /** How many at the front of a long list have been answered: it is moved up once for many of them. */
  #gone = 0
  /** Operations that are being issued together. Nothing is sent before all of them are there. */
  issuing: EngineOp[] | null = null
  /** The text that takes back the operations in front of a BEGIN that failed: it goes before anything else. */
  abandon: string | null = null
  /** The nested transaction that has ended last, if nothing was sent since: its RELEASE goes in front of what comes next. */
  unreleased: Unreleased | null = null
  /** When the last answer came, monotonic milliseconds. */
  lastAnswer = 0
  /** Since when the server works on the head alone, as far as that is known; 0: it is not. Monotonic milliseconds. */
  headSince = 0
  /** How much of that time the way to the server and back may have taken. */
  headTripMs = 0
  #fence: EngineOp | null = null
  /** A transaction begun by text is open, or may be. */
  #typed = false
  /** It was prepared: it does not end with its connection. */
  #prepared = false
  /** The statements that were sent while it was open. */
  #ofTyped: WeakSet<EngineOp> | null = null
  /**
   * How it was lost, with its connection or by a failure that is the end of it all: until another one is begun, or it is rolled back,
   * nothing is sent in its name.
   */
  #typedLost: Failure | null = null
  #spoiler: Spoiler | null = null

  get size(): number {
    return this.#ops.length - this.#gone
  }

  get head(): EngineOp | undefined {
    return this.#ops[this.#gone] ?? undefined
  }

  every(fits: (op: EngineOp) => boolean): boolean {
    for (let i = this.#gone; i < this.#ops.length; i++) if (!fits(this.#ops[i] as EngineOp)) return false
    return true
  }

  /** Calls code that issues several reads at once: where a connection takes one message at a time they travel in one. */
  issueTogether<T>(work: () => T, slot: { wake(): void }): T {
    if (this.issuing !== null) return work()
    const issued: EngineOp[] = (this.issuing = [])
    try {
      return work()
    } finally {
      this.issuing = null
      if (issued.length > 1) for (const op of issued) op.beside = issued
      slot.wake()
    }
  }

  get fenced(): boolean {
    return this.#fence !== null || this.issuing !== null
  }

  /**
   * Whether it may not be sent behind the statements on the wire. A statement that has effect only until the end of
   * a transaction is refused where none is open, and only the server knows that of one begun by text. And a pooler may give its session to
   * somebody else when those were answered, although more has come behind it: PgBouncer before 1.21 counts Syncs alone. A unit of which a
   * part has arrived would never be answered.
   */
  mustWait(op: EngineOp, { pooler }: Pick<ResolvedOptions, 'pooler'>, { keepsServer }: RawConnection): boolean {
    if (op.transaction === null && (op.stmt.pins & Pin.transaction) !== 0) return true
    return pooler !== undefined && keepsServer !== true && this.head?.transaction === null
  }

  /** The operation that has to be answered before anything follows; null: none. */
  get fence(): EngineOp | null {
    return this.#fence
  }

  add(op: EngineOp, fence: boolean): void {
    this.#ops.push(op)
    if (fence) this.#fence = op
    if (this.#typed) (this.#ofTyped ??= new WeakSet()).add(op)
    if (op.stmt.cls === 'control') this.#typed = true
  }

  /** The COMMIT that is on the wire alone goes on without this slot. */
  leaves(commit: EngineOp): void {
    remove(this.#ops, commit)
    this.#fence = null
    this.#typed = false
  }

  /** Whether it was sent within a transaction begun by text. */
  isOfTyped(op: EngineOp): boolean {
    return this.#ofTyped?.has(op) === true
  }

  /** The connection is gone. True: with a transaction begun by text. */
  lost(failure: Failure): boolean {
    const typed = this.#typed && !this.#prepared
    this.#typed = this.#prepared = false
    this.abandon = null
    this.unreleased = null
    if (typed) this.#typedLost = { ...failure, kind: 'lost', outcome: 'rolled_back' }
    return typed
  }

  /** It has ended well. */
  deferRelease({ savepoint, parent }: Omit<Unreleased, 'undone'>): void {
    this.unreleased = { savepoint, parent, undone: this.undone }
  }

  /** The savepoint to which the server goes back with what is sent next; null: there is none. */
  get undone(): string | null {
    return this.unreleased === null ? null : this.unreleased.undone
  }

  /** Stops what is on the wire and belongs to `transaction`. */
  stop(transaction: StatementTransaction, failure: Failure): void {
    for (const op of [...this.#ops]) if (op?.transaction?.isWithin(transaction) === true) op.abandon(failure)
  }

  /** Why what comes next would run outside of the transaction it was written for. */
  typedLoss(item: Waiting | EngineOp): Failure | null {
    const failure = this.#typedLost
    if (failure === null) return null
    if ('stmt' in item && (begins(item.stmt) || rollsBack(item.stmt))) this.#typedLost = null
    return this.#typedLost
  }

  /** The statement that failed first in a transaction begun by text. */
  get spoiler(): Spoiler | null {
    return this.#spoiler
  }

  /** A statement outside of any transaction of the engine has failed. `idle`: the server says that no transaction is open behind it. */
  failed(failure: Failure, op: EngineOp, idle: boolean): void {
    if (!this.#typed) return
    const { stmt } = op
    this.#spoiler ??= { failure, stmt }
    if (!idle || stmt.hasControl) return
    this.#typed = false
    // A statement that commits by itself did so before it failed, unless its failure says otherwise.
    const { dialect } = op.engine
    if (stmt.cls === 'commits' && dialect.explain(failure.fields ?? {}).transaction !== 'ended') return
    // The server has rolled the transaction back: the next statement would run outside of it.
    const cause = abortedBy(op.engine, null, { failure, stmt }, null)
    this.#typedLost = { kind: 'refused', outcome: 'rolled_back', refusal: { reason: 'usage' }, cause }
  }

  #note(stmt: Compiled, status: RawConnection['status']): void {
    if (status !== 'failed') this.#spoiler = null
    this.#prepared = status === 'prepared'
    if (status !== 'unknown') this.#typed = status !== 'idle'
    else if (commits(stmt) || rollsBack(stmt)) this.#typed = false
  }

  answered(op: EngineOp, lease: Lease | null): void {
    if (this.#gone === 0 && this.#ops.length < long) remove(this.#ops, op)
    else this.#removeFromLong(op)
    if (op.stmt.hasControl && lease !== null) this.#note(op.stmt, lease.raw.status)
    if (this.#fence === op) this.#fence = null
    this.lastAnswer = clock.now()
  }

  #removeFromLong(op: EngineOp): void {
    const ops = this.#ops
    if (ops[this.#gone] !== op) return remove(ops, op)
    ops[this.#gone++] = null
    if (2 * this.#gone < ops.length) return
    ops.splice(0, this.#gone)
    this.#gone = 0
  }

  /** For messages: how long the connection has been held, and how long nothing was on its wire. */
  describe(lease: Lease | null): string {
    if (lease === null) return ''
    const now = clock.now()
    const idle = this.size > 0 ? '' : `, idle in code ${Math.round(now - this.lastAnswer)} ms`
    return `, held ${Math.round(now - lease.since)} ms${idle}`
  }
}

const begins = ({ control }: Compiled): boolean => control === 'begin'
const commits = ({ control }: Compiled): boolean => control === 'commit' || control === 'prepare'
const rollsBack = ({ control }: Compiled): boolean => control === 'rollback'

export function remove(queue: unknown[], item: unknown): void {
  if (queue[0] === item) {
    queue.shift()
    return
  }
  const at = queue.indexOf(item)
  if (at >= 0) queue.splice(at, 1)
}
