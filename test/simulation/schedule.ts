// One random schedule of a pool: borrowers and statements come, wait, give up, use what they get and give it back, while
// connections fail, break and are asked, until everybody has left and the pool is closed. In half of the worlds
// connections take several statements at once, and quick reads share them. Throws when an invariant is broken.
import { Pool } from '../../src/pool/pool.ts'
import { Borrower, Line, Statement, statements } from './users.ts'
import { broken, Random, running, SimulatedSource, World } from './world.ts'

export async function runSchedule(seed: number): Promise<void> {
  Object.assign(running, { seed, broken: null })
  const random = new Random(seed)
  const world = new World(seed)
  world.takeOver()
  try {
    await new Schedule(world, random).run()
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

class Schedule {
  readonly #world: World
  readonly #random: Random
  readonly #max: number
  readonly #min: number
  /** How many statements a connection takes at once. */
  readonly #depth: number
  readonly #source: SimulatedSource
  readonly #pool: Pool
  readonly #line = new Line()
  readonly #texts = statements()
  readonly #borrowers: Borrower[] = []
  readonly #statements: Statement[] = []

  constructor(world: World, random: Random) {
    this.#world = world
    this.#random = random
    this.#max = 1 + random.below(4)
    this.#min = random.below(2)
    this.#depth = random.chance(40) ? 1 : 2 + random.below(4)
    this.#source = new SimulatedSource(world, random, this.#depth)
    this.#pool = new Pool(this.#source, {
      min: this.#min,
      max: this.#max,
      shared: random.chance(10) ? 0 : 1 + random.below(4),
      maxWaiting: random.chance(20) ? 3 : Infinity,
      acquireTimeoutMs: 10_000,
      idleTimeoutMs: 5_000,
      maxLifetimeMs: 20_000,
      connectTimeoutMs: 1_000,
      resetTimeoutMs: 1_000,
      cancelTimeoutMs: 1_000,
      closeTimeoutMs: 1_000,
      resetAlways: random.chance(20),
    })
    this.#source.opening = () => this.#checkOpening()
    this.#line.now = () => world.now
    this.#line.asking = () => this.#pool.stats().draining > 0
  }

  async run(): Promise<void> {
    const steps = (8 + this.#random.below(24)) * (this.#depth === 1 ? 1 : 2)
    if (this.#depth > 1) await this.#learn()
    for (let step = 0; step < steps; step++) {
      this.#act()
      await settleMicrotasks()
      this.#check()
    }
    if (this.#random.chance(30)) await this.#serveAll()
    await this.#end()
  }

  /** When nothing fails any more and nobody keeps a connection, everybody is served. */
  async #serveAll(): Promise<void> {
    this.#world.calm = true
    for (let left = 300; left > 0 && this.#waiting.length > 0; left--) {
      for (const borrower of this.#holding)
        if (this.#random.chance(50)) borrower.release()
        else borrower.turn(true)
      this.#world.checkPhase()
      if (!this.#world.step(this.#random)) this.#world.advance(100)
      await settleMicrotasks()
      this.#check()
    }
    for (const { name } of this.#waiting) broken(`${name} is never served`)
    this.#world.calm = false
  }

  get #waiting(): (Borrower | Statement)[] {
    return [
      ...this.#borrowers.filter(({ state }) => state === 'waiting'),
      ...this.#statements.filter(({ state }) => state === 0),
    ]
  }

  /** Only reads that are known to be quick share a connection, and only those known to be slow stand aside. */
  async #learn(): Promise<void> {
    const { reads, slow, others } = this.#texts
    this.#world.calm = true
    for (let run = 0; run < 3; run++) for (const text of [...reads, ...slow, ...others]) await this.#runAlone(text)
    this.#world.calm = false
  }

  async #runAlone(text: Statement['stmt']): Promise<void> {
    const made = this.#place(text)
    while (made.state !== 3) {
      if (made.state === 1 && this.#texts.slow.includes(text)) this.#world.advance(30)
      if (!this.#world.step(this.#random)) this.#world.advance(1)
      await settleMicrotasks()
    }
  }

  #act(): void {
    const random = this.#random
    switch (random.below(13)) {
      case 0:
      case 1: {
        const around = random.chance(40) ? (this.#pick(this.#holding) ?? null) : null
        const away = this.#pick(this.#borrowers.filter(({ state }) => state === 'away'))
        const borrower =
          away !== undefined && random.chance(60) ? away : new Borrower(this.#line, around, random.chance(40))
        if (borrower !== away) this.#borrowers.push(borrower)
        if (borrower !== away && random.chance(20)) {
          this.#takeSpare(borrower)
          return
        }
        const lease = this.#pool.leaseIdle(borrower)
        if (lease === null) this.#pool.request(borrower)
        else borrower.takes(lease)
        return
      }
      case 2: {
        const { reads, slow, others } = this.#texts
        const burst = this.#depth === 1 ? 1 : 1 + random.below(5)
        for (let n = 0; n < burst; n++)
          this.#place(this.#pick(random.chance(60) ? reads : random.chance(40) ? slow : others)!)
        return
      }
      case 3:
        this.#pick(this.#holding)?.release()
        return
      case 4:
        if (random.chance(50)) this.#pick(this.#holding)?.release()
        else this.#abandon(this.#pick(this.#statements.filter(({ state }) => state === 1)))
        return
      case 5: {
        const impatient = this.#pick(this.#waiting)
        if (impatient === undefined) return
        this.#line.waiting.delete(impatient)
        this.#pool.withdraw(impatient)
        impatient.refuse()
        return
      }
      case 6:
        this.#world.advance(random.chance(20) ? 6_000 : random.below(random.chance(50) ? 60 : 1_500))
        return
      case 7:
        if (random.chance(40)) this.#pick([...this.#source.live])?.break()
        return
      case 10:
        this.#pick(this.#holding)?.turn(random.chance(80))
        return
      case 11:
      case 12:
        this.#world.checkPhase()
        return
      default:
        this.#world.step(random)
    }
  }

  /** A read beside others: it takes a connection that nobody uses or wants, or none. */
  #takeSpare(borrower: Borrower): void {
    const wanted = this.#waiting.some((each) => each !== borrower && each.exclusive)
    const lease = this.#pool.leaseIdle(borrower, true)
    if (lease !== null && wanted) broken('a spare read took a connection while somebody waits')
    if (lease === null) borrower.refuse()
    else borrower.takes(lease)
  }

  #place(text: Statement['stmt']): Statement {
    const made = new Statement(this.#line, text, !this.#random.chance(10))
    this.#statements.push(made)
    this.#pool.place(made)
    return made
  }

  #abandon(statement: Statement | undefined): void {
    if (statement === undefined) return
    statement.abandon()
    this.#pool.abandon(statement)
  }

  #pick<T>(list: readonly T[]): T | undefined {
    return list[this.#random.below(Math.max(1, list.length))]
  }

  get #holding(): Borrower[] {
    return this.#borrowers.filter(({ state }) => state === 'holding')
  }

  async #end(): Promise<void> {
    const closing = this.#pool.close(this.#world.now + 500)
    for (const borrower of this.#holding) if (this.#random.chance(70)) borrower.release()
    for (let left = 200; left > 0 && (this.#pool.size > 0 || this.#world.busy); left--) {
      this.#world.checkPhase()
      if (!this.#world.step(this.#random)) this.#world.advance(100)
      await settleMicrotasks()
    }
    await closing
    if (running.broken !== null) throw running.broken
    if (this.#pool.size > 0) broken(`${this.#pool.size} connections are left after close`)
    if (this.#borrowers.some(({ state }) => state === 'waiting')) broken('somebody waits for ever')
    if (this.#statements.some(({ told }) => !told)) broken('a statement never settled')
    if ([...this.#source.live].some(({ alive }) => alive)) broken('a connection was leaked')
  }

  #check(): void {
    if (running.broken !== null) throw running.broken
    const stats = this.#pool.stats()
    if (this.#pool.size > this.#max) broken(`${this.#pool.size} connections, but max is ${this.#max}`)
    const counted = stats.idle + stats.reserved + stats.serving + stats.draining
    if (counted !== stats.open) broken(`counts do not add up: ${JSON.stringify(stats)}`)
    for (const count of Object.values(stats)) if (count < 0) broken(`a negative count: ${JSON.stringify(stats)}`)
    const held = this.#borrowers.flatMap(({ lease }) => (lease === null ? [] : [lease.raw]))
    if (new Set(held).size !== held.length) broken('one connection was lent twice')
    if (held.some(({ inFlight }) => inFlight > 0)) broken('a lane is lent')
    if (held.length !== stats.reserved) broken(`${held.length} leases are held, but ${stats.reserved} are counted`)
    const waiting = this.#waiting
    if (stats.waiting !== waiting.length) broken(`${waiting.length} wait, but ${stats.waiting} are in the queue`)
    // Slow reads may stand aside, where connections are shared at all.
    const served = this.#depth === 1 ? waiting : waiting.filter(({ exclusive }) => exclusive)
    if (stats.idle > 0 && served.length > 0 && stats.draining === 0) broken('somebody waits beside an idle connection')
    if ([...this.#source.live].filter(({ alive }) => alive).length > this.#max + 2)
      broken('more than two connections beyond max')
  }

  #checkOpening(): void {
    const { open, opening, waiting } = this.#pool.stats()
    if (opening > 2) broken(`${opening} connections are being opened at once`)
    // One more may be opened because a connection was taken back from somebody.
    if (open + opening > this.#min && opening > waiting + 1) broken(`${opening} openings for ${waiting} waiters`)
  }
}

/** Enough turns for every promise chain of the pool to run dry. */
async function settleMicrotasks(): Promise<void> {
  for (let turn = 0; turn < 6; turn++) await Promise.resolve()
}
