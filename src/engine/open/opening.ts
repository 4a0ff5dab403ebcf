// One opening of a database, for all callers that wait for it: `open()` fails at once, while statements whose first use opens the
// database wait until the server has room. And the pace of openings that follow each other.
import type { Allowance } from '../../pool/allowance.ts'
import type { CloseReport } from '../../pool/contract.ts'
import { Backoff, before, sleep, clock, deferred } from '../../util/clock.ts'
import { AbortedError, AcquireTimeoutError, NotBoundError, PoolClosedError } from '../../errors/index.ts'
import { inRoot } from '../../util/context.ts'
import { readAgain } from '../../util/options.ts'

/**
 * An opening that several callers may wait for. `E` is the opened object. It may keep the opening, so nothing here keeps the async
 * context of a caller.
 */
export class Opening<E> {
  /** Null until the source was asked. */
  engine: E | null = null
  /** The code that makes an engine is being loaded; null: it was there, or the source has not been asked yet. */
  loading: Promise<void> | null = null
  /** The code that callers need beside the engine, while it is being loaded; null: it is there. */
  needs: Promise<unknown> | null = null
  /** Statements wait for it. */
  patient = false
  /** The connections that it has together with other databases; null: it has its own. */
  readonly allowance: Allowance | null
  readonly #ended = new AbortController()
  readonly #refusal = deferred<never>()
  readonly #end = deferred<never>()

