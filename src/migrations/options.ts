// What `migrate` takes and gives.
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
} from '../util/checks.ts'
import { type Checks, readOptions } from '../util/options.ts'

export type DriftKind = 'changed' | 'missing' | 'out-of-order'

export interface MigrateOptions {
  /** The folder of drizzle-kit, or of numbered `.sql` files. */
  readonly folder: string | URL
  /** Where it is recorded which files were applied. Default: that of drizzle-kit (`drizzle.__drizzle_migrations`); `public.genever_migrations` for plain `.sql` files. */
  readonly table?: { readonly schema?: string | undefined; readonly name?: string | undefined } | undefined
  /**
   * Schemas of tenants: each gets all files, and has a record of its own in it. Names, a pattern for the names of existing
   * schemas, or a function that gives names. Default: none, the files run once, as they are.
   */
  readonly schemas?: readonly string[] | RegExp | (() => Promise<readonly string[]> | readonly string[]) | undefined
  /** Schemas behind that of the tenant in its search path, for extensions and shared tables. Default: none. */
  readonly shared?: readonly string[] | undefined
  /** How many schemas at once. Default 1. */
  readonly concurrency?: number | undefined
  /** Whether the other schemas are migrated when one fails. Default `stop`: none is begun after it. */
  readonly onError?: 'stop' | 'continue' | undefined
  /**
   * What is let pass: `changed`, a file that is not the one that was applied; `missing`, one that was applied and is not in the
   * folder. Default: both stop the run before anything is applied.
   */
  readonly allow?: readonly ('changed' | 'missing')[] | undefined
  /** True: nothing is applied, and the report says what would be. Default false. */
  readonly dryRun?: boolean | undefined
  /** How long to wait for another run of migrations to end. Default 60_000. */
  readonly lockTimeoutMs?: number | undefined
  /** Ends the run between two statements. */
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((progress: MigrateProgress) => void) | undefined
}

export interface MigrateProgress {
  /** Null where no schemas were named. */
  readonly schema: string | null
  readonly file: string
  /** The statement that begins, from 1. */
  readonly statement: number
  readonly statements: number
  /** Files that are done in this schema, and how many there are to do. */
  readonly done: number
  readonly total: number
}

export interface AppliedMigration {
  readonly schema: string | null
  readonly file: string
  /** 0 in a dry run. */
  readonly ms: number
  readonly statements: readonly string[]
}

export interface MigrationDrift {
  readonly schema: string | null
  readonly file: string
  /** `out-of-order`: it was applied, or is to be, after files that come behind it. */
  readonly kind: DriftKind
}

export interface FailedMigration {
  readonly schema: string | null
  readonly error: Error
}

export interface PendingMigration {
  readonly schema: string | null
  readonly file: string
}

export interface MigrateReport {
  readonly applied: readonly AppliedMigration[]
  /** Schemas in which there was nothing to do; null for the database itself. */
  readonly upToDate: readonly (string | null)[]
  readonly failed: readonly FailedMigration[]
  readonly drift: readonly MigrationDrift[]
}

export interface MigrationStatus {
  readonly pending: readonly PendingMigration[]
  /** Schemas in which there is nothing to do; null for the database itself. */
  readonly upToDate: readonly (string | null)[]
  readonly drift: readonly MigrationDrift[]
}

const name: Check = must('a name', (value) => typeof value === 'string' && value !== '' && !value.includes('\0'))

const names: Check = (value) =>
  Array.isArray(value) && value.every((each) => name(each) === undefined) ? undefined : 'must be an array of names'

const checks: Checks<MigrateOptions> = {
  folder: must('a path or a URL', (value) => value instanceof URL || (typeof value === 'string' && value !== '')),
  table: { group: { schema: name, name } },
  schemas: (value) =>
    value instanceof RegExp || typeof value === 'function' || names(value) === undefined
      ? undefined
      : 'must be names, a RegExp, or a function that gives names',
  shared: names,
  concurrency: integer(1, 1_000),
  onError: anyOf('stop', 'continue'),
  allow: (value) =>
    Array.isArray(value) && value.every((each) => each === 'changed' || each === 'missing')
      ? undefined
      : "must be an array of 'changed' and 'missing'",
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
