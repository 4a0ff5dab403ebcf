/**
 * Random programs of scopes, handles, transactions and idle times, in random orders of all events: every connection comes
 * back, what is there is what was committed, and no statement ever runs with the settings of somebody else.
 */

import { fc } from '../support/fast-check.ts'
import {
  AcquireTimeoutError,
  type Connection,
  ConnectionLostError,
  createDb,
  type Db,
  type Executor,
  GeneverError,
  QueryError,
  TransactionAbortedError,
  UsageError,
} from 'genever'
import { describe, expect, test } from 'vitest'
import { sample } from '../support/extent.ts'
import { type FakeFamily, fakes } from '../support/fakes.ts'

interface Scope {
  readonly do: 'scope'
  readonly reuse: boolean
  readonly lazy: boolean
  readonly reusable: boolean
  /** Empty: no settings. */
  readonly tenant: string
  readonly body: Body
}
interface Acquire {
  readonly do: 'acquire'
  readonly reuse: boolean
  readonly lazy: boolean
  readonly forNow: boolean
  readonly body: Body
}
type Step =
  | { readonly do: 'insert' | 'look' | 'failure' | 'release for now' | 'release' }
  | { readonly do: 'idle' | 'detached' | 'left behind' | 'branches'; readonly body: Body }
  | { readonly do: 'transaction'; readonly reuse: boolean; readonly fails: boolean; readonly body: Body }
  | Scope
  | Acquire
type Body = readonly Step[]

const { body: program } = fc.letrec<{ step: Step; body: Body }>((tie) => {
  const body = tie('body')
  const flag = fc.boolean()
  const tenant = fc.constantFrom('', '', '7', '8')
  const named = <T extends string>(name: T): fc.Arbitrary<T> => fc.constant(name)
  return {
    body: fc.array(tie('step'), { minLength: 1, maxLength: 3 }),
    step: fc.oneof(
      { maxDepth: 4, withCrossShrink: true },
      fc.record({ do: fc.constantFrom('insert', 'look', 'look', 'failure', 'release for now', 'release') }),
      fc.record({ do: fc.constantFrom('idle', 'detached', 'left behind', 'branches', 'branches'), body }),
      fc.record({ do: named('scope'), reuse: flag, lazy: flag, reusable: flag, tenant, body }),
      fc.record({ do: named('transaction'), reuse: flag, fails: flag, body }),
      fc.record({ do: named('acquire'), reuse: flag, lazy: flag, forNow: flag, body }),
    ),
  }
})

interface Fate {
  committed: boolean
}

/** The `run()` of a handle: code that outlives it runs where the walk outward leads. */
interface Run {
  readonly outward: Here
  /** `ending`: its callback has returned, and it has not. */
  state: 'on' | 'ending' | 'over'
}

/** What is true where a step runs. */
interface Here {
  /** The transactions around it, on its connection. */
  readonly inside: readonly Fate[]
  readonly tenant: string
  readonly run?: Run
  /** It was issued while a `run()` around it was ending: it may have run inside or outside of it. */
  readonly unsure?: boolean
}

/** What is true there now. */
function nowAt(here: Here): Here {
  const { run, ...rest } = here
  if (run === undefined || run.state === 'on') return here
  return run.state === 'over' ? nowAt(run.outward) : { ...rest, unsure: true }
}

/** Thrown by programs to leave a transaction. */
class Left extends Error {}

class World {
  readonly inserted: ({ readonly n: number } & Here)[] = []
  readonly refused: number[] = []
  readonly errors: unknown[] = []
  /** Statements that ran with other settings than those of their scope. */
  readonly mistaken: string[] = []
  readonly #db: Db
  readonly #family: FakeFamily
  readonly #background: Promise<unknown>[] = []
  #n = 0

  constructor(db: Db, family: FakeFamily) {
    this.#db = db
    this.#family = family
  }

  /** What must be there in the end. */
  get kept(): number[] {
    return this.#ofThose(({ inside, unsure }) => unsure !== true && inside.every(({ committed }) => committed))
  }

  /** What may be there. */
  get unsure(): number[] {
    return this.#ofThose(({ unsure }) => unsure === true)
  }