  constructor(patient = false, allowance: Allowance | null = null) {
    this.patient = patient
    this.allowance = allowance
    for (const { promise } of [this.#refusal, this.#end]) promise.catch(() => {})
  }

  /** False: the attempt under way is the last. */
  get goesOn(): boolean {
    return !this.#ended.signal.aborted
  }

  /** It is open when that has been loaded, too. */
  need(loading: Promise<unknown>): void {
    // Those that need the code get the failure from `loading` itself.
    this.needs = loading.catch(() => {})
  }

  /** All code was loaded that its engine is made of, one part after the other. */
  async loaded(): Promise<void> {
    let last: Promise<void> | null = null
    while (this.loading !== last) await (last = this.loading)
  }

  /** Nothing is tried again. */
  stop(): void {
    this.#ended.abort()
  }

  /** As `work`, or rejects when nobody waits for it any more. */
  orGivenUp<T>(work: () => Promise<T>): Promise<T> {
    return inRoot(() => Promise.race([work(), this.#end.promise]))
  }

  /** As `work`, or rejects when it fails for those who do not wait for a server to have room. */
  orRefused<T>(work: Promise<T>): Promise<T> {
    return inRoot(() => Promise.race([work, this.#refusal.promise]))
  }

  /** Those who wait for it get this error. If the opening succeeds later, its result is closed. */
  giveUp(error: Error = closedBeforeOpen()): void {
    this.stop()
    this.#end.reject(error)
  }

  /** True: it is open within that time, and whoever waited for that has gone on. */
  async opensWithin(opening: Promise<unknown> | null, timeoutMs: number): Promise<boolean> {
    // One whose source is still being asked has not begun.
    if (this.engine !== null) this.stop()
    if (!(await before(clock.now() + timeoutMs, succeeds(opening)))) return false
    await new Promise<void>((resolve) => clock.setImmediate(resolve))
    return true
  }

  refuse(error: unknown): void {
    this.#refusal.reject(error)
  }

  /** Waits, or until it is stopped. */
  async pause(ms: number): Promise<void> {
    await sleep(ms, this.#ended.signal).catch(() => {})
  }
}

async function succeeds(work: Promise<unknown> | null): Promise<boolean> {
  try {
    await work
    return true
  } catch {
    return false
  }
}

/**
 * How often something that cannot be opened is tried, however many ask for it: as soon as it is asked for while all is well;
 * after a failure one at a time, with a pause in between. Callers that come meanwhile get the failure of that attempt.
 */
export class Pace {
  readonly #backoff = new Backoff()
  #failing = false
  #probe: Promise<unknown> | null = null

  async run<T>(open: () => Promise<T>): Promise<T> {
    while (this.#failing) {
      const probe = this.#probe
      if (probe === null) return this.#retry(open)
      await probe
    }
    return this.#noted(open)
  }

  async #retry<T>(open: () => Promise<T>): Promise<T> {
    const probe = sleep(this.#backoff.leftMs).then(() => this.#noted(open))
    this.#probe = probe
    try {
      return await probe
    } finally {
      this.#probe = null
    }
  }

  async #noted<T>(open: () => Promise<T>): Promise<T> {
    try {
      const opened = await open()
      this.#failing = false
      this.#backoff.succeeded()
      return opened
    } catch (error) {
      this.#failing = true
      this.#backoff.failed(true)
      throw error
    }
  }
}

const mostKept = 100

/** The paces of several sources, kept while these cannot be opened. */
export class Paces {
  #kept: { readonly source: unknown; readonly options: unknown; readonly pace: Pace }[] = []

  /** Openings of the same source with the same options object have one pace. */
  async run<T>(source: unknown, options: unknown, open: () => Promise<T>): Promise<T> {
    let entry = this.#kept.find((each) => each.source === source && each.options === options)
    if (entry === undefined) {
      entry = { source, options, pace: new Pace() }
      this.#kept = [...this.#kept.slice(1 - mostKept), entry]
    }
    const opened = await entry.pace.run(open)
    this.#kept = this.#kept.filter((each) => each !== entry)
    return opened
  }
}

// The wait of a call for a database that is opened on first use. It ends at the deadline of the call, and counts to it; the
// opening itself goes on, for others and for the next call.
interface Waits {
  readonly timeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * The options with what is left of their time once the database is open. Rejects as the opening does.
 * @throws {AcquireTimeoutError} when `timeoutMs` is over before. @throws {AbortedError} when `signal` aborts before.
 */
export async function afterOpening<O extends Waits & object>(opening: Promise<unknown>, options: O): Promise<O> {
  const { timeoutMs, signal } = options
  if (timeoutMs === undefined && signal === undefined) {
    await opening
    return options
  }
  const began = clock.now()
  await openedInTime(opening, timeoutMs, signal)
  if (timeoutMs === undefined) return options
  return readAgain<Waits>(options, { timeoutMs: Math.max(timeoutMs - (clock.now() - began), 0) }) as O
}

async function openedInTime(
  opening: Promise<unknown>,
  timeoutMs = Infinity,
  signal: AbortSignal | undefined,
): Promise<void> {
  const aborted = deferred<'aborted'>()
  const abort = (): void => aborted.resolve('aborted')
  if (signal?.aborted === true) abort()
  else signal?.addEventListener('abort', abort, { once: true })
  const first = Promise.race([aborted.promise, opening])
  const end = await before(clock.now() + timeoutMs, first, 'late').finally(() => {
    signal?.removeEventListener('abort', abort)
  })
  if (end === 'late')
    throw new AcquireTimeoutError(
      `Waited ${timeoutMs} ms for the database to be opened, which goes on. Give the call more time, or open the database ` +
        'before it is used: db.open().',
      { phase: 'connect', timeoutMs },
    )
  if (end === 'aborted')
    throw new AbortedError('The call was aborted by its signal, before the database was open.', {
      cause: signal?.reason,
    })
}

/** Why a db has no engine. */
export function notBound(missing: boolean): NotBoundError {
  return new NotBoundError(
    missing
      ? 'This db has no database: createDb() was given undefined as its source. Is an environment variable missing? Give it a URL, or ' +
          'call bind(source) before using it.'
      : 'This db has no database yet. Give createDb() a URL, or call bind(source) before using it.',
  )
}

/** The error of a call that needs an engine and opens none. */
export function withoutEngine(state: string, missing: boolean): NotBoundError | PoolClosedError {
  if (state === 'closed') return closedError()
  if (state === 'unbound') return notBound(missing)
  return new NotBoundError('This db has not been opened yet. Call open(), or run a statement first.')
}

export function closedError(): PoolClosedError {
  return new PoolClosedError('This db has been closed, and cannot be opened again. Create another one.')
}

/** The report of a `close()` that found nothing open. */
export const nothingClosed: CloseReport = { drained: 0, broken: [] }

/** It was closed while it was being opened. */
export function closedBeforeOpen(): PoolClosedError {
  return new PoolClosedError('The database was closed before it was open.')
}
