// Makes an engine: resolves and checks its options, finds the driver, makes the pool, and opens one connection as a proof that the
// database answers.
import { echo } from '../../observe/reports.ts'
import { enrol } from '../../observe/channels.ts'
import { type Driver, type Failure, isFailure } from '../../driver/driver.ts'
import { type EngineOptions, resolveOptions, type ResolvedOptions } from '../../options/options.ts'
import type { Allowance } from '../../pool/allowance.ts'
import type { PoolLimits } from '../../pool/contract.ts'
import { Pool } from '../../pool/pool.ts'
import type { Dialect } from '../../sql/dialect.ts'
import { refuse } from '../../util/options.ts'
import { inRoot } from '../../util/context.ts'
import type { ConnectionOpener } from '../client/listening-connection.ts'
import { Engine } from '../engine.ts'
import { connectError, failureError } from '../query/failure.ts'
import { serverOf } from '../report.ts'
import { closedBeforeOpen, type Opening } from './opening.ts'
import { type Served, SessionSource } from './session.ts'
import { Backoff, clock } from '../../util/clock.ts'
import { runtime } from './base-runtime.ts'

/** The limits of every pool of an engine with these options. */
export function limitsOf(options: ResolvedOptions): PoolLimits {
  const { min, max, shared, maxWaiting, acquireTimeoutMs, connectTimeoutMs } = options.pool
  const { resetTimeoutMs, cancelTimeoutMs, closeTimeoutMs } = options
  // A database inside the process ends with its only connection, and what is in memory with it.
  const embedded = options.descriptor.where === 'directory'
  return {
    min,
    max,
    shared,
    // In other levels what is done together can fail together.
    batchReads: options.pool.batchReads && (options.isolation ?? 'read committed') === 'read committed',
    idleTimeoutMs: embedded ? Infinity : options.pool.idleTimeoutMs,
    maxLifetimeMs: embedded ? Infinity : options.pool.maxLifetimeMs,
    maxWaiting,
    acquireTimeoutMs,
    connectTimeoutMs,
    resetTimeoutMs,
    cancelTimeoutMs,
    closeTimeoutMs,
    resetAlways: options.reset === 'always',
    pooled: options.pooler !== undefined,
  }
}

/** An engine that is being made, and what ends with it. */
export class Making {
  readonly options: ResolvedOptions
  /** The `Db` it is made for. */
  readonly db: object | null
  readonly allowance: Allowance | null
  readonly #ended = new AbortController()
  readonly #stops: (() => void)[] = [() => this.#ended.abort()]

  constructor(options: ResolvedOptions, db: object | null, allowance: Allowance | null) {
    this.options = options
    this.db = db
    this.allowance = allowance
  }

  /** Called when the engine is closed, or cannot be made. */
  atEnd(...stops: readonly (() => void)[]): void {
    this.#stops.push(...stops)
  }

