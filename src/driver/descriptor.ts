// The descriptor of a driver, known without loading the driver: the schemes of its URLs, its options, its defaults. `options/` asks
// nothing else of a driver, and the registry is a list of descriptors. Types only.
import type { OptionProblem } from '../errors/index.ts'
import type { Dialect } from '../sql/dialect.ts'
import type { Check } from '../util/options.ts'
import type { Driver } from './driver.ts'

/**
 * As in the PostgreSQL manual, "Protection Provided in Different Modes":
 *
 * | mode | encrypted | certificate | its name |
 * |---|---|---|---|
 * | `disable` | no | | |
 * | `allow` | if the server refuses a connection without | not checked | not checked |
 * | `prefer` | if the server can | not checked | not checked |
 * | `no-verify` (node-postgres' word) | yes | not checked | not checked |
 * | `require` | yes | not checked, unless `ssl.ca` is given: then as `verify-ca` | not checked |
 * | `verify-ca` | yes | checked | not checked |
 * | `verify-full`, `ssl: true` | yes | checked | checked |
 *
 * `allow` and `prefer` may end in an unencrypted connection, as in libpq.
 */
export type SslMode = 'disable' | 'allow' | 'prefer' | 'require' | 'no-verify' | 'verify-ca' | 'verify-full'

/** Which of several servers is accepted. PostgreSQL manual, "target_session_attrs". */
export type TargetSessionAttrs = 'any' | 'read-write' | 'read-only' | 'primary' | 'standby' | 'prefer-standby'

/** One of several servers. Missing members have their defaults. */
export interface Place {
  /** A name, an address, or the directory of a socket. */
  readonly host?: string | undefined
  /** The address of the host. With it the name is not looked up. */
  readonly address?: string | undefined
  readonly port?: number | undefined
}

/** Connection parameters from a URL or the environment, except driver and password. Each driver supports some of them. */
export interface Said {
  /** Of several servers in their order; undefined: the default. */
  readonly hosts?: readonly (string | undefined)[] | undefined
  readonly addresses?: readonly (string | undefined)[] | undefined
  readonly ports?: readonly (number | undefined)[] | undefined
  readonly user?: string | undefined
  readonly database?: string | undefined
  readonly sslmode?: SslMode | undefined
  /** The certificates of the system are trusted: `sslrootcert=system`. */
  readonly systemRoots?: true | undefined
  /** Files for TLS. */
  readonly rootFile?: string | undefined
  readonly certificateFile?: string | undefined
  readonly keyFile?: string | undefined
  readonly revocationFile?: string | undefined
  readonly keyPassword?: (() => string) | undefined
  /** `disable`: no client certificate is sent. */
  readonly certificateMode?: 'disable' | 'allow' | undefined
  readonly sslnegotiation?: 'postgres' | 'direct' | undefined
  readonly minTls?: 'TLSv1.2' | 'TLSv1.3' | undefined
  readonly maxTls?: 'TLSv1.2' | 'TLSv1.3' | undefined
  readonly channelBinding?: 'disable' | 'prefer' | 'require' | undefined
  readonly allowCleartextPassword?: boolean | undefined
  /** The only ways to log in. */
  readonly requireAuth?: readonly string[] | undefined
  /** The file of passwords. */
  readonly passwordFile?: string | undefined
  /** A group of parameters in a file, and the file. */
  readonly service?: string | undefined
  readonly serviceFile?: string | undefined
  /** A function, so that printing does not show it. */
  readonly password?: (() => string) | undefined
  /** The newest version of the protocol, and the oldest. */
  readonly protocolVersion?: '3.0' | '3.2' | undefined
  readonly leastProtocolVersion?: '3.0' | '3.2' | undefined
  readonly targetSessionAttrs?: TargetSessionAttrs | undefined
  readonly loadBalanceHosts?: boolean | undefined
  readonly keepAlive?: boolean | undefined
  readonly keepAliveIdleMs?: number | undefined
  readonly applicationName?: string | undefined
  /** The name of the application, if nothing else gives one. */
  readonly fallbackApplicationName?: string | undefined
  readonly connectTimeoutMs?: number | undefined
  /** Options for the start-up message, such as `-c search_path=app`. */
  readonly options?: string | undefined
  readonly pooler?: 'transaction' | undefined
  /** The one schema of the search path. */
  readonly schema?: string | undefined
  /** The option `pool: { max }`. */
  readonly poolMax?: number | undefined
  /** The option `pool: { acquireTimeoutMs }`. */
  readonly acquireTimeoutMs?: number | undefined
  readonly statementCacheSize?: number | undefined
}

