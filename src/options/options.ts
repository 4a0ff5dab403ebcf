// The one place where options are checked, merged and completed: URL and options in, a frozen result out, which nothing
// below checks again. Called once per engine, before anything is opened. Reads no file.
import { ConnectError, InvalidUrlError, type OptionProblem } from '../errors/index.ts'
import { anyOf, bare, boolean, callback, type Check, defined, integer, milliseconds } from '../util/checks.ts'
import { type Checks, pick, refuse } from '../util/options.ts'
import { isThenable, thrownText } from '../util/thrown.ts'
import { hostList, hostName, passwordOrFunction, sessionSettings, text } from './checks.ts'
import type { DriverLike, EngineOptions, IsolationLevel, PoolOptions, ResolvedOptions } from './engine-options.ts'
import { connectionOf, findServer, type Server } from './server.ts'
import { resolveTls, ssl } from './tls.ts'
import { formatTarget, parseUrl, type ParsedUrl } from './url.ts'
import { formatPlace, type Place } from './url-parameters.ts'

export type {
  DriverLike,
  EngineOptions,
  IsolationLevel,
  PoolOptions,
  ResolvedOptions,
  TlsOptions,
} from './engine-options.ts'

const isolations: readonly string[] = [
  'read uncommitted',
  'read committed',
  'repeatable read',
  'serializable',
] satisfies IsolationLevel[]

const spaced = (value: string): string => value.toLowerCase().replaceAll(/[_-]/g, ' ')

const isDriver = (value: unknown): value is DriverLike => {
  if ((typeof value !== 'object' || value === null) && typeof value !== 'function') return false
  const { name, open, parse } = value as { readonly [key: string]: unknown }
  return typeof name === 'string' && typeof open === 'function' && typeof parse === 'function'
}

const driver: Check = (value) =>
  isDriver(value) || ['postgres', 'pg', 'pglite'].includes(value as string)
    ? undefined
    : "must be 'postgres', 'pg', 'pglite' or a driver object"

const poolChecks: Checks<PoolOptions> = {
  min: integer(0, 10_000),
  max: integer(1, 10_000),
  shared: integer(0, 10_000),
  spareReads: boolean,
  maxWaiting: integer(0, undefined, true),
  acquireTimeoutMs: milliseconds(1, true),
  connectTimeoutMs: milliseconds(1),
  idleTimeoutMs: milliseconds(1, true),
  maxLifetimeMs: milliseconds(1, true),
}

