// Which PostgreSQL server is meant: what the options say, over what the URL says, over the variables of libpq. Called by
// options.ts, once per engine.
import type { OptionProblem } from '../errors/index.ts'
import { bare, defined } from '../util/checks.ts'
import type { EngineOptions, PoolOptions } from './engine-options.ts'
import { readEnvironment } from './environment.ts'
import { resolveTls } from './tls.ts'
import type { ParsedUrl } from './url.ts'
import { type Place, placesOf, type Said } from './url-parameters.ts'

export interface Server {
  /** The options, with what only the URL or the variables say. */
  readonly given: EngineOptions
  readonly said: Said
  /** Undefined: the driver's own default. */
  readonly places: readonly Place[]
}

/** Adds a problem for what contradicts or cannot be honoured. */
export function findServer(
  options: EngineOptions,
  url: ParsedUrl | undefined,
  reads: boolean,
  problems: OptionProblem[],
): Server {
  const named = namedPlaces(options, url, problems)
  const known = {
    where: named !== undefined,
    port: (options.port ?? named?.find(({ port }) => port !== undefined)) !== undefined,
    tls: options.ssl !== undefined,
    sslmode: url?.sslmode,
  }
  const { said: around, password } = reads
    ? readEnvironment(known, problems)
    : { said: bare<Said>(), password: undefined }
  const said = bare<Said>(around, spoken(url))
  const places = named === undefined ? unnamedPlaces(options, around) : withPorts(named, around)
  if (typeof places === 'string')
    problems.push({ name: 'PGPORT', problem: `(an environment variable) does not fit: ${places}` })
  const given = bare<EngineOptions>({ user: around.user, database: around.database, password }, defined(options), {
    applicationName: options.applicationName ?? said.applicationName ?? said.fallbackApplicationName,
    pool: bare<PoolOptions>(
      defined({ connectTimeoutMs: said.connectTimeoutMs, max: said.poolMax, acquireTimeoutMs: said.acquireTimeoutMs }),
      defined(options.pool ?? {}),
    ),
    pooler: options.pooler ?? said.pooler,
    statementCacheSize: options.statementCacheSize ?? said.statementCacheSize,
    settings: withSchema(options, said, problems),
    targetSessionAttrs: options.targetSessionAttrs ?? said.targetSessionAttrs,
    loadBalanceHosts: options.loadBalanceHosts ?? said.loadBalanceHosts,
    channelBinding: options.channelBinding ?? said.channelBinding,
    allowCleartextPassword: options.allowCleartextPassword ?? said.allowCleartextPassword,
  })
  return { given, said, places: typeof places === 'string' ? [] : places }
}

/** What `driver.parse` gets of the server, apart from names and session. */
export function connectionOf({ given, said, places }: Server, problems: OptionProblem[]): Record<string, unknown> {
  const tls = resolveTls(said.sslmode, given.ssl, problems, said)
  const { channelBinding, allowCleartextPassword, targetSessionAttrs, loadBalanceHosts } = given
  if (channelBinding === 'require' && tls === false)
    problems.push({ name: 'channelBinding', problem: "cannot be 'require' without TLS; set sslmode or ssl" })
  const mode = given.ssl === undefined || typeof given.ssl === 'object' ? said.sslmode : undefined
  const full = places.map(({ host = 'localhost', address, port = 5432 }) => defined({ host, address, port }))
  const [first] = full
  const single = full.length === 1 && first?.['address'] === undefined
  return defined({
    ...(single ? first : { places: Object.freeze(full) }),
    // A socket is no network: nobody is in between.
    ssl: full.every(({ host }) => host.startsWith('/')) ? false : tls,
    sslFallback: mode === 'prefer' || mode === 'allow' ? mode : undefined,
    sslNegotiation: tls === false ? undefined : said.sslnegotiation,
    channelBinding,
    allowCleartextPassword,
    targetSessionAttrs,
    loadBalanceHosts,
    keepAlive: said.keepAlive,
    keepAliveIdleMs: said.keepAliveIdleMs,
  })
}

function namedPlaces(
  { host, port, hosts }: EngineOptions,
  url: ParsedUrl | undefined,
  problems: OptionProblem[],
): readonly Place[] | undefined {
  const several = url?.places
  if (hosts !== undefined && (host ?? port ?? several) !== undefined)
    problems.push({ name: 'hosts', problem: 'contradicts host and port' })
  if (several !== undefined && (host ?? port) !== undefined)
    problems.push({ name: host === undefined ? 'port' : 'host', problem: 'contradicts the hosts of the URL' })
  return hosts ?? several ?? (host === undefined ? undefined : [{ host, port }])
}

function unnamedPlaces({ port }: EngineOptions, { hosts, addresses, ports }: Said): readonly Place[] | string {
  return placesOf({ hosts, addresses, ports: port === undefined ? ports : [port] })
}

/** Hosts that are named without a port have that of the variable. */
function withPorts(named: readonly Place[], { ports }: Said): readonly Place[] | string {
  if (ports === undefined) return named
  const found = placesOf({ hosts: named.map(({ host }) => host), ports })
  return typeof found === 'string' ? found : named.map((place, index) => ({ ...found[index], ...defined(place) }))
}

/** What a URL says beside names. */
function spoken(url: ParsedUrl | undefined): Said {
  if (url === undefined) return bare<Said>()
  const { driver: _driver, host: _host, port: _port, places: _places, password: _password, ...said } = url
  return defined(said)
}

/** Prisma's `schema`: the search path is that schema alone. */
function withSchema(
  { settings, pooler }: EngineOptions,
  said: Said,
  problems: OptionProblem[],
): EngineOptions['settings'] {
  const { schema } = said
  if (schema === undefined) return settings
  const path = `"${schema.replaceAll('"', '""')}"`
  if ((pooler ?? said.pooler) !== undefined) {
    if (schema !== 'public')
      problems.push({
        name: 'schema',
        problem: 'cannot be used with pooler, behind which no session keeps a search_path; use scope({ settings })',
      })
    return settings
  }
  if (settings?.['search_path'] !== undefined && settings['search_path'] !== path)
    problems.push({ name: 'schema', problem: 'contradicts settings.search_path' })
  return bare(settings, { search_path: path })
}
