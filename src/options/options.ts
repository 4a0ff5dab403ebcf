// The one place where options are checked, merged and completed: URL and options in, a frozen result out, which nothing
// below checks again. Called once per engine, before anything is opened. Files of TLS and of services are read here, if named.
import type { Descriptor, Place } from '../driver/descriptor.ts'
import type { Driver } from '../driver/driver.ts'
import { directoryOptions, functionNames, passwordText, serverOptions, text } from '../driver/option-checks.ts'
import { describeDriver, drivers } from '../driver/registry.ts'
import { ConnectError, InvalidUrlError, type OptionProblem } from '../errors/index.ts'
import { Conversions } from '../sql/conversions.ts'
import { type IsolationLevel, isolationLevels } from '../sql/dialect.ts'
import { Tags } from '../sql/tags.ts'
import {
  anyOf,
  bare,
  boolean,
  callback,
  type Check,
  defined,
  integer,
  milliseconds,
  type Checks,
  type GroupCheck,
  pick,
  refuse,
} from '../util/options.ts'
import { defaultCloseTimeoutMs } from '../util/clock.ts'
import { isThenable, thrownText } from '../util/thrown.ts'
import type { EngineOptions, PoolOptions, ResolvedOptions } from './engine-options.ts'
import { formatPlace, formatTarget, parseUrl, type ParsedUrl } from './url.ts'
import { replicaChecks, resolveReplicas, connectionOf, findServer, type Server } from './server.ts'

export type { EngineOptions, PoolOptions, ResolvedOptions, TlsOptions } from './engine-options.ts'

const spaced = (value: string): string => value.toLowerCase().replaceAll(/[_-]/g, ' ')

const isDriver = (value: unknown): value is Driver => {
  if ((typeof value !== 'object' || value === null) && typeof value !== 'function') return false
  const { name, open, parse } = value as { readonly [key: string]: unknown }
  return typeof name === 'string' && typeof open === 'function' && typeof parse === 'function'
}

const nameOrDriver: Check = (value) => {
  if (isDriver(value)) return undefined
  const names = drivers.all.filter(({ load }) => load !== null).map(({ name }) => name)
  return typeof value === 'string' && names.includes(value)
    ? undefined
    : `must be ${names.map((name) => `'${name}'`).join(', ')} or a driver object`
}

const poolChecks: Checks<PoolOptions> = {
  min: integer(0, 10_000),
  max: integer(1, 10_000),
  shared: integer(0, 10_000),
  batchReads: boolean,
  spareReads: boolean,
  maxWaiting: integer(0, undefined, 'or Infinity'),
  acquireTimeoutMs: milliseconds(1, 'or Infinity'),
  connectTimeoutMs: milliseconds(1),
  idleTimeoutMs: milliseconds(1, 'or Infinity'),
  maxLifetimeMs: milliseconds(1, 'or Infinity'),
}

/** Of every engine, whatever its driver. */
const common: Readonly<Record<string, Check | GroupCheck>> = {
  driver: nameOrDriver,
  pool: { group: poolChecks },
  replicas: { group: replicaChecks },
  functions: { group: { harmless: functionNames, stateful: functionNames } },
  query: { group: { timeoutMs: milliseconds(1, 'or Infinity'), tags: { read: (given) => Tags.of(given) } } },
  retry: { group: { limit: integer(0, undefined, 'or Infinity'), intervalMs: milliseconds(0) } },
  isolation: (value) =>
    typeof value === 'string' && isolationLevels.some((level) => level === spaced(value))
      ? undefined
      : `must be one of ${isolationLevels.join(', ')}`,
  transactionIdleTimeoutMs: milliseconds(1, 'or Infinity'),
  resolveCommitMs: milliseconds(0),
  onConnect: callback,
  echo: (value) =>
    typeof value === 'boolean' || typeof value === 'function' ? undefined : 'must be true, false or a function',
  leak: { group: { afterMs: milliseconds(1, 'or Infinity') } },
  slow: { group: { afterMs: milliseconds(0, 'or Infinity') } },
  repeats: { group: { afterTimes: integer(1, undefined, 'or Infinity') } },
  pooler: anyOf('transaction', 'session'),
  prepare: boolean,
  prebake: boolean,
  reset: anyOf('dirty', 'always'),
  closeTimeoutMs: milliseconds(0),
  resetTimeoutMs: milliseconds(1),
  cancelTimeoutMs: milliseconds(1),
  name: text,
}

