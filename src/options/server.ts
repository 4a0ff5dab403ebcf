// Which server is meant, and how connections to it are protected: what the options say, over what the URL says, over what the
// driver finds in the environment. Called by options.ts, once per engine. Certificates and keys are read here, once, into a
// SecureContext: a bad one is told at once, and nothing that holds the options can print a key.
import type { SecureContextOptions } from 'node:tls'
import type { Descriptor, Place, Said, SslMode } from '../driver/descriptor.ts'
import { text } from '../driver/option-checks.ts'
import { InvalidUrlError, type OptionProblem } from '../errors/index.ts'
import {
  anyOf,
  bare,
  boolean,
  callback,
  type Check,
  type Checks,
  defined,
  integer,
  isPlain,
  pick,
} from '../util/options.ts'
import type { EngineOptions, PoolOptions, ReplicaOptions, ResolvedReplicas, TlsOptions } from './engine-options.ts'
import { formatPlace, type ParsedUrl, parseUrl, placesOf } from './url.ts'

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
  driver: Descriptor,
  problems: OptionProblem[],
): Server {
  const named = namedPlaces(options, url, problems)
  const known = {
    where: named !== undefined,
    port: (options.port ?? named?.find(({ port }) => port !== undefined)) !== undefined,
    tls: options.ssl !== undefined,
    sslmode: url?.sslmode,
    service: defined({ service: url?.service, serviceFile: url?.serviceFile }),
  }
  const { said: around, password } = driver.environment?.(known, problems) ?? {
    said: bare<Said>(),
    password: undefined,
  }
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
export function connectionOf(
  { given, said, places }: Server,
  defaults: Descriptor['defaults'],
  problems: OptionProblem[],
): Record<string, unknown> {
  const tls = resolveTls(said.sslmode, given.ssl, problems, said)
  const { channelBinding, allowCleartextPassword, targetSessionAttrs, loadBalanceHosts } = given
  if (channelBinding === 'require' && tls === false)
    problems.push({ name: 'channelBinding', problem: "cannot be 'require' without TLS; set sslmode or ssl" })
  const mode = given.ssl === undefined || typeof given.ssl === 'object' ? said.sslmode : undefined
  const full = places.map(({ host = defaults.host, address, port = defaults.port }) => defined({ host, address, port }))
  const isSaid = given.ssl !== undefined || said.sslmode !== undefined
  const [first] = full
  const single = full.length === 1 && first?.['address'] === undefined
  return defined({
    ...(single ? first : { places: Object.freeze(full) }),
    passwordFile: given.password === undefined ? said.passwordFile : undefined,
    requireAuth: said.requireAuth,
    protocolVersion: said.protocolVersion,
    leastProtocolVersion: said.leastProtocolVersion,
    // A socket is no network: nobody is in between.
    ssl: full.every(({ host }) => host?.startsWith('/')) ? defaults.ssl : isSaid ? tls : defaults.ssl,
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
  if ((pooler ?? said.pooler) === 'transaction') {
    if (schema !== 'public')
      problems.push({
        name: 'schema',
        problem: 'cannot be used with pooler, because no session keeps a search_path; use scope({ settings })',
      })
    return settings
  }
  if (settings?.['search_path'] !== undefined && settings['search_path'] !== path)
    problems.push({ name: 'schema', problem: 'contradicts settings.search_path' })
  return bare(settings, { search_path: path })
}

// Which servers a database with replicas has: those of the source and those of the option, each with what its driver gets.

export const replicaChecks: Checks<ReplicaOptions> = {
  urls: (value) => {
    if (!Array.isArray(value) || value.length === 0) return 'must be a list of URLs that is not empty'
    return value.every((each) => typeof each === 'string') ? undefined : 'must be a list of URLs, each a text'
  },
  reads: anyOf('replica', 'primary'),
  maxLagMs: integer(1, 86_400_000),
}

interface Source {
  readonly given: EngineOptions
  readonly url: ParsedUrl | undefined
  readonly driver: Descriptor
  /** What the driver gets for the source. */
  readonly connection: Readonly<Record<string, unknown>>
  /** What the driver gets for another URL. */
  readonly connect: (url: ParsedUrl, options: EngineOptions) => Readonly<Record<string, unknown>>
}

/** Adds a problem for what contradicts or cannot be honoured. */
export function resolveReplicas(source: Source, problems: OptionProblem[]): ResolvedReplicas | null {
  const { given, driver, connection } = source
  const { replicas } = given
  if (replicas === undefined) return null
  const { urls, reads = 'replica', maxLagMs = 10_000 } = replicas
  if (urls === undefined) {
    problems.push({ name: 'replicas.urls', problem: 'is missing: a list of URLs' })
    return null
  }
  if (driver.where === 'directory' || driver.dialect?.replication === undefined)
    problems.push({ name: 'replicas', problem: `is not an option of ${driver.name}` })
  if (given.isolation?.toLowerCase() === 'serializable')
    problems.push({ name: 'replicas', problem: "contradicts isolation: 'serializable', which no replica has" })
  if (/^(?:standby|read-only|prefer-standby)$/.test(given.targetSessionAttrs ?? ''))
    problems.push({ name: 'targetSessionAttrs', problem: 'contradicts replicas: the source names the primary' })
  const hosts = hostsOf(connection, true)
  urls.forEach((url, index) => {
    try {
      hosts.push(...hostsOf(connectionAt(source, parseUrl(url)), false))
    } catch (error) {
      if (!(error instanceof InvalidUrlError)) throw error
      problems.push({ name: `replicas.urls[${index}]`, problem: `is no URL that is understood: ${error.message}` })
    }
  })
  const names = hosts.map(({ name }) => name)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined)
    problems.push({ name: 'replicas.urls', problem: `names ${twice} twice, or names the primary itself` })
  return Object.freeze({ hosts: Object.freeze(hosts), reads, maxLagMs })
}

/** Options beside the source are its own, but what says where it is; and TLS, which nobody is to lose without saying so. */
function connectionAt({ given, connect, url: main }: Source, url: ParsedUrl): Readonly<Record<string, unknown>> {
  const { host, port, user = given.user, database = given.database } = url
  const password = url.password?.() ?? given.password
  const here = { host, port, hosts: undefined, user, database, password, targetSessionAttrs: undefined }
  const ofTls = Object.entries(url.sslmode === undefined ? (main ?? {}) : {}).filter(([name]) =>
    /^(?:ssl|systemRoots)/.test(name),
  )
  return connect({ ...Object.fromEntries(ofTls), ...defined(url) }, bare<EngineOptions>(given, here))
}

/** One for each server: which of several it is makes a difference here. */
function hostsOf(
  connection: Readonly<Record<string, unknown>>,
  ofSource: boolean,
): ResolvedReplicas['hosts'][number][] {
  const { places, host, port, targetSessionAttrs: _, loadBalanceHosts: __, ...rest } = connection
  const each = (places ?? [{ host, port }]) as readonly Place[]
  return each.map((place) => {
    const single = place.address === undefined ? defined({ host: place.host, port: place.port }) : { places: [place] }
    return {
      name: formatPlace(place.host, place.port),
      connection: Object.freeze(bare({ ...rest, ...single })),
      ofSource,
    }
  })
}

/** What a driver hands to `tls.connect`, beside socket and host. */
export type ResolvedTls = Readonly<Record<string, unknown>>

interface ContextOptions extends Omit<TlsOptions, 'servername' | 'rejectUnauthorized' | 'checkServerIdentity'> {
  readonly crl?: string | undefined
}

const versions: Check = anyOf('TLSv1.2', 'TLSv1.3')

const bytes = (value: unknown): boolean => (typeof value === 'string' && value !== '') || value instanceof Uint8Array
const certificates: Check = (value) =>
  bytes(value) || (Array.isArray(value) && value.length > 0 && value.every((each) => bytes(each) || isPlain(each)))
    ? undefined
    : 'must be the text or bytes of a certificate or key, or several in an array'

const checks: Checks<TlsOptions> = {
  ca: certificates,
  cert: certificates,
  key: certificates,
  passphrase: text,
  pfx: certificates,
  ciphers: text,
  minVersion: versions,
  maxVersion: versions,
  servername: text,
  rejectUnauthorized: boolean,
  checkServerIdentity: callback,
}

/**
 * A boolean decides alone; an object is laid over what the mode means. `rejectUnauthorized` is always said, so that
 * `NODE_TLS_REJECT_UNAUTHORIZED=0` in the environment does nothing.
 *
 * @returns False for no TLS.
 */
function resolveTls(
  mode: SslMode | undefined,
  option: boolean | TlsOptions | undefined,
  problems: OptionProblem[],
  said: Said = {},
): false | ResolvedTls {
  if (option === false || (option === undefined && (mode === undefined || mode === 'disable'))) return false
  const given = pick<TlsOptions>(typeof option === 'object' ? option : undefined, checks, problems, 'ssl')
  const { servername, rejectUnauthorized, checkServerIdentity, ...material } = given
  const context = bare<ContextOptions>(
    defined({ minVersion: said.minTls, maxVersion: said.maxTls }),
    // A boolean decides alone, but for what is named.
    readTlsFiles(
      given.ca === undefined ? said : { ...said, rootFile: undefined },
      usual(mode, option, given),
      problems,
    ),
    defined(material),
  )
  const effective = option === true || mode === undefined || mode === 'disable' ? 'verify-full' : mode
  const named = effective === 'verify-full'
  const identity = checkServerIdentity ?? (named ? undefined : () => undefined)
  const checked = effective.startsWith('verify-') || (effective !== 'no-verify' && context.ca !== undefined)
  if (effective === 'verify-ca' && (context.ca ?? given.pfx) === undefined)
    problems.push({
      name: 'sslmode',
      problem:
        'is verify-ca, but no authority is given: any server with a certificate of a public authority would do. Give its own by sslrootcert or ssl: { ca }, or use verify-full',
    })
  const tls = bare<Record<string, unknown>>({ rejectUnauthorized: rejectUnauthorized ?? checked })
  if (servername !== undefined) tls['servername'] = servername
  if (identity !== undefined) tls['checkServerIdentity'] = identity
  if (Object.keys(context).length > 0) tls['secureContext'] = makeContext(context, problems)
  return Object.freeze(tls)
}

/** Whether the files in `~/.postgresql` count: where libpq's `sslmode` does, and nothing here takes their place. */
function usual(mode: SslMode | undefined, option: boolean | TlsOptions | undefined, given: TlsOptions): boolean {
  if (mode === undefined || mode === 'disable' || mode === 'no-verify' || option === true) return false
  return (given.ca ?? given.cert ?? given.pfx) === undefined
}

/** Node ignores an authority it cannot read and then trusts nobody; told here, it names the mistake (often a path). */
function makeContext(context: ContextOptions, problems: OptionProblem[]): unknown {
  try {
    // Loaded where they are needed alone: without TLS, to load them is a good part of the start of a process.
    const { X509Certificate } = process.getBuiltinModule('node:crypto')
    for (const authority of [context.ca ?? []].flat()) void new X509Certificate(authority)
    return process.getBuiltinModule('node:tls').createSecureContext(bare(context as SecureContextOptions))
  } catch (error) {
    const code = (error as { code?: unknown }).code
    const reason = typeof code === 'string' ? ` (${code})` : ''
    problems.push({ name: 'ssl', problem: `has a certificate, key, passphrase or cipher that cannot be used${reason}` })
    return undefined
  }
}

// The files of TLS that a URL or the environment names, and those that libpq looks for by itself in `~/.postgresql`: who is
// trusted, and what says who we are. They are read once, when an engine is opened.
interface TlsFiles {
  readonly ca?: string | undefined
  readonly cert?: string | undefined
  readonly key?: string | undefined
  readonly crl?: string | undefined
  readonly passphrase?: string | undefined
}

/**
 * Adds a problem for each file that is named and cannot be used.
 *
 * @param byItself Whether files count that nobody has named.
 * @see PostgreSQL manual, "SSL Support".
 */
function readTlsFiles(said: Said, byItself: boolean, problems: OptionProblem[]): TlsFiles {
  const ofUser = (name: string): string | undefined => {
    const path = inHome(name)
    return byItself && process.getBuiltinModule('node:fs').existsSync(path) ? path : undefined
  }
  const read = (name: string, path: string | undefined, secret: boolean = false): string | undefined => {
    if (path === undefined) return undefined
    try {
      if (secret && isOpen(path)) {
        problems.push({ name, problem: `names the file ${path}, which others may read; it needs the permissions 0600` })
        return undefined
      }
      const content = process.getBuiltinModule('node:fs').readFileSync(path)
      if (content.toString().trim() !== '') return secret ? keyText(content) : content.toString()
      problems.push({ name, problem: `names the file ${path}, which is empty` })
      return undefined
    } catch {
      problems.push({ name, problem: `names the file ${path}, which cannot be read` })
      return undefined
    }
  }
  const ca = said.systemRoots === true ? undefined : read('sslrootcert', said.rootFile ?? ofUser('root.crt'))
  const crl = read('sslcrl', said.revocationFile ?? (ca === undefined ? undefined : ofUser('root.crl')))
  const certificateFile =
    said.certificateMode === 'disable' ? undefined : (said.certificateFile ?? ofUser('postgresql.crt'))
  const cert = read('sslcert', certificateFile)
  if (cert === undefined) return defined({ ca, crl })
  const key = read('sslkey', said.keyFile ?? inHome('postgresql.key'), true)
  return defined({ ca, crl, cert, key, passphrase: said.keyPassword?.() })
}

/** A key may be in DER (ASN.1) too, which Node takes in no context. One that is in no known form is left to who reports that. */
function keyText(content: Buffer): string {
  const pem = content.toString()
  if (pem.includes('-----BEGIN')) return pem
  const { createPrivateKey } = process.getBuiltinModule('node:crypto')
  for (const type of ['pkcs8', 'pkcs1', 'sec1'] as const)
    try {
      return createPrivateKey({ key: content, format: 'der', type }).export({ format: 'pem', type: 'pkcs8' }) as string
    } catch {
      // The next one.
    }
  return pem
}

/** As PostgreSQL: 0600 for the user's own, 0640 for root's. */
function isOpen(path: string): boolean {
  if (process.platform === 'win32') return false
  const { mode, uid } = process.getBuiltinModule('node:fs').statSync(path)
  return (mode & (uid === 0 ? 0o037 : 0o077)) !== 0
}

const inHome = (name: string): string =>
  process.getBuiltinModule('node:path').join(process.getBuiltinModule('node:os').homedir(), '.postgresql', name)
