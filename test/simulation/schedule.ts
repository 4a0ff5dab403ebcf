// One random schedule of a pool: borrowers come, wait, give up, use what they get and give it back, while connections
// fail, break and are asked, until everybody has left and the pool is closed. Throws when an invariant is broken.
import type { Failure } from '../../src/driver/driver.ts'
import type { PlacedOp, PoolWaiter } from '../../src/pool/contract.ts'
import type { Lease, LeaseHolder } from '../../src/pool/lease.ts'
import { Pool } from '../../src/pool/pool.ts'
import type { Compiled } from '../../src/sql/compiled.ts'
import { Random, SimulatedSource, World } from './world.ts'

const statement = (dirties: number): Compiled => ({
  text: 'select 1',
  name: '',
  cls: 'read',
  verb: 'SELECT',
  dirties,
  pins: 0,
  hasControl: false,
  shape: null,
})
const clean = statement(0)
const dirty = statement(1)

function broken(what: string): never {
  throw new TypeError(what)
}

/** Somebody with a slot: waits for a lease, holds it, gives it back. */
class Borrower implements PoolWaiter, LeaseHolder {
  readonly op: null = null
  readonly holder: this = this
  lease: Lease | null = null
  state: 'waiting' | 'holding' | 'gone' = 'waiting'
  readonly #parent: Borrower | null

  constructor(parent: Borrower | null) {
    this.#parent = parent
  }

  queued(): void {}

  granted(lease: Lease): void {
    if (this.state !== 'waiting') broken(`granted to one who is ${this.state}`)
    if (!lease.valid) broken('granted a lease that is over')
    this.state = 'holding'
    this.lease = lease
  }

  refuse(): void {
    if (this.state !== 'waiting') broken(`refused one who is ${this.state}`)
    this.state = 'gone'
  }

  heldLeases(): ReadonlySet<Lease> {
    const held = new Set<Lease>()
    for (let at: Borrower | null = this.#parent; at !== null; at = at.#parent) if (at.lease !== null) held.add(at.lease)
    return held
  }

  release(): void {
    const { lease } = this
    this.lease = null
    this.state = 'gone'
    void lease?.release()
    void lease?.release()
  }

  room(): void {}
  quiet(): void {}

  lost(): void {
    this.lease = null
    this.state = 'gone'
  }

  describe(): string {
    return this.state
  }
}

/** An implicit statement. */
class Statement implements PlacedOp, PoolWaiter {
  readonly stmt: Compiled
  readonly params: readonly unknown[] = []
  readonly spec: null = null
  readonly maxRows = 0
  readonly rows: unknown[] = []
  tag = ''
  count = 0
  state: 0 | 1 | 2 | 3 = 0
  settled = 0
  readonly holder: null = null

  constructor(stmt: Compiled) {
    this.stmt = stmt
  }

  get op(): this {
    return this
  }

  queued(): void {}

  starting(): void {
    if (this.state !== 0) broken('a statement started twice, or after it had ended')
    this.state = 1
  }

  granted(): void {
    broken('a statement was given a lease')
  }

  done(): void {
    this.#settle()
  }

  fail(_failure: Failure): void {
    this.#settle()
  }

  refuse(): void {
    this.#settle()
  }

  heldLeases(): ReadonlySet<Lease> {
    return new Set()
  }

  #settle(): void {
    if (this.state === 3) broken('a statement settled twice')
    this.state = 3
    this.settled++
  }
}

export async function runSchedule(seed: number): Promise<void> {
  const random = new Random(seed)
  const world = new World()
  world.takeOver()
  try {
    await runIn(world, random)
  } catch (error) {
    throw new TypeError(
      `schedule ${seed}: ${error instanceof Error ? (error.stack ?? error.message) : JSON.stringify(error)}`,
      {
        cause: error,
      },
    )
  } finally {
    world.restore()
  }
}

