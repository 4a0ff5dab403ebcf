// The connection options of the driver `pglite`: where the database is kept. Called once per engine, before anything is
// opened.
import { resolve } from 'node:path'
import { InvalidOptionError, type OptionProblem } from '../../errors/index.ts'
import { bare } from '../../util/options.ts'
import type { Int8 } from '../../postgres/type-table.ts'

export interface PgliteOptions {
  /** A directory, made if there is none; one engine at a time may use it. */
  readonly directory?: string | undefined
  /** A database in memory, shared by all of this process that give the same name. Without a name it is private. */
  readonly memory?: string | boolean | undefined
  /** Settings of every session, such as `{ search_path: 'app' }`; reset never loses them. */
  readonly settings?: Readonly<Record<string, string | number | boolean>> | undefined
  /** What 8-byte integers become. Default `'number'`, which refuses those it cannot hold. */
  readonly int8?: Int8 | undefined
  /** Whose time a `timestamp` has, which has no zone: that of UTC, or that of this machine's zone. Default `utc`. */
  readonly timestamp?: 'utc' | 'local' | undefined
  /** How many statements stay prepared. Default 256; 0 prepares none. */
  readonly statementCacheSize?: number | undefined
}

type Check = readonly [problem: string, fits: (value: unknown) => boolean]

const checks: Readonly<Record<keyof PgliteOptions, Check>> = {
  directory: ['must be a path', (value) => typeof value === 'string' && value !== '' && !value.includes('\0')],
  memory: ['must be a name or true', (value) => typeof value === 'string' || value === true],
  settings: ['must have names with texts, numbers or booleans', isSettings],
  int8: ["must be 'number', 'bigint' or 'string'", (value) => /^(number|bigint|string)$/.test(String(value))],
  timestamp: ["must be 'utc' or 'local'", (value) => value === 'utc' || value === 'local'],
  statementCacheSize: ['must be a whole number, at least 0', (value) => Number.isInteger(value) && Number(value) >= 0],
}

/** Refuses all that is unknown or wrong, together. @throws {InvalidOptionError} */
export function parsePgliteOptions(options: Readonly<Record<string, unknown>>): PgliteOptions {
  const problems: OptionProblem[] = []
  for (const [name, value] of Object.entries(options)) {
    const check = Object.hasOwn(checks, name) ? checks[name as keyof PgliteOptions] : undefined
    if (check === undefined) problems.push({ name, problem: 'is not an option of the driver pglite' })
    else if (value !== undefined && !check[1](value)) problems.push({ name, problem: check[0] })
  }
  if (options['directory'] !== undefined && options['memory'] !== undefined) {
    problems.push({ name: 'memory', problem: 'does not go with "directory"' })
  }
  if (problems.length > 0) {
    const list = problems.map(({ name, problem }) => `"${name}" ${problem}`)
    throw new InvalidOptionError(`Wrong connection options: ${list.join('; ')}.`, { options: problems })
  }
  return Object.freeze(bare<PgliteOptions>(options))
}

/** What the database is shared under; null for a private one. */
export function databaseKey({ directory, memory }: PgliteOptions): string | null {
  if (directory !== undefined) return `directory ${resolve(directory)}`
  return typeof memory === 'string' && memory !== '' ? `memory ${memory}` : null
}

/** SQL that makes the settings, '' for none. */
export function settingsSql({ settings = {} }: PgliteOptions): string {
  const calls = Object.entries(settings).map(
    ([name, value]) => `set_config(${literal(name)}, ${literal(value)}, false)`,
  )
  return calls.length === 0 ? '' : `SELECT ${calls.join(', ')}`
}

function isSettings(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  return Object.values(value).every(
    (setting) => /^(string|number|boolean)$/.test(typeof setting) && !`${setting}`.includes('\0'),
  )
}

function literal(value: string | number | boolean): string {
  return ` E'${String(value).replaceAll(/['\\]/g, '\\$&')}'`
}
