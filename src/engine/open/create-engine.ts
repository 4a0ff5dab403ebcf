// `createEngine`, and the checks of its source. The code that makes and runs an engine is loaded with the first one that is opened, so
// that an import of the package loads none of it.
import { anew, UsageError } from '../../errors/index.ts'
import { drivers } from '../../driver/registry.ts'
import type { EngineOptions as OptionsOf } from '../../options/options.ts'
import type { Bakery } from '../../sql/baked.ts'
import type { Dialect } from '../../sql/dialect.ts'
import { inRoot } from '../../util/context.ts'
import { describeType, isPlain } from '../../util/options.ts'
import type { Connection } from '../connection.ts'
import type { Engine } from '../engine.ts'
import { asExecutor, kindOf } from '../handle.ts'
import type * as Maker from './make-engine.ts'
import type { onHosts as OnHosts } from './on-hosts.ts'
import { Opening } from './opening.ts'
import type { EngineRuntime } from '../runtime.ts'

/** Options of an engine. Its `onConnect` gets a connection. */
export type EngineOptions = OptionsOf<Connection>

type Given = string | URL | EngineOptions

/** A URL, options, or a function that returns them. The function is called when the engine opens. */
export type EngineSource = Given | (() => Given | Promise<Given>)

/**
 * Opens an engine. It connects once, so that a wrong address or password fails here. (GINO: `create_engine`.)
 * @throws {InvalidUrlError} for a wrong URL.
 * @throws {InvalidOptionError} for a wrong option.
 * @throws {UsageError} when a source function returns nothing.
 * @throws {DriverNotInstalledError} when the package of the driver is missing.
 * @throws {ConnectError} when the database cannot be reached after `retry.limit` further attempts.
 * @throws {AuthenticationError} when it refuses the user. This is never tried again.
 */
export async function createEngine(source: EngineSource, options?: EngineOptions): Promise<Engine> {
  needsSource('createEngine()', source, options)
  return withRuntime(openEngine(source, options, null, null, new Opening<Engine>()))
}

/** A proxy may throw when it is looked at. */
function holds(test: () => boolean): boolean {
  try {
    return test()
  } catch {
    return false
  }
}

/** @internal @throws {UsageError} for a value that is not a source, or options that are not an object. The opening checks the options. */
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
  if (
    typeof source !== 'string' &&
    typeof source !== 'function' &&
    !holds(() => source instanceof URL || isPlain(source))
  )
    throw new UsageError(`${method} takes a URL, options, or a function that gives one, not ${describeType(source)}.`)
  if (options !== undefined && !holds(() => isPlain(options)))
    throw new UsageError(`The options of ${method} must be a plain object, not ${describeType(options)}.`)
}

/** @internal The options for a source that `bind` brings later. The opening checks them. */
export function checkNoSource(options: EngineOptions | undefined): EngineOptions | undefined {
  if (options === undefined || isPlain(options)) return options
  throw new UsageError(`The options of createDb() must be a plain object, not ${describeType(options)}.`)
}

/** @internal */
export function withEngine(method: string): UsageError {
  return new UsageError(`${method} was given an engine and options. An engine that is open has its options already.`)
}

/** @internal What the SQL of that database is like, as far as its name or its URL says. */
export function dialectOf(source: EngineSource | null, options: EngineOptions | undefined): Dialect | undefined {
  if (source === null || typeof source === 'function') return undefined
  const plain = typeof source === 'string' || source instanceof URL ? undefined : (source as Partial<EngineOptions>)
  const driver = options?.driver ?? plain?.driver
  if (typeof driver === 'object') return driver.dialect
  const url =
    source instanceof URL ? source.href : typeof source === 'string' ? source : (plain as { url?: unknown }).url
  const scheme = typeof url === 'string' ? /^([a-z][a-z0-9]*):/i.exec(url)?.[1]?.toLowerCase() : undefined
  const known = driver === undefined ? drivers.byScheme(scheme ?? '') : drivers.byName(driver)
  return known?.dialect ?? undefined
}

let maker: typeof Maker | null = null
let onHosts: typeof OnHosts | null = null
let whole = false

async function loadMaker(): Promise<void> {
  maker = await inRoot(() => import('./make-engine.ts'))
}

async function loadHosts(): Promise<void> {
  ;({ onHosts } = await inRoot(() => import('./on-hosts.ts')))
}

/** @internal As `opening`, for more than a statement that stands alone. */
export function withRuntime(opening: Promise<Engine>, attempt: Opening<Engine> | null = null): Promise<Engine> {
  if (whole) return opening
  const loading = loadRuntime()
  // `close()` serves those who wait for it.
  attempt?.need(loading)
  return Promise.all([opening, loading]).then(([engine]) => engine)
}

/** @internal Its error has the line of the caller, who may be one of several. */
export async function withOwnError<T>(opening: Promise<T>): Promise<T> {
  try {
    return await opening
  } catch (error) {
    throw anew(error)
  }
}

/** @internal For calls that check their arguments before there is an engine, too. */
export function runtimeOf(engine: Engine | null): EngineRuntime | Promise<EngineRuntime> {
  return engine?.runtime.whole === true ? engine.runtime : loadRuntime()
}

/** @internal */
export async function loadRuntime(): Promise<EngineRuntime> {
  const { wholeRuntime } = await inRoot(() => import('./scope-runtime.ts'))
  whole = true
  return wholeRuntime()
}

/**
 * @internal As `createEngine`, for a `Db`, which stands for this engine in `onConnect` although it is not open yet. `opening`
 * gets the engine before it connects: closing it ends the opening.
 */
export async function openEngine(
  source: EngineSource,
  options: EngineOptions | undefined,
  db: object | null,
  bakery: Bakery | null,
  opening: Opening<Engine>,
): Promise<Engine> {
  const given: Given | undefined | null = typeof source === 'function' ? await source() : source
  if (given === undefined || given === null)
    throw new UsageError('The source function gave neither a URL nor options: is an environment variable missing?')
  if (maker === null) await (opening.loading = loadMaker())
  const { resolve, makeEngine, warm } = maker as unknown as typeof Maker
  const resolved = resolve(given instanceof URL ? given.href : given, options)
  if (resolved.replicas !== null && onHosts === null) await (opening.loading = loadHosts())
  const { ready } = resolved.descriptor.dialect ?? {}
  if (ready !== undefined) await (opening.loading = ready())
  const engine = makeEngine(resolved, db, opening, loadRuntime, resolved.replicas === null ? null : onHosts)
  if (bakery !== null) engine.bakeries.add(bakery)
  opening.engine = engine
  await inRoot(() => warm(engine, opening))
  if (opening.needs !== null) await opening.needs
  return engine
}
