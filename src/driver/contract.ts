// The rules of the contract that hold for every driver, each as a sentence with a check: for the tests of drivers of your own,
// whatever runs them. A check throws what `node:assert` throws.
import assert from 'node:assert/strict'
import { StatementCache } from '../sql/compile.ts'
import type { Compiled } from '../sql/compiled.ts'
import { clock, deferred } from '../util/clock.ts'
import { type ConnectionHooks, type Driver, type Failure, type Op, OpState, type RawConnection } from './driver.ts'

/** A driver to check, and statements that its database knows. */
export interface ContractSubject {
  readonly driver: Driver
  /** The options passed to `parse`. Default: none. */
  readonly options?: Readonly<Record<string, unknown>> | undefined
  /** A statement that returns rows, and those rows as objects. */
  readonly read: { readonly sql: string; readonly params?: readonly unknown[]; readonly rows: readonly unknown[] }
  /** A statement that the server refuses. */
  readonly refused: string
  /** The time limit of each step, in milliseconds. Default 5_000. */
  readonly timeoutMs?: number | undefined
}

/** One rule of the contract. `run` opens a connection, checks the rule, and closes the connection. It rejects with what `node:assert` throws. */
export interface ContractRule {
  /** A sentence, for the title of a test. */
  readonly name: string
  run(): Promise<void>
}

class Probe implements Op {
  readonly stmt: Compiled
  readonly params: readonly unknown[]
  readonly spec = null
  readonly maxRows = 0
  readonly rows: unknown[] = []
  tag = ''
  count = -1
  state: OpState = OpState.queued
  failure: Failure | null = null
  ends = 0
  readonly #settling = deferred()
  readonly settled: Promise<void> = this.#settling.promise

  constructor(stmt: Compiled, params: readonly unknown[] = []) {
    this.stmt = stmt
    this.params = params
  }

  done(): void {
    this.#end()
  }

  fail(failure: Failure): void {
    this.failure ??= failure
    this.#end()
  }

  #end(): void {
    this.ends++
    this.state = OpState.settled
    this.#settling.resolve()
  }

  get end(): string {
    return this.failure === null ? 'done' : `${this.failure.kind} ${this.failure.outcome}`
  }
}

class World {
  /** The calls of the hooks since it was opened. */
  readonly told: readonly string[]
  readonly raw: RawConnection
  readonly #cache: StatementCache

  private constructor(raw: RawConnection, told: readonly string[], cache: StatementCache) {
    this.raw = raw
    this.told = told
    this.#cache = cache
  }

  static async open({ driver, options = {}, timeoutMs = 5_000 }: ContractSubject): Promise<World> {
    const told: string[] = []
    const hooks: ConnectionHooks = {
      idle: () => told.push('idle'),
      room: () => told.push('room'),
      lost: () => told.push('lost'),
      notice: () => {},
      notification: () => {},
    }
    await driver.dialect.ready?.()
    const raw = await driver.open(driver.parse(options), hooks, clock.now() + timeoutMs)
    told.length = 0
    return new World(raw, told, new StatementCache({ dialect: driver.dialect, prepare: true }))
  }

