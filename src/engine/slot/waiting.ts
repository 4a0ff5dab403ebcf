// What can wait in a slot or in the pool's queue: a statement or a turn. It carries who asked, how long it may wait
// and for what it is waiting, and gives up by itself when its time is over or its signal aborts.
import type { Failure, Refusal } from '../../driver/driver.ts'
import { notice } from '../../observe/notice.ts'
import type { Lease } from '../../pool/lease.ts'
import type { Abortable } from '../../util/signals.ts'
import { unwatchSignal, watchSignal } from '../../util/signals.ts'
import type { Expiring } from '../../util/ticker.ts'
import { around, heldLeases, type Link } from '../context/chain.ts'
import type { Engine } from '../engine.ts'
import type { Handle } from '../handle.ts'
import { reportTimeout } from '../report.ts'
import type { Slot } from './slot.ts'
import { clock } from '../../util/clock.ts'

/** How long a wait for somebody else's transaction stays silent. */
const tellAfterMs = 1_000

export type WaitPhase = 'connection' | 'transaction' | 'cursor'

export abstract class Waiting implements Expiring, Abortable {
  deadline: number = Infinity
  /** The statement's own deadline; it covers waiting and running. */
  until: number
  readonly engine: Engine
  /** The chain of the code that asked. */
  readonly chain: Link | undefined
  /** The handle it was asked through; null for implicit statements. */
  readonly handle: Handle | null
  readonly signal: AbortSignal | null
  /** A further signal: that of the scope its connection belongs to. */
  scopeSignal: AbortSignal | null = null
  slot: Slot | null = null
  phase: WaitPhase | null = null
  /** It was issued before its connection was released, and so still runs. */
  issued = false
  /** Whether `until` was asked for, rather than being the limit of a wait. */
  readonly #timed: boolean
  #since = 0
  #told = false
  #behind = ''

  constructor(
    engine: Engine,
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

  /** Ends the wait with a failure; called at most once. */
  abstract refuse(failure: Failure): void
  /** As `refuse`, with an error that is already made. */
  refuseWith(error: unknown): void {
    this.refuse({ kind: 'refused', outcome: 'not_started', refusal: { reason: 'usage' }, cause: error })
  }

  /** Where it was asked, for messages. */
  abstract describe(): string

  heldLeases(): ReadonlySet<Lease> {
    return heldLeases(this.engine, this.chain)
  }

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

  /** How long it may wait: what its slot has waited for connections lately counts. */
  #patienceMs(now: number): number {
    const { acquireTimeoutMs } = this.engine.options.pool
    return this.slot === null ? acquireTimeoutMs : Math.max(0, acquireTimeoutMs - this.slot.waitedMs(now))
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
      if (this.phase !== null && !this.#told) this.#tell()
      this.deadline = this.until
      this.engine.ticker.add(this)
      return
    }
    this.deadline = Infinity
    this.#withdraw()
    if (this.phase === null) this.refuse({ kind: 'timeout', outcome: 'not_started' })
    else {
      const refusal = this.#refusal(now)
      reportTimeout(this.engine, refusal)
      const cause = refusal.phase === 'connect' ? this.engine.pool.lastOpenFailure : undefined
      this.refuse({ kind: 'refused', outcome: 'not_started', refusal, cause })
    }
  }

  abort(reason: unknown): void {
    this.disarm()
    this.#withdraw()
    this.refuse({ kind: 'aborted', outcome: 'not_started', cause: reason })
  }

  #tell(): void {
    this.#told = true
    if (this.phase === 'connection') this.engine.pool.recall.tellKeepers()
    else this.#tellOfTransaction()
  }

  #tellOfTransaction(): void {
    notice(
      'waiting-for-transaction',
      `A statement has been waiting for a second for another ${this.phase} on the same connection to end.`,
      { engine: this.engine.name, places: [this.describe(), this.#behind], warn: false },
    )
  }

  #withdraw(): void {
    if (this.slot !== null) this.slot.withdraw(this)
    else this.engine.pool.withdraw(this as never)
  }

  #refusal(now: number): Refusal {
    const before = this.#timed || this.slot === null ? 0 : this.slot.waitedMs(now)
    const waitedMs = Math.round(before + now - this.#since)
    if (this.phase === 'connection') return this.engine.pool.refusal(waitedMs)
    return {
      reason: 'acquire-timeout',
      phase: this.phase ?? 'transaction',
      waitedMs,
      holders: [this.#behind],
      stats: { ...this.engine.pool.stats() },
    }
  }
}
