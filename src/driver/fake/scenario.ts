// The decisions of a test about the fake server: what goes wrong (`Faults`), and in which order things happen (`Steps`). Every event (a
// unit runs, is answered, a reset settles, …) is a step: a macrotask or, with a scheduler, one entry of it, so that fast-check decides.
// Steps run in the root context, as the callbacks of a socket do. Deadlines (`TimeLine`) are timers; under a scheduler they are steps
// that exist only where nothing else would happen any more. Connection and backend play a fault out.
import { UsageError } from '../../errors/index.ts'
import { inRoot } from '../../util/context.ts'
import { clock, msUntil } from '../../util/clock.ts'

/**
 * The moment of a fault. `open`: before a session is open. `encode`: when a unit is written. `send`: when the server is about
 * to run a statement. `answer`: when the unit has run and is about to be answered. `after-answer`: when it has been answered.
 * The others: at the message of that name.
 */
export type FaultPhase = 'open' | 'encode' | 'send' | 'answer' | 'after-answer' | 'cancel' | 'reset' | 'ping' | 'close'

/** An ErrorResponse with this SQLSTATE. */
export interface ServerFault {
  readonly error: string
  readonly message?: string | undefined
  /** Further fields of the ErrorResponse: `constraint`, `table`, `detail`, … */
  readonly fields?: Readonly<Record<string, string>> | undefined
}

/** A fault: the event that happens in place of the usual one. */
export type Fault =
  | ServerFault
  /** The connection dies; a string is the SQLSTATE of a FATAL message just before, such as `57P01`. */
  | { readonly lost: true | string }
  /** No answer, until cancelled (phase `send`), past its deadline, or destroyed. */
  | { readonly hang: true }
  /** A later answer; under a scheduler, one more step. */
  | { readonly delayMs: number }
  /** The statement ran and its answer cannot be read. */
  | { readonly decode: string }
  /** A parameter cannot be written; nothing of the unit is sent. */
  | { readonly encode: string }
  /** The peer breaks the protocol; the connection dies. */
  | { readonly protocol: string }
  /** The server cannot be reached: a code such as `ECONNREFUSED`. */
  | { readonly refuse: string }
  /** How a cancel ends, without its reaching the statement. */
  | { readonly cancel: 'completed' | 'broken' }

/** The place where a fault strikes: all members must fit. */
export interface FaultPoint {
  /** A text matches a statement that starts with it. Case and white space do not matter. Default: any statement. */
  readonly text?: string | RegExp | undefined
  /** Default: the phase that belongs to the fault, otherwise `send`. */
  readonly phase?: FaultPhase | undefined
  /** The first match that fails, counted from 1. Default 1. */
  readonly nth?: number | undefined
  /** How many matches in a row fail; `Infinity` for all. Default 1. */
  readonly times?: number | undefined
  /** The id of the only session meant. */
  readonly session?: number | undefined
}

/** A fault that waits for its time. */
export interface PlantedFault {
  /** How often it has occurred. */
  readonly hits: number
  remove(): void
}

/** Where each kind of fault can strike; the first is the default. */
const phasesOf: Readonly<Record<string, readonly FaultPhase[]>> = {
  error: ['send', 'open', 'reset', 'ping'],
  lost: ['send', 'open', 'answer', 'after-answer', 'cancel', 'reset', 'ping', 'close'],
  hang: ['send', 'open', 'answer', 'cancel', 'reset', 'ping', 'close'],
  delayMs: ['send', 'open', 'answer', 'cancel', 'reset', 'ping', 'close'],
  decode: ['answer'],
  encode: ['encode'],
  protocol: ['answer', 'send', 'open'],
  refuse: ['open'],
  cancel: ['cancel'],
}

interface Planted extends PlantedFault {
  readonly phase: FaultPhase
  readonly nth: number
  readonly times: number
  readonly matches: (text: string) => boolean
  readonly session: number | undefined
  readonly fault: Fault
  seen: number
  hits: number
}

/** The faults that a `FakeDriver` is to have. */
export class Faults {
  readonly #planted: Set<Planted> = new Set()

  /** Plants a fault. @throws {UsageError} when such a fault cannot happen in that phase. */
  at(point: FaultPoint | string | RegExp, fault: Fault): PlantedFault {
    const at: FaultPoint = typeof point === 'string' || point instanceof RegExp ? { text: point } : point
    const kind = Object.keys(fault).find((key) => Object.hasOwn(phasesOf, key)) ?? ''
    const allowed = phasesOf[kind] ?? []
    const phase = at.phase ?? allowed[0]
    if (phase === undefined || !allowed.includes(phase))
      throw new UsageError(
        `The fake driver has no fault { ${kind} } in phase ${String(phase)}: use ${allowed.join(', ')}.`,
      )
    const { nth = 1, times = 1, session } = at
    const remove = (): void => void this.#planted.delete(planted)
    const matches = matcher(at.text)
    const planted: Planted = { phase, nth, times, session, matches, fault, seen: 0, hits: 0, remove }
    this.#planted.add(planted)
    return planted
  }

