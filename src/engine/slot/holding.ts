// How a slot holds its lease: what keeps it there, whether the pool may take it back for somebody who waits, and what is
// said of that. Everything a message about a held connection needs is here.
import { notice } from '../../observe/notice.ts'
import { capturePlace, type Place } from '../../observe/place.ts'
import type { Ties } from '../../pool/deadlock.ts'
import type { Lease, LeaseHolder } from '../../pool/lease.ts'
import type { Frame, Settings } from '../context/frame.ts'
import type { Engine } from '../engine.ts'
import type { Compiled } from '../../sql/compiled.ts'
import type { TransactionRecord } from '../transaction/record.ts'
import { Flight } from './flight.ts'
import { Waits } from './waits.ts'
import { clock } from '../../util/clock.ts'

/** Code that holds a connection for nothing so long while others wait is told of. */
const longMs = 1_000
const mostToldPlaces = 1_000

/** Statements that may draw numbers without saying so: by defaults and triggers. */
const drawing: ReadonlySet<string> = new Set(['INSERT', 'MERGE', 'COPY', 'CALL', 'DO', ''])

let recalls = 0

export abstract class Holding implements LeaseHolder {
  lease: Lease | null = null
  /** Open transactions, the innermost last. */
  readonly stack: TransactionRecord[] = []
  readonly flight: Flight = new Flight()
  /** Session state the user relies on: `Pin` bits. */
  pins = 0
  /** A statement that may have left something in the session which no text shows. */
  left: Compiled | null = null
  /** It was recalled since it last wrote: the numbers of its sequences are in another session. */
  moved = false
  /** It has written, which may have had effects on the session by triggers. */
  wrote = false
  /** How many of those who use it want it held between statements. */
  holds = 0
  /** Closed to new top-level statements. */
  closed = false
  /** Opened for a cursor alone. */
  forCursor = false
  /** How many callbacks it is ambient in now. */
  ambient = 0
  stirs = 0
  recalledAt = 0
  readonly engine: Engine
  readonly settings: Settings | null
  /** Made by `acquire()`: the user may type transaction control on it. */
  readonly explicit: boolean
  /** The frame in which a handle on it was made, which nobody but that code may give back. */
  madeIn: Frame | null = null
  /** Where the connection was borrowed, if anybody may ask. */
  place: Place | null = null
  protected idlers = 0
  #waits: Waits | null = null
  #waitingSince = 0
  #pinnedBy = ''
  #pinnedAt: Place | null = null
  readonly #owner: string | (() => string)

  constructor(engine: Engine, settings: Settings | null, explicit: boolean, owner: string | (() => string)) {
    this.engine = engine
    this.settings = settings
    this.explicit = explicit
    this.#owner = owner
  }

  abstract room(): void
  abstract quiet(): void
  abstract lost(failure: Parameters<LeaseHolder['lost']>[0]): void
  /** Statements waiting or running. */
  abstract get busy(): boolean
  /** Hands the raw connection back now; the caller has seen that nothing is open or pinned. */
  abstract handBack(): void | Promise<void>

  get holder(): this {
    return this
  }

  get top(): TransactionRecord | undefined {
    return this.stack.length === 0 ? undefined : this.stack[this.stack.length - 1]
  }

  /** Whether nothing but what will be over by itself keeps the connection. */
  get movable(): boolean {
    return this.stack.length === 0 && this.pins === 0 && this.left === null && this.holds === 0
  }

  get recallable(): boolean {
    const { lease } = this
    if (lease === null || this.closed || !this.movable || this.busy) return false
    return lease.raw.status === 'idle' && !lease.raw.quarantined
  }

  get quietSince(): number {
    return this.flight.lastAnswer
  }

  recall(): void {
    this.recalledAt = ++recalls
    this.moved = true
    this.engine.pool.recall.leaves(this)
    void this.handBack()
  }

  /** It has a connection again, or needs none any more. */
  protected arrives(): void {
    if (this.recalledAt === 0) return
    this.recalledAt = 0
    this.engine.pool.recall.arrives(this)
  }

  /** One more wants it held between statements. */
  hold(): void {
    this.holds++
    this.tied()
  }

  unhold(): void {
    this.holds--
    this.lease?.eased()
  }