/** Those of connections too: what any driver takes. Which of them its own driver does not is refused when that is known. */
function everyCheck(): Checks<EngineOptions> {
  const checks = bare<Record<string, Check | GroupCheck>>()
  for (const [name, check] of drivers.all.flatMap((each) => Object.entries(each.options))) {
    const other = checks[name] as Check | undefined
    checks[name] =
      other === undefined || other === check ? check : (value) => (other(value) && check(value)) || undefined
  }
  return Object.assign(checks, common) as Checks<EngineOptions>
}

const namesOfUrl: ReadonlySet<string> = new Set(['url', 'uri', 'dsn', 'connectionString'])

/** Our options, and what other packages call them: a name that resembles one of ours by chance would send its user there. */
const namesElsewhere: ReadonlyMap<string, string> = new Map(
  [
    ['database', 'dbname'],
    ['user', 'username'],
    ['pool.min', 'poolMinSize'],
    ['pool.max', 'poolSize poolMaxSize connectionLimit'],
    ['pool.acquireTimeoutMs', 'connectionTimeoutMillis'],
    ['pool.connectTimeoutMs', 'connectTimeout connect_timeout'],
    ['pool.idleTimeoutMs', 'idleTimeoutMillis idleTimeout idle_timeout'],
    ['pool.maxLifetimeMs', 'maxLifetimeSeconds max_lifetime'],
    ['query.timeoutMs', 'query_timeout'],
    ['transactionIdleTimeoutMs', 'idle_in_transaction_session_timeout'],
    ['settings', 'statement_timeout lock_timeout search_path schema options'],
    ['applicationName', 'application_name'],
    ['ssl', 'sslmode tls'],
    ['echo', 'log logger logging debug'],
  ].flatMap(([ours = '', theirs = '']) => theirs.split(' ').map((name) => [name, ours] as const)),
)

/** A problem with an option, with ours in its message where another package has it by that name. */
function knownElsewhere(problem: OptionProblem): OptionProblem {
  const { name } = problem
  if (namesOfUrl.has(name))
    return { name, problem: 'is none: a URL stands in front of the options, as in createDb(url, options)' }
  const near = namesElsewhere.get(name)
  return near === undefined || !('known' in problem) ? problem : Object.assign(problem, { near })
}

/** Which options name the database: given twice they must agree, so that nobody ends up in another one. */
const identity = ['driver', 'host', 'port', 'user', 'password', 'database', 'directory', 'memory'] as const

/**
 * Checks and merges a URL or options with further options, and fills in the defaults of `EngineOptions`.
 *
 * What names the database (host, port, user, password, database) may be given in both only if it is equal; all else in
 * `options` wins over `source`. Only own properties count.
 *
 * @throws {InvalidUrlError} when the URL is not understood.
 * @throws {InvalidOptionError} naming every option that is unknown, of the wrong type, out of range or contradictory.
 */
export function resolveOptions<C>(source?: string | EngineOptions<C>, options?: EngineOptions<C>): ResolvedOptions<C> {
  // What `onConnect` is given is looked at by nobody here.
  return resolve(source, options) as ResolvedOptions<C>
}

