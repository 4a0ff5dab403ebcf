// Every timer and clock of the package. They are taken when this module loads, so tests that put fake timers in place of the
// real ones stop none of ours: a pool opens connections, waits and gives up in real time. No other module names the globals.
import { inRoot } from './context.ts'

const {
  setTimeout: laterOf,
  clearTimeout: dropLater,
  setInterval: everyOf,
  clearInterval: dropEvery,
  setImmediate: soonOf,
  queueMicrotask: nextOf,
  performance: watch,
  Date: Calendar,
} = globalThis
const tickOf = process.nextTick.bind(process)
const monotonic = watch.now.bind(watch)
const calendar = Calendar.now.bind(Calendar)

/** Its own tests put something else in its members. */
export interface Clock {
  /** Monotonic milliseconds. */
  now: () => number
  /** Milliseconds since 1970. */
  date: () => number
  setTimeout<A extends unknown[]>(work: (...args: A) => void, delayMs: number, ...args: A): NodeJS.Timeout
  clearTimeout(timer: NodeJS.Timeout | undefined): void
  setInterval(work: () => void, pauseMs: number): NodeJS.Timeout
  clearInterval(timer: NodeJS.Timeout): void
  setImmediate<A extends unknown[]>(work: (...args: A) => void, ...args: A): void
  queueMicrotask(work: () => void): void
  /** After the code that runs now, before promises. */
  nextTick(work: () => void): void
}

export const clock: Clock = {
  now: monotonic,
  date: calendar,
  setTimeout: laterOf,
  clearTimeout: dropLater,
  setInterval: everyOf,
  clearInterval: dropEvery,
  setImmediate: soonOf,
  queueMicrotask: nextOf,
  nextTick: tickOf,
}

/** How long `close()` waits where nobody says it. */
export const defaultCloseTimeoutMs = 10_000

/** The delay until a deadline in monotonic milliseconds, for a timer. */
export function msUntil(deadline: number): number {
  return Math.min(Math.max(0, deadline - clock.now()), longestTimerMs)
}

/** Waits; rejects with the reason of `signal` as soon as that aborts. */
export function sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      clock.clearTimeout(timer)
      reject(signal?.reason as Error)
    }
    const timer = clock.setTimeout(
      () => {
        signal?.removeEventListener('abort', abort)
        resolve()
      },
      Math.min(delayMs, longestTimerMs),
    )
    if (signal?.aborted === true) abort()
    else signal?.addEventListener('abort', abort, { once: true })
  })
}

/** They hold 31 bits of milliseconds: a longer delay would be over at once. */
export const longestTimerMs = 2_147_483_647

// Deadlines without a timer each: one timer per engine, armed to the earliest deadline, scans what is registered.
// Every entry stands for a promise somebody waits for, so the timer keeps the process alive while there are entries.
export interface Expiring {
  /** Monotonic milliseconds (`performance.now()`); Infinity never expires. */
  deadline: number
  /** Called once the deadline has passed, after the entry was removed; may register itself again. */
  expire(now: number): void
}

/** Milliseconds between two scans at the least: deadlines closer together than this share one. */
const resolutionMs = 2
/** A timer this late means that the event loop stood still: answers that already arrived are read before anything expires. */
const stallMs = 100

export class Ticker {
  readonly #entries = new Set<Expiring>()
  #timer: NodeJS.Timeout | null = null
  #armedFor = Infinity

  get size(): number {
    return this.#entries.size
  }

