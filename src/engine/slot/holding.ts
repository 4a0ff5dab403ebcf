// How a slot holds its lease: the reasons to keep it, whether the pool may recall it, and the messages about that. The files beside it
// that decide for a slot know it in this form; its queues are in `slot.ts`.
import { notice } from '../../observe/channels.ts'
import { isKnown, noPlace, type Place } from '../../observe/place.ts'
import type { Failure } from '../../driver/driver.ts'
import type { LeaseHolder, Blockers } from '../../pool/lease.ts'
import { currentChain } from '../context/chain.ts'
import type { Frame, Handle, Settings } from '../context/frame.ts'
import type { EngineCore } from '../core.ts'
import type { Reads } from '../hosts/host.ts'
import type { EngineOp } from '../query/op.ts'
import type { Pool } from '../../pool/pool.ts'
import { Pin } from '../../sql/compiled.ts'
import type { TransactionRecord } from '../transaction/record.ts'
import type { Streaming } from '../query/row-stream.ts'
import { Flight } from './flight.ts'
import { SlotSession } from './session.ts'
import { Stack } from './stack.ts'
import type { Carrier, Turn, Waiting } from './waiting.ts'
import { clock } from '../../util/clock.ts'

/** A notice names code that holds a connection without using it for this time while others wait. */
const longMs = 1_000
const mostToldPlaces = 1_000

let recalls = 0

/** The maker of a slot. */
interface Owner {
  /** Where it was made. */
  readonly place?: Place
  describe(): string
}

/** A statement or a turn that waits in a slot. */
export type Item = EngineOp | Turn

export abstract class Holding extends SlotSession implements LeaseHolder, Carrier {
  /** Where it reads, while it has done nothing that needs the primary; null: at the primary. */
  reads: Reads | null = null
  /** The transactions open on it. */
  readonly stack: Stack<this> = new Stack()
  readonly flight: Flight = new Flight()
  /** It is being asked what still keeps the connection. */
  asking = false
  /** When it was asked last, as `activity` counts. */
  askedAt = -1
  /** How many of those who use it want it held between statements. */
  holds = 0
  /** Closed to new top-level statements. */
  closed = false
  /** Opened for a cursor alone. */
  forCursor = false
  /** It is that of a request which is about to be answered: the transaction that is open on it needs no connection behind its COMMIT. */
  answers = false
  /** Rows that are read while they come: nothing else runs until the last was read. */
  stream: Streaming | null = null
  /** The COPYs that were begun on it and may be open; null: there was none. */
  copies: readonly EngineOp[] | null = null
  /** How many callbacks it is ambient in now. */
  ambient = 0
  activity = 0
  recalledAt = 0
  readonly settings: Settings | null
  /** Made by `acquire()`: the user may type transaction control on it. */
  readonly explicit: boolean
  /** The frame in which a handle on it was made. Only code of that frame may give the handle back. */
  madeIn: Frame | null = null
  /** Where the connection was borrowed, if anybody may ask. */
  place: Place | null = null
  protected idlers = 0
  #waits: Waits | null = null
  #waitingSince = 0
  /** Its maker, for messages. */
  owner: string | Owner

  constructor(engine: EngineCore, settings: Settings | null, explicit: boolean, owner: string | Owner) {
    super(engine)
    this.settings = settings
    this.explicit = explicit
    this.owner = owner
  }

  abstract room(): void
  abstract quiet(): void
  abstract lost(failure: Failure): void
  abstract ask(): void
  /** From now on the connection goes back whenever nothing needs it. */
  abstract addIdler(): void
  abstract send(item: Item): void
  abstract sendAgain(op: EngineOp): void
  abstract withdraw(item: Waiting): void
  abstract cancel(op: EngineOp): void
  abstract answered(op: EngineOp): void
  /** Why a session that was lost cannot go on: given once, or for as long as a transaction begun by text is not ended. */
  abstract takeLostSession(item: Item): Failure | null
  /** Statements waiting or running. */
  abstract get busy(): boolean
  /** Hands the raw connection back now; the caller has seen that nothing is open or pinned. */
  abstract handBack(): void | Promise<void>

  get holder(): this {
    return this
  }

  /** Where its connections come from. */
  get pool(): Pool {
    return this.reads?.pool ?? this.engine.pool
  }