  end(): void {
    for (const stop of this.#stops.splice(0)) stop()
  }

  poolOf(source: SessionSource): Pool {
    const pool = new Pool(source, limitsOf(this.options), this.allowance)
    this.atEnd(() => pool.share?.leave())
    return pool
  }

  /** Opens connections beyond those of its pools. */
  opener(open: ConnectionOpener['openOutsidePool']): ConnectionOpener['openOutsidePool'] {
    return this.allowance === null ? open : this.allowance.countedOpen(this.#ended.signal, open)
  }
}

/** @throws {InvalidUrlError} @throws {InvalidOptionError} */
export function resolve(given: string | EngineOptions, beside: EngineOptions | undefined): ResolvedOptions {
  return resolveOptions<never>(given, beside)
}

/** `makePools`: of a database with replicas; null for others. */
export function makeEngine(
  options: ResolvedOptions,
  db: object | null,
  opening: Opening<Engine>,
  loadRuntime: () => Promise<unknown>,
  makePools: ((making: Making, engine: Engine) => Pools) | null,
): Engine {
  const making = new Making(options, db, opening.allowance)
  const end = (): void => making.end()
  const makePool = (engine: Engine): Pools => (makePools ?? onePool)(making, engine)
  const dialect = options.descriptor.dialect as Dialect
  const engine = madeOr(end, () => new Engine({ options, dialect, runtime, loadRuntime, makePool, onClose: end }))
  if (options.echo !== false) making.atEnd(echo(options.name, options.echo, serverOf(engine)))
  making.atEnd(
    enrol(engine),
    () => engine.leaks?.stop(),
    () => opening.stop(),
  )
  return engine
}

/** The result of `make`. If that fails, `stop` ends everything that was begun for it. */
function madeOr<T>(stop: () => void, make: () => T): T {
  try {
    return make()
  } catch (error) {
    stop()
    throw error
  }
}

/** The pool of an engine, and what opens connections beside it. */
export interface Pools {
  readonly pool: Pool
  readonly outlet: ConnectionOpener
}

function onePool(making: Making, engine: Engine): Pools {
  const { options, db } = making
  const source = new SessionSource(engine, db, serve(options, options.connection))
  return {
    pool: making.poolOf(source),
    outlet: {
      openOutsidePool: making.opener((hooks, deadline) => source.openOutsidePool(hooks, deadline)),
      keepListening: (sql) => source.keepListening(sql),
    },
  }
}

/** The driver with its options. It is loaded while the engine is already there, so that closing it ends the opening. */
export function serve(
  { descriptor: { load }, types }: ResolvedOptions,
  connection: ResolvedOptions['connection'],
): Served | Promise<Served> {
  const driver = inRoot(() => (load as () => Driver | Promise<Driver>)())
  const parsed = (loaded: Driver): Served => {
    if (types !== null && loaded.types !== true)
      refuse([{ name: 'types', problem: `is not an option of ${loaded.name}` }], 'the engine')
    return { driver: loaded, connect: loaded.parse(connection) }
  }
  if (!(driver instanceof Promise)) return parsed(driver)
  const served = driver.then(parsed)
  // The opener of a connection learns of it.
  served.catch(() => {})
  return served
}

/** One connection proves that the database answers. Tries again as `retry` says, and while a server has no room for those who wait. */
export async function warm(engine: Engine, opening: Opening<Engine>): Promise<void> {
  const { retry, pool } = engine.options
  const until = clock.now() + pool.acquireTimeoutMs
  const backoff = new Backoff()
  for (let attempt = 0; ; attempt++) {
    try {
      if (!opening.goesOn) throw closedBeforeOpen()
      await engine.hosts?.begin()
      await engine.pool.warm()
      // Until it is known what functions do, reads that call any stay on the primary.
      if (engine.hosts !== null) engine.functions.want()
      return
    } catch (thrown) {
      const refused = isFailure(thrown) && thrown.kind === 'refused'
      const verdict = isFailure(thrown) && !refused ? engine.pool.source.classify(thrown) : 'config'
      const error = isFailure(thrown) ? openingError(engine, thrown) : thrown
      let pauseMs: number | null = null
      if (attempt < retry.limit && verdict !== 'config') pauseMs = retry.intervalMs
      else if (verdict === 'full' && opening.patient) {
        backoff.failed(true)
        const { leftMs } = backoff
        if (clock.now() + leftMs < until) pauseMs = leftMs
        // Callers that do not wait for room get the error now. A failure that ends the opening comes with its end.
        if (pauseMs !== null) opening.refuse(error)
      }
      if (pauseMs !== null && opening.goesOn) await opening.pause(pauseMs)
      if (pauseMs !== null && opening.goesOn) continue
      await engine.close({ timeoutMs: 0 })
      throw error
    }
  }
}

/** `refused`: there was no connection for it among those that it has together with others. */
function openingError(engine: Engine, failure: Failure): Error {
  if (failure.kind === 'refused') return failureError(failure, engine)
  return connectError(engine.dialect, failure, engine.options.describe())
}