function resolve(source: string | EngineOptions | undefined, options: EngineOptions | undefined): ResolvedOptions {
  const problems: OptionProblem[] = []
  const checks = everyCheck()
  const url = typeof source === 'string' ? parseUrl(source) : undefined
  const first = typeof source === 'string' ? fromUrl(url as ParsedUrl) : pick<EngineOptions>(source, checks, problems)
  const merged = merge(first, pick<EngineOptions>(options, checks, problems), problems)
  for (const [at, problem] of problems.entries()) problems[at] = knownElsewhere(problem)
  const driver = findDriver(url, merged, problems)
  const server = findServer(merged, url, driver, problems)
  const { given } = server
  const { harmless = [], stateful = [] } = given.functions ?? {}
  const connection = connect(driver, server, problems)
  const connectTo = (other: ParsedUrl, beside: EngineOptions): Record<string, unknown> =>
    connect(driver, findServer(beside, other, driver, problems), problems)
  const replicas = resolveReplicas({ given, url, driver, connection, connect: connectTo }, problems)
  const pool = resolvePool(given.pool ?? bare<PoolOptions>(), driver.poolLimit, problems)
  checkTogether(server, driver, problems)
  refuse(problems, 'the engine')

  const target = formatTarget(bare({ ...connection, driver: driver.name }))
  const resolved = {
    name: given.name ?? poolName(driver, connection) ?? target,
    driver: typeof given.driver === 'object' || typeof given.driver === 'function' ? given.driver : driver.name,
    dialect: driver.dialect?.name ?? driver.name,
    connection: Object.freeze(connection),
    pool: Object.freeze(pool),
    replicas,
    functions: Object.freeze({ harmless: Object.freeze([...harmless]), stateful: Object.freeze([...stateful]) }),
    query: Object.freeze({
      timeoutMs: given.query?.timeoutMs ?? Infinity,
      tags: given.query?.tags === undefined ? undefined : Tags.of(given.query.tags),
    }),
    retry: Object.freeze({ limit: given.retry?.limit ?? 0, intervalMs: given.retry?.intervalMs ?? 1_000 }),
    isolation: given.isolation === undefined ? undefined : (spaced(given.isolation) as IsolationLevel),
    transactionIdleTimeoutMs: given.transactionIdleTimeoutMs ?? Infinity,
    resolveCommitMs: given.resolveCommitMs ?? 0,
    onConnect: given.onConnect,
    echo: given.echo ?? false,
    leak: Object.freeze({ afterMs: given.leak?.afterMs ?? Infinity }),
    slow: Object.freeze({ afterMs: given.slow?.afterMs ?? Infinity }),
    repeats: Object.freeze({ afterTimes: given.repeats?.afterTimes ?? Infinity }),
    pooler: given.pooler === 'session' ? undefined : given.pooler,
    prepare: given.prepare ?? given.pooler !== 'transaction',
    prebake: given.prebake ?? false,
    statementCacheSize: given.statementCacheSize ?? 256,
    reset: given.reset ?? 'dirty',
    int8: given.int8 ?? 'number',
    types: given.types === undefined ? null : Conversions.of(given.types),
    closeTimeoutMs: given.closeTimeoutMs ?? defaultCloseTimeoutMs,
    resetTimeoutMs: given.resetTimeoutMs ?? 5_000,
    cancelTimeoutMs: given.cancelTimeoutMs ?? 5_000,
    describe: () => target,
  } satisfies Omit<ResolvedOptions, 'descriptor'>
  // Out of the way of what prints or compares options.
  return Object.freeze(Object.defineProperty(resolved, 'descriptor', { value: driver }) as ResolvedOptions)
}

function fromUrl(url: ParsedUrl): EngineOptions {
  const { host, port, user, database, directory, memory } = url
  const password = url.password?.()
  return bare<EngineOptions>({
    host,
    port,
    user,
    password,
    database,
    directory,
    memory,
  })
}

function merge(first: EngineOptions, second: EngineOptions, problems: OptionProblem[]): EngineOptions {
  for (const name of identity)
    if ((first[name] ?? second[name]) !== (second[name] ?? first[name]))
      problems.push({ name, problem: 'is given in the source and in the options, with different values' })
  return bare<EngineOptions>(first, second, {
    pool: bare(first.pool, second.pool),
    query: bare(first.query, second.query),
    retry: bare(first.retry, second.retry),
    leak: bare(first.leak, second.leak),
    slow: bare(first.slow, second.slow),
    repeats: bare(first.repeats, second.repeats),
  })
}

