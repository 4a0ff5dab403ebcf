// The descriptor of the driver `mysql`: its connection options, and the parameters that may follow the `?` of its URLs.
import type { ConnectionOptions } from 'node:tls'
import { InvalidOptionError, type OptionProblem } from '../../errors/index.ts'
import { anyOf, bare, boolean, type Check, integer } from '../../util/options.ts'
import { mysql as dialect } from '../../mysql/dialect.ts'
import type { Descriptor, Parameter, UrlParameters } from '../descriptor.ts'
import {
  connectTimeout,
  hostName,
  passwordOrFunction,
  readHosts,
  readPorts,
  sessionSettings,
  ssl,
  text,
  words,
} from '../option-checks.ts'
import type { Conversions, Int8 } from './types.ts'

export interface MysqlOptions {
  /** A name, an address, or the path of a socket. */
  readonly host?: string | undefined
  readonly port?: number | undefined
  readonly user?: string | undefined
  /** A function is asked for every connection. */
  readonly password?: string | (() => string | Promise<string>) | undefined
  readonly database?: string | undefined
  readonly ssl?: boolean | ConnectionOptions | undefined
  /** Shown by the server as `program_name`. */
  readonly applicationName?: string | undefined
  /** Settings of every session, such as `{ sql_mode: 'STRICT_ALL_TABLES' }`; a reset never loses them. */
  readonly settings?: Readonly<Record<string, string | number | boolean>> | undefined
  readonly int8?: Int8 | undefined
  readonly tinyint1?: Conversions['tinyint1'] | undefined
  readonly statementCacheSize?: number | undefined
  readonly keepAlive?: boolean | undefined
  readonly keepAliveIdleMs?: number | undefined
}

/** Options of engines that concern connections. */
const engineOptions: Readonly<Record<string, Check>> = {
  host: hostName,
  port: integer(1, 65_535),
  user: text,
  password: passwordOrFunction,
  database: text,
  ssl,
  applicationName: text,
  settings: sessionSettings,
  statementCacheSize: integer(0, 100_000),
  int8: anyOf('number', 'bigint', 'string'),
  tinyint1: anyOf('number', 'boolean'),
}

const checks: Readonly<Record<keyof MysqlOptions, Check>> = {
  ...(engineOptions as Readonly<Record<Exclude<keyof MysqlOptions, 'keepAlive' | 'keepAliveIdleMs'>, Check>>),
  keepAlive: boolean,
  keepAliveIdleMs: integer(0, 2_147_483_647),
}

/** Refuses all that is unknown or wrong, together. @throws {InvalidOptionError} */
export function parseOptions(options: Readonly<Record<string, unknown>>): MysqlOptions {
  const problems: OptionProblem[] = []
  for (const [name, value] of Object.entries(options)) {
    const check = Object.hasOwn(checks, name) ? checks[name as keyof MysqlOptions] : undefined
    const problem =
      check === undefined ? 'is not an option of the driver mysql' : value === undefined ? undefined : check(value)
    if (problem !== undefined) problems.push({ name, problem })
  }
  if (problems.length > 0) {
    const list = problems.map(({ name, problem }) => `"${name}" ${problem}`)
    throw new InvalidOptionError(`Wrong connection options: ${list.join('; ')}.`, { options: problems })
  }
  return Object.freeze(bare<MysqlOptions>(options))
}

const tls = words({
  disabled: { sslmode: 'disable' },
  disable: { sslmode: 'disable' },
  required: { sslmode: 'no-verify' },
  verify_ca: { sslmode: 'verify-ca' },
  verify_identity: { sslmode: 'verify-full' },
  'verify-full': { sslmode: 'verify-full' },
  preferred: 'may end in an open connection; choose disabled, required, verify_ca or verify_identity',
})

const urlParameters: UrlParameters = {
  known: new Map<string, Parameter>([
    ['host', { read: readHosts }],
    ['port', { read: readPorts }],
    ['user', { read: (user) => ({ value: { user } }) }],
    ['connect_timeout', { read: connectTimeout }],
    ['ssl-mode', { read: (value) => tls(value.toLowerCase()) }],
    ['sslmode', { read: (value) => tls(value.toLowerCase()) }],
    ['charset', { read: words({ utf8mb4: {} }) }],
  ]),
  refused: new Map([
    ['multipleStatements', 'is always off: several statements in one text are how an injection goes on'],
    ['timezone', 'is always UTC'],
    ['ssl', 'is written as ssl-mode, or given by the option ssl'],
  ]),
  complete: (said) => said,
}

export const mysql: Descriptor = {
  name: 'mysql',
  schemes: ['mysql', 'mariadb'],
  where: 'server',
  options: engineOptions,
  url: urlParameters,
  environment: null,
  defaults: { host: 'localhost', port: 3306, user: 'root', ssl: false, int8: 'number', statementCacheSize: 256 },
  dialect,
  poolLimit: Infinity,
  pooler: false,
  load: () => import('./driver.ts').then(({ mysqlDriver }) => mysqlDriver),
}
