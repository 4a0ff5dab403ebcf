// How an engine is made: options are resolved and checked, the driver is found, the pool is made, and one connection proves that
// the database answers.
import { echo } from '../../observe/reports.ts'
import { enrol } from '../../observe/channels.ts'
import type { Driver, Failure } from '../../driver/driver.ts'
import type { ResolvedReplicas } from '../../options/engine-options.ts'
import { type EngineOptions, resolveOptions, type ResolvedOptions } from '../../options/options.ts'
import { type Allowance, counted } from '../../pool/allowance.ts'
import type { PoolLimits } from '../../pool/contract.ts'
import { Pool } from '../../pool/pool.ts'
import type { Compiled } from '../../sql/compiled.ts'
import type { Dialect, ReplicationWords } from '../../sql/dialect.ts'
import { refuse } from '../../util/options.ts'
import { inRoot } from '../../util/context.ts'
import type { Outlet } from '../client/ear.ts'
import { Engine } from '../engine.ts'
import { Asker } from '../hosts/asker.ts'
import { Host } from '../hosts/host.ts'
import { Hosts } from '../hosts/hosts.ts'
import { connectError, failureError, isFailure } from '../query/failure.ts'
import { serverInfo, serverOf } from '../report.ts'
import { closedBeforeOpen, type Opening } from './opening.ts'
import { type Served, SessionSource } from './session.ts'
import { Backoff, clock } from '../../util/clock.ts'
import { works } from './works.ts'

/** The limits of every pool of an engine with these options. */
export function limitsOf(
  options: ResolvedOptions,
): Omit<PoolLimits, 'min' | 'max' | 'shared' | 'batchReads' | 'idleTimeoutMs' | 'maxLifetimeMs' | 'pooled'> {
  const { maxWaiting, acquireTimeoutMs, connectTimeoutMs } = options.pool
  const { resetTimeoutMs, cancelTimeoutMs, closeTimeoutMs } = options
  const resetAlways = options.reset === 'always'
  return {
    maxWaiting,
    acquireTimeoutMs,
    connectTimeoutMs,
    resetTimeoutMs,
    cancelTimeoutMs,
    closeTimeoutMs,
    resetAlways,
  }
}

/** @throws {InvalidUrlError} @throws {InvalidOptionError} */
export function makeEngine(
  given: string | EngineOptions,
  beside: EngineOptions | undefined,
  db: object | null,
  opening: Opening<Engine>,
): Engine {
  const options: ResolvedOptions = resolveOptions<never>(given, beside)
  // A database inside the process ends with its only connection, and what is in memory with it.
  const embedded = options.descriptor.where === 'directory'
  const stops: (() => void)[] = []
  const stop = (): void => {
    for (const each of stops.splice(0)) each()
  }
  const { allowance } = opening
  const ended = new AbortController()
  stops.push(() => ended.abort())
  const poolOf = (source: SessionSource): Pool => {
    const limits = {
      min: options.pool.min,
      idleTimeoutMs: embedded ? Infinity : options.pool.idleTimeoutMs,
      maxLifetimeMs: embedded ? Infinity : options.pool.maxLifetimeMs,
      max: options.pool.max,
      shared: options.pool.shared,
      // In other levels what is done together can fail together.
      batchReads: options.pool.batchReads && (options.isolation ?? 'read committed') === 'read committed',
      ...limitsOf(options),
      pooled: options.pooler !== undefined,
    }
    const pool = new Pool(source, limits, allowance)
    stops.push(() => pool.share?.leave())
    return pool
  }
  const makePool = (engine: Engine): { pool: Pool; outlet: Outlet } => {
    if (options.replicas === null) {
      const source = new SessionSource(engine, db, serve(options, options.connection))
      const outlet: Outlet = {
        openApart: counted(allowance, ended.signal, (hooks, deadline) => source.openApart(hooks, deadline)),
        keepListening: (sql) => source.keepListening(sql),
      }
      return { pool: poolOf(source), outlet }
    }
    engine.hosts = makeHosts(engine, db, options.replicas, poolOf, allowance, ended.signal)
    if (allowance !== null) for (const { asker } of engine.hosts.all) stops.push(allowance.mayClose(asker))
    const { hosts } = engine
    // Only the primary passes on what is sent to a channel, whichever that is when it is asked for.
    const outlet: Outlet = {
      openApart: counted(allowance, ended.signal, (hooks, deadline) =>
        (hosts.primary.pool.source as SessionSource).openApart(hooks, deadline),
      ),
      keepListening() {},
    }
    return { pool: hosts.primary.pool, outlet }
  }
  const engine = madeOr(stop, () => new Engine(options, options.descriptor.dialect as Dialect, works, makePool, stop))
  if (options.echo !== false) stops.push(echo(options.name, options.echo, serverOf(engine)))
  stops.push(
    enrol(engine),
    () => engine.leaks?.stop(),
    () => opening.stop(),
  )
  return engine
}

/** What `make` gives; `stop` ends what was begun for it if it fails. */
function madeOr<T>(stop: () => void, make: () => T): T {
  try {
    return make()
  } catch (error) {
    stop()
    throw error
  }
}

/** How long a server may take to say who it is. One that says it later than `maxLagMs` gets no reads anyhow. */
const [leastPatienceMs, mostPatienceMs] = [250, 5_000]

/** A pool for each server, and who asks it. */
function makeHosts(
  engine: Engine,
  db: object | null,
  replicas: ResolvedReplicas,
  poolOf: (source: SessionSource) => Pool,
  allowance: Allowance | null,
  ended: AbortSignal,
): Hosts {
  const words = engine.dialect.replication as ReplicationWords
  const question = (): Compiled => engine.statements.compileInternal(words.question)
  const hosts = replicas.hosts.map(({ name, connection }) => {
    const served = serve(engine.options, connection)
    const asker = new Asker(
      counted(allowance, ended, async (hooks, deadline) => {
        const { driver, connect } = await served
        return driver.open(connect, hooks, deadline)
      }),
      question,
      Math.min(mostPatienceMs, Math.max(leastPatienceMs, replicas.maxLagMs)),
    )
    const host: Host = new Host(
      name,
      serverInfo(engine, connection),
      poolOf(new SessionSource(engine, db, served, () => host)),
      asker,
    )
    return host
  })
  return new Hosts(engine, replicas, words, hosts)
}

/** The driver with its options. It is loaded while the engine is already there, so that closing it ends the opening. */
function serve(
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
      let pauseMs = -1
      const refused = isFailure(thrown) && thrown.kind === 'refused'
      const verdict = isFailure(thrown) && !refused ? engine.pool.source.classify(thrown) : 'config'
      const error = isFailure(thrown) ? openingError(engine, thrown) : thrown
      if (attempt < retry.limit && verdict !== 'config') pauseMs = retry.intervalMs
      else if (verdict === 'full' && opening.patient) {
        backoff.failed(true)
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

/** `refused`: there was no connection for it among those that it has together with others. */
function openingError(engine: Engine, failure: Failure): Error {
  if (failure.kind === 'refused') return failureError(failure, engine)
  return connectError(engine.dialect, failure, engine.options.describe())
}
