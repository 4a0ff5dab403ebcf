// A turn: a place in a slot's queue that is not a statement. Transactions enter by one, handles borrow by one, and
// whoever has to act when everything issued before has been answered waits for a quiet one.
import type { Failure } from '../../driver/driver.ts'
import type { Link } from '../context/chain.ts'
import type { Engine } from '../engine.ts'
import type { Handle } from '../handle.ts'
import type { Slot } from './slot.ts'
import { Waiting } from './waiting.ts'

export interface TurnOptions {
  /** Runs only when nothing is in flight. */
  readonly quiet: boolean
  /** Needs a raw connection and borrows one if the slot has none. */
  readonly borrows: boolean
  /** Done synchronously when the turn comes, before anything behind it moves. */
  readonly act: () => void
  readonly until?: number | undefined
  readonly signal?: AbortSignal | undefined
}

export class Turn extends Waiting {
  readonly quiet: boolean
  readonly borrows: boolean
  /** The engine's own: it is taken whatever transaction is open. */
  unasked = false
  readonly #act: () => void
  #resolve: (() => void) | null = null
  #reject: ((failure: unknown) => void) | null = null
  #settled = false
  #failure: unknown = null

  constructor(engine: Engine, chain: Link | undefined, handle: Handle | null, options: TurnOptions) {
    super(engine, chain, handle, options.until ?? Infinity, options.signal ?? null)
    this.quiet = options.quiet
    this.borrows = options.borrows
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
    this.#reject?.(failure)
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
 * Waits until what was issued before (or, if `first`, what is on the wire) has been answered. Rejects when that takes
 * longer than `until`.
 */
export async function quiet(
  slot: Slot,
  { chain, handle }: { readonly chain: Link | undefined; readonly handle: Handle },
  first: boolean,
  until: number,
): Promise<void> {
  const turn = new Turn(slot.engine, chain, handle, { quiet: true, borrows: false, act: () => {}, until })
  turn.begin()
  slot.enterUnasked(turn, first)
  await turn.wait()
}