  /** It keeps its connection from now on. */
  tied(): void {
    this.lease?.tied()
  }

  /** What was done to the session is relied on. */
  pin(bits: number, by: string): void {
    if (this.pins === 0) {
      this.#pinnedBy = by
      this.#pinnedAt = capturePlace()
    }
    this.pins |= bits
    this.tied()
  }

  /** The connection is kept: what the statement called may rely on it. */
  leave(stmt: Compiled): void {
    this.moved = false
    if (this.left !== null) return
    this.left = stmt
    this.tied()
  }

  /** A statement is sent that may write, and draw numbers of sequences, which are in this session then. */
  protected noteWrite({ verb, text }: Compiled): void {
    this.wrote = true
    if (this.moved && (drawing.has(verb) || /\b(?:insert|merge|nextval|setval)\b/i.test(text))) this.moved = false
  }

  ties(): Ties | null {
    if (this.lease === null || this.movable) return null
    const surely: object[] = this.pins !== 0 || this.left !== null || this.holds > 0 ? [this] : []
    const likely: object[] = [this]
    for (const record of this.stack) {
      surely.push(record)
      if (record.cursor !== null) surely.push(this)
      if (record.bornIn !== null) likely.push(record.bornIn)
    }
    if (this.madeIn !== null) likely.push(this.madeIn)
    return { surely, likely, idleSince: this.idleSince }
  }

  /** It joined the queue for a connection at `now`. */
  protected waitBegins(now: number): void {
    this.#waitingSince = now
  }

  protected waitEnds(): void {
    const now = clock.now()
    if (now <= this.#waitingSince) return
    this.#waits ??= new Waits(this.engine.options.pool.acquireTimeoutMs)
    this.#waits.note(this.#waitingSince, now)
  }

  /** How long it has waited for connections lately, in milliseconds, the wait that is on not counted. */
  waitedMs(now: number): number {
    return this.#waits === null ? 0 : this.#waits.spentMs(now)
  }

  /** Since when code has held a connection for nothing; null while it is used or goes back when somebody wants it. */
  get idleSince(): number | null {
    if (this.lease === null || this.busy || this.idlers > 0) return null
    return this.flight.lastAnswer
  }

  /** As `idleSince`, but null also while the pool may take it back. */
  get leakingSince(): number | null {
    return this.recallable ? null : this.idleSince
  }

  keepsOthersWaiting(): void {
    const { top, idleSince } = this
    if (top === undefined || idleSince === null || clock.now() - idleSince < longMs) return
    const { toldPlaces } = this.engine
    const place = String(top.cursor?.place ?? top.place)
    if (toldPlaces.has(place) || toldPlaces.size >= mostToldPlaces) return
    toldPlaces.add(place)
    notice(
      'held-while-waiting',
      'A transaction or cursor runs no statement and keeps its connection while others wait for one. Wait for other things ' +
        'before it or after it.',
      {
        engine: this.engine.name,
        places: [place, this.describe()],
        details: { idleMs: Math.round(clock.now() - idleSince) },
      },
    )
  }

  /** What made it, for messages. */
  describeOwner(): string {
    if (typeof this.#owner !== 'string') return this.#owner()
    if (this.place === null) return this.#owner
    return this.explicit
      ? `${this.#owner} at ${this.place}`
      : `${this.#owner} whose statement at ${this.place} borrowed it`
  }

  describe(): string {
    const why = this.#hindrance()
    return `${this.top?.describe() ?? this.describeOwner()}${this.flight.describe(this.lease)}${why === '' ? '' : `, ${why}`}`
  }

  /** Why the pool cannot take the connection back for somebody who waits. */
  #hindrance(): string {
    const { top } = this
    if (this.lease === null) return ''
    if (top !== undefined) {
      const { since, cursor } = top.outermost
      return cursor === null ? `in a transaction since ${Math.round(clock.now() - since)} ms ago` : 'reading a cursor'
    }
    if (this.pins !== 0)
      return `session pinned by ${this.#pinnedBy}${this.#pinnedAt === null ? '' : ` at ${this.#pinnedAt}`}`
    if (this.left !== null) return `session kept for what ${this.left.verb} may have left in it`
    if (this.holds > 0) return 'held'
    return this.busy ? 'running a statement' : ''
  }
}