/** The meaning of a parameter, or its problem as a clause without its value: `must be a number from 1 to 65535`. */
export type Reading = { readonly value: Said } | { readonly problem: string }
/** Reads the value of a parameter, already decoded. It never throws. */
export type Reader = (value: string) => Reading

/** A parameter after the `?` of a URL. */
export interface Parameter {
  readonly read: Reader
  /** The environment variable that is read when the parameter is missing. */
  readonly variable?: string
}

/** The parameters that may follow the `?` of a URL. */
export interface UrlParameters {
  /** Those that are taken, by name. All others are refused. */
  readonly known: ReadonlyMap<string, Parameter>
  /** Parameters that are refused, by name. Each has a clause for the message that says what to use instead. */
  readonly refused: ReadonlyMap<string, string>
  /** Checks all of them together at the end. It adds a problem for each contradiction, and returns their meaning. */
  complete(said: Said, problems: Set<string>): Said
}

/** Values already set elsewhere. Environment variables never override them. */
export interface Known {
  /** A host or an address. */
  readonly where: boolean
  readonly port: boolean
  /** The option `ssl`. */
  readonly tls: boolean
  readonly sslmode: Said['sslmode']
  /** The service and its file, if they are set. */
  readonly service: Pick<Said, 'service' | 'serviceFile'>
}

/** The parts of a server's address and login that the environment gives. */
export interface Environment {
  readonly said: Said
  /** A function, so that printing does not show it. */
  readonly password: (() => string) | undefined
}

/** Values for all that neither the URL, the options nor the environment give. */
export interface Defaults {
  readonly host?: string
  readonly port?: number
  readonly user?: string
  /** The name of the database when only a user is given. */
  readonly database?: (user: string) => string
  /** A database that every server has. */
  readonly maintenance?: string
  /** A database in memory. */
  readonly memory?: true
  readonly ssl?: false
  readonly int8?: 'number' | 'bigint' | 'string'
  readonly statementCacheSize?: number
}

/**
 * Options of your own drivers, as part of the type `EngineOptions`. Add to it by
 * `declare module 'genever/driver' { interface DriverOptions { readonly region?: string | undefined } }`.
 */
// oxlint-disable-next-line typescript/no-empty-object-type -- programs add to it
export interface DriverOptions {}

/** Describes one driver. All of it is known before the driver is loaded. */
export interface Descriptor {
  /** The value of the option `driver`, and its name in messages. */
  readonly name: string
  /** The schemes of its URLs, in lower case and without the colon. */
  readonly schemes: readonly string[]
  /** Drivers whose URLs it accepts when it is chosen by name. Messages show the first of them. */
  readonly also?: readonly string[] | undefined
  /** The name of the driver that serves its URLs. */
  readonly servedBy?: string | undefined
  /** `server`: a host, a port and a login. `directory`: a database inside the process, in a directory or in memory. */
  readonly where: 'server' | 'directory'
  /** Every connection option it takes, with its check. All other connection options are refused by name. */
  readonly options: Readonly<Record<string, Check>>
  /** The parameters of its URLs. Null: its URLs have none. */
  readonly url: UrlParameters | null
  /** Reads server settings from the environment. Adds a problem for each unusable variable. Null: reads nothing. */
  readonly environment: ((known: Known, problems: OptionProblem[]) => Environment) | null
  /** Default values. Options without value and default are not passed to the driver. */
  readonly defaults: Defaults
  /** The SQL dialect of its databases. Null: not known yet. */
  readonly dialect: Dialect | null
  /** The highest useful number of connections. */
  readonly poolLimit: number
  /** Whether it works behind a transaction pooler, which lends sessions for one transaction. */
  readonly pooler: boolean
  /**
   * Whether it prepares statements through such a pooler by names that are made of their texts. It gets the option `pooledNames` then.
   * With the option `pooler` it gets `knownPooler`. Default false.
   */
  readonly pooledNames?: boolean | undefined
  /** Loads the driver when the first engine opens. Null: the URLs are known, but there is no driver for them yet. */
  readonly load: (() => Driver | Promise<Driver>) | null
}

/** The drivers that this process knows, by name and by the schemes of their URLs. */
export interface Registry {
  /**
   * Registers a driver by its name and schemes, for the whole process.
   * @throws {UsageError} when the name or a scheme is taken, or the descriptor has none.
   */
  add(descriptor: Descriptor): void
  /** Undefined: there is none. */
  byName(name: string): Descriptor | undefined
  /** Undefined: there is none. @param scheme In lower case, without the colon. */
  byScheme(scheme: string): Descriptor | undefined
  /** All drivers in the order they were added. The defaults come first. */
  readonly all: readonly Descriptor[]
}
