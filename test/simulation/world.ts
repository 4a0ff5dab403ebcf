// A world in which a pool runs without a clock, a socket or a server: time moves and answers arrive only when the
// schedule says so. Everything random comes from one seed, so a broken schedule can be run again.
import type { Failure, Op, RawConnection, Unit } from '../../src/driver/driver.ts'
import type { ConnectionSource } from '../../src/pool/contract.ts'
import type { Member } from '../../src/pool/member.ts'

/** xorshift32: small, fast, the same everywhere. */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = (seed ^ 0x9e3779b9) | 1
  }

  below(limit: number): number {
    let x = this.#state
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    this.#state = x
    return (x >>> 0) % limit
  }

  chance(percent: number): boolean {
    return this.below(100) < percent
  }
}

interface Timer {
  readonly at: number
  readonly run: () => void
}

/** Time and everything that is due some day: timers, answers of the server. */
export class World {
  now = 10_000
  readonly events: (() => void)[] = []
  readonly #timers = new Map<number, Timer>()
  #timerId = 0
  readonly #real = {
    now: performance.now.bind(performance),
    setTimeout: globalThis.setTimeout,
    clearTimeout: globalThis.clearTimeout,
  }

  /** Takes over clock and timers; `restore` gives them back. */
  takeOver(): void {
    performance.now = () => this.now
    const fake = (run: () => void, ms = 0): unknown => {
      const id = ++this.#timerId
      this.#timers.set(id, { at: this.now + ms, run })
      const handle = { id, unref: () => handle, ref: () => handle }
      return handle
    }
    globalThis.setTimeout = fake as never
    globalThis.clearTimeout = ((handle?: { readonly id: number }) => {
      if (handle !== undefined) this.#timers.delete(handle.id)
    }) as never
  }

  restore(): void {
    performance.now = this.#real.now
    globalThis.setTimeout = this.#real.setTimeout
    globalThis.clearTimeout = this.#real.clearTimeout
  }

  advance(ms: number): void {
    this.now += ms
    for (const [id, timer] of [...this.#timers].toSorted(([, a], [, b]) => a.at - b.at)) {
      if (timer.at > this.now || !this.#timers.delete(id)) continue
      timer.run()
    }
  }

  /** A promise that the schedule settles: `decide` is asked when its turn comes. */
  async later<T>(decide: () => T): Promise<T> {
    await new Promise<void>((resolve) => this.events.push(resolve))
    return decide()
  }

  /** Lets one pending thing happen. */
  step(random: Random): boolean {
    if (this.events.length === 0) return false
    const [event] = this.events.splice(random.below(this.events.length), 1)
    event?.()
    return true
  }
}

const lost: Failure = { kind: 'lost', outcome: 'unknown' }

/** A connection whose answers come when the schedule lets them. */
export class SimulatedConnection implements RawConnection {
  static opened: number = 0
  readonly id: number = ++SimulatedConnection.opened
  readonly generation: number = 0
  readonly born: number = 0
  readonly native: unknown = null
  readonly maxInFlight: number = 1
  inFlight = 0
  status: RawConnection['status'] = 'idle'
  epoch = 0
  dirty = 0
  alive = true
  quarantined = false
  readonly #world: World
  readonly #random: Random
  readonly #hooks: Member
  #op: Op | null = null

  constructor(world: World, random: Random, hooks: Member) {
    this.#world = world
    this.#random = random
    this.#hooks = hooks
  }

  submit(op: Op): void {
    if (!this.alive || this.inFlight > 0 || this.quarantined)
      throw new TypeError('submitted to a busy or dead connection')
    this.inFlight = 1
    this.#op = op
    this.#world.events.push(() => this.#answer(op))
  }

  submitUnit({ ops }: Unit): void {
    this.submit(ops[0] as Op)
  }

  #answer(op: Op): void {
    if (!this.alive || this.#op !== op) return
    this.#op = null
    this.inFlight = 0
    this.status = this.#random.chance(5) ? 'tx' : 'idle'
    if (this.#random.chance(10)) op.fail({ kind: 'server', outcome: 'rolled_back', fields: {} })
    else op.done()
    if (!this.quarantined) {
      this.#hooks.room()
      if (this.inFlight === 0) this.#hooks.idle(this)
    }
  }

  async cancel(op: Op): Promise<'cancelled' | 'completed' | 'broken'> {
    if (this.#op !== op) return 'completed'
    this.quarantined = true
    const end = await this.#world.later(() => (this.#random.chance(20) ? 'broken' : 'cancelled'))
    if (!this.alive || end === 'broken') return 'broken'
    this.quarantined = false
    if (this.#op === op) {
      this.#op = null
      this.inFlight = 0
      op.fail({ kind: 'server', outcome: 'rolled_back', fields: { code: '57014' } })
    }
    if (this.inFlight === 0) this.#hooks.idle(this)
    return 'cancelled'
  }

  setBaseline(): void {}

  async reset(): Promise<boolean> {
    const clean = await this.#world.later(() => !this.#random.chance(15))
    if (clean && this.alive) {
      this.status = 'idle'
      this.dirty = 0
    }
    return clean && this.alive
  }

  ping(): Promise<boolean> {
    return this.#world.later(() => this.alive && !this.#random.chance(25))
  }

  async close(): Promise<void> {
    this.#die({ kind: 'closed', outcome: 'unknown' })
    await this.#world.later(() => {})
  }

  destroy(cause: Failure): void {
    this.#die(cause)
  }

  /** The socket breaks by itself. */
  break(): void {
    this.#die(this.#random.chance(50) ? lost : { ...lost, fields: { code: '57P01' } })
  }

  #die(failure: Failure): void {
    if (!this.alive) return
    this.alive = false
    this.status = 'unknown'
    const op = this.#op
    this.#op = null
    queueMicrotask(() => {
      this.inFlight = 0
      op?.fail(failure)
      this.#hooks.lost(this, failure)
    })
  }
}

export class SimulatedSource implements ConnectionSource {
  readonly observed: boolean = false
  readonly live: Set<SimulatedConnection> = new Set()
  readonly #world: World
  readonly #random: Random

  constructor(world: World, random: Random) {
    this.#world = world
    this.#random = random
  }

  open(member: Member): Promise<RawConnection> {
    return this.#world.later(() => {
      if (this.#random.chance(15))
        throw {
          kind: 'lost',
          outcome: 'not_started',
          fields: { code: this.#random.chance(50) ? '53300' : '' },
        } satisfies Failure as unknown
      const connection = new SimulatedConnection(this.#world, this.#random, member)
      this.live.add(connection)
      return connection
    })
  }

  classify(failure: Failure): 'full' | 'endpoint' {
    return failure.fields?.['code'] === '53300' ? 'full' : 'endpoint'
  }

  closed(raw: RawConnection): void {
    this.live.delete(raw as SimulatedConnection)
  }

  lent(): void {}
  leftOpen(): void {}
}