  #ofThose(wanted: (here: Here) => boolean): number[] {
    return this.inserted.filter(wanted).map(({ n }) => n)
  }

  /** Runs every top step as a request of its own, and waits for all that was left behind. */
  async run(body: Body): Promise<void> {
    await Promise.all(body.map((step) => this.#apart(() => this.#step(step, { inside: [], tenant: '' }))))
    while (this.#background.length > 0) await this.#background.pop()
  }

  async #apart(work: () => Promise<unknown>): Promise<void> {
    try {
      await work()
    } catch (error) {
      if (!(error instanceof Left)) this.errors.push(error)
    }
  }

  async #all(body: Body, here: Here): Promise<void> {
    for (const step of body) await this.#step(step, here)
  }

  async #step(step: Step, here: Here): Promise<unknown> {
    const db = this.#db
    switch (step.do) {
      case 'insert':
        return this.#insert(db, here)
      case 'look':
        return this.#look(db, here)
      case 'failure':
        return this.#apart(() => db.status('fail 22012'))
      case 'release for now':
        return db.current?.release({ permanent: false })
      case 'release':
        return db.current?.release()
      case 'idle':
        return db.idle(() => this.#all(step.body, here))
      case 'detached':
        return db.detached(() => this.#all(step.body, { inside: [], tenant: '' }))
      case 'left behind':
        return void this.#background.push(this.#apart(() => this.#all(step.body, here)))
      case 'branches': {
        // When one fails the others go on, as they do in every program.
        const running = step.body.map((each) => this.#step(each, here))
        this.#background.push(...running.map((each) => this.#apart(() => each)))
        return Promise.all(running)
      }
      case 'scope':
        return this.#scope(step, here)
      case 'transaction':
        return this.#transaction(step.reuse, step.fails, step.body, here)
      case 'acquire':
        return this.#acquire(step, here)
    }
  }

  async #scope({ reuse, lazy, reusable, tenant, body }: Scope, here: Here): Promise<void> {
    const settings = tenant === '' ? undefined : { 'app.tenant': tenant }
    const around = nowAt(here)
    const own: Here = { ...(reuse ? around : { inside: [] }), tenant: tenant === '' ? around.tenant : tenant }
    const within = async (connection: Connection): Promise<void> => {
      if (!lazy) await this.#look(connection, own)
      await this.#all(body, reusable ? own : { ...around, tenant: own.tenant })
    }
    await this.#db.scope(within, { reuse, lazy, reusable, settings })
  }

  async #acquire({ reuse, lazy, forNow, body }: Acquire, here: Here): Promise<void> {
    const outward = nowAt(here)
    const run: Run = { outward, state: 'on' }
    const around: Here = { ...(reuse ? outward : { inside: [] }), tenant: outward.tenant, run }
    await using connection = await this.#db.acquire({ reuse, lazy })
    await this.#insert(connection, around)
    if (forNow) await connection.release({ permanent: false })
    const within = connection.run(async () => {
      await this.#all(body, around).finally(() => (run.state = 'ending'))
    })
    await within.finally(() => (run.state = 'over'))
  }

  async #transaction(reuse: boolean, fails: boolean, body: Body, around: Here): Promise<void> {
    const { inside, tenant, unsure = false } = nowAt(around)
    const fate: Fate = { committed: false }
    const here: Here = { inside: reuse ? [...inside, fate] : [fate], tenant, unsure: reuse && unsure }
    const work = async (tx: Executor): Promise<void> => {
      await this.#insert(tx, here)
      await this.#all(body, here)
      if (fails) throw new Left()
    }
    await this.#db.transaction(work, { reuse })
    fate.committed = true
  }

  async #insert(executor: Executor, here: Here): Promise<void> {
    const n = ++this.#n
    const now = nowAt(here)
    try {
      await executor.status(`insert into t values (${this.#family.place(1)})`, [n])
      this.inserted.push({ n, ...now })
    } catch (error) {
      this.refused.push(n)
      throw error
    }
  }

  async #look(executor: Executor, { tenant }: Here): Promise<void> {
    const seen = (await executor.scalar<string>(`select current_setting('app.tenant', true)`)) ?? ''
    if (seen !== tenant) this.mistaken.push(`${seen} instead of ${tenant}`)
  }
}

interface Played {
  readonly world: World
  readonly rows: readonly unknown[]
  /** What must not be, whatever happened. */
  readonly remains: Readonly<Record<string, unknown>>
}

const nothing = { violations: [], reserved: 0, serving: 0, waiting: 0, broken: [], open: 0, mistaken: [] }

interface Play {
  readonly family: FakeFamily
  readonly body: Body
  readonly schedule: fc.Scheduler
  readonly max: number
  readonly maxInFlight: number
  /** The connection is lost at this message; 0, the default, for never. */
  readonly lostAt?: number
}

async function play({ family, body, schedule, max, maxInFlight, lostAt = 0 }: Play): Promise<Played> {
  const { driver, server, violations: broken } = family.make({ schedule, maxInFlight })
  if (lostAt > 0) server.faults.at({ phase: 'send', nth: lostAt }, { lost: true })
  const pool = { max, acquireTimeoutMs: 30, idleTimeoutMs: Infinity, maxLifetimeMs: Infinity }
  const db = createDb({ driver, pool })
  const world = new World(db, family)
  await schedule.waitFor(db.open().then(() => world.run(body)))
  const { reserved, serving, waiting } = db.stats()
  const { broken: cut } = await schedule.waitFor(db.close({ timeoutMs: 1000 }))
  const { openCount: open } = server
  const violations = broken()
  const rows = server.rows('t').map((row) => row['v'])
  return {
    world,
    rows,
    remains: { violations, reserved, serving, waiting, broken: cut, open, mistaken: world.mistaken },
  }
}

const numRuns = sample({ once: 120, matrix: 500, soak: 20_000 })
const shape = [program, fc.scheduler(), fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })] as const
const expected = [UsageError, AcquireTimeoutError, QueryError, TransactionAbortedError]

describe.each(fakes)('on $name', (family) => {
  test('everything comes back, and what was committed is there and nothing else', { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(...shape, async (body, schedule, max, maxInFlight) => {
        const { world, rows, remains } = await play({ family, body, schedule, max, maxInFlight })

        expect(remains).toEqual(nothing)
        expect(new Set(rows.filter((n) => !world.unsure.includes(n as number)))).toEqual(new Set(world.kept))
        expect(world.errors.filter((error) => !expected.some((kind) => error instanceof kind))).toEqual([])
      }),
      { numRuns, timeout: 10_000 },
    )
  })

  test('everything comes back when a connection dies at any statement', { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(...shape, fc.integer({ min: 1, max: 15 }), async (body, schedule, max, maxInFlight, lostAt) => {
        const { world, rows, remains } = await play({ family, body, schedule, max, maxInFlight, lostAt })

        expect(remains).toEqual(nothing)
        expect(rows).toEqual(expect.arrayContaining(world.kept))
        expect(world.errors.filter((error) => !(error instanceof GeneverError))).toEqual([])
        const unknown = world.errors.some(
          (error) => error instanceof ConnectionLostError && error.outcome === 'unknown',
        )
        if (!unknown) expect(rows.filter((n) => world.refused.includes(n as number))).toEqual([])
      }),
      { numRuns, timeout: 10_000 },
    )
  })
})
