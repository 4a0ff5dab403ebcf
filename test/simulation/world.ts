// A world in which a pool runs without a clock, a socket or a server: time moves and answers arrive only when the
// schedule says so. Everything random comes from one seed, so a broken schedule can be run again.
import { postgres } from '../../src/postgres/dialect.ts'
import { InForce } from '../../src/sql/settings.ts'
import type { ErrorFields, Meaning } from '../../src/sql/dialect.ts'
import type { Failure, Op, RawConnection, Unit } from '../../src/driver/driver.ts'
import type { ConnectionSource } from '../../src/pool/contract.ts'
import { idleChecks, type Member } from '../../src/pool/member.ts'
import { clock } from '../../src/util/clock.ts'
import { second } from '../support/second/dialect.ts'

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

/** How the servers of a world call what the pool has to understand. */
interface Speech {
  readonly explain: (error: ErrorFields) => Meaning
  readonly cancelled: string
  readonly full: string
  readonly shutdown: string
}

const speeches: readonly [Speech, Speech] = [
  { explain: (error) => postgres.explain(error), cancelled: '57014', full: '53300', shutdown: '57P01' },
  { explain: (error) => second.explain(error), cancelled: '1317', full: '1040', shutdown: '1053' },
]

/** Time and everything that is due some day: timers, answers of the server. */
export class World {
  now = 10_000
  /** Nothing fails. */
  calm = false
  readonly speech: Speech
  readonly events: (() => void)[] = []
  readonly #timers = new Map<number, Timer>()
  #timerId = 0
  readonly #real = { ...clock }
  readonly #checks = { ...idleChecks }
  readonly #immediates: (() => void)[] = []

  /** Every other world has servers like the second fake. */
  constructor(seed: number) {
    this.speech = speeches[seed % 2 === 0 ? 0 : 1]
  }

  /** Takes over clock and timers; `restore` gives them back. */
  takeOver(): void {
    const fake = (run: () => void, ms = 0): unknown => {
      const id = ++this.#timerId
      this.#timers.set(id, { at: this.now + ms, run })
      const handle = { id, unref: () => handle, ref: () => handle }
      return handle
    }
    const drop = (handle?: { readonly id: number }): void => {
      if (handle !== undefined) this.#timers.delete(handle.id)
    }
    // As users have them: all time here is that of the schedule.
    Object.assign(idleChecks, { freshMs: 1_000, windowMs: 5_000 })
    Object.assign(clock, {
      now: () => this.now,
      setTimeout: fake,
      clearTimeout: drop,
      setImmediate: (run: () => void) => this.#immediates.push(run),
    })
  }

