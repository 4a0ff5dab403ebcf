// A statement or a turn that waits in a slot or in the pool's queue. It knows who asked, how long it may wait
// and for what it is waiting, and gives up by itself when its time is over or its signal aborts.
import type { Failure, Refusal } from '../../driver/driver.ts'
import { TransactionAbortedError } from '../../errors/index.ts'
import { notice } from '../../observe/channels.ts'
import { clock } from '../../util/clock.ts'
import type { ListNode } from '../../util/linked-list.ts'
import { noteFailure } from '../../util/thrown.ts'
import { type Abortable, unwatchSignal, watchSignal } from '../../util/signal.ts'
import type { Expiring } from '../../util/ticker.ts'
import type { Pool } from '../../pool/pool.ts'
import { around, type Link, settingsOn } from '../context/chain.ts'
import type { EngineCore } from '../core.ts'
import type { Handle, Holder, Settings } from '../context/frame.ts'
import { reportTimeout } from '../report.ts'
import { capturePlace, unknownPlace } from '../../observe/place.ts'
import type { Spoiler } from '../transaction/state.ts'

/** How long a wait for somebody else's transaction stays silent. */
const tellAfterMs = 1_000

/** The slot that carries an item to the wire, as far as the item knows it. */
export interface Carrier {
  /** Which recall it was that took its connection; 0: none, or it has one again. */
  readonly recalledAt: number
  readonly pool: Pool
  /** Where it reads, while that may be a replica. */
  readonly reads: { readonly pool: Pool | null } | null
  readonly forCursor: boolean
  readonly pins: number
  readonly settings: Settings | null
  readonly flight: {
    /** The failure of a transaction begun by text. */
    readonly spoiler: Spoiler | null
    abandon: string | null
    failed(failure: Failure, op: Waiting, idle: boolean): void
    isOfTyped(op: Waiting): boolean
  }
  withdraw(item: Waiting): void
  answered(op: Waiting): void
  /** It goes first, as soon as nothing is on the wire. */
  sendAgain(op: Waiting): void
  cancel(op: Waiting): void
  /** How long it has waited for connections lately, in milliseconds. */
  waitedMs(now: number): number
}

export type WaitPhase = 'connection' | 'transaction' | 'cursor'

export abstract class Waiting implements Expiring, Abortable {
  deadline: number = Infinity
  ticking: ListNode<Expiring> | null = null
  /** The statement's own deadline; it covers waiting and running. */
  until: number
  readonly engine: EngineCore
  /** The chain of the code that asked. */
  readonly chain: Link | undefined
  /** The handle it was asked through; null for implicit statements. */
  readonly handle: Handle | null
  readonly signal: AbortSignal | null
  /** A further signal: that of the scope its connection belongs to. */
  scopeSignal: AbortSignal | null = null
  slot: Carrier | null = null
  /** The pool where it runs, if it has no slot: that of a replica, or the one to which its slot has given the connection. */
  away: Pool | null = null
  /** Those it runs with, fixed when it is sent; undefined: those of its slot. */
  settings: Settings | null | undefined = undefined
  phase: WaitPhase | null = null
  /** It was issued before its connection was released, and so still runs. */
  issued = false
  /** Whether `until` was asked for, rather than being the limit of a wait. */
  readonly #timed: boolean
  #since = 0
  #told = false
  #behind = ''

  constructor(
    engine: EngineCore,
    chain: Link | undefined,
    handle: Handle | null,
    until: number,
    signal: AbortSignal | null,
  ) {
    this.engine = engine
    this.chain = chain
    this.handle = handle
    this.until = until
    this.signal = signal
    this.#timed = until !== Infinity
    if (signal !== null && !signal.aborted) watchSignal(signal, this)
  }

  /** Where it waits for a connection. */
  get pool(): Pool {
    return this.away ?? (this.slot === null ? this.engine.pool : this.slot.pool)
  }

  /** Ends the wait with a failure; called at most once. */
  abstract refuse(failure: Failure): void

  /** Notes which settings it runs with on `slot`. False: it was refused, because its code has outlived them. */
  fixSettings(slot: Holder): boolean {
    if (this.settings !== undefined) return true
    try {
      this.settings = settingsOn(slot, this.chain, this.handle)
      return true
    } catch (error) {
      this.refuseWith(error)
      return false
    }
  }

  /** The settings it runs with. */
  get wanted(): Settings | null {
    return this.settings === undefined ? (this.slot === null ? null : this.slot.settings) : this.settings
  }

  /** As `refuse`, with an error that is already made. */
  refuseWith(error: unknown): void {
    noteFailure()
    this.refuse({ kind: 'refused', outcome: 'not_started', refusal: { reason: 'usage' }, cause: error })
  }