const checks: Checks<EngineOptions> = {
  driver,
  host: hostName,
  port: integer(1, 65_535),
  hosts: hostList,
  targetSessionAttrs: anyOf('any', 'read-write', 'read-only', 'primary', 'standby', 'prefer-standby'),
  loadBalanceHosts: boolean,
  channelBinding: anyOf('disable', 'prefer', 'require'),
  allowCleartextPassword: boolean,
  user: text,
  password: passwordOrFunction,
  database: text,
  directory: text,
  memory: (value) => (value === true || text(value) === undefined ? undefined : 'must be true or a name'),
  ssl,
  applicationName: text,
  settings: sessionSettings,
  pool: { group: poolChecks },
  query: { group: { timeoutMs: milliseconds(1, true) } },
  retry: { group: { limit: integer(0, undefined, true), intervalMs: milliseconds(0) } },
  isolation: (value) =>
    typeof value === 'string' && isolations.includes(spaced(value))
      ? undefined
      : `must be one of ${isolations.join(', ')}`,
  transactionIdleTimeoutMs: milliseconds(1, true),
  resolveCommitMs: milliseconds(0),
  onConnect: callback,
  echo: (value) =>
    typeof value === 'boolean' || typeof value === 'function' ? undefined : 'must be true, false or a function',
  leak: { group: { afterMs: milliseconds(1, true) } },
  pooler: anyOf('transaction'),
  prepare: boolean,
  prebake: boolean,
  statementCacheSize: integer(0, 100_000),
  reset: anyOf('dirty', 'always'),
  int8: anyOf('number', 'bigint', 'string'),
  closeTimeoutMs: milliseconds(0),
  resetTimeoutMs: milliseconds(1),
  cancelTimeoutMs: milliseconds(1),
  name: text,
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
export function resolveOptions(source?: string | EngineOptions, options?: EngineOptions): ResolvedOptions {
  const problems: OptionProblem[] = []
  const url = typeof source === 'string' ? parseUrl(source) : undefined
  const first = url === undefined ? pick<EngineOptions>(source, checks, problems) : fromUrl(url)
  const merged = merge(first, pick<EngineOptions>(options, checks, problems), problems)
  const served = findDriver(url, merged, problems)
  const server = findServer(merged, url, served.family === 'pg', problems)
  const { given } = server
  const connection = connect(served, server, problems)
  const pool = resolvePool(given.pool ?? bare<PoolOptions>(), served.family === 'pglite', problems)
  if (given.pooler !== undefined) checkPooled(server, served, problems)
  if (given.prebake === true && given.prepare === false)
    problems.push({ name: 'prebake', problem: 'contradicts prepare: false' })
  if (given.prebake === true && given.statementCacheSize === 0)
    problems.push({ name: 'prebake', problem: 'contradicts statementCacheSize: 0' })
  refuse(problems, 'the engine')

  const target = formatTarget(bare({ ...connection, driver: served.name }))
  return Object.freeze({
    name: given.name ?? poolName(served, connection) ?? target,
    driver: served.driver,
    dialect: served.dialect,
    connection: Object.freeze(connection),
    pool: Object.freeze(pool),
    query: Object.freeze({ timeoutMs: given.query?.timeoutMs ?? Infinity }),
    retry: Object.freeze({ limit: given.retry?.limit ?? 0, intervalMs: given.retry?.intervalMs ?? 1_000 }),
    isolation: given.isolation === undefined ? undefined : (spaced(given.isolation) as IsolationLevel),
    transactionIdleTimeoutMs: given.transactionIdleTimeoutMs ?? Infinity,
    resolveCommitMs: given.resolveCommitMs ?? 0,
    onConnect: given.onConnect,
    echo: given.echo ?? false,
    leak: Object.freeze({ afterMs: given.leak?.afterMs ?? Infinity }),
    pooler: given.pooler,
    prepare: given.prepare ?? given.pooler === undefined,
    prebake: given.prebake ?? false,
    statementCacheSize: given.statementCacheSize ?? 256,
    reset: given.reset ?? 'dirty',
    int8: given.int8 ?? 'number',
    closeTimeoutMs: given.closeTimeoutMs ?? 10_000,
    resetTimeoutMs: given.resetTimeoutMs ?? 5_000,
    cancelTimeoutMs: given.cancelTimeoutMs ?? 5_000,
    describe: () => target,
  } satisfies ResolvedOptions)
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
      problems.push({ name, problem: 'is given twice, in the source and in the options, and not the same' })
  return bare<EngineOptions>(first, second, {
    pool: bare(first.pool, second.pool),
    query: bare(first.query, second.query),
    retry: bare(first.retry, second.retry),
    leak: bare(first.leak, second.leak),
  })
}

/** What would be left to a session that is another one in the next transaction. */
function checkPooled(
  { given: { settings, onConnect, prepare, prebake, reset }, said }: Server,
  { family, name }: Served,
  problems: OptionProblem[],
): void {
  const strange = {
    settings: settings !== undefined && Object.keys(settings).length > 0,
    'options of the URL, or PGOPTIONS': said.options !== undefined,
    onConnect: onConnect !== undefined,
    prepare: prepare === true,
    prebake: prebake === true,
    reset: reset === 'always',
  }
  if (family === 'pglite') problems.push({ name: 'pooler', problem: `is no option of ${name}` })
  for (const [option, isGiven] of Object.entries(strange))
    if (isGiven) problems.push({ name: option, problem: 'contradicts pooler, behind which no session stays' })
}

interface Served {
  readonly driver: string | DriverLike
  readonly name: string
  /** Whose options and defaults apply; `other`: nobody's, the driver gets what was given. */
  readonly family: 'pg' | 'pglite' | 'other'
  readonly dialect: 'postgres' | 'mysql'
}

function findDriver(url: ParsedUrl | undefined, given: EngineOptions, problems: OptionProblem[]): Served {
  const local = given.directory !== undefined || given.memory !== undefined
  const wanted = given.driver ?? url?.driver ?? (local ? 'pglite' : 'postgres')
  if (typeof wanted === 'object' || typeof wanted === 'function') {
    const { name, dialect = 'postgres' } = wanted
    return { driver: wanted, name, family: name === 'pg' || name === 'pglite' ? name : 'other', dialect }
  }
  if (wanted === 'mysql')
    throw new InvalidUrlError(
      'There is no driver for mysql: and mariadb: URLs yet. Pass a driver object as the option driver.',
    )
  const asked = url?.driver
  if (asked !== undefined && asked !== wanted && !(asked === 'postgres' && wanted === 'pg'))
    problems.push({ name: 'driver', problem: 'does not fit the URL' })
  // Until there is a driver of our own, node-postgres serves postgres: too.
  const name = wanted === 'pglite' ? 'pglite' : 'pg'
  return { driver: name, name, family: name, dialect: 'postgres' }
}

/** What the driver is given. */
function connect({ family, name }: Served, server: Server, problems: OptionProblem[]): Record<string, unknown> {
  const { given, said } = server
  const { host, port, user, database, directory, memory, applicationName, settings, int8, statementCacheSize } = given
  const session = { settings: settings === undefined ? undefined : Object.freeze(bare(settings)), statementCacheSize }
  const login = { user, database, password: secret(given.password), applicationName, options: said.options }
  if (family === 'other') {
    const tls = resolveTls(said.sslmode, given.ssl, problems)
    const encrypted = given.ssl === undefined && said.sslmode === undefined ? undefined : tls
    return defined({ host, port, ...login, directory, memory, ssl: encrypted, int8, ...session })
  }
  const strange = family === 'pg' ? ofPglite : ofServers
  for (const option of strange)
    if (given[option] !== undefined) problems.push({ name: option, problem: `is no option of ${name}` })
  if (family === 'pglite') {
    if (directory !== undefined && memory !== undefined)
      problems.push({ name: 'memory', problem: 'contradicts directory' })
    return defined({
      directory,
      memory: directory === undefined ? (memory ?? true) : undefined,
      int8: int8 ?? 'number',
      ...session,
    })
  }
  return defined({
    ...connectionOf(server, problems),
    ...login,
    user: user ?? 'postgres',
    database: database ?? user ?? 'postgres',
    int8: int8 ?? 'number',
    ...session,
    statementCacheSize: statementCacheSize ?? 256,
  })
}

const ofPglite = ['directory', 'memory'] as const
const ofServers = [
  'host',
  'port',
  'hosts',
  'user',
  'password',
  'database',
  'targetSessionAttrs',
  'loadBalanceHosts',
  'channelBinding',
  'allowCleartextPassword',
] as const

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
  const problem = typeof answer === 'function' ? 'is a function' : passwordOrFunction(answer)
  if (problem !== undefined)
    refuse([{ name: 'password', problem: `is a function whose result ${problem}` }], 'the engine')
  return answer as string
}