  /** The number of planted faults that have not struck yet. */
  get pending(): number {
    return [...this.#planted].filter(({ hits }) => hits === 0).length
  }

  clear(): void {
    this.#planted.clear()
  }

  /** The fault to play out now, if any. Every planted fault that matches counts the message. */
  take(phase: FaultPhase, session: number, text: string = ''): Fault | undefined {
    let struck: Planted | undefined
    for (const planted of this.#planted) {
      if (planted.phase !== phase || (planted.session ?? session) !== session || !planted.matches(text)) continue
      planted.seen++
      if (planted.seen >= planted.nth && planted.seen < planted.nth + planted.times) struck ??= planted
    }
    if (struck !== undefined) struck.hits++
    return struck?.fault
  }
}

function matcher(text: string | RegExp | undefined): (text: string) => boolean {
  if (text === undefined) return () => true
  if (typeof text === 'string') return (actual) => plain(actual).startsWith(plain(text))
  return (actual) => actual.search(text) >= 0
}

function plain(text: string): string {
  return text.trim().replace(/\s+/g, ' ').toLowerCase()
}

/** Decides when a step happens. It must call `run` later, never from inside `defer`. */
export interface StepScheduler {
  defer(label: string, run: () => void): void
}

/** The part of fast-check's `fc.scheduler()` that is used. */
export interface TaskScheduler {
  schedule<T>(task: Promise<T>, label?: string): Promise<T>
}

/** Decides which of the possible next steps happens: a scheduler of steps, or `fc.scheduler()` of `fast-check`. */
export type Scheduler = StepScheduler | TaskScheduler

export class Steps {
  /** True when a scheduler decides, and no timer is ever used. */
  readonly controlled: boolean
  readonly #scheduler: Scheduler | undefined

  constructor(scheduler: Scheduler | undefined) {
    this.#scheduler = scheduler
    this.controlled = scheduler !== undefined
  }

  /** Calls `run` in a later step; a delay counts only when no scheduler decides. */
  defer(label: string, run: () => void, delayMs: number = 0): void {
    const scheduler = this.#scheduler
    inRoot(() => {
      if (scheduler === undefined) {
        // A test that replaces the timers decides how fast the server is, and nothing else of ours.
        if (delayMs > 0) globalThis.setTimeout(run, delayMs)
        else clock.setImmediate(run)
      } else if ('defer' in scheduler) scheduler.defer(label, () => inRoot(run))
      else void scheduler.schedule(Promise.resolve(label), label).then(run)
    })
  }
}

/** The steps and deadlines of one connection. */
export class TimeLine {
  readonly #steps: Steps
  /** In front of the labels of its steps. */
  readonly #name: string
  readonly #armed = new Map<() => void, string>()
  #stuck = false

  constructor(steps: Steps, name: string) {
    this.#steps = steps
    this.#name = name
  }

  defer(label: string, run: () => void, delayMs?: number): void {
    this.#steps.defer(this.#name + label, run, delayMs)
  }

  /** Calls `expire` once `deadline` (monotonic milliseconds) has passed; the function returned disarms it. False: it is too late. */
  arm(label: string, deadline: number, expire: () => void): () => boolean {
    const fire = (): void => {
      if (this.#armed.delete(fire)) expire()
    }
    this.#armed.set(fire, label)
    let timer: NodeJS.Timeout | undefined
    if (!this.#steps.controlled && deadline !== Infinity)
      timer = inRoot(() => clock.setTimeout(fire, msUntil(deadline)))
    if (this.#steps.controlled && this.#stuck) this.defer(`${label}: deadline`, fire)
    return () => {
      clock.clearTimeout(timer)
      return this.#armed.delete(fire)
    }
  }

  /** A message: it arrives in a later step, unless a fault keeps it or has it wait. */
  send(label: string, fault: Fault | undefined, arrive: () => void): void {
    if (fault !== undefined && 'hang' in fault) this.stick()
    else if (fault === undefined || !('delayMs' in fault)) this.defer(label, arrive)
    else this.defer(`delay of ${label}`, () => this.defer(label, arrive), fault.delayMs)
  }

  /** Nothing will happen by itself any more: under a scheduler every deadline, armed or still to come, becomes a step. */
  stick(): void {
    this.#stuck = true
    if (this.#steps.controlled) for (const [fire, label] of this.#armed) this.defer(`${label}: deadline`, fire)
  }

  unstick(): void {
    this.#stuck = false
  }
}
