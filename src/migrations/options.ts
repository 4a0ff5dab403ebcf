// The options of `migrate`, and its report.
import type { EngineOptions } from '../engine/open/create-engine.ts'
import { UsageError } from '../errors/index.ts'
import {
  abortSignal,
  anyOf,
  boolean,
  callback,
  type Check,
  describeType,
  duration,
  integer,
  isPlain,
  must,
  type Checks,
  readOptions,
} from '../util/options.ts'

export const defaultLockMs = 60_000

/** The reason why a file and its record do not agree. */
export type DriftKind = 'changed' | 'missing' | 'out-of-order'

/** Options of `migrate()` and `migrationStatus()`. */
export interface MigrateOptions {
  /** The folder of drizzle-kit, or of numbered `.sql` files. */
  readonly folder: string | URL
  /**
   * The table that records which files were applied. Default: that of drizzle-kit (`drizzle.__drizzle_migrations`), or
   * `public.genever_migrations` for plain `.sql` files.
   */
  readonly table?: { readonly schema?: string | undefined; readonly name?: string | undefined } | undefined
  /**
   * Schemas of tenants. Each gets all files, and has its own record in it. Give names, a pattern for the names of existing
   * schemas, or a function that returns names. `all`: those that `tenancy.list` of a registry returns. Default: none, and
   * the files run once, as they are.
   */
  readonly schemas?:
    | 'all'
    | readonly string[]
    | RegExp
    | (() => Promise<readonly string[]> | readonly string[])
    | undefined
  /** Schemas after that of the tenant in its search path, for extensions and shared tables. Default: none. */
  readonly shared?: readonly string[] | undefined
  /**
   * Databases of tenants, which are migrated instead of the `db` that was given. Give URLs or options, or a function that
   * returns them. `all`: those that `tenancy.list` of a registry returns. With `schemas` too, these are looked for in each
   * database. Default: none.
   */
  readonly databases?:
    | 'all'
    | readonly DatabaseSource[]
    | (() => Promise<readonly DatabaseSource[]> | readonly DatabaseSource[])
    | undefined
  /** How many schemas are migrated at once, or databases if these are given. Default 1. */
  readonly concurrency?: number | undefined
  /** Whether the other schemas and databases are migrated when one fails. Default `stop`: no further one is begun. */
  readonly onError?: 'stop' | 'continue' | undefined
  /**
   * Differences that do not stop the run. `changed`: a file is not the one that was applied. `missing`: a file was applied
   * and is not in the folder. Default: both stop the run before anything is applied.
   */
  readonly allow?: readonly ('changed' | 'missing')[] | undefined
  /**
   * The name of a file, for a database that another tool or hand has brought to where this file ends. It and all files before
   * it are recorded without being run, if nothing is recorded yet. Later files are applied. Default: every file is applied.
   */
  readonly baseline?: string | undefined
  /** True: nothing is applied, and the report says what would be applied. Default false. */
  readonly dryRun?: boolean | undefined
  /** How long to wait for another run of migrations to end. Default 60_000. */
  readonly lockTimeoutMs?: number | undefined
  /** Ends the run between two statements. */
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((progress: MigrateProgress) => void) | undefined
}

/** A database to migrate. */
export type DatabaseSource = string | URL | EngineOptions

/** Where migrations are applied. */
export interface MigrationPlace {
  /** `host:port/name`. Null if no databases were given. */
  readonly database: string | null
  /** Null if no schemas were given. */
  readonly schema: string | null
}

/** A statement of a migration that is about to run, as `onProgress` gets it. */
export interface MigrateProgress extends MigrationPlace {
  readonly file: string
  /** The number of the statement that begins, counted from 1. */
  readonly statement: number
  readonly statements: number
  /** The number of files that are done in this place, out of `total`. */
  readonly done: number
  readonly total: number
}

/** A file that was applied, and where. */
export interface AppliedMigration extends MigrationPlace {
  readonly file: string
  /** 0 in a dry run. */
  readonly ms: number
  readonly statements: readonly string[]
}

/** A file that does not agree with its record, and where. */
export interface MigrationDrift extends MigrationPlace {
  readonly file: string
  /** `out-of-order`: it was applied, or will be, after files that come later in the order. */
  readonly kind: DriftKind
}

/** A place whose migrations failed, and why. */
export interface FailedMigration extends MigrationPlace {
  readonly error: Error
}

/** A file, and where. */
export interface PendingMigration extends MigrationPlace {
  readonly file: string
}

/** The result of `migrate()`. */
export interface MigrateReport {
  readonly applied: readonly AppliedMigration[]
  /** The files that were recorded without being run, because of the option `baseline`. */
  readonly baselined: readonly PendingMigration[]
  /** The places where there was nothing to do. */
  readonly upToDate: readonly MigrationPlace[]
  readonly failed: readonly FailedMigration[]
  readonly drift: readonly MigrationDrift[]
}

/** The result of `migrationStatus()`: all that `migrate()` would do now. */
export interface MigrationStatus {
  readonly pending: readonly PendingMigration[]
  /** The files that the option `baseline` would record without running them. */
  readonly baselined: readonly PendingMigration[]
  /** The places where there is nothing to do. */
  readonly upToDate: readonly MigrationPlace[]
  readonly failed: readonly FailedMigration[]
  readonly drift: readonly MigrationDrift[]
}

const name: Check = must('a name', (value) => typeof value === 'string' && value !== '' && !value.includes('\0'))

const names: Check = (value) =>
  Array.isArray(value) && value.every((each) => name(each) === undefined) ? undefined : 'must be an array of names'

const isSource = (value: unknown): boolean => typeof value === 'string' || value instanceof URL || isPlain(value)

const checks: Checks<MigrateOptions> = {
  folder: must('a path or a URL', (value) => value instanceof URL || (typeof value === 'string' && value !== '')),
  table: { group: { schema: name, name } },
  schemas: (value) =>
    value === 'all' || value instanceof RegExp || typeof value === 'function' || names(value) === undefined
      ? undefined
      : "must be names, a RegExp, a function that gives names, or 'all'",
  shared: names,
  databases: (value) =>
    value === 'all' || typeof value === 'function' || (Array.isArray(value) && value.every(isSource))
      ? undefined
      : "must be an array of URLs or options, a function that gives one, or 'all'",
  concurrency: integer(1, 1_000),
  onError: anyOf('stop', 'continue'),
  allow: (value) =>
    Array.isArray(value) && value.every((each) => each === 'changed' || each === 'missing')
      ? undefined
      : "must be an array of 'changed' and 'missing'",
  baseline: name,
  dryRun: boolean,
  lockTimeoutMs: duration,
  signal: abortSignal,
  onProgress: callback,
}

/** @throws {InvalidOptionError}, {UsageError} */
export function readMigrateOptions(given: unknown, of: string): MigrateOptions {
  if (!isPlain(given))
    throw new UsageError(`${of} takes options with the folder of the migrations, not ${describeType(given)}.`)
  const options = readOptions<MigrateOptions>(given, checks, of)
  if (options.folder === undefined) throw new UsageError(`${of} needs the option folder: where the migrations are.`)
  return options
}