  restore(): void {
    Object.assign(clock, this.#real)
    Object.assign(idleChecks, this.#checks)
  }

  /** Whether anything is due some day. */
  get busy(): boolean {
    return this.events.length > 0 || this.#timers.size > 0 || this.#immediates.length > 0
  }

  /** The check phase of the event loop: what is queued in it runs in the next. */
  checkPhase(): void {
    for (const run of this.#immediates.splice(0)) run()
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

/** The schedule that is running: what breaks in a promise of the pool's own is thrown where nobody catches it. */
export const running: { seed: number; broken: Error | null } = { seed: 0, broken: null }

/** Throws what breaks a schedule, and keeps it: the pool may catch it as a failure of its server. */
export function broken(what: string): never {
  running.broken ??= new TypeError(`schedule ${running.seed}: ${what}`)
  throw running.broken
}

/** A connection whose answers come when the schedule lets them, in order. */
export class SimulatedConnection implements RawConnection {
  static opened: number = 0
  readonly id: number = ++SimulatedConnection.opened
  readonly born: number = 0
  readonly native: unknown = null
  readonly lent: boolean = false
  readonly maxInFlight: number
  status: RawConnection['status'] = 'idle'
  epoch = 0
  dirty = 0
  readonly inForce: InForce = new InForce()
  alive = true
  quarantined = false
  readonly #world: World
  readonly #random: Random
  readonly #hooks: Member
  readonly #ops: Op[] = []
  /** A reset or ping is in flight. */
  #asked = 0
  #drained: (() => void) | null = null

  lend(): Promise<unknown> {
    return Promise.resolve(null)
  }

  reclaim(): Promise<boolean> {
    return Promise.resolve(true)
  }

  constructor(world: World, random: Random, hooks: Member, maxInFlight: number) {
    this.#world = world
    this.#random = random
    this.#hooks = hooks
    this.maxInFlight = maxInFlight
  }

  get inFlight(): number {
    return this.#ops.length + this.#asked
  }

  submit(op: Op): void {
    if (!this.alive || this.quarantined) broken('submitted to a dead or quarantined connection')
    if (this.inFlight >= this.maxInFlight) broken(`submitted beyond ${this.maxInFlight} in flight`)
    if (this.#asked > 0) broken('submitted during a reset or a ping')
    if (this.#hooks.lease !== null) broken('submitted to a connection that is lent')
    if (op.state !== 1) broken(`submitted a statement in state ${op.state}`)
    if (this.inFlight > 0)
      for (const { stmt } of [...this.#ops, op])
        if (stmt.cls !== 'read' || stmt.dirties !== 0) broken(`${stmt.text} shares a connection`)
    this.#ops.push(op)
    this.#world.events.push(() => this.#answer())
  }

  submitUnit({ ops }: Unit): void {
    this.submit(ops[0] as Op)
  }

  #answer(): void {
    const op = this.#ops.shift()
    if (!this.alive || op === undefined) return
    this.status = this.inFlight === 0 && this.#random.chance(this.#world.calm ? 0 : 5) ? 'tx' : 'idle'
    if (this.#random.chance(this.#world.calm ? 0 : 10)) op.fail({ kind: 'server', outcome: 'rolled_back', fields: {} })
    else op.done()
    this.#tellFree()
  }

  #tellFree(): void {
    if (this.inFlight === 0) this.#drained?.()
    if (!this.alive || this.quarantined) return
    this.#hooks.room(this)
    if (this.inFlight === 0) this.#hooks.idle(this)
  }

  /** The request stops whatever is at the head when it arrives; the cancel ends when all in flight is answered. */
  async cancel(op: Op): Promise<'cancelled' | 'completed' | 'broken'> {
    if (!this.#ops.includes(op)) return 'completed'
    if (this.quarantined) broken('a cancel during a cancel')
    if (this.#ops[0] !== op) broken('a cancel of a statement that is not at the head')
    this.quarantined = true
    const arrives = await this.#world.later(() => !this.#random.chance(20))
    if (!this.alive || !arrives) return 'broken'
    const hit = this.#random.chance(80) ? this.#ops.shift() : undefined
    hit?.fail({ kind: 'server', outcome: 'rolled_back', fields: { code: this.#world.speech.cancelled } })
    if (this.inFlight > 0) await new Promise<void>((resolve) => (this.#drained = resolve))
    if (!this.alive) return 'broken'
    this.quarantined = false
    this.#tellFree()
    return hit === op ? 'cancelled' : 'completed'
  }

  setBaseline(): void {}

  async reset(): Promise<boolean> {
    this.#asked++
    const clean = await this.#world.later(() => !this.#random.chance(this.#world.calm ? 0 : 15))
    this.#asked--
    if (clean && this.alive) {
      this.status = 'idle'
      this.dirty = 0
    }
    return clean && this.alive
  }

  async ping(): Promise<boolean> {
    this.#asked++
    const answers = await this.#world.later(() => this.alive && !this.#random.chance(this.#world.calm ? 0 : 25))
    this.#asked--
    return answers
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
    this.#die(this.#random.chance(50) ? lost : { ...lost, fields: { code: this.#world.speech.shutdown } })
  }

  #die(failure: Failure): void {
    if (!this.alive) return
    this.alive = false
    this.status = 'unknown'
    const ops = this.#ops.splice(0)
    queueMicrotask(() => {
      for (const op of ops) op.fail(failure)
      this.#drained?.()
      this.#hooks.lost(this, failure)
    })
  }
}

export class SimulatedSource implements ConnectionSource {
  readonly observed: boolean = false
  readonly live: Set<SimulatedConnection> = new Set()
  readonly #world: World
  readonly #random: Random
  readonly #maxInFlight: number
  /** Told when a connection begins to be opened. */
  opening: () => void = () => {}

  constructor(world: World, random: Random, maxInFlight: number) {
    this.#world = world
    this.#random = random
    this.#maxInFlight = maxInFlight
  }

  open(member: Member): Promise<RawConnection> {
    this.opening()
    return this.#world.later(() => {
      if (this.#random.chance(this.#world.calm ? 0 : 15))
        throw {
          kind: 'lost',
          outcome: 'not_started',
          fields: { code: this.#random.chance(50) ? this.#world.speech.full : '' },
        } satisfies Failure as unknown
      const connection = new SimulatedConnection(this.#world, this.#random, member, this.#maxInFlight)
      this.live.add(connection)
      return connection
    })
  }

  classify(failure: Failure): 'full' | 'endpoint' {
    return failure.fields?.['code'] === this.#world.speech.full ? 'full' : 'endpoint'
  }

  explain(error: ErrorFields): Meaning {
    return this.#world.speech.explain(error)
  }

  closed(raw: RawConnection): void {
    this.live.delete(raw as SimulatedConnection)
  }

  lent(): void {}
  leftOpen(): void {}
}
