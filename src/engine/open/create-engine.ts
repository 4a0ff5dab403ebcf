// How an engine comes to be: options are resolved and checked, the driver is found, the pool is made, and one
// connection proves that the database answers.
import { PoolClosedError, UsageError } from '../../errors/index.ts'
import { echo } from '../../observe/echo.ts'
import { enrol } from '../../observe/engines.ts'
import { type EngineOptions as OptionsOf, resolveOptions, type ResolvedOptions } from '../../options/options.ts'
import { Pool } from '../../pool/pool.ts'
import { OpenBackoff } from '../../pool/supply/backoff.ts'
import type { Bakery } from '../../sql/baked/bakery.ts'
import { describeType, isPlain } from '../../util/checks.ts'
import { inRoot } from '../../util/context.ts'
import type { Connection } from '../connection.ts'
import { Engine } from '../engine.ts'
import { asExecutor, kindOf } from '../handle.ts'
import { connectError, isFailure } from '../query/failure.ts'
import { serverOf } from '../report.ts'
import { driverOf } from './drivers.ts'
import { Opening } from './opening.ts'
import { SessionSource } from './session.ts'
import { clock } from '../../util/clock.ts'

/** Options of an engine; `onConnect` gets a connection. */
export type EngineOptions = OptionsOf<Connection>

type Given = string | URL | EngineOptions

/** A URL, options, or a function giving them, asked when the engine is opened. */
export type EngineSource = Given | (() => Given | Promise<Given>)

/**
 * Opens an engine: connects once, so that a wrong address or password fails here. (GINO: `create_engine`.)
 * @throws {InvalidUrlError} @throws {InvalidOptionError} when source or options are wrong.
 * @throws {UsageError} when a source function gives nothing.
 * @throws {DriverNotInstalledError} when the package of the driver is missing.
 * @throws {ConnectError} when the database cannot be reached after `retry.limit` further attempts.
 * @throws {AuthenticationError} when it refuses the user; never tried again.
 */
export async function createEngine(source: EngineSource, options?: EngineOptions): Promise<Engine> {
  needsSource('createEngine()', source, options)
  return openEngine(source, options, null)
}

/** A proxy may throw when it is looked at. */
function looksPlain(value: unknown): boolean {
  try {
    return isPlain(value)
  } catch {
    return false
  }
}

/** @internal @throws {UsageError} for what is no source, or no options beside one; what they say is checked at the opening. */
export function needsSource(method: string, source: unknown, options: unknown): void {
  if (source === undefined || source === null)
    throw new UsageError(
      `${method} needs a URL or options of the database, and was given ${String(source)}: is an environment variable missing?`,
    )
  const executor = asExecutor(source)
  if (executor !== null)
    throw new UsageError(
      `${method} takes a URL or options, not an object of class ${kindOf(executor)}. A db gets an engine that is open by bind(engine).`,
    )
  if (typeof source !== 'string' && typeof source !== 'function' && !(source instanceof URL) && !looksPlain(source))
    throw new UsageError(`${method} takes a URL, options, or a function that gives one, not ${describeType(source)}.`)
  if (options !== undefined && !looksPlain(options))
    throw new UsageError(`The options of ${method} must be a plain object, not ${describeType(options)}.`)
}

/**
 * @internal As `createEngine`, for a `Db`, which stands for this engine in `onConnect` although it is not open yet. `opening`
 * gets the engine before it connects: closing it ends the opening.
 */
export async function openEngine(
  source: EngineSource,
  options: EngineOptions | undefined,
  db: object | null,
  bakery: Bakery | null = null,
  opening: Opening = new Opening(),
): Promise<Engine> {
  const given: Given | undefined | null = typeof source === 'function' ? await source() : source
  if (given === undefined || given === null)
    throw new UsageError('The source function gave neither a URL nor options: is an environment variable missing?')
  const engine = makeEngine(resolveOptions(given instanceof URL ? given.href : given, options), db, opening)
  if (bakery !== null) engine.bakeries.add(bakery)
  opening.engine = engine
  await inRoot(() => warm(engine, opening))
  return engine
}

function makeEngine(options: ResolvedOptions, db: object | null, opening: Opening): Engine {
  const driver = driverOf(options)
  const connect = driver.parse(options.connection)
  // A database inside the process ends with its only connection, and what is in memory with it.
  const embedded = driver.poolLimit === 1
  const stops: (() => void)[] = []
  const makePool = (engine: Engine): Pool =>
    new Pool(new SessionSource(engine, db, driver, connect), {
      min: options.pool.min,
      idleTimeoutMs: embedded ? Infinity : options.pool.idleTimeoutMs,
      maxLifetimeMs: embedded ? Infinity : options.pool.maxLifetimeMs,
      max: Math.min(options.pool.max, driver.poolLimit),
      shared: options.pool.shared,
      maxWaiting: options.pool.maxWaiting,
      acquireTimeoutMs: options.pool.acquireTimeoutMs,
      connectTimeoutMs: options.pool.connectTimeoutMs,
      resetTimeoutMs: options.resetTimeoutMs,
      cancelTimeoutMs: options.cancelTimeoutMs,
      closeTimeoutMs: options.closeTimeoutMs,
      resetAlways: options.reset === 'always',
      pooled: options.pooler !== undefined,
    })
  const engine = new Engine(options, makePool, () => {
    for (const stop of stops.splice(0)) stop()
  })
  if (options.echo !== false) stops.push(echo(options.name, options.echo, serverOf(engine)))
  stops.push(
    enrol(engine),
    () => engine.leaks?.stop(),
    () => opening.stop(),
  )
  return engine
}

/** One connection proves that the database answers. Tries again as `retry` says, and while a server has no room for those who wait. */
async function warm(engine: Engine, opening: Opening): Promise<void> {
  const { retry, pool } = engine.options
  const until = clock.now() + pool.acquireTimeoutMs
  const backoff = new OpenBackoff()
  for (let attempt = 0; ; attempt++) {
    try {
      if (!opening.goesOn) throw new PoolClosedError('The database was closed before it was open.')
      await engine.pool.warm()
      return
    } catch (thrown) {
      let pauseMs = -1
      const verdict = isFailure(thrown) ? engine.pool.classify(thrown) : 'config'
      const error = isFailure(thrown) ? connectError(thrown, engine.options.describe()) : thrown
      if (attempt < retry.limit && verdict !== 'config') pauseMs = retry.intervalMs
      else if (verdict === 'full' && opening.patient) {
        backoff.failed(null, true)
        if (clock.now() + backoff.leftMs < until) pauseMs = backoff.leftMs
        // Who does not wait for room learns it now; a failure that ends the opening is learnt from its end.
        if (pauseMs >= 0) opening.refuse(error)
      }
      if (pauseMs >= 0 && opening.goesOn) await opening.pause(pauseMs)
      if (pauseMs >= 0 && opening.goesOn) continue
      await engine.close({ timeoutMs: 0 })
      throw error
    }
  }
}
