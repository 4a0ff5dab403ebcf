// Runs a program on a world, and writes down what each step of it saw.
import type { Body, Executors, Step } from './program.ts'

/** What a statement saw. */
export interface Seen {
  /** The session it ran on. */
  readonly session: unknown
  /** The tenant of its settings; empty: none. */
  readonly tenant: string
  /** What the scope has set in its session; empty: nothing. */
  readonly pin: string
  /** The rows of the program that it saw, in order. */
  readonly rows: readonly number[]
}

export interface ScopeWishes {
  readonly reuse: boolean
  readonly reusable: boolean
  readonly hold: boolean
  readonly tenant: boolean
}

/** Where programs run: a database through Genever, or the model. `Here` is the place in the program that asks. */
export interface World<Here> {
  readonly root: Here
  look(here: Here, by: Executors): Promise<Seen>
  insert(here: Here, by: Executors, n: number): Promise<void>
  fail(here: Here, by: Executors): Promise<void>
  pin(here: Here, value: string): Promise<void>
  wait(here: Here): Promise<void>
  forNow(here: Here): Promise<void>
  current(here: Here): boolean
  hook(here: Here, on: 'commit' | 'rollback', work: () => void): Promise<void>
  scope(here: Here, wishes: ScopeWishes, work: (inside: Here) => Promise<void>): Promise<void>
  transaction(here: Here, reuse: boolean, work: (inside: Here) => Promise<void>): Promise<unknown>
  /** Ends a transaction around `here` early, by what it throws. */
  raise(here: Here, kind: 'commit' | 'rollback', outermost: boolean, value: string): never
  acquire(here: Here, ambient: boolean, work: (inside: Here) => Promise<void>): Promise<void>
  idle(here: Here, work: () => Promise<void>): Promise<void>
  detached(here: Here, work: (inside: Here) => Promise<void>): Promise<void>
  /** `work` with the context of now, whenever it is called. */
  captured(work: () => Promise<void>): () => Promise<void>
}

export interface Entry {
  readonly step: string
  readonly saw?: unknown
  readonly error?: string
}

/** What programs throw to leave a callback. */
export class Left extends Error {
  override readonly name: string = 'Left'
}

type Later = (() => Promise<void>)[]

export class Play<Here> {
  readonly trace: Entry[] = []
  readonly #world: World<Here>
  #steps = 0

  constructor(world: World<Here>) {
    this.#world = world
  }

  async run(body: Body): Promise<readonly Entry[]> {
    await this.#around((later) => this.#all(body, this.#world.root, later)).catch(() => {})
    return this.trace
  }

  async #all(body: Body, here: Here, later: Later): Promise<void> {
    for (const step of body) await this.#step(step, here, later)
  }

  /** What was left behind inside of `work` runs when it has ended. */
  async #around<R>(work: (later: Later) => Promise<R>): Promise<R> {
    const later: Later = []
    try {
      return await work(later)
    } finally {
      for (const left of later) await left()
    }
  }

  async #step(step: Step, here: Here, later: Later): Promise<void> {
    const world = this.#world
    const n = ++this.#steps
    switch (step.do) {
      case 'look':
        return this.#note(`${n} look by ${step.by}`, () => world.look(here, step.by))
      case 'insert':
        return this.#note(`${n} insert by ${step.by}`, () => world.insert(here, step.by, n))
      case 'fail':
        return this.#note(`${n} fail by ${step.by}`, () => world.fail(here, step.by))
      case 'pin':
        return this.#note(`${n} pin`, () => world.pin(here, `pin ${n}`))
      case 'for now':
        return this.#note(`${n} for now`, () => world.forNow(here))
      case 'current':
        return this.#note(`${n} current`, async () => world.current(here))
      case 'hook':
        return this.#note(`${n} hook`, () =>
          world.hook(here, step.on, () => void this.trace.push({ step: `${n} after ${step.on}` })),
        )
      case 'wait':
        return world.wait(here)
      case 'later':
        return void later.push(
          world.captured(() => this.#around((after) => this.#all(step.body, here, after)).catch(() => {})),
        )
      case 'acquire':
      case 'detached':
      case 'idle':
      case 'scope':
      case 'transaction':
        return this.#frame(n, step, here)
    }
  }

  /** Errors of statements are written down; the program goes on. */
  async #note(step: string, work: () => Promise<unknown>): Promise<void> {
    try {
      const saw = await work()
      this.trace.push(saw === undefined ? { step } : { step, saw })
    } catch (error) {
      this.trace.push({ step, error: nameOf(error) })
    }
  }

  /** Errors of callbacks leave it, unless the program catches them. */
  async #frame(
    n: number,
    step: Extract<Step, { do: 'scope' | 'transaction' | 'acquire' | 'idle' | 'detached' }>,
    here: Here,
  ): Promise<void> {
    const name = `${n} ${step.do}`
    try {
      const saw = await this.#around((later) => this.#enter(step, here, later))
      this.trace.push(saw === undefined ? { step: `${name} ended` } : { step: `${name} ended`, saw })
    } catch (error) {
      this.trace.push({ step: `${name} ended`, error: nameOf(error) })
      const catches = 'caught' in step && step.caught && nameOf(error) !== 'TransactionExit'
      if (!catches) throw error
    }
  }

  #enter(
    step: Extract<Step, { do: 'scope' | 'transaction' | 'acquire' | 'idle' | 'detached' }>,
    here: Here,
    later: Later,
  ): Promise<unknown> {
    const world = this.#world
    const inside = (place: Here): Promise<void> => this.#all(step.body, place, later)
    switch (step.do) {
      case 'scope':
        return world.scope(here, step, inside)
      case 'acquire':
        return world.acquire(here, step.ambient, inside)
      case 'idle':
        return world.idle(here, () => inside(here))
      case 'detached':
        return world.detached(here, inside)
      case 'transaction':
        return world.transaction(here, step.reuse, async (place) => {
          await inside(place)
          if (step.end === 'throw') throw new Left()
          if (step.end === 'raise commit') world.raise(place, 'commit', step.outermost, 'raised')
          if (step.end === 'raise rollback') world.raise(place, 'rollback', step.outermost, 'raised')
        })
    }
  }
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : String(error)
}
