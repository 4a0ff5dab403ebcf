// How a slot holds its lease: the reasons that keep it there, whether the pool may take it back for somebody who waits, and the
// messages about that.
import { notice } from '../../observe/channels.ts'
import { capturePlace, noPlace, type Place } from '../../observe/place.ts'
import type { Copying, Lease, LeaseHolder, Ties } from '../../pool/member.ts'
import { currentChain } from '../context/chain.ts'
import type { Frame, Handle, Settings } from '../context/frame.ts'
import type { EngineCore } from '../core.ts'
import type { Reads } from '../hosts/route.ts'
import type { Pool } from '../../pool/pool.ts'
import { type Compiled, Dirty, Pin } from '../../sql/compiled.ts'
import type { TransactionRecord } from '../transaction/record.ts'
import type { Streaming } from '../query/row-stream.ts'
import { ask, draws, settleDoubts, tellOfNumbers } from './reach.ts'
import { Flight } from './flight.ts'
import { clock } from '../../util/clock.ts'

/** A notice names code that holds a connection without using it for this time while others wait. */
const longMs = 1_000
const mostToldPlaces = 1_000

let recalls = 0

/** Who makes a slot. */
interface Owner {
  /** Where it was made. */
  readonly place?: Place
  describe(): string
}

export abstract class Holding implements LeaseHolder {
  lease: Lease | null = null
  /** Where it reads, while it has done nothing that needs the primary; null: at the primary. */
  reads: Reads | null = null
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
  /** It has drawn numbers of sequences on this connection, as far as anybody knows. */
  drew = false
  /** The last statement it ran that may have drawn numbers. */
  #drewBy: Compiled | null = null
  /** One of the doubts calls a function that nobody knows: it may be relied on. */
  #doubtsCall = false
  /** Statements of which it is not known yet whether they have left something. */
  doubts: Set<Compiled> | null = null
  /** It changes functions, triggers or views, which others do not see before its transaction ends. */
  changes = false
  /** False: the connection goes back after each statement, whatever that leaves. */
  keeps = true
  /** It is being asked what still keeps the connection. */
  asking = false
  /** When it was asked last, as `stirs` has it. */
  askedAt = -1
  /** How many of those who use it want it held between statements. */
  holds = 0
  /** Closed to new top-level statements. */
  closed = false
  /** Opened for a cursor alone. */
  forCursor = false
  /** Rows that are read while they come: nothing else runs until the last was read. */
  stream: Streaming | null = null
  /** The COPY that was begun on it last. */
  copying: Copying | null = null
  /** How many callbacks it is ambient in now. */
  ambient = 0
  stirs = 0
  recalledAt = 0
  readonly engine: EngineCore
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
  #pinnedBy = ''
  #pinnedAt: Place | null = null
  /** Its maker, for messages. */
  owner: string | Owner