  /** Where it was asked, for messages. */
  abstract describe(): string

  around(): readonly object[] {
    return around(this.engine, this.chain)
  }

  /** Starts the clock of the statement's own deadline. */
  begin(): void {
    if (!this.#timed) return
    this.deadline = this.until
    this.engine.ticker.add(this)
  }

  /** Starts the clock of a wait: the statement's own deadline, else the acquire timeout, counted once for all waits. */
  arm(phase: WaitPhase, behind = '', now: number = clock.now()): void {
    if (this.#since === 0) {
      this.#since = now
      if (!this.#timed) this.until = now + this.#patienceMs(now)
    }
    this.phase = phase
    this.#behind = behind
    this.deadline = this.#told ? this.until : Math.min(this.until, now + tellAfterMs)
    this.engine.ticker.add(this)
  }

  /**
   * How long it may wait. The recent waits of its slot for connections count. One whose connection was taken back goes first
   * and has a quarter of the time at least. Otherwise its earlier work would be in vain whenever it had to wait long to begin.
   */
  #patienceMs(now: number): number {
    const { acquireTimeoutMs } = this.engine.options.pool
    if (this.slot === null) return acquireTimeoutMs
    const leastMs = this.slot.recalledAt === 0 ? 0 : acquireTimeoutMs / 4
    return Math.max(leastMs, acquireTimeoutMs - this.slot.waitedMs(now))
  }

  /** Its next wait has the whole time of a wait again. */
  protected waitAnew(): void {
    this.#since = 0
  }

  /** The wait is over, but not the statement. */
  unarm(): void {
    this.phase = null
    if (this.#timed) this.deadline = this.until
    else this.disarm()
  }

  /** It leaves the queue for the wire: only its own deadline goes on. */
  leave(): void {
    this.phase = null
    if (this.#timed) this.deadline = this.until
    else if (this.until !== Infinity) {
      this.disarm()
      this.until = Infinity
    }
  }

  /** Stops the clock. */
  disarm(): void {
    if (this.deadline === Infinity) return
    this.deadline = Infinity
    this.engine.ticker.remove(this)
  }

  /** Aborts with this signal too. The caller has checked that it is not aborted already. */
  listen(signal: AbortSignal): void {
    this.scopeSignal = signal
    watchSignal(signal, this)
  }

  /** Stops listening to the signals. */
  forget(): void {
    if (this.signal !== null) unwatchSignal(this.signal, this)
    if (this.scopeSignal !== null) unwatchSignal(this.scopeSignal, this)
  }

  expire(now: number): void {
    if (now < this.until) {
      if (this.phase !== null && !this.#told) {
        this.#told = true
        this.tell(this.phase)
      }
      this.deadline = this.until
      this.engine.ticker.add(this)
      return
    }
    this.deadline = Infinity
    const waitedMs = this.#waitedMs(now)
    this.withdraw()
    if (this.phase === null) this.refuse({ kind: 'timeout', outcome: 'not_started' })
    else {
      const refusal = this.#refusal(waitedMs)
      reportTimeout(this.engine, refusal)
      const cause = refusal.phase === 'connect' ? this.pool.lastOpenFailure : undefined
      this.refuse({ kind: 'refused', outcome: 'not_started', refusal, cause })
    }
  }

  abort(reason: unknown): void {
    this.disarm()
    this.withdraw()
    this.refuse({ kind: 'aborted', outcome: 'not_started', cause: reason })
  }

  /** The transaction or cursor that it waits for, in words. */
  protected get behind(): string {
    return this.#behind
  }

  /** It has waited for a second. */
  protected tell(phase: WaitPhase): void {
    if (phase === 'connection') this.pool.recall.tellHolders()
    else
      notice(
        'waiting-for-transaction',
        `A statement has been waiting for a second for another ${phase} on the same connection to end.`,
        { engine: this.engine.name, places: [this.describe(), this.behind], warn: false },
      )
  }

  /** Leaves the queue it waits in. */
  protected withdraw(): void {
    if (this.slot !== null) this.slot.withdraw(this)
    else this.pool.withdraw(this as never)
  }

  /** The recent waits of its slot count. */
  #waitedMs(now: number): number {
    const before = this.#timed || this.slot === null ? 0 : this.slot.waitedMs(now)
    return Math.round(before + now - this.#since)
  }

  #refusal(waitedMs: number): Refusal {
    if (this.phase === 'connection') return this.pool.refusal(waitedMs)
    return {
      reason: 'acquire-timeout',
      phase: this.phase ?? 'transaction',
      waitedMs,
      holders: [this.behind],
      stats: { ...this.pool.stats() },
    }
  }
}

// A wait for connections that cursors or COPYs hold, each for itself and read or written by nobody at the moment: the loop over
// one of them may be what waits. Nobody can know, so a notice says it at once, where the wait begins.

/** Called synchronously by whoever joins the queue of the pool; `describe` is what waits, for places that are not known. */
export function tellOfCursors(engine: EngineCore, describe: () => string): void {
  const { pool } = engine
  if (pool.size < pool.max) return
  let copies = 0
  for (const { lease, op } of pool.members) {
    const copy = op?.copy ?? null
    if (copy?.open === true && copy.idle && copy.frame === null) copies++
    else if (lease?.holder.forCursor !== true || lease.raw.inFlight > 0) return
  }
  const place = String(capturePlace())
  notice(
    copies > 0 ? 'waiting-for-copy' : 'waiting-for-cursor',
    copies > 0
      ? 'A statement waits for a connection, and COPYs that are neither read nor written now use all of them. If this is the loop over ' +
          'copyTo(), or what writes for copyFrom(), it waits for itself. Collect the rows first, or raise pool.max.'
      : 'A statement waits for a connection, and cursors opened outside of any transaction hold all of them. If this is the loop ' +
          'that reads the cursor, it waits for itself. Put the loop into transaction(work), read all rows first, or raise pool.max.',
    { engine: engine.name, places: [place === unknownPlace ? describe() : place, ...pool.holders()] },
  )
}

// A turn: a place in a slot's queue that is not a statement. Transactions enter by one, handles borrow by one, and code that
// has to act when everything issued before has been answered waits for a quiet one.
interface Beginning {
  /** Issued as one statement is. */
  readonly batch: boolean
  describe(): string
}

interface TurnOptions {
  /** Runs only when nothing is in flight. */
  readonly untilQuiet: boolean
  /** Needs a raw connection and borrows one if the slot has none. */
  readonly borrows: boolean
  /** It borrows for reads alone, which a replica can do. */
  readonly reads?: boolean | undefined
  /** Done synchronously when the turn comes, before anything behind it moves. */
  readonly act: () => void
  /** The transaction that takes its place then. */
  readonly begins?: Beginning | undefined
  readonly until?: number | undefined
  readonly signal?: AbortSignal | undefined
}

export class Turn extends Waiting {
  readonly quiet: boolean
  readonly borrows: boolean
  readonly reads: boolean
  /** The transaction that takes its place then. */
  readonly begins: Beginning | null
  /** The engine's own: it is taken whatever transaction is open. */
  unchecked = false
  readonly #act: () => void
  #resolve: (() => void) | null = null
  #reject: ((failure: unknown) => void) | null = null
  #settled = false
  #failure: unknown = null

  constructor(engine: EngineCore, chain: Link | undefined, handle: Handle | null, options: TurnOptions) {
    super(engine, chain, handle, options.until ?? Infinity, options.signal ?? null)
    this.quiet = options.untilQuiet
    this.borrows = options.borrows
    this.reads = options.reads === true
    this.begins = options.begins ?? null
    this.#act = options.act
  }

  take(): void {
    this.disarm()
    this.forget()
    try {
      this.#act()
    } catch (error) {
      this.#failure = error
    }
    this.#settled = true
    if (this.#failure !== null) this.#reject?.(this.#failure)
    else this.#resolve?.()
  }

  refuse(failure: Failure | Error): void {
    if (this.#settled) return
    this.#settled = true
    this.disarm()
    this.forget()
    this.#failure = failure
    // The error that caused it comes first, as it does for statements.
    if (failure.cause instanceof TransactionAbortedError) clock.setImmediate(() => this.#reject?.(failure))
    else this.#reject?.(failure)
  }

  /** Settles when the turn was taken; rejects with a `Failure`. Null when it was taken at once. */
  wait(): Promise<void> | null {
    if (this.#settled) {
      if (this.#failure !== null) throw this.#failure as unknown
      return null
    }
    return new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  describe(): string {
    return 'a transaction or connection waiting for its turn'
  }
}

/**
 * Waits until everything that was issued before has been answered (`back`), or everything on the wire (`front`). Rejects when that takes
 * longer than `until`.
 */
export async function untilQuiet(
  slot: { readonly engine: EngineCore; enterUnchecked(turn: Turn, place: 'front' | 'back'): void },
  { chain, handle }: { readonly chain: Link | undefined; readonly handle: Handle | null },
  place: 'front' | 'back',
  until: number,
): Promise<void> {
  const turn = new Turn(slot.engine, chain, handle, { untilQuiet: true, borrows: false, act: () => {}, until })
  turn.begin()
  slot.enterUnchecked(turn, place)
  await turn.wait()
}