/** What each of them allows, and all of them together do not. */
function checkTogether(server: Server, driver: Descriptor, problems: OptionProblem[]): void {
  const { given } = server
  if (given.pooler !== undefined) checkPooler(server, driver, problems)
  if (given.prebake === true && given.prepare === false)
    problems.push({ name: 'prebake', problem: 'contradicts prepare: false' })
  if (given.prebake === true && given.statementCacheSize === 0)
    problems.push({ name: 'prebake', problem: 'contradicts statementCacheSize: 0' })
  if (given.types !== undefined && isDriver(given.driver) && given.driver.types !== true)
    problems.push({ name: 'types', problem: `is not an option of ${driver.name}` })
  const { harmless = [], stateful = [] } = given.functions ?? {}
  for (const name of harmless)
    if (stateful.includes(name))
      problems.push({ name: 'functions.harmless', problem: `and functions.stateful both have ${name}` })
}

/** What would be left to a session that is another one in the next transaction. */
function checkPooler(
  { given: { pooler: kind, settings, onConnect, prepare, prebake, reset }, said }: Server,
  { pooler, pooledNames, name }: Descriptor,
  problems: OptionProblem[],
): void {
  if (!pooler) problems.push({ name: 'pooler', problem: `is not an option of ${name}` })
  if (kind === 'session') return
  const strange = {
    settings: settings !== undefined && Object.keys(settings).length > 0,
    'options of the URL, or PGOPTIONS': said.options !== undefined,
    onConnect: onConnect !== undefined,
    reset: reset === 'always',
  }
  if (prepare === true && pooledNames !== true)
    problems.push({ name: 'prepare', problem: `is not possible with pooler and ${name}` })
  if (prebake === true && prepare === undefined)
    problems.push({ name: 'prebake', problem: 'contradicts pooler without prepare: true' })
  for (const [option, isGiven] of Object.entries(strange))
    if (isGiven)
      problems.push({
        name: option,
        problem: 'contradicts pooler, because every transaction may run in another session',
      })
}

function findDriver(url: ParsedUrl | undefined, given: EngineOptions, problems: OptionProblem[]): Descriptor {
  const where = given.directory === undefined && given.memory === undefined ? 'server' : 'directory'
  const wanted = given.driver ?? url?.driver ?? drivers.all.find((each) => each.where === where)?.name ?? ''
  if (typeof wanted !== 'string') return describeDriver(wanted)
  const named = drivers.byName(wanted) as Descriptor
  if (named.load === null)
    throw new InvalidUrlError(
      `There is no driver for ${named.schemes.map((scheme) => `${scheme}:`).join(' and ')} URLs yet. Pass a driver object as the option driver.`,
    )
  const asked = url?.driver
  if (asked !== undefined && asked !== wanted && named.also?.includes(asked) !== true)
    problems.push({ name: 'driver', problem: 'does not fit the URL' })
  return named.servedBy === undefined ? named : (drivers.byName(named.servedBy) as Descriptor)
}

/** Options of connections that are completed here. A driver gets all others of its own as they are. */
const completed = new Set(Object.keys({ ...serverOptions, ...directoryOptions }))

