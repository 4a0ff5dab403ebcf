// The SQL that the engine writes itself: transaction control, session settings, quoted names. One object per dialect,
// called by transactions, frames and fragments. It runs nothing and keeps nothing.
import { UsageError } from '../errors/index.ts'
import { mostNameBytes, settingName, settingValue } from './settings.ts'
import type { Statement } from './statement.ts'
import { describeType } from '../util/checks.ts'

const levels = ['read uncommitted', 'read committed', 'repeatable read', 'serializable'] as const
export type IsolationLevel = (typeof levels)[number]

export const isolationLevels: readonly IsolationLevel[] = levels

export interface BeginOptions {
  /** Spelled as by `parseIsolation`; without it the server's default stands. */
  readonly isolation?: string | undefined
  readonly readOnly?: boolean | undefined
  /** Waits for a snapshot that cannot fail; has an effect only with `serializable` and `readOnly`. */
  readonly deferrable?: boolean | undefined
}

export interface Dialect {
  readonly name: 'postgres' | 'mysql'
  readonly commit: string
  readonly rollback: string
  /** @throws {UsageError} for an unknown isolation level. */
  begin(options?: BeginOptions): string
  /** For the current transaction: the server ends it and its session when it is idle for so many whole milliseconds. */
  idleTimeout(ms: number): string
  savepoint(name: string): string
  release(name: string): string
  rollbackTo(name: string): string
  /**
   * Quotes one name so that it can only ever be that name.
   *
   * @throws {UsageError} when it is no string, is empty, holds NUL or half a surrogate pair, or is longer than the 63
   *   bytes after which the server would silently make two names one.
   */
  quoteIdentifier(name: string): string
  /**
   * Sets session settings, one for each own entry, for longer than the current transaction unless they are `local` to it.
   *
   * @throws {UsageError} for a name that no setting can have, or a value that is no string, number or boolean.
   */
  setConfig(settings: Readonly<Record<string, string | number | boolean>>, local?: boolean): Statement
}

/**
 * The isolation level a user meant: any case, with blanks, `_` or `-` between the words.
 *
 * @throws {UsageError} listing the levels there are.
 * @see GINO `isolation_level`, which also takes `READ_COMMITTED`.
 */
export function parseIsolation(value: unknown): IsolationLevel {
  const spelled = typeof value === 'string' && value.length < 40 ? value.toLowerCase().replaceAll(/[_-]/g, ' ') : ''
  const level = levels.find((each) => each === spelled)
  if (level !== undefined) return level
  const given = /^[a-z ]+$/.test(spelled) ? `"${spelled}"` : describeType(value)
  throw new UsageError(
    `The isolation level ${given} does not exist: use one of ${levels.map((each) => `"${each}"`).join(', ')}.`,
  )
}

/** The dialect of PostgreSQL, whatever driver speaks to it. */
export const postgres: Dialect = Object.freeze<Dialect>({
  name: 'postgres',
  commit: 'COMMIT',
  rollback: 'ROLLBACK',
  begin({ isolation, readOnly, deferrable }: BeginOptions = {}) {
    let text = 'BEGIN'
    if (isolation !== undefined) text += ` ISOLATION LEVEL ${parseIsolation(isolation).toUpperCase()}`
    if (readOnly !== undefined) text += readOnly ? ' READ ONLY' : ' READ WRITE'
    if (deferrable !== undefined) text += deferrable ? ' DEFERRABLE' : ' NOT DEFERRABLE'
    return text
  },
  idleTimeout: (ms) => `SET LOCAL idle_in_transaction_session_timeout = ${Math.ceil(ms)}`,
  savepoint: (name) => `SAVEPOINT ${quote(name)}`,
  release: (name) => `RELEASE SAVEPOINT ${quote(name)}`,
  rollbackTo: (name) => `ROLLBACK TO SAVEPOINT ${quote(name)}`,
  quoteIdentifier: quote,
  setConfig(settings, local = false) {
    const entries = Object.entries(settings)
    const setters = entries.map((_, index) => `set_config($${2 * index + 1}, $${2 * index + 2}, ${String(local)})`)
    // Without entries this is a bare SELECT, which PostgreSQL accepts.
    return {
      sql: `select ${setters.join(', ')}`.trimEnd(),
      params: entries.flatMap(([name, value]) => [settingName(name), settingValue(name, value)]),
    }
  },
})

function quote(name: string): string {
  const problem =
    typeof name !== 'string'
      ? `is ${describeType(name)}, not a string`
      : name === ''
        ? 'is empty'
        : name.includes('\0')
          ? 'holds a NUL character'
          : /\p{Surrogate}/u.test(name)
            ? 'holds half a surrogate pair'
            : Buffer.byteLength(name) > mostNameBytes
              ? `has ${Buffer.byteLength(name)} bytes, more than the ${mostNameBytes} that PostgreSQL keeps`
              : undefined
  if (problem !== undefined) throw new UsageError(`An identifier ${problem}.`)
  return `"${name.replaceAll('"', '""')}"`
}