  constructor(engine: EngineCore, settings: Settings | null, explicit: boolean, owner: string | Owner) {
    this.engine = engine
    this.settings = settings
    this.explicit = explicit
    this.owner = owner
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

  /** Where its connections come from. */
  get pool(): Pool {
    return this.reads?.pool ?? this.engine.pool
  }

  /** From now on it stays at the primary; the connection of a replica goes back before. */
  settle(): void {
    if (this.reads === null) return
    this.arrives()
    if (this.lease !== null && this.reads.host !== null) void this.handBack()
    this.reads = null
  }

  get top(): TransactionRecord | undefined {
    return this.stack.length === 0 ? undefined : this.stack[this.stack.length - 1]
  }

  /** The innermost open transaction that a statement through `handle` would run in here. */
  innermost(handle: Handle | null): TransactionRecord | null {
    const chain = currentChain()
    return this.stack.findLast((record) => record.admitsFrom(chain, handle)) ?? null
  }

  /** Its session has state that its user relies on, or may have. */
  get keepsSession(): boolean {
    if (this.doubts !== null) settleDoubts(this)
    return this.pins !== 0 || this.left !== null || (this.doubts !== null && this.#doubtsCall)
  }

  /** Whether nothing but what will be over by itself keeps the connection. */
  get movable(): boolean {
    return this.stack.length === 0 && !this.keepsSession && this.doubts === null && this.holds === 0
  }

  get #free(): boolean {
    return this.stack.length === 0 && this.left === null && this.holds === 0
  }

  /** Whether nothing keeps the connection but what may be gone, and can be asked for. */
  get #maybeFree(): boolean {
    if (!this.#free || this.askedAt === this.stirs) return this.asking
    if (this.doubts !== null) return (this.pins & ~Pin.askable) === 0
    return this.pins !== 0 && (this.pins & ~Pin.askable) === 0
  }

  get askable(): boolean {
    const { lease } = this
    if (lease === null || this.closed || this.asking || this.busy || this.movable || !this.#maybeFree) return false
    return lease.raw.status === 'idle' && !lease.raw.quarantined && this.engine.functions.active
  }

  ask(): void {
    ask(this)
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
    this.pool.recall.leaves(this)
    void this.handBack()
  }

  /** It has a connection again, or needs none any more. */
  protected arrives(): void {
    if (this.recalledAt === 0) return
    this.recalledAt = 0
    this.pool.recall.arrives(this)
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

  /** The user relies on a change of the session. */
  pin(bits: number, by: string, tells = true): void {
    if (!this.keeps) return
    if (this.pins === 0) {
      this.#pinnedBy = by
      this.#pinnedAt = capturePlace()
    }
    this.pins |= bits
    if (tells) this.tied()
  }

  /** The connection is kept, because functions that the statement called may rely on it. */
  leave(stmt: Compiled): void {
    this.moved = false
    if (this.left !== null || !this.keeps) return
    this.left = stmt
    this.tied()
  }

  /** Whether it left something is found out later. */
  doubt(stmt: Compiled): void {
    if (stmt.leaves === true) this.draws(stmt)
    if (!this.keeps) return
    this.#doubtsCall = (this.doubts !== null && this.#doubtsCall) || stmt.leaves === true
    this.doubts ??= new Set()
    this.doubts.add(stmt)
    this.tied()
  }

  /** Nothing that it did to its session counts any more: it has no connection. */
  protected forgets(): void {
    this.pins = 0
    this.left = null
    this.doubts = null
    this.drew = false
    this.changed()
  }

  /** Its changes of functions hold for all, if its transaction has ended. */
  protected changed(): void {
    if (!this.changes || this.stack.length > 0 || this.lease?.raw.status === 'tx') return
    this.changes = false
    this.engine.functions.forget()
  }

  /** A statement is sent that may write, and draw numbers of sequences, which are in this session then. */
  noteWrite(stmt: Compiled): void {
    this.wrote = true
    if (draws(stmt)) this.draws(stmt)
    else this.drew ||= stmt.verb === 'UPDATE' || stmt.verb === 'DELETE'
  }

  draws(stmt: Compiled): void {
    this.wrote = true
    this.moved = false
    this.drew = true
    this.#drewBy = stmt
    const { numbers, numbered } = this.engine.functions
    if (!numbers) return
    if (this.lease !== null) this.lease.raw.dirty |= Dirty.sequences
    if (!numbered.has(stmt)) return
    this.pin(Pin.sequences, stmt.verb)
    tellOfNumbers(this.engine, stmt)
  }

  /** Somebody asks for numbers that were drawn: the statement that drew them keeps its connection from now on. */
  asksNumbers(): void {
    const { functions } = this.engine
    functions.numbers = true
    if (this.#drewBy !== null) functions.numbered.add(this.#drewBy)
  }

  ties(): Ties | null {
    if (this.lease === null || this.movable || this.#maybeFree) return null
    const surely: object[] = this.keepsSession || this.doubts !== null || this.holds > 0 ? [this] : []
    const likely: object[] = [this]
    if (this.copying?.open === true && this.copying.frame !== null) surely.push(this.copying.frame)
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
    if (this.doubts !== null) return 'session kept until it is known what its functions leave'
    if (this.holds > 0) return 'held'
    return this.busy ? 'running a statement' : ''
  }
}

// How long a slot has waited for connections lately. The acquire timeout is one budget for all of its waits: a scope that
// waits for something else several times waits no longer for connections than one that never does.

/** Waits are forgotten after so many times the budget. */
const remembered = 2

class Waits {
  readonly #budgetMs: number
  /** When each of them ended, in monotonic milliseconds, and how long it was. */
  #past: { readonly endedAt: number; readonly ms: number }[] = []

  constructor(budgetMs: number) {
    this.#budgetMs = budgetMs
  }

  note(since: number, now: number): void {
    if (this.#budgetMs !== Infinity) this.#past.push({ endedAt: now, ms: now - since })
  }

  /** How long it has waited within the time that counts, in milliseconds. */
  spentMs(now: number): number {
    this.#past = this.#past.filter(({ endedAt }) => now - endedAt < remembered * this.#budgetMs)
    return this.#past.reduce((sum, { ms }) => sum + ms, 0)
  }
}