  op(sql: string, params?: readonly unknown[]): Probe {
    return new Probe(this.#cache.compile(sql).compiled, params)
  }

  async unit(...of: readonly (string | Probe)[]): Promise<Probe[]> {
    const ops = of.map((each) => (typeof each === 'string' ? this.op(each) : each))
    this.raw.submitUnit({ ops })
    await Promise.all(ops.map(({ settled }) => settled))
    return ops
  }
}

/** The rules, for a test runner: `for (const { name, run } of driverContract(subject)) test(name, run)`. */
export function driverContract(subject: ContractSubject): readonly ContractRule[] {
  const { driver, read, refused, timeoutMs = 5_000 } = subject
  const later = (): number => clock.now() + timeoutMs
  const { commit, rollback } = driver.dialect
  const { before, begin } = driver.dialect.begin()
  const rule = (name: string, check: (world: World) => Promise<void>): ContractRule => ({
    name,
    async run() {
      const world = await World.open(subject)
      try {
        await check(world)
      } finally {
        await world.raw.close(later())
      }
    },
  })
  return [
    rule('a connection is open, idle and clean', async ({ raw }) => {
      assert.deepEqual(
        [raw.alive, raw.inFlight, raw.status, raw.quarantined, raw.lent],
        [true, 0, 'idle', false, false],
      )
      assert.ok(raw.maxInFlight >= 1)
    }),
    rule('a statement has its rows when it is done, and is settled once', async (world) => {
      const op = world.op(read.sql, read.params)
      world.raw.submit(op)
      assert.equal(op.ends, 0, 'it is never settled from inside submit')
      assert.deepEqual([world.raw.inFlight, world.raw.status], [1, 'unknown'])
      await op.settled
      assert.deepEqual([op.end, op.ends], ['done', 1])
      assert.deepEqual(
        op.rows.map((row) => ({ ...(row as object) })),
        read.rows,
      )
      assert.deepEqual([world.raw.inFlight, world.raw.status], [0, 'idle'])
    }),
    rule('room is called before idle, and neither from inside submit', async (world) => {
      const op = world.op(read.sql, read.params)
      world.raw.submit(op)
      assert.deepEqual(world.told, [])
      await op.settled
      await new Promise<void>((resolve) => clock.setImmediate(resolve))
      assert.deepEqual(world.told, ['room', 'idle'])
    }),
    rule('a statement that the server refuses says so as data, and the connection goes on', async (world) => {
      const [op] = await world.unit(refused)
      assert.equal(op?.failure?.kind, 'server')
      assert.notEqual(op.failure.fields?.['code'], undefined, 'the failure has the code of the server')
      const again = world.op(read.sql, read.params)
      world.raw.submit(again)
      await again.settled
      assert.equal(again.end, 'done')
    }),
    rule('behind a failed statement of a unit nothing runs', async (world) => {
      const [first, second] = await world.unit(refused, world.op(read.sql, read.params))
      assert.deepEqual([first?.failure?.kind, second?.end], ['server', 'skipped not_started'])
    }),
    rule('the status follows the transaction', async (world) => {
      await world.unit(...before, begin)
      assert.equal(world.raw.status, 'tx')
      await world.unit(commit)
      assert.equal(world.raw.status, 'idle')
      await world.unit(...before, begin)
      await world.unit(rollback)
      assert.equal(world.raw.status, 'idle')
    }),
    rule(
      'the status behind an error in a transaction is known, and the transaction can be rolled back',
      async (world) => {
        await world.unit(...before, begin)
        const [op] = await world.unit(refused)
        assert.equal(op?.failure?.kind, 'server')
        assert.notEqual(world.raw.status, 'unknown', 'a driver whose errors do not mention it asks before it settles')
        await world.unit(rollback)
        assert.equal(world.raw.status, 'idle')
      },
    ),
    rule('a statement that has run runs again behind a reset', async (world) => {
      for (let run = 0; run < 2; run++) {
        const op = world.op(read.sql, read.params)
        world.raw.submit(op)
        await op.settled
        assert.equal(op.end, 'done')
        assert.equal(await world.raw.reset(0, later()), true)
      }
    }),
    rule('a reset rolls back an open transaction', async (world) => {
      await world.unit(...before, begin)
      assert.equal(await world.raw.reset(0, later()), true)
      assert.equal(world.raw.status, 'idle')
    }),
    rule('a ping is answered', async ({ raw }) => {
      assert.equal(await raw.ping(later()), true)
    }),
    rule('beyond maxInFlight a unit is refused as data, on a later microtask', async (world) => {
      const running = Array.from({ length: world.raw.maxInFlight }, () => world.op(read.sql, read.params))
      for (const op of running) world.raw.submit(op)
      const one = world.op(read.sql, read.params)
      world.raw.submit(one)
      assert.equal(one.ends, 0)
      await Promise.all([one, ...running].map(({ settled }) => settled))
      assert.equal(one.end, 'closed not_started')
      assert.deepEqual([...new Set(running.map(({ end }) => end))], ['done'])
    }),
    rule('rows of an abandoned statement are thrown away', async (world) => {
      const op = world.op(read.sql, read.params)
      world.raw.submit(op)
      op.state = OpState.abandoned
      await op.settled
      assert.deepEqual([op.rows, world.raw.inFlight], [[], 0])
    }),
    rule('cancelling what has ended is no cancel', async (world) => {
      const op = world.op(read.sql, read.params)
      world.raw.submit(op)
      await op.settled
      assert.equal(await world.raw.cancel(op, later()), 'completed')
    }),
    rule('destroying fails what is in flight, then tells that it is lost, once', async (world) => {
      const op = world.op(read.sql, read.params)
      world.raw.submit(op)
      world.raw.destroy({ kind: 'closed', outcome: 'unknown' })
      world.raw.destroy({ kind: 'closed', outcome: 'unknown' })
      assert.deepEqual([op.ends, world.raw.alive], [0, false])
      await op.settled
      await new Promise<void>((resolve) => clock.setImmediate(resolve))
      assert.equal(op.ends, 1)
      assert.deepEqual(
        world.told.filter((what) => what === 'lost'),
        ['lost'],
      )
      assert.equal(await world.raw.reset(0, later()), false)
      assert.equal(await world.raw.ping(later()), false)
    }),
    rule('closing ends the connection', async ({ raw }) => {
      await raw.close(later())
      assert.equal(raw.alive, false)
    }),
    {
      name: 'an option that does not exist is refused',
      run: () => {
        assert.throws(() => driver.parse({ noSuchOption: 1 }), /noSuchOption/)
        return Promise.resolve()
      },
    },
  ]
}