async function runIn(world: World, random: Random): Promise<void> {
  const max = 1 + random.below(4)
  const source = new SimulatedSource(world, random)
  const pool = new Pool(source, {
    min: random.below(2),
    max,
    maxWaiting: random.chance(20) ? 3 : Infinity,
    idleTimeoutMs: 5_000,
    maxLifetimeMs: 20_000,
    connectTimeoutMs: 1_000,
    resetTimeoutMs: 1_000,
    cancelTimeoutMs: 1_000,
    closeTimeoutMs: 1_000,
    resetAlways: random.chance(20),
  })
  const borrowers: Borrower[] = []
  const statements: Statement[] = []
  const check = (): void => invariants(pool, max, borrowers, source)

  for (let steps = 8 + random.below(24); steps > 0; steps--) {
    act(pool, world, random, source, borrowers, statements)
    await settleMicrotasks()
    check()
  }
  const closing = pool.close(world.now + 500)
  for (const borrower of borrowers) if (borrower.state === 'holding' && random.chance(70)) borrower.release()
  for (let left = 200; left > 0; left--) {
    if (!world.step(random)) world.advance(100)
    await settleMicrotasks()
  }
  await closing
  if (pool.size > 0) broken(`${pool.size} connections are left after close`)
  if (borrowers.some(({ state }) => state === 'waiting')) broken('somebody waits for ever')
  if (statements.some(({ state }) => state !== 3)) broken('a statement never settled')
  if (source.live.size > 0 && [...source.live].some(({ alive }) => alive)) broken('a connection was leaked')
}

function act(
  pool: Pool,
  world: World,
  random: Random,
  source: SimulatedSource,
  borrowers: Borrower[],
  statements: Statement[],
): void {
  const pick = <T>(list: readonly T[]): T | undefined => list[random.below(Math.max(1, list.length))]
  switch (random.below(10)) {
    case 0:
    case 1: {
      const holding = borrowers.filter(({ state }) => state === 'holding')
      const borrower = new Borrower(random.chance(40) ? (pick(holding) ?? null) : null)
      borrowers.push(borrower)
      const lease = pool.leaseIdle(borrower)
      if (lease === null) pool.request(borrower)
      else borrower.granted(lease)
      return
    }
    case 2: {
      const made = new Statement(random.chance(70) ? clean : dirty)
      statements.push(made)
      pool.place(made)
      return
    }
    case 3:
    case 4:
      pick(borrowers.filter(({ state }) => state === 'holding'))?.release()
      return
    case 5: {
      const impatient = pick(borrowers.filter(({ state }) => state === 'waiting'))
      if (impatient === undefined) return
      pool.withdraw(impatient)
      impatient.refuse()
      return
    }
    case 6:
      world.advance(random.chance(20) ? 6_000 : random.below(1_500))
      return
    case 7:
      if (random.chance(40)) pick([...source.live])?.break()
      return
    default:
      world.step(random)
  }
}

function invariants(pool: Pool, max: number, borrowers: readonly Borrower[], source: SimulatedSource): void {
  const stats = pool.stats()
  if (pool.size > max) broken(`${pool.size} connections, but max is ${max}`)
  const counted = stats.idle + stats.reserved + stats.serving + stats.draining
  if (counted !== stats.open) broken(`counts do not add up: ${JSON.stringify(stats)}`)
  for (const count of Object.values(stats)) if (count < 0) broken(`a negative count: ${JSON.stringify(stats)}`)
  const held = borrowers.flatMap(({ lease }) => (lease === null ? [] : [lease.raw]))
  if (new Set(held).size !== held.length) broken('one connection was lent twice')
  if (held.length !== stats.reserved) broken(`${held.length} leases are held, but ${stats.reserved} are counted`)
  const waiting = borrowers.filter(({ state }) => state === 'waiting').length
  if (stats.waiting < waiting) broken('somebody waits, but not in the queue')
  if (stats.idle > 0 && stats.waiting > 0 && stats.draining === 0) broken('somebody waits beside an idle connection')
  if ([...source.live].filter(({ alive }) => alive).length > max + 2) broken('more than two connections beyond max')
}

/** Enough turns for every promise chain of the pool to run dry. */
async function settleMicrotasks(): Promise<void> {
  for (let turn = 0; turn < 6; turn++) await Promise.resolve()
}