/** As OpenTelemetry suggests for `db.client.connection.pool.name`. */
function poolName({ family }: Served, { host, port, places, database }: Record<string, unknown>): string | undefined {
  if (family !== 'pg') return undefined
  if (places === undefined) return `${String(host)}:${String(port)}/${String(database)}`
  return `${(places as Place[]).map((place) => formatPlace(place.host, place.port)).join(',')}/${String(database)}`
}

function resolvePool(given: PoolOptions, single: boolean, problems: OptionProblem[]): ResolvedOptions['pool'] {
  const max = single ? 1 : (given.max ?? 10)
  const min = single ? Math.min(given.min ?? 0, 1) : (given.min ?? 0)
  if (min > max) problems.push({ name: 'pool.min', problem: 'must not be larger than pool.max' })
  return {
    min,
    max,
    shared: Math.min(given.shared ?? 4, max),
    spareReads: given.spareReads ?? true,
    maxWaiting: given.maxWaiting ?? Infinity,
    acquireTimeoutMs: given.acquireTimeoutMs ?? 30_000,
    connectTimeoutMs: given.connectTimeoutMs ?? 10_000,
    idleTimeoutMs: given.idleTimeoutMs ?? 30_000,
    maxLifetimeMs: given.maxLifetimeMs ?? 1_800_000,
  }
}