  /** One without a deadline is not kept. */
  add(entry: Expiring): void {
    if (entry.deadline === Infinity) return this.remove(entry)
    this.#entries.add(entry)
    if (entry.deadline < this.#armedFor) this.#arm(entry.deadline)
  }

  remove(entry: Expiring): void {
    if (this.#entries.delete(entry) && this.#entries.size === 0) this.#disarm()
  }

  /** Waits for `work`; `expire` is called once when that takes too long, and has to end it. */
  async within<T>(deadline: number, work: Promise<T>, expire: () => void): Promise<T> {
    const limit: Expiring = { deadline, expire }
    this.add(limit)
    try {
      return await work
    } finally {
      this.remove(limit)
    }
  }

  #arm(deadline: number): void {
    if (this.#timer !== null) clock.clearTimeout(this.#timer)
    this.#armedFor = deadline
    const delay = Math.min(Math.max(Math.ceil(deadline - clock.now()), resolutionMs), longestTimerMs)
    this.#timer = inRoot(() => clock.setTimeout(() => this.#fired(), delay))
  }

  #disarm(): void {
    if (this.#timer !== null) clock.clearTimeout(this.#timer)
    this.#timer = null
    this.#armedFor = Infinity
  }

  #fired(): void {
    if (clock.now() - this.#armedFor > stallMs) clock.setImmediate(() => this.#scan())
    else this.#scan()
  }

  #scan(): void {
    this.#disarm()
    const now = clock.now()
    let earliest = Infinity
    const due: Expiring[] = []
    for (const entry of this.#entries) {
      if (entry.deadline <= now) due.push(entry)
      else if (entry.deadline < earliest) earliest = entry.deadline
    }
    for (const entry of due) this.#entries.delete(entry)
    if (earliest !== Infinity) this.#arm(earliest)
    for (const entry of due) entry.expire(now)
  }
}

export interface Abortable {
  /** Called once when the signal aborts while the entry is watched. */
  abort(reason: unknown): void
}

const watched = new WeakMap<AbortSignal, Set<Abortable>>()

/** Tells `entry` when `signal` aborts. The caller has checked that it is not aborted already. */
export function watchSignal(signal: AbortSignal, entry: Abortable): void {
  let entries = watched.get(signal)
  if (entries === undefined) {
    const fresh = new Set<Abortable>()
    entries = fresh
    watched.set(signal, fresh)
    signal.addEventListener(
      'abort',
      () => {
        for (const each of fresh) each.abort(signal.reason)
        fresh.clear()
      },
      { once: true },
    )
  }
  entries.add(entry)
}

export function unwatchSignal(signal: AbortSignal, entry: Abortable): void {
  watched.get(signal)?.delete(entry)
}

/** A promise and what settles it. */
export interface Deferred<T> {
  readonly promise: Promise<T>
  readonly resolve: (value: T | PromiseLike<T>) => void
  readonly reject: (reason: unknown) => void
}

export function deferred<T = void>(): Deferred<T> {
  let settle: Omit<Deferred<T>, 'promise'> | undefined
  const promise = new Promise<T>((resolve, reject) => (settle = { resolve, reject }))
  return { promise, ...(settle as Omit<Deferred<T>, 'promise'>) }
}

const firstMs = 50
const mostMs = 5_000
/** While somebody waits: one small attempt this often is cheap, and who waits is served soon after the server is back. */
const mostWaitingMs = 75

/** The pause between attempts to reach something that cannot be reached. */
export class Backoff {
  #pauseMs = 0
  #until = 0

  /** What is left of the pause, in milliseconds. */
  get leftMs(): number {
    return Math.max(0, this.#until - clock.now())
  }

  succeeded(): void {
    this.#pauseMs = 0
    this.#until = 0
  }

  /** Doubles the pause with decorrelated jitter: the clients of one server must not come back together. */
  failed(waiting: boolean): void {
    const span = Math.max(firstMs, this.#pauseMs * 3)
    this.#pauseMs = Math.min(waiting ? mostWaitingMs : mostMs, firstMs + Math.random() * (span - firstMs))
    this.#until = clock.now() + this.#pauseMs
  }
}

// Waiting until a deadline in monotonic milliseconds, and no longer.

/** The answer, or false when the deadline comes first. */
export function before(deadline: number, answer: Promise<boolean>): Promise<boolean>
/** What the work gives, or `late` when the deadline comes first. */
export function before<T, L>(deadline: number, work: Promise<T>, late: L): Promise<T | L>
export async function before(deadline: number, work: Promise<unknown>, late: unknown = false): Promise<unknown> {
  if (deadline === Infinity) return work
  let timer: NodeJS.Timeout | undefined
  const over = new Promise<unknown>((resolve) => {
    const expire = (): void => {
      if (clock.now() - deadline > stallMs) clock.setImmediate(resolve, late)
      else resolve(late)
    }
    timer = inRoot(() => clock.setTimeout(expire, msUntil(deadline)))
  })
  try {
    return await Promise.race([work, over])
  } finally {
    clock.clearTimeout(timer)
  }
}