/** What the driver is given. */
function connect(driver: Descriptor, server: Server, problems: OptionProblem[]): Record<string, unknown> {
  const { given, said } = server
  checkOwn(driver, given, problems)
  const { user, database, directory, memory, applicationName, settings, int8, timestamp, statementCacheSize } = given
  const { defaults } = driver
  const pooled = driver.pooledNames === true
  const own = Object.entries(given).filter(([name]) => !completed.has(name) && Object.hasOwn(driver.options, name))
  const session = {
    int8: int8 ?? defaults.int8,
    timestamp,
    settings: settings === undefined ? undefined : Object.freeze(bare(settings)),
    statementCacheSize: statementCacheSize ?? defaults.statementCacheSize,
    pooledNames: pooled && given.pooler === 'transaction' && given.prepare === true ? true : undefined,
    knownPooler: pooled && given.pooler !== undefined ? true : undefined,
    ...Object.fromEntries(own),
  }
  if (driver.where === 'directory') {
    if (directory !== undefined && memory !== undefined)
      problems.push({ name: 'memory', problem: 'contradicts directory' })
    return defined({ directory, memory: directory === undefined ? (memory ?? defaults.memory) : undefined, ...session })
  }
  const login = user ?? defaults.user
  return defined({
    ...connectionOf(server, defaults, problems),
    user: login,
    database: database ?? (login === undefined ? undefined : defaults.database?.(login)),
    password: secret(given.password),
    applicationName,
    options: said.options,
    directory,
    memory,
    ...session,
  })
}

/** Options of other drivers, and those that this one checks by itself. */
function checkOwn(driver: Descriptor, given: EngineOptions, problems: OptionProblem[]): void {
  for (const name of Object.keys(everyCheck()).filter((each) => !Object.hasOwn(common, each))) {
    const value = given[name as keyof EngineOptions]
    if (value === undefined) continue
    const check = Object.hasOwn(driver.options, name) ? driver.options[name] : undefined
    const problem = check === undefined ? `is not an option of ${driver.name}` : check(value)
    if (problem !== undefined) problems.push({ name, problem })
  }
}

/** The password out of sight: a closure is nothing that can be printed. An empty one is none. */
function secret(given: EngineOptions['password']): (() => string | Promise<string>) | undefined {
  if (given === undefined || given === '') return undefined
  if (typeof given === 'string') return () => given
  return () => {
    let answer: unknown
    try {
      answer = given()
      if (isThenable(answer)) answer = Promise.resolve(answer)
    } catch (cause) {
      return failedPassword(cause)
    }
    return answer instanceof Promise ? answer.then(usable, failedPassword) : usable(answer)
  }
}

function failedPassword(cause: unknown): never {
  throw new ConnectError(
    `Could not connect: the function given as the option password failed (${thrownText(cause)}).`,
    { cause },
  )
}

function usable(answer: unknown): string {
  const problem = passwordText(answer)
  if (problem !== undefined)
    refuse([{ name: 'password', problem: `is a function whose result ${problem}` }], 'the engine')
  return answer as string
}

/** As OpenTelemetry suggests for `db.client.connection.pool.name`. */
function poolName({ schemes }: Descriptor, connection: Record<string, unknown>): string | undefined {
  const { host, port, places, database } = connection
  if (schemes.length === 0 || (host ?? places) === undefined) return undefined
  if (places === undefined) return `${String(host)}:${String(port)}/${String(database)}`
  return `${(places as Place[]).map((place) => formatPlace(place.host, place.port)).join(',')}/${String(database)}`
}

function resolvePool(given: PoolOptions, limit: number, problems: OptionProblem[]): ResolvedOptions['pool'] {
  const max = Math.min(given.max ?? 10, limit)
  const min = Math.min(given.min ?? 0, limit)
  if (min > max) problems.push({ name: 'pool.min', problem: 'must not be larger than pool.max' })
  return {
    min,
    max,
    shared: Math.min(given.shared ?? 4, max),
    batchReads: given.batchReads ?? true,
    spareReads: given.spareReads ?? true,
    maxWaiting: given.maxWaiting ?? Infinity,
    acquireTimeoutMs: given.acquireTimeoutMs ?? 30_000,
    connectTimeoutMs: given.connectTimeoutMs ?? 10_000,
    idleTimeoutMs: given.idleTimeoutMs ?? 30_000,
    maxLifetimeMs: given.maxLifetimeMs ?? 1_800_000,
  }
}
