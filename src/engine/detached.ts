// The promise of `detached()`, which notices where it is awaited. Detached work sees nothing of the code that started it. But while
// that code awaits it, the connections of that code do not come back, and a wait for one of them inside the work fails at once.
import { clock } from '../util/clock.ts'
import { inRoot } from '../util/context.ts'
import type { Pool } from '../pool/pool.ts'
import { currentChain, type Link } from './context/chain.ts'
import type { Frame } from './context/frame.ts'
import type { Slot } from './slot/slot.ts'

/** Code that awaits the work, and has run nothing for this time, seems to wait for nothing else. Milliseconds. */
const idleMs = 100
const againMs = 25

/** Where those who wait are judged again: once for all work that is found to be awaited in one turn of the event loop. */
const dueSlots = new Set<Slot>()
const duePools = new Set<Pool>()

function reviewSoon(slots: readonly Slot[], pool: Pool): void {
  if (duePools.size === 0) inRoot(() => clock.setImmediate(review))
  for (const slot of slots) dueSlots.add(slot)
  duePools.add(pool)
}

function review(): void {
  const [slots, pools] = [[...dueSlots], [...duePools]]
  dueSlots.clear()
  duePools.clear()
  for (const slot of slots) slot.reconsider()
  for (const pool of pools) pool.noteHeld(true)
}

/** The code that awaits one piece of detached work. */
export class Awaiting {
  /** The frame of the work, as soon as it runs. */
  frame: Frame | null = null
  #chain: Link | undefined

  /** Code with that chain awaits it. */
  noted(chain: Link | undefined): void {
    if (chain === undefined || this.#chain !== undefined) return
    this.#chain = chain
    inRoot(() => clock.setImmediate(() => this.#look()))
  }

  #look(): void {
    const { frame } = this
    if (frame?.live !== true) return
    const slots = slotsOf(frame, this.#chain)
    if (slots.length === 0) return
    const now = clock.now()
    if (slots.some(({ flight }) => flight.size > 0 || now - flight.lastAnswer < idleMs)) {
      inRoot(() => clock.setTimeout(() => this.#look(), againMs).unref())
      return
    }
    frame.awaited = this.#chain
    reviewSoon(slots, frame.engine.pool)
  }
}

function slotsOf({ engine }: Frame, chain: Link | undefined): Slot[] {
  const slots: Slot[] = []
  for (let link = chain; link !== undefined; link = link.next) {
    const { engine: owner, slot } = link.frame
    if (owner === engine && slot !== null && slot.lease !== null) slots.push(slot as Slot)
  }
  return slots
}

export class DetachedPromise<T> extends Promise<T> {
  #awaiting: Awaiting | null = null

  static of<T>(running: Promise<T>, awaiting: Awaiting): Promise<T> {
    const promise = new DetachedPromise<T>((resolve) => {
      resolve(running)
    })
    promise.#awaiting = awaiting
    return promise
  }

  // oxlint-disable-next-line unicorn/no-thenable -- it is a promise
  override then<A = T, B = never>(
    onFulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    const next = super.then(onFulfilled, onRejected) as DetachedPromise<A | B>
    next.#awaiting = this.#awaiting
    // `await` and the methods of Promise pass a callback for both outcomes. Code that passes one only does not wait.
    if (typeof onFulfilled === 'function' && typeof onRejected === 'function') this.#awaiting?.noted(currentChain())
    return next
  }

  override finally(onFinally?: (() => void) | null): Promise<T> {
    const awaiting = this.#awaiting
    this.#awaiting = null
    const next = super.finally(onFinally) as DetachedPromise<T>
    this.#awaiting = next.#awaiting = awaiting
    return next
  }
}