  /** From now on it stays at the primary; the connection of a replica goes back before. */
  stayAtPrimary(): void {
    if (this.reads === null) return
    this.noteBack()
    if (this.lease !== null && this.reads.host !== null) void this.handBack()
    this.reads = null
  }

  get top(): TransactionRecord<this> | null {
    return this.stack.top
  }

  /** A transaction takes its place, inside of the one on top. */
  enter(record: TransactionRecord<this>): void {
    this.stack.enter(record)
    this.noteHeld()
  }

  /** The innermost open transaction that a statement through `handle` would run in here. */
  innermost(handle: Handle | null): TransactionRecord<this> | null {
    return this.stack.innermost(currentChain(), handle)
  }

  /** A COPY is sent next. Statements behind it may have to wait for it. */
  copy(op: EngineOp): void {
    this.copies = [...(this.copies ?? []).filter(({ copy }) => copy?.open), op]
  }

  /** Whether nothing but what will be over by itself keeps the connection. */
  get movable(): boolean {
    return this.top === null && !this.keepsSession && this.doubts === null && this.holds === 0
  }

  get #free(): boolean {
    return this.top === null && this.leftBy === null && this.holds === 0
  }

  /** Whether nothing keeps the connection but what may be gone, and can be asked for. */
  get #maybeFree(): boolean {
    if (!this.#free || this.askedAt === this.activity) return this.asking
    if (this.doubts !== null) return (this.pins & ~Pin.askable) === 0
    return this.pins !== 0 && (this.pins & ~Pin.askable) === 0 && this.engine.dialect.stillHeld !== null
  }

  get askable(): boolean {
    const { lease } = this
    if (lease === null || this.closed || this.asking || this.busy || this.movable || !this.#maybeFree) return false
    return lease.raw.status === 'idle' && !lease.raw.quarantined && this.engine.functions.active
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
    this.goesOn()
    void this.handBack()
  }

  /** Without its connection: its next one comes before those of newcomers. */
  protected goesOn(): void {
    this.recalledAt = ++recalls
    this.moved = true
    this.pool.recall.noteAway(this)
  }

  /**
   * The COMMIT of a transaction that has changed nothing is on its way, and nothing beside it. It takes no longer than its trip, so the
   * next waiter gets this connection behind it. From then on the COMMIT belongs to the pool, and statements that are sent here wait for
   * another connection.
   */
  handOver(commit: EngineOp): void {
    const { lease, pool } = this
    if (lease === null || !pool.wanted || this.keepsSession || this.doubts !== null || this.holds > 0) return
    if (!lease.handOver(commit)) return
    commit.slot = null
    commit.away = pool
    this.flight.leaves(commit)
    this.dropLease()
    if (this.answers) this.goesOn()
  }

  /** Its connection is somebody else's, or goes back. */
  protected dropLease(): void {
    this.engine.leaks?.returned(this)
    this.lease = null
    this.forgetSession()
  }

  /** It has a connection again, or needs none any more. */
  protected noteBack(): void {
    if (this.recalledAt === 0) return
    this.recalledAt = 0
    this.pool.recall.noteBack(this)
  }

  /** One more wants it held between statements. */
  hold(): void {
    this.holds++
    this.noteHeld()
  }

  unhold(): void {
    this.holds--
    this.lease?.noteQuiet()
  }

  /** Runs `work` while the connection may go back; see `Connection.idle`. */
  async idle<T>(work: () => Promise<T> | T): Promise<T> {
    if (this.lease !== null && (this.top !== null || this.keepsSession))
      notice(
        'held-while-idle',
        'A connection is kept while code waits in idle(), because it is in a transaction or pinned.',
        { engine: this.engine.name, places: [this.describe()], warn: false },
      )
    this.addIdler()
    try {
      return await work()
    } finally {
      if (--this.idlers === 0) this.flight.lastAnswer = clock.now()
      this.lease?.noteQuiet()
    }
  }

  blockers(): Blockers | null {
    if (this.lease === null || this.movable || this.#maybeFree) return null
    const certain: object[] = this.keepsSession || this.doubts !== null || this.holds > 0 ? [this] : []
    const likely: object[] = [this]
    for (const { copy } of this.copies ?? []) if (copy?.open === true && copy.frame !== null) certain.push(copy.frame)
    for (const record of this.stack.all) {
      certain.push(record)
      if (record.cursor !== null) certain.push(this)
      if (record.bornIn !== null) likely.push(record.bornIn)
    }
    if (this.madeIn !== null) likely.push(this.madeIn)
    return { certain, likely, idleSince: this.idleSince }
  }

  /** It joined the queue for a connection at `now`. */
  protected waitBegins(now: number): void {
    this.#waitingSince = now
  }

  protected waitEnds(): void {
    const now = clock.now()
    const budgetMs = this.engine.options.pool.acquireTimeoutMs
    if (now <= this.#waitingSince || budgetMs === Infinity) return
    const wait = { endedAt: now, ms: now - this.#waitingSince }
    if (this.#waits === null) this.#waits = new Waits(budgetMs, wait)
    else this.#waits.note(wait)
  }

  /** How long it has waited for connections lately, in milliseconds, the wait that is on not counted. */
  waitedMs(now: number): number {
    return this.#waits === null ? 0 : this.#waits.spentMs(now)
  }

  /** Whether what waits for a connection still gets one when it is closed. */
  protected get patient(): boolean {
    return false
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
    if (top === null || idleSince === null || clock.now() - idleSince < longMs) return
    const { toldPlaces } = this.engine
    const place = this.#ownerOf(top) ?? String(top.cursor?.place ?? top.place)
    if (toldPlaces.has(place) || toldPlaces.size >= mostToldPlaces) return
    toldPlaces.add(place)
    notice(
      'held-while-waiting',
      'A transaction or cursor runs no statement and keeps its connection while others wait for one. Do other work ' +
        'before it or after it.',
      {
        engine: this.engine.name,
        places: [place, this.describe()],
        details: { idleMs: Math.round(clock.now() - idleSince) },
      },
    )
  }

  /** Whether messages say where its maker is without `place`. A leak report gives both. */
  protected get placed(): boolean {
    if (this.engine.leaks !== null) return false
    return typeof this.owner !== 'string' && (this.owner.place ?? noPlace) !== noPlace
  }

  /** Its maker in words, for messages. */
  describeOwner(): string {
    if (typeof this.owner !== 'string') return this.owner.describe()
    if (this.place === null) return this.owner
    return this.explicit
      ? `${this.owner} at ${this.place}`
      : `${this.owner} whose statement at ${this.place} borrowed it`
  }

  /** In words, where no code of the user began the transaction, as around a request; null: that of its place. */
  #ownerOf(top: TransactionRecord<this>): string | null {
    const { owner } = this
    if (typeof owner === 'string' || top.own || top.cursor !== null || isKnown(String(top.outermost.place))) return null
    return `transaction of ${owner.describe()}`
  }

  describe(): string {
    const { top } = this
    const why = this.#hindrance()
    const what = top === null ? this.describeOwner() : (this.#ownerOf(top) ?? top.describe())
    return `${what}${this.flight.describe(this.lease)}${why === '' ? '' : `, ${why}`}`
  }

  /** Why the pool cannot take the connection back for somebody who waits. */
  #hindrance(): string {
    const { top } = this
    if (this.lease === null) return ''
    if (top !== null) {
      const { since, cursor } = top.outermost
      return cursor === null ? `in a transaction since ${Math.round(clock.now() - since)} ms ago` : 'reading a cursor'
    }
    const kept = this.sessionKept()
    if (kept !== '') return kept
    if (this.holds > 0) return 'held'
    return this.busy ? 'running a statement' : ''
  }
}

// How long a slot has waited for connections lately. The acquire timeout is one budget for all of its waits: a scope that
// waits for something else several times waits no longer for connections than one that never does.

/** Waits are forgotten after so many times the budget. */
const remembered = 2

interface Wait {
  /** Monotonic milliseconds. */
  readonly endedAt: number
  readonly ms: number
}

class Waits {
  readonly #budgetMs: number
  #past: Wait[]

  constructor(budgetMs: number, first: Wait) {
    this.#budgetMs = budgetMs
    this.#past = [first]
  }

  note(wait: Wait): void {
    this.#past.push(wait)
  }

  /** How long it has waited within the time that counts, in milliseconds. */
  spentMs(now: number): number {
    this.#past = this.#past.filter(({ endedAt }) => now - endedAt < remembered * this.#budgetMs)
    return this.#past.reduce((sum, { ms }) => sum + ms, 0)
  }
}
